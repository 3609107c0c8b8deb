"""Published numbers of trained networks, as the paper's tables have them."""

from __future__ import annotations

import csv
from functools import cache
from importlib.resources import files


@cache
def _rows() -> dict[tuple[str, str, str, str], dict[str, float]]:
    text = (files("clusterability.experiments") / "published_training.csv").read_text("utf-8")
    keys = ("table", "dataset", "treatment", "phase")
    return {
        (row["table"], row["dataset"], row["treatment"], row["phase"]): {
            name: float(value) for name, value in row.items() if name not in keys and value
        }
        for row in csv.DictReader(text.splitlines())
    }


def published_row(table: str, dataset: str, treatment: str, phase: str) -> dict[str, float]:
    """Return the published means and standard deviations of one line of a table, by column.

    Args:
        table: such as ``"A.5"``.
        dataset, treatment: as the table names them.
        phase: ``"unpruned"`` or ``"pruned"``.

    Returns:
        Numbers by name; empty where nothing was published.

    >>> published_row("A.5", "MNIST", "None", "unpruned")["null_mean"]
    10.165
    """
    return dict(_rows().get((table, dataset, treatment, phase), {}))
