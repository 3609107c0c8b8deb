import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from clusterability.errors import InputError
from clusterability.training.pruning import PruningSchedule, prune
from training_cases import cubic, naive_mask


@given(
    initial=st.floats(0, 0.5),
    more=st.floats(0, 0.49),
    begin=st.integers(0, 50),
    length=st.integers(1, 300),
    interval=st.integers(1, 40),
)
@settings(max_examples=60, deadline=None)
def test_schedule_is_the_published_one(initial, more, begin, length, interval):
    """Zhu and Gupta's formula, and when TF-MOT's PolynomialDecay updates."""
    final, end = initial + more, begin + length
    schedule = PruningSchedule(initial, final, begin, end, interval)
    updates = [step for step in range(end + 90) if schedule.is_update(step)]
    assert updates == [
        step
        for step in range(end + 90)
        if step >= begin and step <= end and (step - begin) % interval == 0
    ]
    found = [schedule.sparsity(step) for step in updates]
    assert found == pytest.approx([cubic(step, initial, final, begin, end) for step in updates])
    assert found[0] == pytest.approx(initial)
    assert all(a <= b + 1e-12 for a, b in zip(found, found[1:], strict=False))


@given(st.integers(1, 500), st.integers(1, 40))
@settings(max_examples=60, deadline=None)
def test_last_update_within_the_steps_reaches_the_final_sparsity(n_steps, interval):
    schedule = PruningSchedule.over(n_steps, 0.5, 0.9, interval)
    updates = [step for step in range(n_steps) if schedule.is_update(step)]
    assert updates == list(range(0, n_steps, interval))
    assert schedule.sparsity(updates[-1]) == 0.9
    if len(updates) > 1:
        assert schedule.sparsity(0) == 0.5


# Few different values, so that there are ties, zeros and rows of equal weights.
WEIGHTS = npst.arrays(
    np.float32,
    npst.array_shapes(min_dims=2, max_dims=4, max_side=6),
    elements=st.sampled_from([0.0, -0.0, 0.5, -0.5, 0.25, 1.0, -3.0, 1e-40]),
)


@pytest.mark.slow
@given(WEIGHTS, st.floats(0, 0.999))
@settings(max_examples=300, deadline=None)
def test_masks_are_those_of_a_stable_sort(weights, sparsity):
    mask = prune(torch.from_numpy(weights), sparsity)
    assert mask.shape == weights.shape
    assert mask.dtype == torch.float32
    for run, row in enumerate(weights):
        assert np.array_equal(mask[run].numpy(), naive_mask(row, sparsity))


@pytest.mark.parametrize("sparsity", [0.0, 0.1, 0.5, 0.77, 0.9, 0.99])
def test_exact_to_one_weight_for_each_run(sparsity):
    weights = torch.randn(3, 37, 11, generator=torch.Generator().manual_seed(0))
    weights[1] = 0
    weights[2] = -2
    mask = prune(weights, sparsity)
    assert (mask == 0).sum((1, 2)).tolist() == [round(sparsity * 37 * 11)] * 3
    largest = (weights[0] * (1 - mask[0])).abs().max()
    assert weights[0].abs()[mask[0] == 1].min() >= largest


def test_what_is_pruned_stays_pruned_as_sparsity_rises():
    weights = torch.randn(2, 40, 40, generator=torch.Generator().manual_seed(1))
    pruned = torch.zeros_like(weights, dtype=torch.bool)
    for sparsity in (0.5, 0.6, 0.6, 0.85, 0.9):
        weights = weights * prune(weights, sparsity)
        assert (weights[pruned] == 0).all()
        pruned = weights == 0
        assert pruned.double().mean((1, 2)).tolist() == pytest.approx([sparsity] * 2, abs=1e-9)


def test_layout_in_memory_does_not_matter():
    weights = torch.randint(-3, 4, (1, 8, 3, 3, 3)).float()
    strided = weights[0].contiguous(memory_format=torch.channels_last)[None]
    assert torch.equal(prune(strided, 0.6), prune(weights, 0.6))


@pytest.mark.parametrize("sparsity", [1.0, -0.1, float("nan")])
def test_impossible_sparsity(sparsity):
    with pytest.raises(InputError, match="below 1"):
        prune(torch.ones(1, 4), sparsity)
