"""What does a low n-cut cost in accuracy, and are the clusters worth anything?

    python -m clusterability.experiments.modular_frontier --out RUNS [--network mlp] [--runs 3]
        [--only PATTERN] [--device cpu]
    python -m clusterability.experiments.modular_frontier --out RUNS --json PATH [--figure PATH]

Trains the MLP of 4 x 256 on Fashion-MNIST and MNIST in each way (untreated, dropout, clusterable
initialization, group lasso, partition penalty, modular pruning, and this with distillation from the
untreated network), measures each network's n-cut, raw
and canonical, against 20 shuffles, and cuts and lesions its clusters on the test set: those that it
was given, or where it has none, those that are found in it. All hyper-parameters were fixed before;
those of the distillation on held-out training images (:mod:`.distilling`).
With --network small-cnn it trains the small CNN, in three of the ways.
What is finished in RUNS is not done again; with --json nothing is trained or measured, and what
there is is written down, beside the runs that PATH holds already.
"""

from __future__ import annotations

import argparse
import json
import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from clusterability.arguments import DEVICES, find_device
from clusterability.datasets import load_dataset
from clusterability.display.figure_files import encoded
from clusterability.errors import InputError
from clusterability.experiments.distilling import distill
from clusterability.experiments.environment import environment
from clusterability.experiments.frontier_drawing import draw_frontier
from clusterability.files.writing import write_whole
from clusterability.measuring import measure
from clusterability.promoting import validate_clusters
from clusterability.promoting.validated import Lesions
from clusterability.result import Clusterability
from clusterability.shown import quoted, show_path
from clusterability.training import TrainedRun, TrainingSpec, tags_of_run, train
from clusterability.training.drawing import draw_network
from clusterability.training.randomness import Randomness
from clusterability.training.samples import Samples, samples

DATASETS = ("fashion-mnist", "mnist")
N_SHUFFLES = 20
N_PERMUTATIONS = 49
N_LESIONED = 2000
"""Test images on which lesions are compared with permuted ones; accuracies are of all."""

LONG = 60
"""Epochs of a longer pruning; the published ones are 20."""

View = tuple[str, int]
"""Layers, and number of clusters."""

FOUND: tuple[View, ...] = (("hidden", 12), ("hidden+outputs", 10), ("all", 10))


@dataclass(frozen=True)
class Way:
    """One way to train, by the fields of its spec.

    Args:
        name: of the way.
        fields: of the spec.
        views: graphs in which clusters are found; empty where the run has its own.
        is_distilled: whether an untreated run is pruned into the spec's clusters by distillation.
    """

    name: str
    fields: dict[str, Any] = field(default_factory=dict)
    views: tuple[View, ...] = ()
    is_distilled: bool = False


def _modular(layers: str, tags: int, **fields: Any) -> dict[str, Any]:
    return {"modular_pruning": True, "tag_layers": layers, "tags": tags, **fields}


def _soft(**fields: Any) -> dict[str, Any]:
    """Fields of a run that stays dense."""
    return {"tags": 12, "pruning_epochs": 0, **fields}


WAYS = (
    Way("none", {}, FOUND),
    Way("modular-hidden-12", _modular("hidden", 12)),
    Way("lasso-3e-4", _soft(group_lasso=3e-4)),
    Way("modular-hidden+outputs-10", _modular("hidden+outputs", 10)),
    Way("modular-all-10", _modular("all", 10)),
    Way("init-modular-hidden-12", _modular("hidden", 12, clusterable_init=True)),
    Way("partition-1", _soft(partition_penalty=1.0)),
    Way("init", {"clusterable_init": True, "tags": 12}, FOUND[:1]),
    Way("lasso-1e-4", _soft(group_lasso=1e-4)),
    Way("lasso-1e-3", _soft(group_lasso=1e-3)),
    Way("dropout", {"dropout": True}, FOUND),
    Way("modular-hidden-10", _modular("hidden", 10)),
    Way("modular-hidden-12-long", _modular("hidden", 12, pruning_epochs=LONG)),
    Way("modular-hidden+outputs-10-long", _modular("hidden+outputs", 10, pruning_epochs=LONG)),
    Way("modular-all-10-long", _modular("all", 10, pruning_epochs=LONG)),
    Way("distilled-hidden-12", _modular("hidden", 12), is_distilled=True),
    Way("distilled-hidden+outputs-10", _modular("hidden+outputs", 10), is_distilled=True),
    Way("distilled-all-10", _modular("all", 10), is_distilled=True),
    Way("modular-all-2", _modular("all", 2)),
    Way("modular-all-4", _modular("all", 4)),
)
"""The most telling first."""

CNN_WAYS = (
    Way("none", {}, FOUND[:1]),
    Way("modular-hidden-12", _modular("hidden", 12)),
    Way("lasso-3e-4", _soft(group_lasso=3e-4)),
)
"""Of the small CNN, with its dense layers."""

INCLUDED = {"small-cnn": ("input", "dense")}
"""Parts that the graph of a CNN has beside its hidden channels."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Train and judge, or write down the results."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--data-dir", type=Path)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--network", default="mlp", choices=["mlp", *INCLUDED])
    parser.add_argument("--only", default="*", help="pattern of DATASET-WAY, such as 'mnist-*'")
    parser.add_argument("--device", default="cpu", choices=DEVICES)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--figure", type=Path, help="with --json, a .png, .svg or .pdf")
    args = parser.parse_args(arguments)
    cells = [
        (way, spec_of(way, dataset, seed, args.network))
        for seed in range(args.runs)
        for dataset in DATASETS
        for way in (WAYS if args.network == "mlp" else CNN_WAYS)
        if fnmatchcase(f"{dataset}-{way.name}", args.only)
    ]
    if args.json is None:
        torch.set_num_threads(1)
        for way, spec in cells:
            _finish(way, spec, args.out, args.data_dir, args.device)
        return
    command = (
        f"python -m clusterability.experiments.modular_frontier --out RUNS --network {args.network}"
    )
    found = [row for cell in cells for row in _rows(*cell, args.out)]
    rows = _with_earlier(found, args.json, command)
    report: dict[str, Any] = {
        "question": "What does a low n-cut cost in accuracy, and are the clusters worth anything?",
        "command": command,
        "n_shuffles": N_SHUFFLES,
        "n_permutations": N_PERMUTATIONS,
        "means": _means(rows),
        "runs": rows,
        "environment": environment(),
    }
    write_whole(args.json, (json.dumps(report, indent=1) + "\n").encode())
    if args.figure is not None:
        write_whole(args.figure, encoded(draw_frontier(report["means"]), args.figure))
    for line in table(report["means"]):
        print(line)


def spec_of(way: Way, dataset: str, seed: int, network: str = "mlp") -> TrainingSpec:
    """Return the spec of one run."""
    return TrainingSpec(network, dataset, seed=seed, **way.fields)


def _finish(way: Way, spec: TrainingSpec, out: Path, data_dir: Path | None, device: str) -> None:
    """Train one run and judge its networks, unless that is done."""
    wanted = list(_files(way, spec, out))
    if all(path.exists() for path, *_ in wanted):
        return
    print(f"{spec.dataset} {way.name} seed {spec.seed}", flush=True)
    data = load_dataset(spec.dataset, data_dir=data_dir)
    run = train(_trained(way, spec), data=data, out=out, device=device, threads=1)
    torch.set_num_threads(1)
    assert data.test is not None
    place = find_device(device)
    test = samples(data, data.test, place)
    for path, phase, view in wanted:
        if path.exists():
            continue
        if way.is_distilled:
            tags = _tags(spec, run)
            network = distill(run, tags, samples(data, data.train, place))
        else:
            tags, network = {} if way.views else tags_of_run(run), run.network(phase)
        row = _judge(network.to(place), tags, spec, view, run.shape, test)
        row["seconds"] = run.machine["seconds"]
        write_whole(path, (json.dumps(row, indent=1) + "\n").encode())
        print("  ", phase, *view, {name: row[name] for name in SHOWN}, flush=True)


def _trained(way: Way, spec: TrainingSpec) -> TrainingSpec:
    """Return the spec of the run with which a way begins."""
    if not way.is_distilled:
        return spec
    return TrainingSpec(spec.network, spec.dataset, seed=spec.seed)


def _tags(spec: TrainingSpec, untreated: TrainedRun) -> dict[str, Tensor]:
    """Return the tags that a run of the spec would have, for the network of an untreated run."""
    randomness = Randomness(spec.seed, len(untreated.attempts))
    return draw_network(spec, untreated.shape, untreated.n_outputs, randomness)[1]


KEYS = ("dataset", "way", "phase", "layers", "k")
"""What rows of the same mean have in common."""

SHOWN = ("ncut", "accuracy", "accuracy_cut", "accuracy_folded", "effective_clusters")


def _files(way: Way, spec: TrainingSpec, out: Path) -> Iterator[tuple[Path, str, View]]:
    folder = out / _trained(way, spec).name
    for phase in spec.phases:
        if way.is_distilled and phase == "unpruned":
            continue  # is that of the untreated run
        how = "distilled" if way.is_distilled else phase
        for layers, k in way.views or ((spec.tag_layers, spec.tags),):
            yield folder / f"{how}-{layers}-{k}-worth.json", phase, (layers, k)


def _judge(
    network: nn.Module,
    tags: Mapping[str, Tensor],
    spec: TrainingSpec,
    view: View,
    shape: Sequence[int],
    test: Samples,
) -> dict[str, Any]:
    """Return the numbers of one network, of its own clusters, or without tags of those found."""
    layers, k = view
    results = {
        scaling: measure(
            network,
            n_clusters=k,
            n_shuffles=N_SHUFFLES,
            seed=spec.seed,
            layers=layers,
            scaling=scaling,
            include=INCLUDED.get(spec.network, ()),
            workers=1,
            device="cpu",
            input_shape=shape,
        )
        for scaling in ("raw", "canonical")
    }
    found = validate_clusters(
        *(network, tags or results["raw"], test.x, test.targets.argmax(1)),
        n_permutations=N_PERMUTATIONS,
        n_lesioned=N_LESIONED,
        seed=spec.seed,
    )
    return {
        **_measured(results["raw"], ""),
        **_measured(results["canonical"], "canonical_"),
        "accuracy": found.accuracy,
        "accuracy_cut": found.accuracy_cut,
        "accuracy_folded": found.accuracy_folded,
        "n_cut": found.n_cut,
        **_lesioned(found.fall, "fall"),
        **_lesioned(found.spread, "spread"),
        "falls": found.falls,
        "sparsity": _sparsity(network),
    }


def _sparsity(network: nn.Module) -> float:
    """Return the share of zeros among the weights, without biases and norms."""
    kernels = [weights for weights in network.parameters() if weights.dim() > 1]
    zeros = sum(int((weights == 0).sum()) for weights in kernels)
    return zeros / sum(weights.numel() for weights in kernels)


def _lesioned(found: Lesions, name: str) -> dict[str, Any]:
    return {
        f"{name}_observed": found.observed,
        f"{name}_permuted": found.null.mean,
        f"{name}_permuted_std": found.null.std,
        f"{name}_p_lower": found.p_lower,
        f"{name}_p_upper": found.p_upper,
    }


def _measured(found: Clusterability, prefix: str) -> dict[str, Any]:
    numbers = {
        "ncut": found.ncut,
        "refined_ncut": found.refined.ncut,
        "effect": found.effect,
        "effective_clusters": found.effective_clusters,
        "smallest_share": min(cluster.volume_share for cluster in found.clusters),
    }
    return {f"{prefix}{name}": value for name, value in numbers.items()}


def _rows(way: Way, spec: TrainingSpec, out: Path) -> Iterator[dict[str, Any]]:
    """Yield what is known of a run's networks."""
    for path, phase, (layers, k) in _files(way, spec, out):
        if path.exists():
            about = {"dataset": spec.dataset, "way": way.name, "phase": phase, "layers": layers}
            yield {**about, "k": k, "seed": spec.seed, **json.loads(path.read_text())}


def _with_earlier(rows: list[dict[str, Any]], path: Path, command: str) -> list[dict[str, Any]]:
    """Return the rows, and before them those that a report of the same command holds."""
    if not path.exists():
        return rows
    report = json.loads(path.read_text())
    if report["command"] != command:
        raise InputError(
            f"{show_path(path)} is the report of {quoted(report['command'])}; name another file "
            "with --json, or remove this one"
        )
    known = {tuple(row[key] for key in (*KEYS, "seed")) for row in rows}
    earlier = report["runs"]
    return [r for r in earlier if tuple(r[key] for key in (*KEYS, "seed")) not in known] + rows


def _means(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    groups: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    for row in rows:
        groups.setdefault(tuple(row[key] for key in KEYS), []).append(row)
    means = []
    for about, held in groups.items():
        numbers = {
            name: statistics.fmean(row[name] for row in held)
            for name, value in held[0].items()
            if name not in KEYS and isinstance(value, float)
            if all(row.get(name) is not None for row in held)
        }
        means.append({**dict(zip(KEYS, about, strict=True)), "n_runs": len(held), **numbers})
    return means


def table(means: Sequence[dict[str, Any]]) -> Iterator[str]:
    """Yield the lines of a Markdown table of the means."""
    yield (
        "| data | way | | graph, k | n-cut | canonical | effect | effective | smallest | accuracy "
        "| cut | folded | spread, permuted | p above, below | n |"
    )
    yield "|" + "---|" * 15
    for row in means:
        effects = row.get("effect")
        cells = [
            row["dataset"],
            row["way"],
            row["phase"],
            f"{row['layers']}, {row['k']}",
            f"{row['ncut']:.3f}",
            f"{row['canonical_ncut']:.3f}",
            "" if effects is None else f"{100 * effects:.1f} %",
            f"{row['effective_clusters']:.1f}",
            f"{row['smallest_share']:.3f}",
            *(f"{100 * row[n]:.2f}" for n in ("accuracy", "accuracy_cut", "accuracy_folded")),
            f"{100 * row['spread_observed']:.1f}, {100 * row['spread_permuted']:.1f}",
            f"{row['spread_p_upper']:.2g}, {row['spread_p_lower']:.2g}",
            str(row["n_runs"]),
        ]
        yield f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    main()
