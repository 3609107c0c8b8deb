"""What a person sees of a result: text for the terminal, and figures.

Names are loaded when first used, so that text does not wait for matplotlib.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from clusterability.report.adjacency_drawing import plot_adjacency
    from clusterability.report.eigenvalue_drawing import plot_eigenvalues
    from clusterability.report.figures import check_figure_path, sheet
    from clusterability.report.network_drawing import plot_network
    from clusterability.report.null_drawing import plot_null
    from clusterability.report.text import describe, table
    from clusterability.report.verdict import sentence

_HOMES = {
    "check_figure_path": "figures",
    "describe": "text",
    "plot_adjacency": "adjacency_drawing",
    "plot_eigenvalues": "eigenvalue_drawing",
    "plot_network": "network_drawing",
    "plot_null": "null_drawing",
    "sentence": "verdict",
    "sheet": "figures",
    "table": "text",
}

__all__ = [
    "check_figure_path",
    "describe",
    "plot_adjacency",
    "plot_eigenvalues",
    "plot_network",
    "plot_null",
    "sentence",
    "sheet",
    "table",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return __all__
