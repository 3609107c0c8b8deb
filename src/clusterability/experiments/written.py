"""The files of a reproduction: tables, figures, and one page with all that is finished."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path

from clusterability.arguments import whole
from clusterability.display.figure_files import encoded
from clusterability.errors import InputError
from clusterability.experiments.comparing import compare_table
from clusterability.experiments.drawing import Drawn, draw
from clusterability.experiments.page import Section, page
from clusterability.experiments.plan import MAX_RUNS, known_experiments, n_runs_of
from clusterability.experiments.records import Experiment, Figure, Table
from clusterability.experiments.store import Store, make_folder
from clusterability.experiments.writing import latex, lines_csv, markdown, networks_csv
from clusterability.files.writing import write_whole

FIGURE_SUFFIXES = (".png", ".svg", ".pdf")


def write_experiments(
    experiments: Sequence[Experiment],
    store: Store,
    reading: str,
    n_runs: int | None,
    max_epochs: int | None,
    data_dir: str | None,
    facts: Sequence[str],
) -> list[Path]:
    """Write the files of some experiments, and the page of all that were ever written.

    Args:
        experiments: to write.
        store: holds the results; the files go into its folder, below the reading.
        reading: published or paper.
        n_runs: networks of each line; None for the paper's number.
        max_epochs: of the experiments' trainings; None for the paper's numbers. It names another
            folder, beside that of the reading.
        data_dir: where data sets lie.
        facts: for the page.

    Returns:
        The paths.
    """
    folder = store.folder / (reading if max_epochs is None else f"{reading}-epochs-{max_epochs}")
    make_folder(folder)
    written = []
    for experiment in experiments:
        for name, content in _contents(experiment, store, reading, n_runs, data_dir):
            write_whole(folder / name, content)
            written.append(folder / name)
    sections = [
        section
        for experiment in known_experiments(max_epochs).values()
        if (section := _section(experiment, store, folder, reading)) is not None
    ]
    write_whole(folder / "index.html", page(sections, facts).encode())
    return [*written, folder / "index.html"]


def _contents(
    experiment: Experiment,
    store: Store,
    reading: str,
    n_runs: int | None,
    data_dir: str | None,
) -> Iterator[tuple[str, bytes]]:
    """Yield the name and the content of each file of an experiment."""
    if isinstance(experiment, Table):
        lines = compare_table(experiment, store, reading, n_runs_of(experiment, n_runs))
        yield f"{experiment.name}.csv", lines_csv(experiment, lines).encode()
        yield f"{experiment.name}.md", markdown(experiment, lines).encode()
        yield f"{experiment.name}.tex", latex(experiment, lines).encode()
        yield f"{experiment.name}-networks.csv", networks_csv(experiment, lines).encode()
        return
    figure = draw(Drawn(experiment, store, reading, n_runs, data_dir))
    if figure is not None:
        for suffix in FIGURE_SUFFIXES:
            name = f"{experiment.name}{suffix}"
            yield name, encoded(figure, name)


def _section(experiment: Experiment, store: Store, folder: Path, reading: str) -> Section | None:
    """Return the part of the page about an experiment, if it has been written."""
    if isinstance(experiment, Figure):
        name = f"{experiment.name}.png"
        return Section(experiment, file=name) if (folder / name).exists() else None
    path = folder / f"{experiment.name}.csv"
    if not path.is_file():
        return None
    return Section(
        experiment, compare_table(experiment, store, reading, _n_written(experiment, path))
    )


def _n_written(table: Table, path: Path) -> int:
    """Return how many networks the lines of a table's file are of, which an earlier call chose."""
    try:
        row = next(csv.DictReader(path.read_text(encoding="utf-8").splitlines()))
        return whole("n_wanted", int(row["n_wanted"]), 1, MAX_RUNS)
    except (OSError, ValueError, LookupError, TypeError, StopIteration, csv.Error, InputError):
        return n_runs_of(table, None)
