"""A table and a figure that take seconds."""

from __future__ import annotations

from clusterability.experiments import plan
from clusterability.experiments.records import Condition, Figure, Line, Table
from clusterability.training import TrainingSpec


def small_table() -> Table:
    """Two networks on the digits, under the name of a published line."""
    spec = TrainingSpec("small-mlp", "digits", epochs=8, pruning_epochs=2)
    lines = [Line("MNIST", "None", phase, Condition(spec)) for phase in ("unpruned", "pruned")]
    return SmallTable("X.1", "digits", tuple(lines), n_runs=2, n_shuffles=3)


class SmallTable(Table):
    """Is compared with table A.5."""

    def published(self, line: Line) -> dict[str, float]:
        """Return the published numbers of table A.5."""
        return Table("A.5", "", ()).published(line)


def small_figure() -> Figure:
    """Return a scatter figure of the same networks."""
    table = small_table()
    return Figure("X.1", "digits", "scatter", ((table, table.lines),))


def use_small(monkeypatch=None) -> None:
    """Add them to the experiments."""
    for experiment in (small_table(), small_figure()):
        if monkeypatch is None:
            plan.EXPERIMENTS[experiment.name] = experiment
        else:
            monkeypatch.setitem(plan.EXPERIMENTS, experiment.name, experiment)
