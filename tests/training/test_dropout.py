import pytest
import torch

from clusterability.training.dropout import drop_


def generator(seed):
    return torch.Generator().manual_seed(seed)


@pytest.mark.slow
@pytest.mark.parametrize("rate", [0.5, 0.25, 0.3, 0.4, 0.0])
def test_rate_and_scale(rate):
    n = 2_000_001
    dropped = drop_(torch.full((1, n), 3.0), rate, [generator(1)])
    share = (dropped == 0).double().mean().item()
    assert abs(share - rate) <= 5 * (rate * (1 - rate) / n) ** 0.5 + 1 / 131072
    kept = dropped[dropped != 0]
    assert torch.allclose(kept, torch.tensor(3 / (1 - rate)), rtol=1e-6)
    assert abs(dropped.double().mean() - 3) < 0.03


@pytest.mark.parametrize("rate", [0.5, 0.3])
@pytest.mark.parametrize("shape", [(1,), (7,), (3, 5), (16, 3), (2, 3, 5, 7)])
def test_each_run_of_a_stack_drops_what_it_drops_alone(rate, shape):
    x = torch.rand(3, *shape) + 1
    together = drop_(x.clone(), rate, [generator(seed) for seed in (4, 5, 6)])
    for run, seed in enumerate((4, 5, 6)):
        alone = drop_(x[run : run + 1].clone(), rate, [generator(seed)])
        assert torch.equal(together[run : run + 1], alone)


@pytest.mark.parametrize("rate", [0.5, 0.4])
def test_works_in_place_and_tells_what_is_kept(rate):
    x = torch.rand(2, 9, 13) - 0.5
    before, kept = x.clone(), torch.full_like(x, 7.0)
    result = drop_(x, rate, [generator(0), generator(1)], kept)
    assert result.data_ptr() == x.data_ptr()
    assert set(kept.unique().tolist()) == {0.0, 1.0}
    assert torch.allclose(x, before * kept / (1 - rate))


def test_neither_neighbors_nor_calls_repeat():
    source = generator(2)
    first = drop_(torch.ones(1, 64, 64), 0.5, [source])[0] > 0
    second = drop_(torch.ones(1, 64, 64), 0.5, [source])[0] > 0
    for a, b in ((first, second), (first[1:], first[:-1]), (first[:, 1:], first[:, :-1])):
        assert abs((a == b).double().mean().item() - 0.5) < 5 * 0.5 / a.numel() ** 0.5


def test_any_layout_in_memory():
    x = torch.rand(1, 4, 6, 5, 3).permute(0, 1, 4, 2, 3)
    strided = drop_(x.clone(), 0.5, [generator(3)])
    plain = drop_(x.contiguous(), 0.5, [generator(3)])
    assert torch.equal(strided, plain)
