"""The paper's figures, as data."""

from __future__ import annotations

from collections.abc import Callable

from clusterability.experiments.records import Figure, Line, Table
from clusterability.experiments.tables import TABLES
from clusterability.experiments.tasks import MeasureNew

Chosen = tuple[Table, tuple[Line, ...]]

NEW_NETWORKS = 100
"""Networks of figures A.1 to A.3."""

PUBLISHED_NEW = {"A.1": (10.2952, 0.0317), "A.2": (10.9230, 0.0066), "A.3": (8.5199, 0.0289)}
"""Mean and standard deviation (ddof 0) of the published n-cuts in figures A.1 to A.3."""


def _lines(number: str, chosen: Callable[[Line], bool] = lambda _: True) -> Chosen:
    table = TABLES[number]
    return table, tuple(line for line in table.lines if chosen(line))


def _phase(name: str) -> Callable[[Line], bool]:
    return lambda line: line.phase == name


def _scatter(number: str, title: str, *needs: Chosen) -> Figure:
    return Figure(number, title, "scatter", needs)


def _is_plain(line: Line) -> bool:
    return line.treatment == "None"


def _is_simple(line: Line) -> bool:
    return line.phase == "unpruned" and line.treatment in ("None", "Dropout")


def _is_pruned_and_plain(line: Line) -> bool:
    return line.phase == "pruned" and line.treatment in ("None", "Dropout")


def _new(number: str, network: str, title: str, shape: tuple[int, ...], beta: float) -> Figure:
    tasks = tuple(
        MeasureNew(network, shape, NEW_NETWORKS, "published", n_tags, beta) for n_tags in (0, 10)
    )
    about = {"new": tasks, "published": PUBLISHED_NEW[number]}
    return Figure(number, f"{title} at initialization", "new", about=about)


def _samples(number: str, title: str, shape: str) -> Figure:
    names = [
        f"{short}-{shape}-{kind}" for short in ("mnist", "fashion") for kind in ("same", "diff")
    ]
    return Figure(number, title, "samples", about={"datasets": tuple(names), "label": 3})


_EACH = (
    Figure(
        "1",
        "A pruned network, split into clusters",
        "network",
        (_lines("A.5", lambda line: str(line) == "MNIST, Dropout, pruned"),),
    ),
    _scatter(
        *("2", "MLPs without pruning"),
        *(_lines(number, _phase("unpruned")) for number in ("A.5", "A.6")),
    ),
    _scatter(
        *("3", "MLPs with pruning"),
        *(_lines(number, _phase("pruned")) for number in ("A.5", "A.6")),
    ),
    _samples("4", "Samples of the halves data sets, of class 3", "halves"),
    _scatter("5", "MLPs on halves data sets", _lines("A.7")),
    _scatter(
        *("6", "Small CNNs without pruning"),
        *(_lines(number, _phase("unpruned")) for number in ("A.8", "A.9")),
    ),
    _scatter(
        *("7", "Small CNNs with pruning"),
        *(_lines(number, _phase("pruned")) for number in ("A.8", "A.9")),
    ),
    _scatter("8", "VGGs without pruning", _lines("A.10", _phase("unpruned"))),
    _scatter("9", "VGGs with pruning", _lines("A.10", _phase("pruned"))),
    _scatter("10", "Networks trained on ImageNet", _lines("A.11")),
    _samples("11", "Samples of the stack data sets, of class 3", "stack"),
    _scatter("12", "Small CNNs on stack data sets", _lines("A.12")),
    _scatter(
        *("13", "MLPs with and without clusterable initialization"),
        *(_lines("A.5", _is_plain), _lines("A.6", _is_plain), _lines("A.13")),
    ),
    _scatter(
        *("14", "Small CNNs with and without clusterable initialization"),
        *(_lines("A.8", _is_plain), _lines("A.9", _is_plain), _lines("A.14")),
    ),
    _scatter(
        *("15", "VGGs with and without clusterable initialization"),
        *(_lines("A.10", _is_plain), _lines("A.15")),
    ),
    _new("A.1", "mlp", "MLPs", (1, 28, 28), 0.6),
    _new("A.2", "small-cnn", "Small CNNs", (1, 28, 28), 0.8),
    _new("A.3", "vgg", "VGGs", (3, 32, 32), 0.8),
    _scatter(
        *("A.4", "Small CNNs without pruning, with and without dropout"),
        *(_lines(number, _is_simple) for number in ("A.8", "A.9")),
    ),
    _scatter("A.5", "Small MLPs with and without the eigenvalue penalty", _lines("1")),
    Figure(
        *("A.6", "Pruned MLPs against two null distributions", "nulls"),
        tuple(_lines(number, _is_pruned_and_plain) for number in ("A.5", "A.6")),
    ),
    _scatter("A.7", "MLPs on polynomial regression", _lines("A.19", _phase("unpruned"))),
)

FIGURES = {figure.number: figure for figure in _EACH}
"""The figures by number."""
