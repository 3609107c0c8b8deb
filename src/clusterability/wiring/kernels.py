"""Norms that turn a convolution's kernels into one strength per pair of channels.

Each takes a tensor (n_out, n_in, *kernel) and returns (n_out, n_in). A slice's norm depends on that
slice alone, so that kernels of several networks can be stacked along the outputs. ``l1`` is the
text's (section 1.1 of Filan et al., 2021) and ``l2`` the variant of its footnote 2; the published
numbers were computed with ``induced-1`` and ``induced-2``.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from clusterability.arguments import one_of
from clusterability.errors import InputError
from clusterability.registries import KERNEL_NORMS as KERNEL_NORMS

KernelNorm = Callable[[Tensor], Tensor]


def l1(kernels: Tensor) -> Tensor:
    """Sum of the absolute values of each slice: (n_out, n_in, *kernel) -> (n_out, n_in)."""
    # vector_norm goes over so few numbers several times slower; its subgradient is 0 at 0 too.
    magnitudes = kernels.flatten(2).abs()
    return magnitudes.squeeze(2) if magnitudes.shape[2] == 1 else magnitudes.sum(2)


def l2(kernels: Tensor) -> Tensor:
    """Root of the sum of squares of each slice: (n_out, n_in, *kernel) -> (n_out, n_in)."""
    # vector_norm has the subgradient 0 at a slice of zeros, where a plain square root has NaN.
    norms: Tensor = torch.linalg.vector_norm(kernels.flatten(2), ord=2, dim=2)
    return norms


def induced_1(kernels: Tensor) -> Tensor:
    """Matrix 1-norm, the largest column sum of |K|: (n_out, n_in, h, w) -> (n_out, n_in).

    Raises:
        InputError: if the kernels are not 2-D.
    """
    _check_two_axes("induced-1", kernels)
    return kernels.abs().sum(2).amax(-1)


def induced_2(kernels: Tensor) -> Tensor:
    """Spectral norm of |K|: (n_out, n_in, h, w) -> (n_out, n_in).

    Raises:
        InputError: if the kernels are not 2-D.
    """
    _check_two_axes("induced-2", kernels)
    magnitudes = kernels.abs()
    # The singular value decomposition fails on NaN and infinity with an error of its own; here they
    # come through as with the other norms, for the caller to name the parameter.
    finite = magnitudes.isfinite().flatten(2).all(2)
    norms = torch.linalg.matrix_norm(magnitudes.nan_to_num(0.0, 0.0), ord=2)
    return torch.where(finite, norms, torch.nan)


def find_kernel_norm(name: str) -> KernelNorm:
    """Return the kernel norm of that name.

    Raises:
        InputError: if there is none, or it does not return a norm for each slice of a kernel.
    """
    norm = KERNEL_NORMS[one_of("kernel_norm", name, KERNEL_NORMS)]
    kernels = -torch.ones(2, 3, 2, 2)
    found = norm(kernels)
    if not isinstance(found, Tensor) or found.shape != (2, 3) or not bool((found >= 0).all()):
        shape = tuple(found.shape) if isinstance(found, Tensor) else type(found).__name__
        raise InputError(
            f"kernel norm {name!r} makes {shape} of kernels of shape {tuple(kernels.shape)}, "
            "expected a tensor of shape (2, 3) without negative numbers"
        )
    return norm


def _check_two_axes(name: str, kernels: Tensor) -> None:
    if kernels.ndim != 4:
        raise InputError(
            f"kernel norm {name!r} needs 2-D kernels, got {kernels.ndim - 2}-D ones of shape "
            f"{tuple(kernels.shape)}; use 'l1' or 'l2'"
        )
