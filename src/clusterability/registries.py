"""Names of null models, kernel norms and policies; their modules are not imported here."""

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
"""Null models: functions ``(graph, rng) -> graph``."""

KERNEL_NORMS: Registry[KernelNorm] = Registry(
    "clusterability.kernel_norms",
    {
        "l1": "clusterability.wiring.kernels:l1",
        "l2": "clusterability.wiring.kernels:l2",
        "induced-1": "clusterability.wiring.kernels:induced_1",
        "induced-2": "clusterability.wiring.kernels:induced_2",
    },
)
"""Kernel norms: functions from kernels (n_out, n_in, ...) to strengths (n_out, n_in)."""

ISOLATED = ("drop-first", "drop-after")
"""Policies for isolated neurons: drop them before the shuffles, or after each shuffle."""

TIES = ("independent", "tied")
"""Policies for copies of one kernel's block: shuffle each by itself, or all alike."""

SCALINGS = ("raw", "canonical")
"""Scales of hidden neurons: as they are, or such that strengths in and out of each agree."""

LAYERS = ("all", "hidden", "hidden+outputs")
"""Layers of the graph: all, or without the inputs, or without both ends."""

INCLUDABLE = ("input", "dense")
"""Parts that the graph of a CNN has only if the setting ``include`` names them."""
