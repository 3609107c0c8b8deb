"""``clusterability reproduce`` calls :func:`clusterability.experiments.reproducing.reproduce`."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from clusterability.arguments import DEVICES
from clusterability.cli.kept import NETWORKS, told_what_is_kept
from clusterability.errors import RunError
from clusterability.records import parse_number
from clusterability.shown import show_path

if TYPE_CHECKING:
    from clusterability.experiments.reproducing import Overview, Reproduction

KEPT = (
    *("runs/*/checkpoint.safetensors", "runs/*/run.json", "runs/*/*pruned-*.json"),
    *("new/*.json", "files/*.json"),
)
"""Files of the folder with which another call goes on."""

EPILOG = """\
The folder DIR holds the networks and their measurements, each by a hash of all on which it depends,
so that a command that was stopped or killed goes on where it was, tables share their networks, and
several commands with one folder share the work. Below it, published/ or paper/ has the tables as
.csv, .md and .tex, ours beside the published, the figures, and index.html with everything.

examples:
  clusterability reproduce
  clusterability reproduce table-a6 --runs 1
  clusterability reproduce table-a6 figure-3 --out results
  clusterability reproduce all --hours 2
"""


def add_parser(
    commands: argparse._SubParsersAction[argparse.ArgumentParser],
) -> argparse.ArgumentParser:
    """Add the command ``reproduce`` and its arguments."""
    parser = commands.add_parser(
        "reproduce",
        help="the paper's tables and figures, ours beside the published",
        description="Reproduce tables and figures of the paper; without names, list them: what "
        "each shows, how many of its networks are trained, how long the rest takes on this "
        "machine, and which data it needs.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add(
        "names",
        nargs="*",
        metavar="NAME",
        help="such as table-a6 or figure-3; tables, figures or all",
    )
    add(
        "--runs",
        type=parse_number,
        metavar="N",
        help="networks of each line (default as many as the paper has)",
    )
    add(
        "--epochs",
        type=parse_number,
        metavar="N",
        help="train for at most N epochs, and prune for at most N, where the whole takes too long; "
        "such results say so and lie in a folder of their own",
    )
    add(
        "--conventions",
        default="published",
        metavar="NAME",
        help="published: as the published numbers were made, paper: as its text says (default "
        "published)",
    )
    add(
        "--out",
        default="reproduction",
        metavar="DIR",
        help="folder of the results (default reproduction)",
    )
    add("--data-dir", metavar="DIR", help="where data sets lie")
    add(
        "--hours",
        type=parse_number,
        metavar="H",
        help="begin nothing that would not end in this time",
    )
    add(
        "--workers",
        type=parse_number,
        metavar="N",
        help="tasks at a time (default one a processor); no number depends on it",
    )
    add("--device", default="cpu", metavar="NAME", help=f"{', '.join(DEVICES)} (default cpu)")
    add(
        "--ray",
        metavar="ADDRESS",
        help="do the tasks on a Ray cluster, of this address or auto; needs the extra ray",
    )
    add(
        "--weights-dir",
        metavar="DIR",
        help="files of networks trained on ImageNet, for table-a11 and figure-10",
    )
    add("--quiet", action="store_true", help="print no table and show no progress")
    return parser


def run(args: argparse.Namespace, written: list[str]) -> None:
    """Reproduce what is named and print it, or list everything."""
    from clusterability.experiments.reproducing import overview, reproduce

    if not args.names:
        found = overview(
            args.out,
            conventions=args.conventions,
            n_runs=args.runs,
            max_epochs=args.epochs,
            data_dir=args.data_dir,
        )
        if sys.stdout is not None:
            print(_list(found, args.epochs))
        return
    with told_what_is_kept(NETWORKS, args.out, KEPT, written):
        reproduction = reproduce(
            args.names,
            out=args.out,
            n_runs=args.runs,
            max_epochs=args.epochs,
            conventions=args.conventions,
            workers=args.workers,
            device=args.device,
            data_dir=args.data_dir,
            hours=args.hours,
            ray=args.ray,
            weights_dir=args.weights_dir,
            progress=not args.quiet,
        )
    written += [str(path) for path in reproduction.written]
    if not args.quiet and sys.stdout is not None:
        print(_text(reproduction))
    if reproduction.failed:
        first = next(iter(reproduction.failed.items()))
        count = len(reproduction.failed)
        raise RunError(
            f"{count} {'task' if count == 1 else 'tasks'} failed, first {first[0]}: {first[1]}"
        )


def _list(found: list[Overview], max_epochs: float | None) -> str:
    """Return a line for each experiment, and how far their networks are trained."""
    from clusterability.display.tables import align

    rows = [["name", "shows", "networks", "hours left", "data"]]
    for each in found:
        counts = f"{each.n_finished} of {each.n_wanted}" if each.n_wanted else "-"
        hours = "-" if not each.seconds else f"{each.seconds / 3600:.1f}"
        data = ", ".join(
            f"{name} (missing)" if name in each.missing else name for name in each.datasets
        )
        data = data or ("files of networks, --weights-dir" if each.needs_files else "")
        rows.append([each.experiment.name, each.experiment.title, counts, hours, data])
    note = (
        "Hours are of one processor. Networks that several need are trained once: "
        "clusterability reproduce all --hours 2 does what fits."
    )
    if max_epochs is not None:
        epochs = "epoch" if max_epochs == 1 else "epochs"
        note += f" Networks are trained, and then pruned, for at most {max_epochs} {epochs}."
    return align(rows, left=[0, 1, 4]) + f"\n\n{note}"


def _text(reproduction: Reproduction) -> str:
    """Return the tables that were written, as Markdown, and the names of all files."""
    parts = [
        f"{path.stem}\n{path.read_text(encoding='utf-8')}"
        for path in reproduction.written
        if path.suffix == ".md"
    ]
    if reproduction.n_left_out:
        parts.append(f"{reproduction.n_left_out} tasks would not have ended in time.")
    names = ", ".join(path.name for path in reproduction.written)
    parts.append(f"in {show_path(reproduction.folder)}: {names}")
    return "\n".join(parts)
