"""Which experiments there are, and the tasks that each needs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from clusterability.arguments import did_you_mean
from clusterability.datasets import DATASETS, available
from clusterability.errors import InputError
from clusterability.experiments.figures import FIGURES
from clusterability.experiments.imagenet import file_tasks
from clusterability.experiments.records import Experiment, Figure, Line, Table
from clusterability.experiments.store import Task
from clusterability.experiments.tables import TABLES
from clusterability.experiments.tasks import Measure, Train
from clusterability.shown import shown

EXPERIMENTS: dict[str, Experiment] = {
    **{table.name: table for table in TABLES.values()},
    **{figure.name: figure for figure in FIGURES.values()},
}
"""All experiments by their names on the command line, in the paper's order."""

MAX_EPOCHS = 10**6
"""Of a training that is cut short, at most."""

MAX_RUNS = 10**4
"""Networks of a line, at most."""

OTHER_NULL = "nonzero"
"""The second null distribution of figure A.6."""


def known_experiments(max_epochs: int | None = None) -> dict[str, Experiment]:
    """Return all experiments by name, with trainings of at most so many epochs if that is given."""
    if max_epochs is None:
        return EXPERIMENTS
    return {name: each.shortened(max_epochs) for name, each in EXPERIMENTS.items()}


def find_experiments(names: Sequence[str], max_epochs: int | None = None) -> list[Experiment]:
    """Return the experiments of these names; ``"all"``, ``"tables"``, ``"figures"`` name several.

    Args:
        names: of the experiments.
        max_epochs: see :func:`known_experiments`.

    Raises:
        InputError: if there is none of a name.

    >>> [experiment.title for experiment in find_experiments(["table-a5", "figure-2"])]
    ['MLPs on MNIST', 'MLPs without pruning']
    """
    kinds: dict[str, type | tuple[type, ...]] = {
        "all": (Table, Figure),
        "tables": Table,
        "figures": Figure,
    }
    known = known_experiments(max_epochs)
    found: dict[str, Experiment] = {}
    for name in names:
        plain = name.lower().replace(".", "")
        if plain in kinds:
            found |= {n: e for n, e in known.items() if isinstance(e, kinds[plain])}
        elif plain in known:
            found[plain] = known[plain]
        else:
            raise InputError(
                f"there is no experiment '{shown(name)}', expected one of those that "
                "clusterability reproduce lists, tables, figures or all"
                + (_of_both_kinds(plain) or did_you_mean(plain, EXPERIMENTS))
            )
    return list(found.values())


def _of_both_kinds(number: str) -> str:
    """Return the end of a message that proposes the table and the figure of a number."""
    found = [name for name in (f"table-{number}", f"figure-{number}") if name in EXPERIMENTS]
    return f"; did you mean {' or '.join(map(repr, found))}?" if found else ""


def n_runs_of(experiment: Experiment, n_runs: int | None) -> int:
    """Return how many networks of each line are wanted."""
    if isinstance(experiment, Figure) and experiment.kind == "network":
        return 1
    if n_runs is not None:
        return n_runs
    if isinstance(experiment, Table):
        return experiment.n_runs
    return max((table.n_runs for table, _ in experiment.needs), default=1)


def tasks_of(
    experiment: Experiment, reading: str, n_runs: int | None, weights_dir: str | None = None
) -> Iterator[Task]:
    """Yield the tasks of an experiment, each after what it needs; the first seeds first."""
    if isinstance(experiment, Figure):
        yield from experiment.about.get("new", ())
    if weights_dir is not None and needs_files(experiment):
        names = [line.treatment for _, line in _lines(experiment) if line.condition is None]
        yield from file_tasks(names, weights_dir, reading)
    wanted = [(table, line) for table, line in _lines(experiment) if line.condition is not None]
    for seed in range(n_runs_of(experiment, n_runs)):
        for table, line in wanted:
            spec = line.spec_of(reading, seed)
            settings = table.settings(reading, seed)
            yield Train(spec)
            yield Measure(spec, line.phase, settings)
            if isinstance(experiment, Figure) and experiment.kind == "nulls":
                yield Measure(spec, line.phase, replace(settings, null=OTHER_NULL))


def needs_files(experiment: Experiment) -> bool:
    """Return whether an experiment is of networks that others have trained."""
    return any(line.condition is None for _, line in _lines(experiment))


def _lines(experiment: Experiment) -> list[tuple[Table, Line]]:
    if isinstance(experiment, Table):
        return [(experiment, line) for line in experiment.lines]
    return [(table, line) for table, lines in experiment.needs for line in lines]


def all_tasks(
    experiments: Iterable[Experiment],
    reading: str,
    n_runs: int | None,
    weights_dir: str | None = None,
) -> list[Task]:
    """Return the tasks of several experiments without repetitions."""
    tasks: dict[str, Task] = {}
    for experiment in experiments:
        for task in tasks_of(experiment, reading, n_runs, weights_dir):
            tasks.setdefault(task.key, task)
    return list(tasks.values())


def datasets_of(experiment: Experiment, reading: str) -> list[str]:
    """Return the names of the data sets that an experiment needs."""
    trained = [line for _, line in _lines(experiment) if line.condition is not None]
    names = [line.spec_of(reading, 0).dataset for line in trained]
    if isinstance(experiment, Figure):
        names += experiment.about.get("datasets", ())
    return list(dict.fromkeys(names))


def missing_datasets(experiment: Experiment, reading: str, data_dir: str | None) -> list[str]:
    """Return the data sets that an experiment needs and that are not here."""
    return [n for n in datasets_of(experiment, reading) if available(n, data_dir) is None]


def missing_sources(
    experiments: Iterable[Experiment], reading: str, data_dir: str | None
) -> dict[str, str]:
    """Return the data sets whose files are not here, each with an experiment that needs it.

    Data sets that are made from others count as these.
    """
    found: dict[str, str] = {}
    for experiment in experiments:
        for name in missing_datasets(experiment, reading, data_dir):
            for source in _sources(name):
                if available(source, data_dir) is None:
                    found.setdefault(source, experiment.name)
    return found


def _sources(name: str) -> list[str]:
    """Return the data sets with files of their own from which one is made; itself, if it has."""
    entry = DATASETS[name]
    return [source for base in entry.bases for source in _sources(base)] or [name]
