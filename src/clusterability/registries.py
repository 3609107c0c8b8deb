"""The names from which a measurement is chosen, without the modules that hold what they name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from clusterability.registry import Registry

if TYPE_CHECKING:
    from clusterability.nulls.shuffles import NullModel
    from clusterability.wiring.kernels import KernelNorm

NULLS: Registry[NullModel] = Registry(
    "clusterability.nulls",
    {
        "layer": "clusterability.nulls.shuffles:shuffle_layer",
        "nonzero": "clusterability.nulls.shuffles:shuffle_nonzero",
    },
)
"""Null models, functions ``(graph, rng) -> graph``."""

KERNEL_NORMS: Registry[KernelNorm] = Registry(
    "clusterability.kernel_norms",
    {
        "l1": "clusterability.wiring.kernels:l1",
        "l2": "clusterability.wiring.kernels:l2",
        "induced-1": "clusterability.wiring.kernels:induced_1",
        "induced-2": "clusterability.wiring.kernels:induced_2",
    },
)
"""Kernel norms, functions from kernels (n_out, n_in, ...) to strengths (n_out, n_in)."""

ISOLATED = ("drop-first", "drop-after")
"""When neurons without connections are left out: before the shuffles, or after them."""

TIES = ("independent", "tied")
"""How copies of one kernel's block are shuffled: each by itself, or all alike."""

INCLUDABLE = ("input", "dense")
"""Parts of a CNN that are left out of its graph unless they are asked for."""
