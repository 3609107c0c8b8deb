"""What the paper shows, as data: tables and figures, the networks of each, how each is averaged."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Self

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

    def shortened(self, max_epochs: int) -> Condition:
        """Return the same, trained and then pruned for at most so many epochs."""
        as_text = None if self.as_text is None else _shortened(self.as_text, max_epochs)
        return Condition(_shortened(self.spec, max_epochs), as_text)


def _shortened(spec: TrainingSpec, max_epochs: int) -> TrainingSpec:
    assert spec.epochs is not None
    assert spec.pruning_epochs is not None
    return replace(
        spec,
        epochs=min(spec.epochs, max_epochs),
        pruning_epochs=min(spec.pruning_epochs, max_epochs),
    )


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

    def shortened(self, max_epochs: int) -> Line:
        """Return the same line of networks that are trained for at most so many epochs."""
        if self.condition is None:
            return self
        return replace(self, condition=self.condition.shortened(max_epochs))

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
        max_epochs: of training, and of pruning, where that may be less than in the paper; else
            None.
    """

    number: str
    title: str
    lines: tuple[Line, ...]
    n_runs: int = 5
    n_clusters: int = 12
    n_shuffles: int = 50
    is_pooled: bool = False
    max_epochs: int | None = None

    @property
    def heading(self) -> str:
        """The title, and how far the networks are trained where that is less than in the paper.

        >>> Table("A.10", "VGGs", (), max_epochs=1).heading
        'VGGs, after at most 1 epoch of training and 1 of pruning'
        """
        return _heading(self.title, self.max_epochs)

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

    def shortened(self, max_epochs: int) -> Self:
        """Return the same table of networks that are trained for at most so many epochs.

        >>> from clusterability.experiments.tables import TABLES
        >>> [line.spec_of("paper", 0).epochs for line in TABLES["A.15"].shortened(3).lines]
        [3, 3]
        """
        if not _is_trained(self.lines):
            return self
        lines = tuple(line.shortened(max_epochs) for line in self.lines)
        return replace(self, lines=lines, max_epochs=max_epochs)


@dataclass(frozen=True)
class Figure:
    """One figure of the paper.

    Args:
        number: such as ``"3"`` or ``"A.6"``.
        title: what it shows.
        kind: which drawing it is; see :data:`clusterability.experiments.drawing.DRAWINGS`.
        needs: table, and lines of it, whose networks are drawn.
        about: further facts that the drawing needs.
        max_epochs: as of a table.
    """

    number: str
    title: str
    kind: str
    needs: tuple[tuple[Table, tuple[Line, ...]], ...] = ()
    about: Mapping[str, Any] = field(default_factory=dict)
    max_epochs: int | None = None

    @property
    def heading(self) -> str:
        """The title, and how far the networks are trained where that is less than in the paper."""
        return _heading(self.title, self.max_epochs)

    @property
    def name(self) -> str:
        """Name on the command line: ``"figure-a1"`` for figure A.1."""
        return "figure-" + self.number.lower().replace(".", "")

    def shortened(self, max_epochs: int) -> Self:
        """Return the same figure of networks that are trained for at most so many epochs."""
        if not any(_is_trained(lines) for _, lines in self.needs):
            return self
        needs = tuple(
            (table.shortened(max_epochs), tuple(line.shortened(max_epochs) for line in lines))
            for table, lines in self.needs
        )
        return replace(self, needs=needs, max_epochs=max_epochs)


def _is_trained(lines: Sequence[Line]) -> bool:
    return any(line.condition is not None for line in lines)


def _heading(title: str, max_epochs: int | None) -> str:
    if max_epochs is None:
        return title
    epochs = "epoch" if max_epochs == 1 else "epochs"
    return f"{title}, after at most {max_epochs} {epochs} of training and {max_epochs} of pruning"


Experiment = Table | Figure
