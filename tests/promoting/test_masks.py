import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from clusterability.errors import InputError
from clusterability.promoting.masks import cubic, emptied, prune
from training_cases import naive_mask

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


def naive_first(weights, first, sparsity, share):
    """Sorted by rank: those that go first below all others, by magnitude within each kind."""
    flat, goes = np.abs(weights).ravel(), first.ravel()
    n_pruned = max(round(sparsity * flat.size), round(share * int(goes.sum())))
    order = np.lexsort((flat, ~goes))
    mask = np.ones(flat.size)
    mask[order[:n_pruned]] = 0
    return mask.reshape(np.shape(weights))


@pytest.mark.slow
@given(WEIGHTS, st.integers(0, 2**32), st.floats(0, 0.999), st.floats(0, 1))
@settings(max_examples=300, deadline=None)
def test_some_go_first(weights, seed, sparsity, share):
    first = np.random.default_rng(seed).random(weights.shape) < 0.6
    first[0] = seed % 3 > 0
    mask = prune(torch.from_numpy(weights), sparsity, torch.from_numpy(first), share)
    for run, row in enumerate(weights):
        assert np.array_equal(mask[run].numpy(), naive_first(row, first[run], sparsity, share))


def test_all_that_goes_first_is_gone_after_three_tenths():
    shares = [emptied(step / 100) for step in range(101)]
    assert shares == sorted(shares)
    assert (shares[0], shares[29] < 1, shares[30]) == (0.5, True, 1.0)
    assert emptied(0.15) == pytest.approx(1 - 0.5 * 0.5**3)
    assert cubic(0.25, 0.5, 0.9) == pytest.approx(0.9 - 0.4 * 0.75**3)
