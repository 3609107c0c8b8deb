"""``clusterability train`` calls :func:`clusterability.training.train_many`."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from clusterability.arguments import DEVICES
from clusterability.cli.flags import add_flags, flag_of, given_values
from clusterability.cli.kept import NETWORKS, told_what_is_kept
from clusterability.errors import InputError
from clusterability.records import parse_number
from clusterability.settings import Settings
from clusterability.training import TrainingSpec

if TYPE_CHECKING:
    from clusterability.training import TrainedRun

EPILOG = """\
Each run has a folder of its own in DIR: unpruned.safetensors and pruned.safetensors, curves.csv,
curves.png and run.json. A run that was stopped or killed goes on from its last finished epoch when
the same command is given again, and one that is finished is not trained again.

examples:
  clusterability train --network small-mlp --dataset digits --measure
  clusterability train --network mlp --dataset mnist --dropout --runs 5
  clusterability train --network mlp --dataset fashion-mnist --l2 5e-5 --mixed-l2
  clusterability train --network mlp-regression --dataset polynomials --no-prune
  clusterability train --network mlp --dataset mnist --modular-pruning --tags 12 --measure
  clusterability train --network small-mlp --dataset mydata.npz
"""


KEPT = ("*/checkpoint.safetensors", "*/run.json")
"""Files below --out with which another call goes on."""

OF_THE_RUN = ("seed",)
"""Fields of Settings without a flag here: the measurement takes them from the run."""


def add_parser(
    commands: argparse._SubParsersAction[argparse.ArgumentParser],
) -> argparse.ArgumentParser:
    """Add the command ``train`` and its arguments."""
    parser = commands.add_parser(
        "train",
        help="the paper's networks on the paper's data sets",
        description="Train a network as the paper did, with and then without all of its weights.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument_group("what is trained, and how").add_argument
    add_flags(add, TrainingSpec)
    add(
        "--prune",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="whether pruning follows (default)",
    )
    _add_how_many(parser)
    _add_where(parser)
    _add_measuring(parser)
    return parser


def _add_how_many(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument_group("how many").add_argument
    add(
        "--runs",
        type=parse_number,
        default=1,
        metavar="N",
        help="seeds to train at once, from --seed on (default 1)",
    )
    add(
        "--stack",
        action=argparse.BooleanOptionalAction,
        default=None,
        help="train the runs' weights in one stack (default for MLPs on a GPU)",
    )


def _add_where(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument_group("where").add_argument
    add("--device", default="auto", metavar="NAME", help=f"{', '.join(DEVICES)} (default auto)")
    add(
        "--threads",
        type=parse_number,
        metavar="N",
        help="of torch, for each run; they change the rounding",
    )
    add(
        "--workers",
        type=parse_number,
        metavar="N",
        help="runs at a time (default one a processor)",
    )
    add("--out", default="runs", metavar="DIR", help="folder for the runs' folders (default runs)")
    add("--data-dir", metavar="DIR", help="where data sets lie")
    add("--quiet", action="store_true", help="print no table and show no progress")


def _add_measuring(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument_group("how it is measured").add_argument
    add(
        "--measure",
        action="store_true",
        help="how clusterable each network is: columns of the table, and "
        "unpruned-clusterability.json and pruned-clusterability.json; measured anew where these "
        "have other settings. Of runs with clusters also what these are worth on the test part: "
        "unpruned-clusters.json and pruned-clusters.json",
    )
    add_flags(add, Settings, OF_THE_RUN)


def run(args: argparse.Namespace, written: list[str]) -> None:
    """Train the runs, measure them if ``--measure`` is given, and print a table."""
    spec, settings = training_spec(args), _settings(args)
    from clusterability.training.running import DivergedError

    try:
        with told_what_is_kept(NETWORKS, args.out, KEPT, written):
            runs = _train(spec, args)
    except DivergedError as error:
        _finish([trained for trained in error.runs if trained.phases], settings, args, written)
        raise
    _finish(runs, settings, args, written)


def _finish(
    runs: list[TrainedRun],
    settings: Settings | None,
    args: argparse.Namespace,
    written: list[str],
) -> None:
    """Measure the trained runs if there are settings for it, and print the table."""
    written += [str(trained.folder) for trained in runs]
    if settings is not None:
        from clusterability.training.judged import validate_runs
        from clusterability.training.measured import measure_runs

        measure_runs(
            runs, settings, workers=args.workers, device=args.device, progress=not args.quiet
        )
        validate_runs(runs, data_dir=args.data_dir, progress=not args.quiet)
    if runs and not args.quiet and sys.stdout is not None:
        from clusterability.training.table import runs_table

        print(runs_table(runs))


def _train(spec: TrainingSpec, args: argparse.Namespace) -> list[TrainedRun]:
    from clusterability.training import train_many

    return train_many(
        spec,
        args.runs,
        stacked=args.stack,
        out=args.out,
        data_dir=args.data_dir,
        device=args.device,
        threads=args.threads,
        workers=args.workers,
        progress=not args.quiet,
    )


def training_spec(args: argparse.Namespace) -> TrainingSpec:
    """Return the run that the flags describe."""
    if not args.prune and args.pruning_epochs:
        raise InputError(
            f"--pruning-epochs is {args.pruning_epochs}, but --no-prune asks for none; leave out "
            "one of them"
        )
    pruning = {} if args.prune else {"pruning_epochs": 0}
    return TrainingSpec(**{**given_values(args, TrainingSpec), **pruning})


def _settings(args: argparse.Namespace) -> Settings | None:
    """Return the settings of the measurement, or None without ``--measure``."""
    choices = given_values(args, Settings, OF_THE_RUN)
    if choices and not args.measure:
        raise InputError(
            f"{flag_of(Settings, next(iter(choices)))} says how to measure, but --measure is not "
            "there; add it"
        )
    return Settings(**choices) if args.measure else None
