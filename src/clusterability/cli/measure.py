"""``clusterability measure`` calls :func:`clusterability.measure` and writes the results."""

from __future__ import annotations

import argparse
import glob
import json
import os
import sys
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clusterability.arguments import DEVICES
from clusterability.cli.flags import add_flags, given_values
from clusterability.cli.kept import told_what_is_kept
from clusterability.errors import InputError
from clusterability.records import parse_names, parse_number
from clusterability.settings import DEFAULT_CLUSTERS, Settings, numbers_of
from clusterability.shown import quoted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import nn

    from clusterability.display.terminal import Page
    from clusterability.report.scan import ClusterScan
    from clusterability.result import Clusterability

EPILOG = """\
NETWORK is a model: an ONNX file (.onnx), a Keras file (.keras, .h5), or module:name, a
torch.nn.Module or a function that returns one; or weights of an MLP or a chain of convolutions
alone (.safetensors, .safetensors.index.json, .pt, .pth, .ckpt, .npz); or
example:fashion-mnist-mlp, which the package ships.

Any weighted undirected graph can stand in its place: a SciPy sparse matrix (.npz), GraphML
(.graphml) or node-link JSON (.json), its nodes with or without an attribute "layer", its edges with
"weight" or what --edge-weight names.

examples:
  clusterability measure example:fashion-mnist-mlp
  clusterability measure model.safetensors --json result.json --csv labels.csv --figure sheet.pdf
  clusterability measure resnet50.onnx --conventions published
  clusterability measure models:build --input-shape 3,32,32
  clusterability measure models:two_inputs --input-shape 1,28,28 --input-shape 10
  clusterability measure a.pt b.pt --shuffles 100 --table numbers.tex
  clusterability measure model.safetensors --clusters 2-8 --seeds 5 --figure k.pdf
  clusterability measure "ckpt_*.pt" --series series.pdf
"""


def add_parser(
    commands: argparse._SubParsersAction[argparse.ArgumentParser],
) -> argparse.ArgumentParser:
    """Add the command ``measure`` and its arguments."""
    parser = commands.add_parser(
        "measure",
        help="n-cut of networks, against shuffles of their weights",
        description="Cluster the neurons of each network, find the n-cut, and compare it with "
        "the n-cuts of shuffled networks.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("networks", nargs="+", metavar="NETWORK", help="see below")
    add_flags(add, Settings)
    add(
        "--input-shape",
        action="append",
        type=_sizes,
        metavar="SIZES",
        help="of one input without the batch axis, as 3,224,224; given again for each further "
        "input; by default the file's own, or guessed from the first weight layer",
    )
    add(
        "--order",
        type=parse_names,
        metavar="NAMES",
        help="weights of the chain in order: fc1,fc2,fc3",
    )
    add(
        "--entry",
        metavar="NAME",
        help="entry of a checkpoint that holds the network, where there are several",
    )
    add(
        "--edge-weight",
        metavar="NAME",
        help="attribute of a graph's edges that is their weight (default weight)",
    )
    add(
        "--seeds",
        type=parse_number,
        metavar="N",
        help="cluster the network from N seeds, and say how far they agree; --csv has the "
        "consensus (default 1, no comparison)",
    )
    add("--workers", type=parse_number, metavar="N", help="threads (default one a processor)")
    add("--device", default="auto", metavar="NAME", help=f"{', '.join(DEVICES)} (default auto)")
    add(
        "--resume",
        metavar="FOLDER",
        help="keep finished graphs there; after an interrupt the same command goes on with them, "
        "as does one with more --shuffles",
    )
    add("--json", metavar="PATH", help="write the result as JSON; - for standard output")
    add("--csv", metavar="PATH", help="write each neuron's layer and cluster")
    add("--table", metavar="PATH", help="write the numbers, one row a network, .csv .md .tex")
    add("--figure", metavar="PATH", help="draw a sheet, .png .svg .pdf; one network only")
    add(
        "--series",
        metavar="PATH",
        help="draw the n-cuts of a training's checkpoints over its steps, .png .svg .pdf; the step "
        "is the number in a name, and a file that cannot be read is named and left out",
    )
    add("--quiet", action="store_true", help="print no table and show no progress")
    return parser


def _sizes(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(part) for part in text.replace("x", ",").split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"{text!r} is no list of sizes, expected one such as 3,224,224"
        ) from None


def run(args: argparse.Namespace, written: list[str]) -> None:
    """Measure the networks, and write the outputs that the flags name."""
    given = given_values(args, Settings)
    is_scan = isinstance(args.n_clusters, str) or args.seeds is not None
    clusters = given.pop("n_clusters", DEFAULT_CLUSTERS) if is_scan else DEFAULT_CLUSTERS
    if isinstance(clusters, str):
        numbers_of(clusters)
    settings = Settings(**given)
    args.networks = _expanded(args.networks)
    _check_outputs(args, is_scan)
    kept = told_what_is_kept("finished graphs", args.resume, ("*.jsonl",), written)
    with kept, redirect_stdout(sys.stderr):  # models may print
        if is_scan:
            scans = _scan(args, settings, clusters)
        elif args.series is not None:
            results = _measure_series(args, settings)
        else:
            networks = [(name, _network(name)) for name in args.networks]
            results = [_measure(args, settings, name, network) for name, network in networks]
    outputs = _of_scans(args, scans) if is_scan else _of_results(args, results)
    _write(args, outputs, written)


def _scan(args: argparse.Namespace, settings: Settings, clusters: str | int) -> list[ClusterScan]:
    from clusterability.scanning import scan_clusters

    networks = [(name, _network(name)) for name in args.networks]
    counts = clusters if isinstance(clusters, str) else [clusters]
    n_seeds = 1 if args.seeds is None else args.seeds
    options = {"n_seeds": n_seeds, **_how(args), **settings.choices()}
    return [scan_clusters(network, counts, name=name, **options) for name, network in networks]


def _expanded(names: Sequence[str]) -> list[str]:
    """Put files in the place of a pattern such as ``ckpt_*.pt``, as shells on Windows do not."""
    return [path for name in names for path in (_matches(name) or [name])]


def _matches(name: str) -> list[str]:
    return [] if os.path.lexists(name) else sorted(glob.glob(name))  # noqa: PTH207


def _network(name: str) -> nn.Module | Path:
    """Return the network of a name, or its path if that can be read."""
    from clusterability.files.checks import check_readable
    from clusterability.sources.names import network_from_name

    network = network_from_name(name)
    if isinstance(network, Path):
        check_readable(network)
    return network


def _measure(
    args: argparse.Namespace, settings: Settings, name: str, network: nn.Module | Path
) -> Clusterability:
    from clusterability.measuring import measure

    return measure(network, name=name, **_how(args), **settings.choices())


def _how(args: argparse.Namespace) -> dict[str, Any]:
    """Return how to read a network and where to compute, as ``measure`` takes it."""
    names = ("order", "entry", "edge_weight", "input_shape", "workers", "device", "resume")
    return {"progress": not args.quiet, **{name: getattr(args, name) for name in names}}


def _measure_series(args: argparse.Namespace, settings: Settings) -> list[Clusterability]:
    """Measure the networks in the order of their steps; name those that cannot be read."""
    from clusterability.journal import JournalError
    from clusterability.report.series import check_same_layers, steps_of_names

    steps = steps_of_names(args.networks) or range(len(args.networks))
    results: list[Clusterability] = []
    failures: list[InputError] = []
    for _, name in sorted(zip(steps, args.networks, strict=True)):
        try:
            result = _measure(args, settings, name, _network(name))
        except JournalError:
            raise
        except InputError as error:
            failures.append(error)
            print(
                f"clusterability: {quoted(name)} is left out of the series: {error}",
                file=sys.stderr,
            )
            continue
        results.append(result)
        check_same_layers(result, results[0])
    if len(results) < 2:
        reason = f"; of the first that failed: {failures[0]}" if failures else ""
        raise InputError(
            f"--series has {len(results)} networks that can be measured, expected two or more"
            f"{reason}"
        )
    return results


def _check_outputs(args: argparse.Namespace, is_scan: bool) -> None:
    """Refuse output paths that cannot be written; called before the measurement."""
    from clusterability.files.writing import check_writable

    if args.figure is not None and len(args.networks) > 1:
        raise InputError(
            f"--figure takes one network, got {len(args.networks)}; run them one by one"
        )
    if is_scan and args.series is not None:
        raise InputError("--series takes one number of clusters, as --clusters 12; leave one out")
    for option in ("csv", "table", "figure", "series"):
        if getattr(args, option) == "-":
            raise InputError(
                f"--{option} is '-', expected a path; only --json writes to standard output"
            )
    named = (args.json, args.csv, args.table, args.figure, args.series)
    outputs = [path for path in named if path is not None and path != "-"]
    folders = [] if args.resume is None else [args.resume]
    taken = [os.path.realpath(name) for name in (*args.networks, *folders)]
    for path in outputs:
        check_writable(path)
        if os.path.realpath(path) in taken:
            raise InputError(
                f"{path!r} is named twice, as an output and as another file; name one apart"
            )
        taken.append(os.path.realpath(path))
    if args.table is not None:
        from clusterability.report.table_files import check_table_path

        check_table_path(args.table)
    for path in (args.figure, args.series):
        if path is not None:
            from clusterability.display.figure_files import check_figure_path

            check_figure_path(path)


@dataclass(frozen=True)
class _Outputs:
    """What is printed, the JSON, and the contents of files by their paths."""

    page: Page
    json: str
    files: dict[str, bytes]


def _of_results(args: argparse.Namespace, results: list[Clusterability]) -> _Outputs:
    from clusterability.report.labels import labels_csv
    from clusterability.report.text import page

    files = {}
    if args.csv is not None:
        files[args.csv] = labels_csv(results if len(results) > 1 else results[0]).encode()
    if args.table is not None:
        from clusterability.report.table_files import table_file

        files[args.table] = table_file(results, args.table)
    if args.figure is not None:
        from clusterability.display.figure_files import encoded
        from clusterability.report.figures import sheet

        files[args.figure] = encoded(sheet(results[0]), args.figure)
    if args.series is not None:
        from clusterability.display.figure_files import encoded
        from clusterability.report.series import plot_series, steps_of_names

        steps = steps_of_names([result.network for result in results])
        files[args.series] = encoded(plot_series(results, steps), args.series)
    return _Outputs(page(results), _json(results), files)


def _of_scans(args: argparse.Namespace, scans: list[ClusterScan]) -> _Outputs:
    from clusterability.report.scan import scan_csv

    results = [result for scan in scans for result in scan.results]
    files = {}
    if args.csv is not None:
        files[args.csv] = scan_csv(scans).encode()
    if args.table is not None:
        from clusterability.report.table_files import table_file

        records = [row for scan in scans for row in scan.records()]
        files[args.table] = table_file(results, args.table, records)
    if args.figure is not None:
        from clusterability.display.figure_files import encoded

        files[args.figure] = encoded(scans[0].plot(), args.figure)
    page = [part for scan in scans for part in scan.page()]
    return _Outputs(page, _json(results), files)


def _json(results: list[Clusterability]) -> str:
    data = [result.to_dict() for result in results]
    return json.dumps(data if len(data) > 1 else data[0], indent=2, allow_nan=False) + "\n"


def _write(args: argparse.Namespace, outputs: _Outputs, written: list[str]) -> None:
    """Write the outputs one by one, after all have been computed."""
    from clusterability.files.writing import write_whole

    files = {} if args.json in (None, "-") else {args.json: outputs.json.encode()}
    for path, content in {**files, **outputs.files}.items():
        write_whole(path, content)
        written.append(path)
    if sys.stdout is None:
        return
    if args.json == "-":
        sys.stdout.write(outputs.json)
    elif not args.quiet:
        from clusterability.display.terminal import print_page

        print_page(outputs.page)
