"""Solvers of the symmetric eigenproblem: dense by LAPACK, or iterative by block Lanczos."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from clusterability.spectral import krylov, lapack
from clusterability.spectral.problems import Eigenproblem

Solver = Callable[[Eigenproblem, int, torch.dtype, Sequence[np.random.Generator]], Tensor]
"""A function of an eigenproblem, the number of wanted eigenvectors, a precision, and a generator
for each graph. It returns the eigenvectors of the largest eigenvalues, (..., size, n_wanted)."""

DENSE_SIDE = 1000
"""Up to this size, LAPACK is faster on a CPU than the block iteration."""


def choose_solver(problem: Eigenproblem) -> Solver:
    """Return :func:`dense` for one small problem on a CPU, else :func:`iterative`."""
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


def _is_single_on_cpu(problem: Eigenproblem) -> bool:
    return problem.trivial.device.type == "cpu" and problem.trivial.ndim == 1


def _solve_directly(problem: Eigenproblem, n_wanted: int) -> Tensor:
    """Solve a batch of problems on its device, by torch in float64."""
    trivial = problem.trivial
    identity = torch.eye(problem.size, dtype=torch.float64, device=trivial.device)
    matrices = problem.apply(identity.expand(*trivial.shape[:-1], -1, -1))
    vectors: Tensor = torch.linalg.eigh(matrices)[1]
    return vectors[..., -n_wanted:].flip(-1)
