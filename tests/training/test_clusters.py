"""Clusters of networks in training: the tags, the masks, and the penalties of a stack."""

import dataclasses

import pytest
import torch

from clusterability.errors import InputError
from clusterability.penalties import GroupNorms, PartitionCut
from clusterability.training import TrainingSpec, tags_of_run, train
from clusterability.training.drawing import draw_networks
from clusterability.training.penalty import penalties_of
from clusterability.training.pruning import PruningSchedule
from clusterability.training.randomness import Randomness
from clusterability.training.samples import place
from training_cases import few_digits, small_spec, weights_of

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("no_figures")]

LAYERS = {"hidden": ["fc1", "fc2", "fc3"], "hidden+outputs": ["fc1", "fc2", "fc3", "fc4"]}


def counts(kernel, given, made):
    """Weights that are not zero between clusters, zeros in all, and weights between clusters."""
    between = given != made[:, None]
    between = between.view(*between.shape, *[1] * (kernel.ndim - 2)).expand_as(kernel)
    return int((kernel != 0)[between].sum()), int((kernel == 0).sum()), int(between.sum())


@pytest.mark.parametrize("layers", ["hidden", "hidden+outputs", "all"])
@pytest.mark.parametrize("tags", [3, 12])
def test_pruned_networks_fall_into_clusters(layers, tags, tmp_path):
    spec = small_spec(modular_pruning=True, tags=tags, tag_layers=layers, seed=1)
    run = train(spec, data=few_digits(), out=tmp_path, device="cpu")
    of_layers, weights = tags_of_run(run), run.network("pruned").state_dict()
    assert list(of_layers) == LAYERS.get(layers, ["input", *LAYERS["hidden+outputs"]])
    for before, after in zip(("input", "fc1", "fc2", "fc3"), LAYERS["hidden+outputs"], strict=True):
        kernel = weights[f"{after}.weight"]
        n_zeros = round(0.9 * kernel.numel())
        if before in of_layers and after in of_layers:
            left, zeros, n_between = counts(kernel, of_layers[before], of_layers[after])
            assert (left, zeros) == (0, max(n_zeros, n_between))
        else:
            assert int((kernel == 0).sum()) == n_zeros


def test_the_inits_tags_are_used(tmp_path):
    spec = small_spec(modular_pruning=True, clusterable_init=True, tags=4, tag_layers="all")
    run = train(spec, data=few_digits(), out=tmp_path, device="cpu")
    tags = tags_of_run(run)
    init = dataclasses.replace(spec, modular_pruning=False, tag_layers="hidden")
    data = place(few_digits(), torch.device("cpu"), "")
    weights = draw_networks(init, data, [Randomness(0)]).weights(0)
    ours = draw_networks(spec, data, [Randomness(0)]).weights(0)
    assert all(torch.equal(weights[name], ours[name]) for name in weights)
    plain = dataclasses.replace(init, clusterable_init=False, tags=10)
    before = draw_networks(plain, data, [Randomness(0)]).weights(0)
    grown = ours["fc2.weight"].abs() > before["fc2.weight"].abs()
    assert torch.equal(grown, tags["fc1"] == tags["fc2"][:, None])
    assert torch.bincount(tags["input"]).tolist() == [16] * 4


def test_runs_of_a_stack_have_their_own_tags():
    spec = TrainingSpec("small-mlp", "few", modular_pruning=True, tags=5, clusterable_init=True)
    data, seeds = place(few_digits(), torch.device("cpu"), ""), (2, 3)
    stack = draw_networks(spec, data, [Randomness(seed) for seed in seeds])
    alone = [draw_networks(spec, data, [Randomness(seed)]) for seed in seeds]
    schedule = PruningSchedule(0.5, 0.9, 0, 20, 1)
    for step in (0, 3, 6, 20):
        for networks in (stack, *alone):
            networks.prune(schedule.sparsity(step), schedule.emptied(step))
        for run, single in enumerate(alone):
            assert all(
                torch.equal(kernel, single.weights(0)[name])
                for name, kernel in stack.weights(run).items()
            )


def test_between_goes_first_and_is_gone_after_three_tenths():
    spec = TrainingSpec("small-mlp", "few", modular_pruning=True, tags=4)
    data = place(few_digits(), torch.device("cpu"), "")
    networks = draw_networks(spec, data, [Randomness(0)])
    given, made = (t[0] for t in networks.clusters.tags["fc2.weight"])
    schedule = PruningSchedule(0.5, 0.9, 0, 100, 1)
    for step in range(0, 101, 5):
        networks.prune(schedule.sparsity(step), schedule.emptied(step))
        left, zeros, n_between = counts(networks.weights(0)["fc2.weight"], given, made)
        progress = step / 100
        gone = 1 - 0.5 * (1 - min(1, progress / 0.3)) ** 3
        sparsity = 0.9 - 0.4 * (1 - progress) ** 3
        assert zeros == max(round(sparsity * 64 * 64), round(gone * n_between))
        assert left == max(0, n_between - zeros)


def test_a_cnn():
    spec = TrainingSpec("small-cnn", "few", modular_pruning=True, group_lasso=0.1, tags=8)
    data = place(few_digits(), torch.device("cpu"), "")
    networks = draw_networks(spec, data, [Randomness(0)])
    assert list(networks.clusters.tags) == ["conv2.weight", "conv3.weight", "fc1.weight"]
    networks.prune(0.9)
    for name, ends in networks.clusters.tags.items():
        kernel = networks.weights(0)[name]
        left, zeros, _ = counts(kernel, *(tags[0] for tags in ends))
        assert (left, zeros) == (0, round(0.9 * kernel.numel()))
    (penalty,) = penalties_of(spec, networks.kernel_names, networks.clusters)
    gradients = {name: torch.zeros_like(k) for name, k in networks.parameters.items()}
    assert penalty.value(networks.parameters).tolist() == [0]
    penalty.add_gradient(networks.parameters, gradients)
    assert all((gradient == 0).all() for gradient in gradients.values())


def test_penalties_have_the_tags():
    spec = TrainingSpec("small-mlp", "few", group_lasso=0.1, partition_penalty=0.2, tags=6)
    data = place(few_digits(), torch.device("cpu"), "")
    networks = draw_networks(spec, data, [Randomness(0)])
    lasso, cut = penalties_of(spec, networks.kernel_names, networks.clusters)
    assert (type(lasso), type(cut)) == (GroupNorms, PartitionCut)
    assert (lasso.weight, cut.weight) == (0.1, 0.2)
    assert list(lasso.pairs) == list(cut.pairs) == ["fc2.weight", "fc3.weight"]
    networks.prune(0.3)
    assert all(int((k == 0).sum()) == round(0.3 * k.numel()) for k in networks.kernels)


def test_a_killed_run_goes_on_to_the_same_weights(tmp_path):
    from training_cases import stop_after

    spec = small_spec(modular_pruning=True, group_lasso=0.01, tags=4)
    stop_after(tmp_path / "stopped", spec, 3)
    resumed, whole = (
        train(spec, data=few_digits(), out=tmp_path / name, device="cpu", threads=1)
        for name in ("stopped", "whole")
    )
    assert weights_of(resumed) == weights_of(whole)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"tag_layers": "all"}, "tag_layers is 'all', but no clusters are asked for"),
        ({"modular_pruning": True, "pruning_epochs": 0}, "but no epochs of pruning"),
        ({"modular_pruning": True, "beta": 0.7}, "beta is 0.7, but clusterable_init"),
        ({"modular_pruning": True, "tag_layers": "some"}, "tag_layers is 'some', expected one of"),
        (
            {"network": "small-cnn", "partition_penalty": 1},
            "'small-cnn' is no MLP; use group_lasso",
        ),
        ({"group_lasso": -1}, "group_lasso is -1, expected a weight of at least 0"),
    ],
)
def test_bad_specs(fields, message):
    with pytest.raises(InputError, match=message):
        small_spec(**fields)


def test_more_clusters_than_neurons_are_refused_before_anything_is_written(tmp_path):
    spec = small_spec(modular_pruning=True, tags=65)
    with pytest.raises(InputError, match="65 clusters, but layer 'fc1' has 64 neurons"):
        train(spec, data=few_digits(), out=tmp_path, device="cpu")
    assert list(tmp_path.iterdir()) == []


def test_a_sparsity_without_room_for_the_clusters_is_refused(tmp_path):
    spec = small_spec(modular_pruning=True, final_sparsity=0.999)
    with pytest.raises(InputError, match=r"leaves 4 weights of 'fc2.weight' to 10 clusters"):
        train(spec, data=few_digits(), out=tmp_path, threads=1)
