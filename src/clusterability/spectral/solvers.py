"""Solvers of the symmetric eigenproblem: LAPACK, block Lanczos, or a filter on sparse entries."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from clusterability.spectral import filtering, krylov, lapack
from clusterability.spectral.problems import BipartiteProblem, Eigenproblem
from clusterability.vectors import WIDTH

Solver = Callable[[Eigenproblem, int, torch.dtype, Sequence[np.random.Generator]], Tensor]
"""A function of an eigenproblem, the number of wanted eigenvectors, a precision, and a generator
for each graph. It returns the eigenvectors of the largest eigenvalues, (..., size, n_wanted)."""

DENSE_SIDE = 1000
"""Up to this size, LAPACK is faster on a CPU than the block iteration."""


SPARE_VECTORS = 4
"""The filter's block has at least this many vectors more than are wanted."""


def choose_solver(problem: Eigenproblem) -> Solver:
    """Return :func:`filtered` for a problem with sparse entries.

    Else it is :func:`dense` for one small problem on a CPU, or :func:`iterative`.
    """
    if isinstance(problem, BipartiteProblem) and problem.factor is not None:
        return filtered
    return _choose_for_blocks(problem)


def _choose_for_blocks(problem: Eigenproblem) -> Solver:
    small = problem.size <= DENSE_SIDE
    return dense if small and _is_single_on_cpu(problem) else iterative


def dense(
    problem: Eigenproblem,
    n_wanted: int,
    dtype: torch.dtype,
    rngs: Sequence[np.random.Generator],  # noqa: ARG001
) -> Tensor:
    """Form the matrix and solve it directly; batches and problems on a GPU in float64."""
    if not _is_single_on_cpu(problem):
        return _solve_directly(problem, n_wanted)
    matrix = problem.matrix(dtype).numpy()
    return torch.from_numpy(lapack.largest_eigenpairs(matrix, n_wanted)[1].copy())


def iterative(
    problem: Eigenproblem,
    n_wanted: int,
    dtype: torch.dtype,
    rngs: Sequence[np.random.Generator],
) -> Tensor:
    """Multiply blocks of vectors by the matrix, from a random start; the matrix is never formed.

    Problems too small for the basis of the iteration are solved directly, in float64.
    """
    trivial = problem.trivial
    width = 8 * -(-max(16, n_wanted + 4) // 8)
    if problem.size < krylov.SMALLEST_SIDE * width:
        return _solve_directly(problem, n_wanted)
    draws = [rng.standard_normal((problem.size, width), dtype=np.float32) for rng in rngs]
    noise = torch.from_numpy(np.stack(draws)).to(trivial.device, dtype)
    start = problem.start(noise.view(*trivial.shape, width))
    return krylov.largest_eigenpairs(problem.apply, start, n_wanted)[1]


def filtered(
    problem: Eigenproblem,
    n_wanted: int,
    dtype: torch.dtype,
    rngs: Sequence[np.random.Generator],
) -> Tensor:
    """Filter a block of vectors by products with non-zero entries, in float32.

    In float64, and where the filter does not converge, the solver for whole blocks takes its place.
    """
    assert isinstance(problem, BipartiteProblem)
    assert problem.factor is not None
    found = None
    width = WIDTH * -(-(n_wanted + SPARE_VECTORS) // WIDTH)
    if dtype == torch.float32 and width < problem.size:
        start = rngs[0].standard_normal((problem.size, width), dtype=np.float32)
        trivial = problem.trivial.to(dtype).numpy()
        found = filtering.largest_eigenvectors(problem.factor, trivial, start, n_wanted)
    if found is None:
        return _choose_for_blocks(problem)(problem, n_wanted, dtype, rngs)
    return torch.from_numpy(found.copy())


def _is_single_on_cpu(problem: Eigenproblem) -> bool:
    return problem.trivial.device.type == "cpu" and problem.trivial.ndim == 1


def _solve_directly(problem: Eigenproblem, n_wanted: int) -> Tensor:
    """Solve a batch of problems on its device, by torch in float64."""
    trivial = problem.trivial
    identity = torch.eye(problem.size, dtype=torch.float64, device=trivial.device)
    matrices = problem.apply(identity.expand(*trivial.shape[:-1], -1, -1))
    vectors: Tensor = torch.linalg.eigh(matrices)[1]
    return vectors[..., -n_wanted:].flip(-1)
