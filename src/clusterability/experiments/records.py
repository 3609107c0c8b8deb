"""What the paper shows, as data: tables and figures, the networks of each, how each is averaged."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from clusterability.experiments.published import published_row
from clusterability.settings import Settings
from clusterability.training import TrainingSpec

READINGS = ("published", "paper")
"""What the published numbers rest on, and what the paper's text says."""


@dataclass(frozen=True)
class Condition:
    """Networks that differ by their seed only.

    Args:
        spec: of the run with seed 0, as the published numbers were made.
        as_text: the same by the paper's text; None where the two agree.
    """

    spec: TrainingSpec
    as_text: TrainingSpec | None = None

    def spec_of(self, reading: str, seed: int) -> TrainingSpec:
        """Return the spec of one run by a reading of :data:`READINGS`."""
        spec = self.as_text if reading == "paper" and self.as_text is not None else self.spec
        return replace(spec, seed=seed)


@dataclass(frozen=True)
class Line:
    """One line of a table: one condition, before pruning or after it.

    Args:
        dataset, treatment: as the paper names them.
        phase: ``"unpruned"`` or ``"pruned"``; empty for a network from a file.
        condition: its networks; None for one that others have trained, named by the treatment.
    """

    dataset: str
    treatment: str
    phase: str
    condition: Condition | None

    def spec_of(self, reading: str, seed: int) -> TrainingSpec:
        """Return the spec of one of its runs; see :meth:`Condition.spec_of`."""
        assert self.condition is not None, "the network comes from a file"
        return self.condition.spec_of(reading, seed)

    def __str__(self) -> str:
        return ", ".join(part for part in (self.dataset, self.treatment, self.phase) if part)


@dataclass(frozen=True)
class Table:
    """One table of the paper.

    Args:
        number: as the paper has it, such as ``"A.6"``.
        title: what it shows.
        lines: in the table's order.
        n_runs: networks of a line.
        n_clusters, n_shuffles: of the measurements.
        is_pooled: whether the standard deviation of the null is that of all shuffles of all
            networks, in the published numbers; else the mean of each network's.
    """

    number: str
    title: str
    lines: tuple[Line, ...]
    n_runs: int = 5
    n_clusters: int = 12
    n_shuffles: int = 50
    is_pooled: bool = False

    @property
    def name(self) -> str:
        """Name on the command line: ``"table-a6"`` for table A.6.

        >>> Table("A.6", "", ()).name
        'table-a6'
        """
        return "table-" + self.number.lower().replace(".", "")

    def settings(self, reading: str, seed: int) -> Settings:
        """Return how a network is measured by a reading of :data:`READINGS`."""
        return Settings(
            n_clusters=self.n_clusters, n_shuffles=self.n_shuffles, conventions=reading, seed=seed
        )

    def published(self, line: Line) -> dict[str, float]:
        """Return the published numbers of a line; see :func:`.published_row`."""
        return published_row(self.number, line.dataset, line.treatment, line.phase)


@dataclass(frozen=True)
class Figure:
    """One figure of the paper.

    Args:
        number: such as ``"3"`` or ``"A.6"``.
        title: what it shows.
        kind: which drawing it is; see :data:`clusterability.experiments.drawing.DRAWINGS`.
        needs: table, and lines of it, whose networks are drawn.
        about: further facts that the drawing needs.
    """

    number: str
    title: str
    kind: str
    needs: tuple[tuple[Table, tuple[Line, ...]], ...] = ()
    about: Mapping[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Name on the command line: ``"figure-a1"`` for figure A.1."""
        return "figure-" + self.number.lower().replace(".", "")


Experiment = Table | Figure
