"""``clusterability train``: reads arguments, calls :func:`clusterability.training.train_many`."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from clusterability.errors import InputError

if TYPE_CHECKING:
    from clusterability.training import TrainedRun, TrainingSpec

EPILOG = """\
Each run has a folder of its own in DIR: unpruned.safetensors and pruned.safetensors, curves.csv,
curves.png and run.json. A run that was stopped or killed goes on from its last finished epoch when
the same command is given again, and one that is finished is not trained again.

examples:
  clusterability train --network small-mlp --dataset digits --measure
  clusterability train --network mlp --dataset mnist --dropout --runs 5
  clusterability train --network mlp --dataset fashion-mnist --l2 5e-5 --mixed-l2
  clusterability train --network mlp-regression --dataset polynomials --no-prune
  clusterability train --network small-mlp --dataset mydata.npz
"""

NETWORKS = ("mlp", "mlp-regression", "small-mlp", "small-cnn", "vgg")


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
    _add_what(parser)
    _add_how_long(parser)
    _add_where(parser)
    return parser


def _add_what(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument_group("what").add_argument
    add("--network", required=True, metavar="NAME", help=", ".join(NETWORKS))
    add(
        "--dataset",
        required=True,
        metavar="NAME",
        help="see clusterability datasets; or an .npz file with x and y, test_x and test_y",
    )
    add("--dropout", action="store_true", help="with the paper's rates")
    add("--l1", type=float, default=0.0, metavar="W", help="weight of sum |w| (default 0)")
    add("--l2", type=float, default=0.0, metavar="W", help="weight of sum w^2 (default 0)")
    add(
        "--mixed-l2",
        action="store_true",
        help="L1 on the first layer and L2 on the others, as the published L2 runs",
    )
    add(
        "--augment",
        action=argparse.BooleanOptionalAction,
        default=None,
        help="rotate, shift and flip images (default for cifar-10)",
    )


def _add_how_long(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument_group("how").add_argument
    add("--epochs", type=int, metavar="N", help="before pruning (default the paper's)")
    add("--pruning-epochs", type=int, metavar="N", help="with pruning (default the paper's)")
    add(
        "--prune",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="whether pruning follows (default)",
    )
    add("--initial-sparsity", type=float, default=0.5, metavar="S", help="(default 0.5)")
    add("--final-sparsity", type=float, default=0.9, metavar="S", help="(default 0.9)")
    add("--pruning-interval", type=int, default=10, metavar="N", help="steps (default 10)")
    add("--batch-size", type=int, metavar="N", help="(default the paper's)")
    add("--learning-rate", type=float, default=0.001, metavar="R", help="of Adam (default 0.001)")
    add(
        "--retrain-below",
        type=float,
        default=0.0,
        metavar="NCUT",
        help="train again while the n-cut is below this, as the paper did for L2 (default never)",
    )
    add("--runs", type=int, default=1, metavar="N", help="seeds to train at once (default 1)")
    add("--seed", type=int, default=0, help="of the first run (default 0)")
    add("--data-seed", type=int, default=0, help="of data sets that are made (default 0)")
    add(
        "--stack",
        action=argparse.BooleanOptionalAction,
        default=None,
        help="train the runs' weights in one stack (default for MLPs on a GPU)",
    )


def _add_where(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument_group("where").add_argument
    add("--device", choices=("auto", "cpu", "cuda"), default="auto", help="(default auto)")
    add("--threads", type=int, metavar="N", help="of torch, for each run; they change the rounding")
    add("--workers", type=int, metavar="N", help="runs at a time (default one a processor)")
    add("--out", default="runs", metavar="DIR", help="folder for the runs' folders (default runs)")
    add("--data-dir", metavar="DIR", help="where data sets lie")
    add(
        "--measure",
        action="store_true",
        help="how clusterable each network is, against 50 shuffles: a column, and "
        "unpruned-clusterability.json and pruned-clusterability.json",
    )
    add("--quiet", action="store_true", help="print no table and show no progress")


def run(args: argparse.Namespace, written: list[str]) -> None:
    """Train the runs, measure them if asked, and print a table."""
    from clusterability.training.running import DivergedError

    try:
        runs = _trained(args)
    except DivergedError as error:
        _finish([trained for trained in error.runs if trained.phases], args, written)
        raise
    _finish(runs, args, written)


def _finish(runs: list[TrainedRun], args: argparse.Namespace, written: list[str]) -> None:
    """Measure what was trained, if asked, and print the table."""
    written += [str(trained.folder) for trained in runs]
    if args.measure:
        from clusterability.training.measured import measure_runs

        measure_runs(runs, workers=args.workers, device=args.device, progress=not args.quiet)
    if runs and not args.quiet and sys.stdout is not None:
        from clusterability.training.table import runs_table

        print(runs_table(runs))


def _trained(args: argparse.Namespace) -> list[TrainedRun]:
    from clusterability.training import train_many

    return train_many(
        _spec(args),
        args.runs,
        stacked=args.stack,
        out=args.out,
        data_dir=args.data_dir,
        device=args.device,
        threads=args.threads,
        workers=args.workers,
        progress=not args.quiet,
    )


def _spec(args: argparse.Namespace) -> TrainingSpec:
    from clusterability.training import TrainingSpec

    if not args.prune and args.pruning_epochs:
        raise InputError(
            f"--pruning-epochs is {args.pruning_epochs}, but --no-prune asks for none; leave out "
            "one of them"
        )
    return TrainingSpec(
        network=args.network,
        dataset=args.dataset,
        dropout=args.dropout,
        l1=args.l1,
        l2=args.l2,
        mixed_l2=args.mixed_l2,
        epochs=args.epochs,
        pruning_epochs=args.pruning_epochs if args.prune else 0,
        initial_sparsity=args.initial_sparsity,
        final_sparsity=args.final_sparsity,
        pruning_interval=args.pruning_interval,
        batch_size=args.batch_size,
        learning_rate=args.learning_rate,
        augment=args.augment,
        retrain_below=args.retrain_below,
        seed=args.seed,
        data_seed=args.data_seed,
    )
