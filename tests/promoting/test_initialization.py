import copy

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations, prune

from clusterability import clusterable_init_, toy
from clusterability.errors import InputError
from clusterability.training import TrainingSpec, build
from clusterability.training.drawing import draw_networks
from clusterability.training.randomness import Randomness, Use
from clusterability.training.samples import place
from training_cases import few_digits

STRONG = 1 + 0.4 * 9


def small_mlp(seed=0):
    return build("small-mlp", (1, 7, 7), 10, generator=np.random.default_rng(seed))


def naive_init(model, n_tags, beta, rng):
    """The published way, weight by weight, for an MLP of the paper."""
    linear = [module for module in model if isinstance(module, nn.Linear)]
    tags = [rng.integers(0, n_tags, module.out_features) for module in linear[:-1]]
    tags.append(np.arange(linear[-1].out_features) % n_tags)
    for before, after, module in zip(tags, tags[1:], linear[1:], strict=False):
        with torch.no_grad():
            for i in range(module.out_features):
                for j in range(module.in_features):
                    same = after[i] == before[j]
                    module.weight[i, j] *= 1 + (1 - beta) * (n_tags - 1) if same else beta
    return tags


def test_an_mlp_is_initialized_as_published():
    model = small_mlp()
    twin = copy.deepcopy(model)
    tags = clusterable_init_(model, seed=3)
    expected = naive_init(twin, 10, 0.6, np.random.default_rng(3))
    assert list(tags) == ["fc1", "fc2", "fc3", "fc4"]
    for found, naive in zip(tags.values(), expected, strict=True):
        np.testing.assert_array_equal(found.numpy(), naive)
    for name, weight in model.state_dict().items():
        torch.testing.assert_close(weight, twin.state_dict()[name])


@pytest.mark.slow
def test_a_cnn_keeps_its_first_convolution_and_its_dense_part():
    model = build("small-cnn", (1, 28, 28), 10, generator=np.random.default_rng(0))
    before = copy.deepcopy(model.state_dict())
    tags = clusterable_init_(model, beta=0.8, input_shape=(1, 28, 28))
    assert list(tags) == ["conv1", "conv2", "conv3"]
    for name, weight in model.state_dict().items():
        if name not in ("conv2.weight", "conv3.weight"):
            assert torch.equal(weight, before[name])
            continue
        source, target = (tags[f"conv{int(name[4]) - i}"] for i in (1, 0))
        same = (target[:, None] == source)[:, :, None, None]
        torch.testing.assert_close(weight, before[name] * torch.where(same, 2.8, 0.8))


def grouped(transposed):
    kind = nn.ConvTranspose2d if transposed else nn.Conv2d
    return nn.Sequential(
        nn.Conv2d(1, 6, 1), nn.ReLU(), kind(6, 4, 3, groups=2, padding=1), nn.ReLU(), nn.Flatten()
    ).append(nn.Linear(4 * 16, 2))


@pytest.mark.parametrize("transposed", [False, True])
def test_groups_of_channels(transposed):
    model = grouped(transposed)
    before = model[2].weight.detach().clone()
    tags = clusterable_init_(model, n_tags=2, beta=0.5, input_shape=(1, 4, 4))
    source, target = tags["0"], tags["2"]
    for given in range(6):
        for made in range(4):
            if given // 3 != made // 2:
                continue
            place = (given, made % 2) if transposed else (made, given % 3)
            factor = 1.5 if source[given] == target[made] else 0.5
            torch.testing.assert_close(model[2].weight[place], before[place] * factor)


def test_a_skip_connection_gives_one_tag():
    tags = clusterable_init_(toy.ResidualMLP(width=8), n_tags=4)
    assert torch.equal(tags["stem -> falls.0"], tags["to falls.1"])
    assert torch.equal(tags["stem -> falls.0"], tags["to head"])
    assert not torch.equal(tags["falls.0"], tags["falls.1"])


@pytest.mark.slow
def test_the_mean_absolute_weight_stays_on_average():
    model, ratios = nn.Sequential(nn.Linear(3, 200), nn.ReLU(), nn.Linear(200, 200)), []
    for seed in range(20):
        changed = copy.deepcopy(model)
        clusterable_init_(changed, seed=seed)
        after, before = (m[2].weight.detach().abs().mean() for m in (changed, model))
        ratios.append(float(after / before))
    assert np.mean(ratios) == pytest.approx(1, abs=0.01)


def test_masked_weights_stay_masked():
    model = small_mlp()
    prune.l1_unstructured(model.fc2, "weight", 0.5)
    before = model.fc2.weight.detach().clone()
    clusterable_init_(model)
    model(torch.zeros(1, 1, 7, 7))
    ratios = (model.fc2.weight / before)[before != 0]
    assert torch.equal(model.fc2.weight == 0, before == 0)
    assert {round(r, 3) for r in ratios.tolist()} == {0.6, round(STRONG, 3)}


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"beta": 1.0}, r"beta is 1.0, expected a number above 0 and below 1"),
        ({"beta": 0}, r"beta is 0, expected a number above 0 and below 1"),
        ({"n_tags": 1}, r"n_tags is 1, expected a whole number of at least 2"),
        ({"n_tags": 65}, r"n_tags is 65, but layer 'fc1' has 64 neurons; pass n_tags <= 64"),
        ({"seed": -1}, r"seed is -1"),
        ({"input_shape": (3,), "example_inputs": torch.zeros(1, 3)}, "give one of them"),
    ],
)
def test_bad_arguments(fields, message):
    model = small_mlp()
    before = copy.deepcopy(model.state_dict())
    with pytest.raises(InputError, match=message):
        clusterable_init_(model, **fields)
    assert all(torch.equal(w, before[name]) for name, w in model.state_dict().items())


def shared_module():
    linear = nn.Linear(8, 8)
    return nn.Sequential(linear, nn.ReLU(), linear, nn.ReLU(), nn.Linear(8, 8))


def shared_parameter():
    model = nn.Sequential(nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 8))
    model[4].weight = model[2].weight
    return model


@pytest.mark.parametrize("make", [shared_module, shared_parameter])
def test_shared_weights_are_refused(make):
    with pytest.raises(InputError, match=r"used in several places .* make a copy"):
        clusterable_init_(make(), n_tags=2)


def test_computed_and_broken_weights_are_refused():
    model = small_mlp()
    parametrizations.weight_norm(model.fc2)
    with pytest.raises(InputError, match=r"computed from other parameters"):
        clusterable_init_(model)
    model = small_mlp()
    with torch.no_grad():
        model.fc2.weight[0, 0] = torch.nan
    with pytest.raises(InputError, match=r"fc2.weight.* NaN"):
        clusterable_init_(model)


@pytest.mark.slow
def test_training_begins_with_it():
    data = place(few_digits(), torch.device("cpu"), "")
    spec = TrainingSpec("small-mlp", "few", clusterable_init=True, tags=8, beta=0.5)
    networks = draw_networks(spec, data, [Randomness(4)])
    expected = build("small-mlp", (1, 8, 8), 10, generator=Randomness(4).numpy(Use.INITIALIZATION))
    naive_init(expected, 8, 0.5, Randomness(4).numpy(Use.TAGS))
    for name, weight in networks.weights(0).items():
        torch.testing.assert_close(weight, expected.state_dict()[name])


def test_training_refuses_tags_without_it():
    with pytest.raises(InputError, match=r"tags are 8 and beta is 0.6, but clusterable_init"):
        TrainingSpec("small-mlp", "few", tags=8)
