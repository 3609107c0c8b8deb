"""Values by the definitions, pair of clusters by pair; gradients by finite differences."""

import copy

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations, prune

from clusterability import (
    CrossClusterLoss,
    GroupLasso,
    InputError,
    PartitionPenalty,
    cluster_tags,
    neuron_graph,
    normalized_cut,
    toy,
)

pytestmark = pytest.mark.slow

PENALTIES = [GroupLasso, PartitionPenalty, CrossClusterLoss]


def mlp(sizes=(9, 7, 8, 5), seed=0):
    torch.manual_seed(seed)
    pairs = zip(sizes, sizes[1:], strict=False)
    parts = [part for pair in pairs for part in (nn.Linear(*pair), nn.ReLU())]
    return nn.Sequential(*parts[:-1])


def convolutional():
    torch.manual_seed(0)
    return nn.Sequential(
        *(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 12, 3, groups=2), nn.ReLU()),
        *(nn.ConvTranspose2d(12, 6, 3, groups=3), nn.ReLU(), nn.Flatten(), nn.Linear(6 * 36, 4)),
    )


def masked():
    model = mlp()
    prune.l1_unstructured(model[2], "weight", 0.5)
    return model


def parametrized():
    model = mlp()
    parametrizations.weight_norm(model[2])
    return model


MODELS = {
    "MLP": (mlp, {}),
    "residual": (lambda: toy.ResidualMLP(width=6, between=0.4), {}),
    "CNN": (convolutional, {"input_shape": (3, 8, 8)}),
    "masked": (masked, {}),
    "parametrized": (parametrized, {}),
}


def blocks(weight, given, made):
    """Dense weights between each two clusters, found weight by weight."""
    found = {}
    for i, target in enumerate(made.tolist()):
        for j, source in enumerate(given.tolist()):
            found.setdefault((source, target), []).append(weight[i, j])
    return {ends: torch.stack(values) for ends, values in found.items() if min(ends) >= 0}


def naive(kind, weights):
    """Of dense weights with the tags of their inputs and outputs."""
    total = 0.0
    for each in weights:
        by_pair = blocks(*each)
        if kind is GroupLasso:
            total += sum(len(w) ** 0.5 * w.norm() for (a, b), w in by_pair.items() if a != b)
        else:
            squares = {ends: w.square().sum() for ends, w in by_pair.items()}
            total += 1 - sum(s for (a, b), s in squares.items() if a == b) / sum(squares.values())
    return total


@pytest.mark.parametrize("kind", [GroupLasso, CrossClusterLoss])
@pytest.mark.parametrize("layers", ["hidden", "hidden+outputs", "all"])
def test_values_of_an_mlp(kind, layers):
    model = mlp()
    tags = cluster_tags(model, 3, layers)
    names = ["input", "0", "2", "4"]
    expected = naive(
        kind,
        [
            (model[i].weight, tags[before], tags[after])
            for i, before, after in zip((0, 2, 4), names, names[1:], strict=False)
            if before in tags and after in tags
        ],
    )
    assert kind(model, tags)().item() == pytest.approx(expected.item(), rel=1e-5)


def test_the_lasso_of_convolutions():
    model = convolutional()
    tags = cluster_tags(model, 2, "hidden", input_shape=(3, 8, 8))
    dense = []
    for i, before, after in ((2, "0", "2"), (4, "2", "4")):
        weight, transposed = model[i].weight, isinstance(model[i], nn.ConvTranspose2d)
        n_groups = model[i].groups
        for out, target in enumerate(tags[after].tolist()):
            for source_channel, source in enumerate(tags[before].tolist()):
                per_in, per_out = len(tags[before]) // n_groups, len(tags[after]) // n_groups
                if source_channel // per_in != out // per_out:
                    continue
                at = (
                    (source_channel, out % per_out)
                    if transposed
                    else (out, source_channel % per_in)
                )
                dense.append((i, source, target, weight[at].flatten()))
    expected = 0.0
    for i in (2, 4):
        for ends in ((0, 1), (1, 0)):
            values = torch.cat([w for j, a, b, w in dense if (j, a, b) == (i, *ends)])
            expected += len(values) ** 0.5 * values.norm()
    found = GroupLasso(model, tags, input_shape=(3, 8, 8))()
    assert found.item() == pytest.approx(expected.item(), rel=1e-5)


@pytest.mark.parametrize("name", ["MLP", "residual", "CNN", "masked"])
def test_the_partition_penalty_is_the_n_cut(name):
    make, options = MODELS[name]
    model = make()
    tags = cluster_tags(model, 2, "hidden+outputs", **options)
    graph = neuron_graph(model, include=("input", "dense"), **options)
    kept = [layer.name in tags for layer in graph.layers]
    labels = torch.cat(
        [tags.get(layer.name, torch.full((layer.n_neurons,), -1)) for layer in graph.layers]
    )
    left = [b for b in graph.blocks if kept[b.source] and kept[b.target]]
    part = type(graph)(graph.layers, tuple(left))
    expected = normalized_cut(part, labels)
    assert PartitionPenalty(model, tags, **options)().item() == pytest.approx(expected.item())


@pytest.mark.parametrize("kind", PENALTIES)
@pytest.mark.parametrize("name", MODELS)
def test_gradients_are_of_finite_differences(kind, name):
    make, options = MODELS[name]
    model = make().double()
    tags = cluster_tags(model, 2, "hidden+outputs", **options)
    penalty = kind(model, tags, **options)
    penalty().backward()
    rng = np.random.default_rng(0)
    n_reached = 0
    for parameter in model.parameters():
        if parameter.grad is None:
            continue
        flat, slope = parameter.data.view(-1), parameter.grad.flatten()
        for i in rng.choice(len(flat), min(6, len(flat)), replace=False).tolist():
            before, values = flat[i].item(), []
            for change in (1e-6, -1e-6):
                flat[i] = before + change
                values.append(penalty().item())
            flat[i] = before
            if before != 0:
                expected = (values[0] - values[1]) / 2e-6
                assert slope[i].item() == pytest.approx(expected, abs=1e-6), name
                n_reached += 1
    assert n_reached > 6


@pytest.mark.parametrize("kind", PENALTIES)
def test_blocks_of_zeros_have_no_gradient(kind):
    model = mlp()
    tags = cluster_tags(model, 3, "hidden+outputs")
    with torch.no_grad():
        model[2].weight.mul_(tags["2"][:, None] == tags["0"])
        model[4].weight[tags["4"] == 1] = 0
    value = kind(model, tags)()
    value.backward()
    assert all(p.grad is None or p.grad.isfinite().all() for p in model.parameters())
    if kind is GroupLasso:
        assert (model[2].weight.grad == 0).all()


@pytest.mark.parametrize("kind", PENALTIES)
def test_precision_autocast_and_frozen_weights(kind):
    model = mlp()
    tags = cluster_tags(model, 3)
    expected = kind(model, tags)().item()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert kind(model, tags)().item() == pytest.approx(expected)
    half = copy.deepcopy(model).to(torch.bfloat16)
    value = kind(half, tags)()
    value.backward()
    assert value.dtype == torch.float32
    assert half[2].weight.grad.dtype == torch.bfloat16
    model[2].weight.requires_grad_(False)
    assert not kind(model, tags)().requires_grad
    with torch.no_grad():
        assert not kind(half, tags)().requires_grad


def test_what_is_between_clusters_shrinks():
    model = mlp((20, 24, 24, 12))
    tags = cluster_tags(model, 3)
    same = tags["2"][:, None] == tags["0"]
    inside = model[2].weight.detach()[same].clone()
    penalty = GroupLasso(model, tags)
    optimizer = torch.optim.SGD(model.parameters(), 3e-3)
    first = penalty().item()
    for _ in range(50):
        optimizer.zero_grad()
        loss = penalty()
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.7 * first
    assert torch.equal(model[2].weight.detach()[same], inside)


def shared():
    linear = nn.Linear(8, 8)
    return nn.Sequential(nn.Linear(8, 8), nn.ReLU(), linear, nn.ReLU(), linear)


@pytest.mark.parametrize("kind", PENALTIES)
def test_bad_input(kind):
    model = mlp()
    tags = cluster_tags(model, 3)
    bad = [
        (model, torch.arange(29), "expected a mapping from layers"),
        (model, {**tags, "9": tags["0"]}, "tags of a layer '9'"),
        (model, {**tags, "0": tags["0"][:3]}, "expected 7 whole numbers"),
        (model, {**tags, "0": tags["0"] % 2}, "cluster 2 of 3 has no neuron in layer '0'"),
        (model, {"0": tags["0"]}, "no weight joins two layers with tags"),
        (model.state_dict(), tags, "expected a torch.nn.Module"),
        (shared(), {n: torch.randperm(8) % 2 for n in ("0", "2")}, "used in several places"),
    ]
    for arguments in bad:
        with pytest.raises(InputError, match=arguments[-1]):
            kind(*arguments[:-1])
    penalty = kind(model, tags)
    with torch.no_grad():
        model[2].weight[1, 1] = torch.nan
    with pytest.raises(InputError, match=r"'2\.weight' holds 1 NaN"):
        penalty()
    with pytest.raises(InputError, match="NaN"):
        kind(model, tags)
