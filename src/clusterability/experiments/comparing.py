"""Our numbers beside the published ones: means, deviations, differences, and what is tolerated."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from clusterability.experiments.records import Line, Table
from clusterability.experiments.store import Store
from clusterability.experiments.tasks import Measure, Train
from clusterability.result import Clusterability
from clusterability.training.record import PhaseScores

NCUT_TOLERANCE = 0.1
"""Of the mean n-cut, or two published standard deviations, if these are more."""

NULL_TOLERANCE = 0.05
"""Of the mean n-cut of the shuffles."""

ACCURACY_TOLERANCE = 0.007

LOSS_TOLERANCE = 0.15
"""Of the published loss."""

ODD_NETWORKS = 5
"""One network of so many may have another verdict of significance."""


PUBLISHED_STD = {"ncut": "ncut_std", "null_mean": "null_std"}
"""Names of the published standard deviations, by number."""


@dataclass(frozen=True)
class Compared:
    """One number of a line.

    Args:
        ours: mean over the networks; None if there are none.
        std: standard deviation between networks (ddof 1), of the null that of the shuffles; None
            where there is none.
        published, published_std: likewise; None where nothing was published.
        tolerance: largest difference that counts as met; None if there is nothing to compare.
    """

    ours: float | None
    std: float | None = None
    published: float | None = None
    published_std: float | None = None
    tolerance: float | None = None

    @property
    def difference(self) -> float | None:
        """Ours less the published one."""
        if self.ours is None or self.published is None:
            return None
        return self.ours - self.published

    @property
    def is_met(self) -> bool | None:
        """Whether the difference is within the tolerance; None if there is nothing to compare."""
        if self.difference is None or self.tolerance is None:
            return None
        # Published numbers are rounded, as 10.024 is.
        return abs(self.difference) <= self.tolerance + 1e-9


@dataclass(frozen=True)
class Network:
    """One network of a line: its seed, its scores (None from a file) and its measurement.

    ``device`` is where it was trained; empty for a network from a file.
    """

    seed: int
    name: str
    scores: PhaseScores | None
    result: Clusterability
    n_trainings: int
    device: str = ""

    @property
    def is_significant(self) -> bool | None:
        """Whether no shuffle has an n-cut as low; None without shuffles."""
        return _is_lowest(self.result.plain.p_value, self.result)

    @property
    def is_refined_significant(self) -> bool | None:
        """Whether no shuffle has one as low, all after local search."""
        return _is_lowest(self.result.refined.p_value, self.result)


def _is_lowest(p_value: float | None, result: Clusterability) -> bool | None:
    n_shuffles = result.settings.n_shuffles
    return None if p_value is None else p_value * (n_shuffles + 1) < 1.5


@dataclass(frozen=True)
class ComparedLine:
    """One line of a table.

    Args:
        line: the record.
        networks: that are finished.
        n_finished: how many these are.
        n_wanted: networks that the table has.
        numbers: by name: ``ncut``, ``null_mean``, ``n_significant``, ``test_accuracy``, ...
        refined: the same of the n-cuts after local search, where nothing is published.
    """

    line: Line
    networks: tuple[Network, ...]
    n_finished: int
    n_wanted: int
    numbers: dict[str, Compared]
    refined: dict[str, float | None]

    @property
    def missed(self) -> list[str]:
        """Names of the numbers that are outside of what is tolerated."""
        return [name for name, number in self.numbers.items() if number.is_met is False]

    @property
    def is_met(self) -> bool | None:
        """Whether all numbers that can be compared are met; None if there are none."""
        if not any(number.is_met is not None for number in self.numbers.values()):
            return None
        return not self.missed


def compare_table(table: Table, store: Store, reading: str, n_runs: int) -> list[ComparedLine]:
    """Return the lines of a table, from what is finished."""
    return [_compare(table, line, store, reading, n_runs) for line in table.lines]


def finished_networks(
    table: Table, line: Line, store: Store, reading: str, n_runs: int
) -> list[Network]:
    """Return the networks of a line that are trained and measured, by seed."""
    if line.condition is None:
        results = store.file_results(line.treatment, reading)[:1]
        return [Network(0, line.treatment, None, result, 1) for result in results]
    found = []
    for seed in range(n_runs):
        spec = line.spec_of(reading, seed)
        task = Measure(spec, line.phase, table.settings(reading, seed))
        run = store.run(spec) if Train(spec).is_done(store) else None
        result = store.measurement(spec, line.phase, task.settings)
        if run is not None and result is not None and line.phase in run.phases:
            scores = run.phases[line.phase]
            device = str(run.machine.get("device", ""))
            found.append(Network(seed, spec.name, scores, result, len(run.attempts) + 1, device))
    return found


def _compare(table: Table, line: Line, store: Store, reading: str, n_runs: int) -> ComparedLine:
    networks = finished_networks(table, line, store, reading, n_runs)
    paper = table.published(line)
    if "n_significant" in paper and networks:  # as many networks as are finished
        paper["n_significant"] *= len(networks) / table.n_runs
    is_pooled = table.is_pooled and reading == "published"
    ours = {
        "ncut": _ncut(networks),
        "null_mean": _null(networks, is_pooled),
        "n_significant": (_count(networks, lambda n: n.is_significant), None),
        **_scores(networks),
    }
    tolerated = tolerances(paper, len(networks))
    numbers = {
        name: Compared(
            *number, paper.get(name), paper.get(PUBLISHED_STD.get(name, "")), tolerated[name]
        )
        for name, number in ours.items()
    }
    refined = {
        "ncut": _mean(networks, lambda n: n.result.refined.ncut),
        "null_mean": _mean(
            networks, lambda n: n.result.refined.null and n.result.refined.null.mean
        ),
        "n_significant": _count(networks, lambda n: n.is_refined_significant),
        "effective_clusters": _mean(networks, lambda n: n.result.plain.effective_clusters),
    }
    return ComparedLine(line, tuple(networks), len(networks), n_runs, numbers, refined)


def tolerances(published: Mapping[str, float], n_networks: int) -> dict[str, float | None]:
    """Return by how much each number of a line may differ from the published one.

    Args:
        published: numbers of the line; see :func:`.published_row`.
        n_networks: that are finished.

    >>> tolerances({"ncut_std": 0.2, "train_loss": 0.1}, 10)["ncut"]
    0.4
    """
    found: dict[str, float | None] = {
        "ncut": max(NCUT_TOLERANCE, 2 * published.get("ncut_std", 0.0)),
        "null_mean": NULL_TOLERANCE,
        "n_significant": max(1, n_networks // ODD_NETWORKS) if n_networks else None,
        "train_accuracy": ACCURACY_TOLERANCE,
        "test_accuracy": ACCURACY_TOLERANCE,
    }
    for name in ("train_loss", "test_loss"):
        found[name] = LOSS_TOLERANCE * published[name] if name in published else None
    return found


MeanAndDeviation = tuple[float | None, float | None]


def _ncut(networks: Sequence[Network]) -> MeanAndDeviation:
    values = [network.result.plain.ncut for network in networks]
    return _mean_of(values), _std_of(values)


def _null(networks: Sequence[Network], is_pooled: bool) -> MeanAndDeviation:
    nulls = [null for n in networks if (null := n.result.plain.null) is not None]
    std = None
    if nulls and is_pooled:
        std = statistics.pstdev([value for null in nulls for value in null.values])
    elif nulls:
        std = statistics.fmean(null.std for null in nulls)
    return _mean_of([null.mean for null in nulls]), std


def _scores(networks: Sequence[Network]) -> dict[str, MeanAndDeviation]:
    def of(name: str) -> Callable[[Network], float | None]:
        return lambda network: None if network.scores is None else getattr(network.scores, name)

    def loss(name: str) -> Callable[[Network], float | None]:
        # The published losses have the penalty in them.
        def total(network: Network) -> float | None:
            plain = of(name)(network)
            if plain is None or network.scores is None:
                return None
            return plain + network.scores.penalty

        return total

    scores = {
        **{name: of(name) for name in ("train_accuracy", "test_accuracy")},
        **{name: loss(name) for name in ("train_loss", "test_loss")},
    }
    values = {name: _known(networks, score) for name, score in scores.items()}
    return {name: (_finite(_mean_of(found)), _std_of(found)) for name, found in values.items()}


def _mean_of(values: Sequence[float]) -> float | None:
    return statistics.fmean(values) if values else None


def _std_of(values: Sequence[float]) -> float | None:
    # The standard library's raises an AttributeError for infinite values.
    is_known = len(values) > 1 and all(math.isfinite(value) for value in values)
    return statistics.stdev(values) if is_known else None


def _mean(networks: Sequence[Network], value: Callable[[Network], Any]) -> float | None:
    return _finite(_mean_of(_known(networks, value)))


def _known(networks: Sequence[Network], value: Callable[[Network], Any]) -> list[Any]:
    return [found for network in networks if (found := value(network)) is not None]


def _finite(value: float | None) -> float | None:
    return value if value is None or math.isfinite(value) else None


def _count(networks: Sequence[Network], holds: Callable[[Network], bool | None]) -> int | None:
    known = _known(networks, holds)
    return sum(known) if known else None
