"""Published numbers, as the paper's tables have them."""

from __future__ import annotations

import csv
from functools import cache
from importlib.resources import files

KEYS = ("table", "dataset", "treatment", "phase")


@cache
def _rows() -> dict[tuple[str, str, str, str], dict[str, float]]:
    text = (files("clusterability.experiments") / "published_tables.csv").read_text("utf-8")
    return {
        (row["table"], row["dataset"], row["treatment"], row["phase"]): {
            name: float(value) for name, value in row.items() if name not in KEYS and value
        }
        for row in csv.DictReader(text.splitlines())
    }


def published_row(table: str, dataset: str, treatment: str, phase: str) -> dict[str, float]:
    """Return the published means and standard deviations of one line of a table, by column.

    Args:
        table: such as ``"A.5"``.
        dataset, treatment: as the table names them.
        phase: ``"unpruned"`` or ``"pruned"``; empty in table A.11.

    Returns:
        Numbers by name; empty where nothing was published.

    >>> published_row("A.5", "MNIST", "None", "unpruned")["null_mean"]
    10.165
    """
    return dict(_rows().get((table, dataset, treatment, phase), {}))


def published_lines(table: str) -> list[tuple[str, str, str]]:
    """Return data set, treatment and phase of each line of a table, in its order.

    >>> published_lines("A.13")[0]
    ('MNIST', 'Clusterable init', 'unpruned')
    """
    return [key[1:] for key in _rows() if key[0] == table]
