"""Masks to one weight, of MLPs, convolutions and skips; loops that go on; and what is refused."""

import copy

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations, prune

from clusterability import InputError, ModularPruning, cluster_tags, neuron_graph, toy
from clusterability.training import build

pytestmark = pytest.mark.slow


def mlp(sizes=(20, 18, 24, 10), seed=0):
    torch.manual_seed(seed)
    pairs = zip(sizes, sizes[1:], strict=False)
    parts = [part for pair in pairs for part in (nn.Linear(*pair), nn.ReLU())]
    return nn.Sequential(*parts[:-1])


def convolutional():
    torch.manual_seed(0)
    return nn.Sequential(
        *(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 12, 3), nn.ReLU()),
        *(nn.ConvTranspose2d(12, 6, 3), nn.ReLU(), nn.Flatten(), nn.Linear(6 * 36, 20), nn.ReLU()),
        nn.Linear(20, 4),
    )


def masked():
    model = mlp()
    prune.l1_unstructured(model[2], "weight", 0.3)
    return model


MODELS = {
    "MLP": (mlp, {}),
    "residual": (lambda: toy.ResidualMLP(width=12, between=0.4), {}),
    "CNN": (convolutional, {"input_shape": (3, 8, 8)}),
    "small CNN": (lambda: build("small-cnn", (1, 8, 8), 10), {"input_shape": (1, 8, 8)}),
    "masked": (masked, {}),
}


@pytest.mark.parametrize("layers", ["hidden", "hidden+outputs"])
@pytest.mark.parametrize("name", MODELS)
def test_nothing_is_left_between_clusters(name, layers):
    make, options = MODELS[name]
    model = make()
    tags = cluster_tags(model, 4, layers, **options)
    pruning = ModularPruning(model, tags, final_sparsity=0.8, **options)
    for step in range(11):
        pruning.step(step / 10)
    graph = neuron_graph(model, include=("input", "dense"), **options)
    n_blocks = 0
    for block in graph.blocks:
        source, target = (graph.layers[end].name for end in (block.source, block.target))
        if source in tags and target in tags:
            apart = tags[source][:, None] != tags[target]
            assert (block.strengths[apart] == 0).all()
            assert (block.strengths[~apart] > 0).any()
            n_blocks += 1
    assert n_blocks
    for weight, share in pruning.final_sparsities.items():
        mask = pruning.masks[weight]
        assert int((mask == 0).sum()) == round(share * mask.numel())
        assert share >= round(0.8 * mask.numel()) / mask.numel()
        own = dict(model.named_parameters())
        effective = own.get(weight, own.get(f"{weight}_orig"))
        assert ((effective == 0) | (mask == 1)).all()


@pytest.mark.parametrize("clusters", [2, 3, 6])
def test_zeros_at_every_step(clusters):
    model = mlp()
    tags = cluster_tags(model, clusters, "all", seed=1)
    pruning = ModularPruning(model, tags, final_sparsity=0.7, initial_sparsity=0.4)
    names = ["input", "0", "2", "4"]
    for step in range(21):
        p = step / 20
        pruning.step(p)
        for before, after in zip(names, names[1:], strict=False):
            weight = model[int(after)].weight
            apart = tags[before] != tags[after][:, None]
            sparsity, gone = 0.7 - 0.3 * (1 - p) ** 3, 1 - 0.5 * (1 - min(1, p / 0.3)) ** 3
            n_zeros = max(round(sparsity * weight.numel()), round(gone * int(apart.sum())))
            assert int((weight == 0).sum()) == n_zeros
            assert int((weight[apart] != 0).sum()) == max(0, int(apart.sum()) - n_zeros)


def test_the_largest_inside_are_kept():
    model = mlp()
    before = model[2].weight.detach().clone()
    tags = cluster_tags(model, 2)
    pruning = ModularPruning(model, tags, final_sparsity=0.75)
    pruning.step(1)
    inside = before.abs()[tags["0"] == tags["2"][:, None]]
    kept = before.abs()[pruning.masks["2.weight"] == 1]
    assert torch.equal(kept.sort().values, inside.sort().values[-len(kept) :])
    assert len(pruning.notes) == 0
    by_magnitude = model[0].weight.detach().abs()
    assert int((by_magnitude == 0).sum()) == round(0.75 * by_magnitude.numel())


def test_it_ends_with_what_is_between_and_says_so():
    model = mlp()
    pruning = ModularPruning(model, cluster_tags(model, 6), final_sparsity=0.5)
    (note,) = pruning.notes
    assert note == "'2.weight' ends with 83.3 % zeros, all between clusters, not 50.0 %"
    assert pruning.final_sparsities == {"0.weight": 0.5, "2.weight": 5 / 6, "4.weight": 0.5}


def train(model, pruning, steps, start=0):
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    generator = torch.Generator().manual_seed(3)
    data = [torch.randn(8, 20, generator=generator) for _ in range(20)]
    for step in range(start, steps):
        pruning.step(step / 19)
        optimizer.zero_grad()
        model(data[step]).square().mean().backward()
        optimizer.step()
        pruning.apply_()


def test_a_loop_goes_on_from_its_state(tmp_path):
    model, other = mlp(), mlp(seed=4)
    tags = cluster_tags(model, 3)
    pruning = ModularPruning(model, tags)
    twin, resumed = copy.deepcopy(model), ModularPruning(other, tags)
    train(twin, ModularPruning(twin, tags), 20)
    train(model, pruning, 7)
    torch.save((model.state_dict(), pruning.state_dict()), tmp_path / "state.pt")
    weights, state = torch.load(tmp_path / "state.pt", weights_only=True)
    other.load_state_dict(weights)
    resumed.load_state_dict(state)
    train(other, resumed, 20, start=7)
    for name, weight in twin.state_dict().items():
        assert torch.equal(weight, other.state_dict()[name])
    apart = tags["0"] != tags["2"][:, None]
    assert (other[2].weight[apart] == 0).all()


def test_the_progress():
    model = mlp()
    pruning = ModularPruning(model, cluster_tags(model, 3))
    pruning.step(0.5)
    for wrong in (0.4, 1.1, -0.1, float("nan"), "1"):
        with pytest.raises(InputError, match="progress is"):
            pruning.step(wrong)
    pruning.step(0.5)


def shared():
    linear = nn.Linear(8, 8)
    return nn.Sequential(nn.Linear(8, 8), nn.ReLU(), linear, nn.ReLU(), linear, nn.Linear(8, 8))


def computed():
    model = mlp()
    parametrizations.weight_norm(model[2])
    return model


def spoiled():
    model = mlp()
    with torch.no_grad():
        model[2].weight[0, 0] = torch.nan
    return model


def test_bad_input():
    tags = cluster_tags(mlp(), 3)
    bad = [
        ((mlp(), torch.zeros(3)), {}, "expected a mapping from layers"),
        ((mlp(), {"9": tags["0"]}), {}, "tags of a layer '9'"),
        ((mlp(), {"0": tags["0"]}), {}, "no weight joins two layers with tags"),
        ((mlp(), {**tags, "0": tags["0"] % 2}), {}, "cluster 2 of 3 has no neuron in layer '0'"),
        ((mlp(), tags, 1.0), {}, "final_sparsity is 1.0, expected a number .* below 1"),
        ((mlp(), tags, 0.995), {}, r"leaves 2 weights of '2\.weight' to 3 clusters"),
        ((mlp(), tags), {"initial_sparsity": -1}, "initial_sparsity is -1"),
        ((3, tags), {}, "expected a torch.nn.Module"),
        ((shared(), cluster_tags(mlp((8, 8, 8, 8)), 2)), {}, "used in several places"),
        ((computed(), tags), {}, "computed from other parameters"),
        ((spoiled(), tags), {}, r"'2\.weight' holds 1 NaN"),
    ]
    for arguments, options, message in bad:
        with pytest.raises(InputError, match=message):
            ModularPruning(*arguments, **options)
    pruning = ModularPruning(mlp(), tags)
    for state in (
        3,
        {},
        {"progress": 0.1, "masks": {}},
        {"progress": 0.1, "masks": {"0.weight": 1}},
        {"progress": 0.1, "masks": {name: 2 * mask for name, mask in pruning.masks.items()}},
    ):
        with pytest.raises(InputError, match=r"expected the state_dict\(\)"):
            pruning.load_state_dict(state)
    with pytest.raises(InputError, match="progress is 5"):
        pruning.load_state_dict({**pruning.state_dict(), "progress": 5})


def test_weights_that_torch_has_masked_are_among_the_zeros():
    model = mlp()
    for layer in (model[0], model[2]):
        prune.random_unstructured(layer, "weight", 0.5)
    pruning = ModularPruning(model, cluster_tags(model, 3), final_sparsity=0.85)
    pruning.step(1)
    for name, share in pruning.final_sparsities.items():
        layer = model[int(name[0])]
        acting = (
            layer.weight_orig * layer.weight_mask if hasattr(layer, "weight_mask") else layer.weight
        )
        assert int((acting == 0).sum()) == round(share * acting.numel())


def test_half_precision():
    for dtype in (torch.float16, torch.bfloat16):
        model = mlp().to(dtype)
        pruning = ModularPruning(model, cluster_tags(model, 3), final_sparsity=0.85)
        pruning.step(1)
        for name, share in pruning.final_sparsities.items():
            weight = model.get_parameter(name)
            assert weight.dtype == dtype
            assert int((weight == 0).sum()) == round(share * weight.numel())


def test_a_first_sparsity_above_the_last_is_refused():
    model = mlp()
    tags = cluster_tags(model, 3)
    with pytest.raises(InputError, match=r"initial_sparsity is 0\.95, above the final_sparsity"):
        ModularPruning(model, tags, final_sparsity=0.9, initial_sparsity=0.95)
