"""Against a twin that computes layer by layer; and the model stays as it is, whatever happens."""

import copy
import json
import math

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations, parametrize, prune

from clusterability import InputError, cluster_tags, measure, toy, validate_clusters
from clusterability.promoting import ClusterValidation
from clusterability.promoting.lesions import permuted

pytestmark = pytest.mark.slow

SIZES = (12, 9, 8, 5)


def mlp(sizes=SIZES, seed=0):
    torch.manual_seed(seed)
    pairs = zip(sizes, sizes[1:], strict=False)
    parts = [part for pair in pairs for part in (nn.Linear(*pair), nn.ReLU())]
    return nn.Sequential(*parts[:-1])


def data(n=60, shape=(12,), n_classes=5, seed=1):
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(n, *shape, generator=generator)
    return x, torch.randint(0, n_classes, (n,), generator=generator)


def naive_outputs(weights, biases, x, gone=None, between=None, folded=False):
    """The network layer by layer; hidden neurons that are gone have their mean."""
    means, h = [], x
    for i, (weight, bias) in enumerate(zip(weights, biases, strict=True)):
        means.append(h.mean(0))
        h = h @ weight.T + bias
        h = h.clamp_min(0) if i < len(weights) - 1 else h
    h = x
    for i, (weight, bias) in enumerate(zip(weights, biases, strict=True)):
        if gone is not None and i > 0:
            h = torch.where(gone[i], means[i], h)
        if between is not None:
            cut = weight * between[i]
            bias = bias + cut @ means[i] if folded else bias
            weight = weight - cut
        h = h @ weight.T + bias
        h = h.clamp_min(0) if i < len(weights) - 1 else h
    return h


def naive_validation(model, labels, x, y, n_permutations, seed):
    """Labels of all layers, in a list; all numbers of the report."""
    weights = [m.weight.detach() for m in model if isinstance(m, nn.Linear)]
    biases = [m.bias.detach() for m in model if isinstance(m, nn.Linear)]
    k = int(max(found.max() for found in labels)) + 1
    classes = sorted(set(y.tolist()))

    def right(**options):
        return naive_outputs(weights, biases, x, **options).argmax(1) == y

    def by_class(hits):
        return np.array([hits[y == c].double().mean().item() for c in classes])

    def falls(of):
        lesioned = [by_class(right(gone=[found == c for found in of])) for c in range(k)]
        return by_class(right()) - np.array(lesioned)

    between = [
        (a != b[:, None]) & (a >= 0) & (b >= 0)[:, None]
        for a, b in zip(labels, labels[1:], strict=False)
    ]
    rng, null = np.random.default_rng(seed), []
    for _ in range(n_permutations):
        of = list(labels)
        for i in range(1, len(labels) - 1):
            into, out = weights[i - 1].abs().sum(1) > 0, weights[i].abs().sum(0) > 0
            held = np.flatnonzero((into & out & (labels[i] >= 0)).numpy())
            of[i] = labels[i].clone()
            of[i][held] = labels[i][rng.permutation(held)]
        null.append(falls(of))
    found = falls(labels)
    return {
        "accuracy": right().double().mean().item(),
        "accuracy_cut": right(between=between).double().mean().item(),
        "accuracy_folded": right(between=between, folded=True).double().mean().item(),
        "n_cut": sum(int((w[b] != 0).sum()) for w, b in zip(weights, between, strict=True)),
        "falls": found,
        "fall": [f.mean() for f in (found, *null)],
        "spread": [np.mean([row.std() for row in f]) for f in (found, *null)],
    }


def assert_is_naive(report, naive):
    for name in ("accuracy", "accuracy_cut", "accuracy_folded"):
        assert getattr(report, name) == pytest.approx(naive[name]), name
    assert report.n_cut == naive["n_cut"]
    np.testing.assert_allclose(report.falls, naive["falls"], atol=1e-12)
    for name in ("fall", "spread"):
        observed, *null = naive[name]
        found = getattr(report, name)
        assert found.observed == pytest.approx(observed)
        np.testing.assert_allclose(found.null.values, null, atol=1e-12)
        n = len(null) + 1
        assert found.p_lower == (1 + sum(v <= observed + 1e-9 for v in null)) / n
        assert found.p_upper == (1 + sum(v >= observed - 1e-9 for v in null)) / n


@pytest.mark.parametrize("layers", ["hidden", "hidden+outputs", "all"])
@pytest.mark.parametrize("sparse", [False, True])
def test_is_the_naive_twin(layers, sparse):
    model, (x, y) = mlp(), data()
    if sparse:
        with torch.no_grad():
            model[0].weight[2] = 0
            model[2].weight[:, 5] = 0
    tags = cluster_tags(model, 3, layers)
    tags[next(iter(tags))][1] = -1
    names = ["input", "0", "2", "4"]
    labels = [tags.get(n, torch.full((s,), -1)) for n, s in zip(names, SIZES, strict=True)]
    report = validate_clusters(model, tags, x, y, n_permutations=6, seed=3, batch_size=17)
    assert_is_naive(report, naive_validation(model, labels, x, y, 6, 3))
    assert (report.n_inputs, report.classes) == (60, (0, 1, 2, 3, 4))


def test_lesions_on_the_first_inputs():
    model, (x, y) = mlp(), data()
    tags = cluster_tags(model, 3)
    found = validate_clusters(model, tags, x, y, n_permutations=3, n_lesioned=40)
    first = validate_clusters(model, tags, x[:40], y[:40], n_permutations=3)
    every = validate_clusters(model, tags, x, y, n_permutations=0)
    assert (found.falls, found.fall, found.spread) == (first.falls, first.fall, first.spread)
    assert found.accuracy_folded == every.accuracy_folded
    assert (found.n_inputs, found.n_lesioned, every.n_lesioned) == (60, 40, 60)


def test_labels_of_a_result():
    model, (x, y) = mlp((12, 30, 30, 5)), data()
    result = measure(model, n_clusters=3, n_shuffles=0, n_init=2)
    labels = list(torch.split(torch.from_numpy(result.labels), [12, 30, 30, 5]))
    report = validate_clusters(model, result, x, y, n_permutations=2)
    assert_is_naive(report, naive_validation(model, labels, x, y, 2, 0))


def convolutional():
    torch.manual_seed(0)
    return nn.Sequential(
        *(nn.Conv2d(2, 6, 3, padding=1), nn.BatchNorm2d(6), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(6, 8, 3, bias=False), nn.ReLU(), nn.Dropout(0.5), nn.Flatten()),
        *(nn.Linear(8 * 9, 10), nn.ReLU(), nn.Linear(10, 5)),
    )


def test_a_cnn_in_training_mode():
    """Channels are taken out at every place; the fold is the mean over places."""
    model, (x, y) = convolutional(), data(40, (2, 10, 10))
    model(x)
    model.train()
    tags = cluster_tags(model, 2, "hidden+outputs", input_shape=(2, 10, 10))
    report = validate_clusters(model, tags, x, y, n_permutations=0)
    assert model.training
    assert "in training mode; it was judged in evaluation mode" in report.notes[0]
    twin = copy.deepcopy(model).eval()
    h1 = twin[:4](x)
    h2 = twin[4:8](h1)
    h3 = twin[8:10](h2)
    gone = [tags[name] == 0 for name in ("0", "4", "8")]
    h = torch.where(gone[0][:, None, None], h1.mean(0), h1)
    h = torch.where(gone[1].repeat_interleave(9), h2.mean(0), twin[4:8](h))
    h = torch.where(gone[2], h3.mean(0), twin[8:10](h))
    hits = twin[10](h).argmax(1) == y
    before = twin(x).argmax(1) == y
    falls = [
        (before[y == c].double().mean() - hits[y == c].double().mean()).item() for c in range(5)
    ]
    np.testing.assert_allclose(report.falls[0], falls, atol=1e-12)
    cut, n_cut = copy.deepcopy(twin), 0
    for i, given, made in ((4, "0", "4"), (8, "4", "8"), (10, "8", "10")):
        a = tags[given].repeat_interleave(9) if i == 8 else tags[given]
        between = (a != tags[made][:, None]).view(
            len(tags[made]), -1, *[1] * (cut[i].weight.ndim - 2)
        )
        n_cut += int((between * cut[i].weight != 0).sum())
        with torch.no_grad():
            part = copy.deepcopy(cut[i])
            part.weight.mul_(between)
            part.bias = None
            constant = part({4: h1, 8: h2, 10: h3}[i])
            constant = constant.mean((0, 2, 3)) if i == 4 else constant.mean(0)
            cut[i].weight.mul_(~between)
            cut[i].bias = nn.Parameter(constant + (0 if cut[i].bias is None else cut[i].bias))
    assert report.n_cut == n_cut
    assert report.accuracy_folded == pytest.approx((cut(x).argmax(1) == y).double().mean().item())


def test_skips_masks_and_parametrizations():
    x, y = data(30, (8,), 8)
    model = toy.ResidualMLP(width=8, between=0.3)
    report = validate_clusters(model, cluster_tags(model, 2, "all"), x, y, n_permutations=1)
    assert 0 <= report.accuracy_cut <= 1
    dense = mlp((8, 9, 8))
    tags = cluster_tags(dense, 3, "all")
    expected = validate_clusters(dense, tags, x, y, n_permutations=2)
    other = copy.deepcopy(dense)
    parametrizations.weight_norm(other[0])
    found = validate_clusters(other, tags, x, y, n_permutations=2)
    assert (found.falls, found.accuracy_cut) == (expected.falls, expected.accuracy_cut)
    torch.testing.assert_close(other(x), dense(x))
    assert parametrize.is_parametrized(other[0], "weight")
    twin = copy.deepcopy(dense)
    for model in (dense, twin):
        prune.l1_unstructured(model[2], "weight", 0.5)
    prune.remove(twin[2], "weight")
    found, expected = (validate_clusters(m, tags, x, y, n_permutations=2) for m in (dense, twin))
    assert found == expected


def state(model):
    held = {**dict(model.named_parameters()), **dict(model.named_buffers())}
    return {name: value.detach().clone() for name, value in held.items()}


def hooks(model):
    return [len(p._forward_hooks) + len(p._forward_pre_hooks) for p in model.modules()]


def stop_at(n_calls, error):
    """A forward pass that fails at some call."""
    calls = []

    class Failing(nn.Module):
        def forward(self, x):
            if not torch.compiler.is_exporting():
                calls.append(1)
                if len(calls) == n_calls:
                    raise error
            return x

    return Failing()


@pytest.mark.parametrize("n_calls", [1, 3, 9])
@pytest.mark.parametrize("error", [KeyboardInterrupt(), RuntimeError("no")])
def test_the_model_is_as_before_whatever_happens(n_calls, error):
    model = convolutional()
    x, y = data(20, (2, 10, 10))
    model(x)
    model[3].training = False
    tags = cluster_tags(model, 2, input_shape=(2, 10, 10))
    failing = nn.Sequential(*model, stop_at(n_calls, error))
    modes = [part.training for part in failing.modules()]
    before, random = state(failing), torch.get_rng_state()
    with pytest.raises((type(error), InputError)):
        validate_clusters(failing, tags, x, y, batch_size=7)
    after = state(failing)
    assert all(torch.equal(value, after[name]) for name, value in before.items())
    assert [part.training for part in failing.modules()] == modes
    assert hooks(failing) == [*hooks(model), 0]
    assert torch.equal(random, torch.get_rng_state())
    grads = [p.requires_grad for p in failing.parameters()]
    assert all(grads)


class Overflowing(nn.Module):
    def forward(self, x):
        return x / 0


def test_nan_outputs():
    model, (x, y) = nn.Sequential(*mlp(), Overflowing()), data()
    before = state(model)
    with pytest.raises(InputError, match="outputs are NaN or infinite"):
        validate_clusters(model, cluster_tags(model, 2), x, y)
    assert all(torch.equal(value, state(model)[name]) for name, value in before.items())


def test_permuted_labels_keep_their_numbers():
    labels = np.array([0, 1, 2, 0, 1, -1, 2, 0, 1, 1])
    alive = np.array([1, 1, 0, 1, 1, 1, 1, 1, 1, 0], bool)
    found = permuted(labels, [(1, 5), (5, 10)], alive, np.random.default_rng(1))
    assert found[0] == 0
    assert found[2] == 2
    assert found[5] == -1
    assert found[9] == 1
    assert sorted(found[[1, 3, 4]]) == [0, 1, 1]
    assert sorted(found[6:9]) == [0, 1, 2]


def test_text_and_json():
    model, (x, y) = mlp(), data()
    report = validate_clusters(model, cluster_tags(model, 3), x, y, n_permutations=19)
    assert ClusterValidation.from_json(report.to_json()) == report
    text = str(report)
    assert f"{100 * report.accuracy_cut:.2f} %" in text
    assert text.count("\n") < 12
    assert text.isascii()
    few = validate_clusters(model, cluster_tags(model, 3), x, y, n_permutations=0)
    assert "no permutations were run" in few.text()
    assert ClusterValidation.from_json(few.to_json()) == few
    for wrong in ("", "3", "{}", report.to_json().replace('"falls"', '"fells"')):
        with pytest.raises(InputError, match="is no validation of clusters"):
            ClusterValidation.from_json(wrong)
    for name, value in (("n_cut", "x"), ("n_inputs", None), ("seed", -1)):
        with pytest.raises(InputError, match=f"{name} is .*expected a whole number"):
            ClusterValidation.from_json(json.dumps(report.to_dict() | {name: value}))
    huge = {"observed": 0.5, "null": {"values": [1e308] * 3}}
    for name, value in (
        ("accuracy", math.nan),
        ("spread", huge),
        ("falls", [[10**400]]),
        ("accuracy_cut", "x"),
    ):
        with pytest.raises(InputError, match="is no validation of clusters"):
            ClusterValidation.from_json(json.dumps(report.to_dict() | {name: value}))


def shared():
    linear = nn.Linear(5, 5)
    return nn.Sequential(nn.Linear(12, 5), nn.ReLU(), linear, nn.ReLU(), linear)


class Uncalled(nn.Module):
    """A module's weight that is used without a call of the module."""

    def __init__(self):
        super().__init__()
        self.first, self.second, self.third = nn.Linear(12, 6), nn.Linear(6, 6), nn.Linear(6, 5)

    def forward(self, x):
        return self.third(nn.functional.linear(self.first(x).relu(), self.second.weight).relu())


class Bare(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.matrix = nn.Linear(12, 6), nn.Parameter(torch.randn(5, 6))

    def forward(self, x):
        return nn.functional.linear(self.first(x).relu(), self.matrix)


def test_bad_input():
    model, (x, y) = mlp(), data()
    tags = cluster_tags(model, 3)
    bad = [
        ((model, tags, x, y[:3]), r"shape \(3,\) for 60 inputs, expected the class of each"),
        ((model, tags, x, y.double()), "expected the class of each"),
        ((model, tags, x, y + 1), "targets hold the class 5, but .* classes 0 to 4"),
        ((model, tags, x, y - 1), "targets hold the class -1"),
        ((model, tags, x, "abc"), "expected the class of each|expected classes"),
        ((model, tags, x[:0], y[:0]), "one or more inputs"),
        ((model, tags, {"input": x}, y), "inputs are a dictionary, expected a tensor, or a tuple"),
        ((model, tags, [1, 2], y), "expected a tensor, a tuple"),
        ((model, tags, x[:, :5], y), "."),
        ((model, {"9": tags["0"]}, x, y), "tags of a layer '9'"),
        ((model, torch.arange(4), x, y), "expected 34 whole numbers"),
        ((3, tags, x, y), "expected a torch.nn.Module"),
        ((nn.Sequential(*model, nn.Flatten(0)), tags, x, y), "expected \\(n_inputs, n_classes\\)"),
        ((shared(), torch.arange(22) % 2, x, y), "used in several places"),
        ((model, tags, x.long(), y), "cannot be run on the inputs .* check their shape and type"),
        ((Uncalled(), torch.arange(29) % 2, x, y), "'second.weight' is used without a call of its"),
        ((Bare(), torch.arange(23) % 2, x, y), "'matrix' is not the weight of a torch.nn.Linear"),
    ]
    for arguments, message in bad:
        with pytest.raises(InputError, match=message):
            validate_clusters(*arguments)
    for name, value in (("n_permutations", -1), ("seed", -1), ("batch_size", 0), ("n_lesioned", 0)):
        with pytest.raises(InputError, match=f"{name} is {value}"):
            validate_clusters(model, tags, x, y, **{name: value})


def test_numbers_of_numpy():
    (x, y), one = data(), np.int64(1)
    report = validate_clusters(mlp(), torch.arange(34) % 3, x, y, n_permutations=one, seed=one)
    assert ClusterValidation.from_json(report.to_json()) == report
