"""Each run of a stack by itself, against autograd through the definitions."""

import pytest
import torch

from clusterability import NeuronGraph, normalized_cut
from clusterability.penalties import GroupNorms, PartitionCut
from clusterability.penalties.pairs import Pairs, widened

N_RUNS, K = 3, 4
SHAPES = {
    "dense": ((9, 12), (7, 9), (6, 7)),
    "convolutions": ((9, 12, 3, 3), (7, 9, 2, 2), (6, 7)),
}


def stack(shapes, n_tagged=3, seed=0, **options):
    generator = torch.Generator().manual_seed(seed)
    kernels = {
        str(i): torch.randn(N_RUNS, *shape, generator=generator, **options)
        for i, shape in enumerate(shapes)
    }
    sizes = [shapes[0][1], *(shape[0] for shape in shapes)]
    tags = [torch.randint(-1, K, (N_RUNS, size), generator=generator) for size in sizes]
    ends = {str(i): (tags[i], tags[i + 1]) for i in range(len(shapes))}
    untagged = torch.full((N_RUNS, sizes[-1]), -1)
    if n_tagged < 3:
        ends["2"] = (tags[2], untagged)
    return kernels, ends


def naive_lasso(kernels, ends, weight):
    """(n_runs,), pair of clusters by pair."""
    totals = []
    for run in range(N_RUNS):
        total = torch.zeros(())
        for name, kernel in kernels.items():
            given, made = (tags[run] for tags in ends[name])
            for a in range(K):
                for b in range(K):
                    block = kernel[run][made == a][:, given == b]
                    if a != b and block.numel():
                        total = total + block.numel() ** 0.5 * block.norm()
        totals.append(weight * total)
    return torch.stack(totals)


def naive_cut(kernels, ends, weight):
    """(n_runs,), the n-cut of the graph without the neurons that have no tag."""
    totals = []
    for run in range(N_RUNS):
        strengths = [
            kernel[run].abs().flatten(2).sum(2) if kernel.ndim > 3 else kernel[run].abs()
            for kernel in kernels.values()
        ]
        tags = [ends[name][0][run] for name in kernels] + [ends[list(kernels)[-1]][1][run]]
        blocks = [
            s.T * (tags[i] >= 0)[:, None] * (tags[i + 1] >= 0) for i, s in enumerate(strengths)
        ]
        totals.append(weight * normalized_cut(NeuronGraph.chain(blocks), torch.cat(tags)))
    return torch.stack(totals)


@pytest.mark.parametrize(("kind", "naive"), [(GroupNorms, naive_lasso), (PartitionCut, naive_cut)])
@pytest.mark.parametrize("shapes", SHAPES)
@pytest.mark.parametrize("n_tagged", [2, 3])
def test_value_and_gradient(kind, naive, shapes, n_tagged):
    kernels, ends = stack(SHAPES[shapes], n_tagged)
    penalty = kind(ends, 0.3, K)
    twins = {name: kernel.clone().requires_grad_() for name, kernel in kernels.items()}
    tagged = {name: twins[name] for name in list(twins)[:n_tagged]}
    expected = naive(tagged, ends, 0.3)
    assert torch.allclose(penalty.value(kernels), expected.float(), rtol=1e-5)
    expected.sum().backward()
    gradients = {name: torch.ones_like(kernel) for name, kernel in kernels.items()}
    penalty.add_gradient(kernels, gradients)
    for name, twin in twins.items():
        slope = 1 if twin.grad is None else 1 + twin.grad
        assert torch.allclose(gradients[name], slope * torch.ones_like(twin), atol=1e-5), name


@pytest.mark.parametrize("kind", [GroupNorms, PartitionCut])
def test_zeros_and_nan(kind):
    kernels, ends = stack(SHAPES["dense"])
    penalty = kind(ends, 1.0, K)
    value = penalty.value(kernels)
    for kernel in kernels.values():
        kernel[0] = 0
    kernels["1"][1, 2, 3] = torch.nan
    ends["1"][0][1, 3] = ends["1"][1][1, 2] = 0
    penalty = kind(ends, 1.0, K)
    gradients = {name: torch.zeros_like(kernel) for name, kernel in kernels.items()}
    penalty.add_gradient(kernels, gradients)
    spoiled = penalty.value(kernels)
    assert spoiled[0] == 0
    assert all((gradient[0] == 0).all() for gradient in gradients.values())
    if kind is PartitionCut:
        assert spoiled[1].isnan()
    assert spoiled[2].item() == pytest.approx(value[2].item(), rel=1e-6)
    assert all(gradient[2].isfinite().all() for gradient in gradients.values())


@pytest.mark.parametrize("squared", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_loops_are_the_products(squared, dtype):
    kernels, ends = stack(SHAPES["dense"], dtype=dtype)
    pairs, kernel = Pairs(*reversed(ends["0"]), K), kernels["0"]
    values = kernel.square() if squared else kernel.abs()
    table = torch.zeros(len(kernel), K + 1, K + 1, dtype=dtype)
    for n_added in (1, 2):
        pairs.add_sums_(table, kernel, squared=squared)
        found = table[:, :-1, :-1].clone()
        assert torch.allclose(found, n_added * pairs.sums(values), rtol=1e-5)
    factor = kernel.sign() if squared else kernel
    total = torch.zeros_like(kernel)
    pairs.add_products_(total, kernel, widened(found), signs=squared)
    assert torch.allclose(total, factor * pairs.spread(found), rtol=1e-5)
