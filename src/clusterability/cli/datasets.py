"""``clusterability datasets`` lists, describes and downloads data sets, and draws samples."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clusterability.errors import InputError
from clusterability.shown import shown

if TYPE_CHECKING:
    from clusterability.datasets import Dataset, DatasetEntry

EPILOG = """\
Files are looked for in the folder of --data-dir, in the one that CLUSTERABILITY_DATA names, in the
user's cache and in /usr/share/datasets. NAME may be a path to one's own .npz file with the arrays
x, y and perhaps test_x, test_y.

examples:
  clusterability datasets
  clusterability datasets mnist --download
  clusterability datasets mnist-halves-same --samples sheet.png
"""


def add_parser(commands: Any) -> argparse.ArgumentParser:
    """Add the subcommand, and return its parser."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "datasets",
        help="the data sets to train on: list, download, show samples",
        description="List the data sets; of one, show where it comes from and where it is.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("name", nargs="?", metavar="NAME", help="one data set (default: a table of all)")
    add("--download", action="store_true", help="download the files that are missing")
    add("--samples", metavar="PATH", help="draw samples of each class, .png .svg .pdf")
    add("--data-dir", metavar="DIR", help="a folder that holds mnist/ and others")
    add("--seed", type=int, default=0, help="for sets that are made from one (default 0)")
    return parser


def run(args: argparse.Namespace, written: list[str]) -> None:
    """List all data sets; or download one, describe it and draw samples, as the flags say.

    Raises:
        InputError: if the data set is unknown, or its files can be neither found nor downloaded.
    """
    from clusterability.datasets import DATASETS, fetch, load_dataset

    if args.name is None:
        _check_alone(args)
        from clusterability.display.tables import align

        rows = [_summary(entry, args.data_dir) for entry in DATASETS.values()]
        _say(align([HEADER, *rows], left=WORDS))
        return
    if args.samples is not None:
        _check_samples(args.samples, args.name)
    if args.download:
        fetch(args.name, progress=True, data_dir=args.data_dir)
    dataset = None
    if args.samples is not None or args.name not in DATASETS:
        dataset = load_dataset(args.name, seed=args.seed, data_dir=args.data_dir, download=False)
    if args.name in DATASETS:
        _say(_details(DATASETS[args.name], args.data_dir))
    elif dataset is not None:
        _say(_own_details(dataset))
    if args.samples is not None and dataset is not None:
        from clusterability.datasets.samples import samples_sheet

        samples_sheet(dataset, args.samples)
        written.append(args.samples)


def _check_alone(args: argparse.Namespace) -> None:
    for option, given in (("--download", args.download), ("--samples", args.samples is not None)):
        if given:
            raise InputError(f"{option} takes one data set, but none is named; name one")


def _check_samples(path: str, name: str) -> None:
    from clusterability.display.figure_files import check_figure_path

    check_figure_path(path)
    if os.path.exists(path) and os.path.exists(name) and Path(path).samefile(name):
        raise InputError(f"{path!r} is named twice, as the data and as the figure; name one apart")


def _say(text: str) -> None:
    if sys.stdout is not None:
        print(text)


def _summary(entry: DatasetEntry, data_dir: str | None) -> tuple[str, ...]:
    n_test = f"{entry.n_test:,}" if entry.n_test else "-"
    return (
        entry.name,
        f"{entry.n_train:,}",
        n_test,
        _shape(entry.shape, "x"),
        f"{entry.n_outputs:,}",
        _state(entry, data_dir),
        entry.license,
    )


def _state(entry: DatasetEntry, data_dir: str | None) -> str:
    from clusterability.datasets import available

    is_here = available(entry.name, data_dir) is not None
    if entry.shipped is not None:
        return "shipped"
    if not entry.files and not entry.bases:
        return entry.source.removeprefix("made ")
    if entry.files:
        return "here" if is_here else "to download"
    return f"{'from' if is_here else 'needs'} {entry.bases[-1]}"


HEADER = ("name", "train", "test", "sample", "outputs", "files", "license")
WORDS = [0, 3, 5, 6]
"""Columns of the table that are flush left: those that hold no numbers."""


def _details(entry: DatasetEntry, data_dir: str | None) -> str:
    from clusterability.datasets import available

    place = available(entry.name, data_dir)
    kind = "targets" if entry.regression else "classes"
    facts = [
        ("samples", _samples(entry.n_train, entry.n_test)),
        ("sample", f"{_shape(entry.shape)}, {entry.n_outputs} {kind}"),
        ("source", entry.source),
        ("license", entry.license),
    ]
    if entry.files is not None:
        facts += [("download", source) for source in entry.files.sources]
        facts += [("checksum", f"{name} {hash}") for name, hash in entry.checksums.items()]
    if entry.files is not None or entry.bases:
        missing = f"not here; clusterability datasets {entry.name} --download"
        facts.append(("files", missing if place is None else shown(str(place), 300)))
    return _fact_lines(f"{entry.name}: {entry.title}", facts)


def _own_details(dataset: Dataset) -> str:
    train, test = dataset.train, dataset.test
    kind = f"{train.y.shape[-1]} targets"
    if dataset.n_classes is not None:
        kind = f"{dataset.n_classes} classes"
    facts = [
        ("samples", _samples(len(train.y), 0 if test is None else len(test.y))),
        ("sample", f"{_shape(train.x.shape[1:])} {train.x.dtype}, {kind}"),
    ]
    return _fact_lines(shown(dataset.name), facts)


def _samples(n_train: int, n_test: int) -> str:
    rest = f"{n_test:,} to test with" if n_test else "none to test with"
    return f"{n_train:,} to train on, {rest}"


def _shape(shape: tuple[int, ...], times: str = " x ") -> str:
    return times.join(str(n) for n in shape)


def _fact_lines(title: str, facts: Sequence[tuple[str, str]]) -> str:
    """Return the title and a line for each fact: its name, left blank if repeated, and text."""
    names = [name for name, _ in facts]
    lines = [
        f"{'' if i and names[i - 1] == name else name:10}{fact}"
        for i, (name, fact) in enumerate(facts)
    ]
    return "\n".join([title, *lines])
