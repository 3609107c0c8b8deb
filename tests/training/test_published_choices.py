"""How the published runs were trained, where it differs from what one would do."""

import copy
from itertools import islice, pairwise

import numpy as np
import pytest
import torch
from torch import nn

from clusterability.errors import InputError
from clusterability.promoting.masks import prune
from clusterability.training import TrainingSpec, build, train, train_many
from clusterability.training.autograd_network import AutogradNetwork
from clusterability.training.drawing import draw_batches
from clusterability.training.mlp_stack import MLPStack
from clusterability.training.randomness import Randomness, Use
from clusterability.training.samples import Samples, data_digest, place
from training_cases import few_digits, small_mlp, small_spec, stop_after

pytestmark = pytest.mark.usefixtures("no_figures")

CPU = torch.device("cpu")


def trained(out, spec):
    return train(spec, data=few_digits(), out=out, device="cpu", threads=1)


def plain_loose(network, samples, batches, prunings):
    """Masks are made from weights that Adam has moved, and applied once, before its step."""
    network = copy.deepcopy(network)
    adam = torch.optim.Adam(network.parameters(), 0.01, eps=1e-7)
    kernels = [m.weight for m in network if isinstance(m, nn.Linear | nn.Conv2d)]
    masks = []
    for step, indices in enumerate(batches):
        if step in prunings:
            masks = [prune(k.detach()[None], prunings[step], None, 1.0)[0] for k in kernels]
        loss = nn.functional.cross_entropy(
            network(samples.x[indices]), samples.targets[indices].argmax(1)
        )
        adam.zero_grad()
        loss.backward()
        with torch.no_grad():
            for kernel, mask in zip(kernels, masks, strict=False):
                kernel.mul_(mask)
        adam.step()
    with torch.no_grad():
        for kernel, mask in zip(kernels, masks, strict=False):
            kernel.mul_(mask)
    return network.state_dict()


@pytest.mark.usefixtures("double")
@pytest.mark.parametrize("kind", ["stack", "autograd"])
def test_the_loose_order_is_the_plain_loop(kind):
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(20, 7, generator=generator)
    y = torch.randint(0, 4, (20,), generator=generator)
    samples = Samples(x, nn.functional.one_hot(y, 4).to(x.dtype), False)
    batches = [torch.randperm(20, generator=generator)[:6] for _ in range(9)]
    prunings, network = {3: 0.5, 6: 0.7}, small_mlp()
    expected = plain_loose(network, samples, batches, prunings)
    if kind == "stack":
        ours = MLPStack([copy.deepcopy(network)], 0.01, CPU, is_loose=True)
    else:
        ours = AutogradNetwork(copy.deepcopy(network), 0.01, CPU, is_loose=True)
    ours.start_epoch([generator])
    for step, indices in enumerate(batches):
        if step in prunings:
            ours.prune(prunings[step])
        ours.step(samples, indices[None])
    assert any((kernel == 0).sum() < 0.5 * kernel.numel() for kernel in ours.parameters.values())
    ours.apply_masks()
    for name, value in ours.weights(0).items():
        torch.testing.assert_close(value, expected[name], rtol=0, atol=1e-12)


@pytest.mark.slow
def test_a_loose_run_ends_as_sparse_as_a_strict_one(tmp_path):
    run = trained(tmp_path, small_spec(pruning_order="loose", pruning_interval=1, l1=1e-3))
    strict = trained(tmp_path, small_spec(pruning_interval=1, l1=1e-3))
    assert run.phases["pruned"].sparsity == strict.phases["pruned"].sparsity
    weights = [r.network("pruned").state_dict() for r in (run, strict)]
    assert any(not torch.equal(weights[0][name], weights[1][name]) for name in weights[0])


def test_an_epoch_of_fewer_steps_goes_on_with_the_batches_that_are_left():
    dataset = few_digits(103, 10)
    data = place(dataset, CPU, data_digest(dataset))
    spec = small_spec(batch_size=10, epoch_steps=7)  # of 11 batches, the last of 3 samples
    randomness = [Randomness(4)]
    drawn = [
        batch for epoch in range(4) for batch in draw_batches(spec, data, randomness, (1, epoch))
    ]
    orders = [Randomness(4).numpy(Use.ORDER, 1, i).permutation(103) for i in range(3)]
    expected = [
        order[a:b].tolist() for order in orders for a, b in pairwise([*range(0, 103, 10), 103])
    ]
    assert [batch[0].tolist() for batch in drawn] == expected[:28]
    longer = draw_batches(small_spec(batch_size=10, epoch_steps=25), data, randomness, (1, 0))
    assert [batch[0].tolist() for batch in longer] == expected[:25]


def test_the_batches_of_a_long_epoch_are_drawn_as_they_are_needed():
    dataset = few_digits(103, 10)
    data = place(dataset, CPU, data_digest(dataset))
    spec = small_spec(batch_size=10, epoch_steps=10**9)
    first = islice(draw_batches(spec, data, [Randomness(4)], (0, 3)), 3)
    # Three thousand million steps are 8 batches of 11 beyond a whole number of orders.
    assert [batch.shape[1] for batch in first] == [10, 10, 3]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("fields", "n_epochs"),
    [
        ({}, 2),
        ({"epoch_steps": 7}, 3),
        ({"modular_pruning": True, "tags": 2, "final_sparsity": 0.5}, 2),
        ({"normalize": True, "pruned_norm": "threshold"}, 3),
    ],
)
def test_a_loose_run_that_was_stopped_goes_on_to_the_same_weights(tmp_path, fields, n_epochs):
    spec = small_spec(pruning_order="loose", pruning_interval=3, l1=1e-3, batch_size=10, **fields)
    whole = trained(tmp_path / "whole", spec)
    stop_after(tmp_path / "stopped", spec, n_epochs)
    again = trained(tmp_path / "stopped", spec)
    for phase in whole.phases:
        names = [run.folder / f"{phase}.safetensors" for run in (whole, again)]
        assert names[0].read_bytes() == names[1].read_bytes()
    assert whole.phases == again.phases


@pytest.mark.slow
def test_loose_runs_of_a_stack_are_those_alone(tmp_path):
    spec = small_spec(pruning_order="loose", pruning_interval=3, batch_size=10, epoch_steps=7)
    options = {"data": few_digits(), "device": "cpu", "threads": 1}
    stacked = train_many(spec, 2, stacked=True, out=tmp_path / "stacked", **options)
    alone = train_many(spec, 2, stacked=False, workers=1, out=tmp_path / "alone", **options)
    for pair in zip(stacked, alone, strict=True):
        states = [run.network("pruned").state_dict() for run in pair]
        for name, value in states[0].items():
            torch.testing.assert_close(value, states[1][name], rtol=1e-3, atol=1e-4)


@pytest.mark.slow
def test_an_epoch_of_fewer_steps_is_trained(tmp_path):
    run = trained(tmp_path, small_spec(batch_size=10, epoch_steps=7))
    assert len(run.curves) == 4
    assert run.phases["pruned"].sparsity == pytest.approx(0.9, abs=1e-3)


@pytest.mark.slow
def test_bfloat16_is_near_float32():
    generator = torch.Generator().manual_seed(1)
    x = torch.rand(16, 1, 8, 8, generator=generator)
    y = torch.randint(0, 10, (16,), generator=generator)
    samples = Samples(x, nn.functional.one_hot(y, 10).to(x.dtype), False)
    losses = {}
    for precision in ("float32", "bfloat16"):
        network = build("small-cnn", (1, 8, 8), 10, generator=np.random.default_rng(0))
        ours = AutogradNetwork(network, 0.001, CPU, precision=precision)
        ours.start_epoch([generator])
        found = [float(ours.step(samples, torch.arange(16)[None])[0]) for _ in range(5)]
        losses[precision] = torch.tensor(found)
        assert {value.dtype for value in ours.parameters.values()} == {torch.float32}
        assert ours.outputs(x).dtype == torch.float32
    assert not torch.equal(losses["float32"], losses["bfloat16"])
    torch.testing.assert_close(losses["float32"], losses["bfloat16"], rtol=0.05, atol=0)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"pruning_order": "lose"}, "pruning_order is 'lose', expected .*did you mean 'loose'"),
        ({"epoch_steps": 0}, "epoch_steps is 0"),
        ({"dropout_rate": 0.2}, "dropout_rate is 0.2, but dropout is not asked for; give it too"),
        ({"dropout": True, "dropout_rate": 0}, "dropout_rate is 0, expected"),
        ({"dropout": True, "dropout_rate": 1}, "dropout_rate is 1, expected"),
        ({"precision": "bfloat16"}, "is an MLP, which is trained in float32"),
    ],
)
def test_bad_choices(fields, message):
    with pytest.raises(InputError, match=message):
        TrainingSpec("mlp", "mnist", **fields)
