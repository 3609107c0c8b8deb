"""Do the paper's networks, trained here, reach the published accuracies and n-cuts?

    python -m clusterability.experiments.training_conditions --out RUNS [--runs 5] [--only WORD]
    python -m clusterability.experiments.training_conditions --out RUNS --runs 5 --json PATH

Trains each condition of tables A.5 to A.7 and A.18 to A.21 (with --group cnn those of A.8 and A.9,
with --group promoting those of section 4 of the paper) with seeds 0, 1, ..., measures each
network against 50 shuffles with the published and with the default conventions, and sets the means
beside the published ones. All seeds are listed. What is finished in RUNS is not done again; with
--json nothing is trained or measured, and what there is is written down.
"""

from __future__ import annotations

import argparse
import json
import shlex
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from clusterability.experiments.conditions import (
    Condition,
    cnn_conditions,
    mlp_conditions,
    promoting_conditions,
)
from clusterability.experiments.environment import environment
from clusterability.experiments.published import published_row
from clusterability.files.writing import write_whole
from clusterability.measuring import measure
from clusterability.result import Clusterability
from clusterability.settings import Settings
from clusterability.training.record import TrainedRun
from clusterability.training.running import train_many

GROUPS = {"mlp": mlp_conditions, "cnn": cnn_conditions, "promoting": promoting_conditions}

CONVENTIONS = ("published", "default")


def main(arguments: Sequence[str] | None = None) -> None:
    """Train and measure, or write down the results."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--data-dir", type=Path)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--only", default="", help="conditions whose name has this word")
    parser.add_argument("--group", choices=GROUPS, default="mlp")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args(arguments)
    conditions = [c for c in GROUPS[args.group]() if args.only in c.name]
    if args.json is None:
        for condition in conditions:
            print(condition.name, flush=True)
            runs = train_many(
                condition.spec, args.runs, out=args.out, data_dir=args.data_dir, progress=True
            )
            for run in runs:
                measure_run(run)
        return
    found = [describe(condition, args.out, args.runs) for condition in conditions]
    report: dict[str, Any] = {
        "question": "Do networks trained here reach the published accuracies and n-cuts?",
        "conditions": [row for row in found if row["phases"]],
        "environment": environment(),
    }
    write_whole(args.json, (json.dumps(report, indent=1) + "\n").encode())
    for line in table(report["conditions"]):
        print(line)


def measurement_file(run: TrainedRun, phase: str, conventions: str) -> Path:
    """Return the path of a network's measurement under some conventions."""
    return run.folder / f"{phase}-{conventions}.json"


def measure_run(run: TrainedRun) -> None:
    """Measure the network of each phase under each set of conventions, where it is not done yet."""
    for phase in run.phases:
        for conventions in CONVENTIONS:
            path = measurement_file(run, phase, conventions)
            settings = Settings(conventions=conventions, seed=run.spec.seed)
            if not path.exists():
                result = measure(run.network(phase), name=run.spec.name, **settings.choices())
                write_whole(path, (result.to_json() + "\n").encode())


def describe(condition: Condition, out: Path, n_runs: int) -> dict[str, Any]:
    """Return the means of a condition's finished runs, the published ones, and every run."""
    runs = list(_finished(condition, out, n_runs))
    phases = {}
    for phase in ("unpruned", "pruned") if runs else ():
        rows = [_describe_run(run, phase) for run in runs]
        line = (condition.table, condition.dataset, condition.treatment, phase)
        phases[phase] = {"mean": _means(rows), "published": published_row(*line), "runs": rows}
    return {
        "condition": condition.name,
        "table": condition.table,
        "command": _command(condition, len(runs)),
        "phases": phases,
    }


def _command(condition: Condition, n_runs: int) -> str:
    words = ["clusterability", "train"]
    for name, value in condition.spec.choices().items():
        words += [f"--{name.replace('_', '-')}"] + ([] if value is True else [str(value)])
    return shlex.join([*words, "--runs", str(n_runs)])


def _finished(condition: Condition, out: Path, n_runs: int) -> Iterator[TrainedRun]:
    for seed in range(n_runs):
        folder = out / replace(condition.spec, seed=seed).name
        if not (folder / "run.json").exists():
            continue
        run = TrainedRun.from_json((folder / "run.json").read_text(), folder)
        paths = (measurement_file(run, p, c) for p in run.phases for c in CONVENTIONS)
        if all(path.exists() for path in paths):
            yield run


def _describe_run(run: TrainedRun, phase: str) -> dict[str, Any]:
    scores = run.phases[phase]
    return {
        "seed": run.spec.seed,
        **{
            conventions: _describe_measurement(
                Clusterability.from_json(measurement_file(run, phase, conventions).read_text())
            )
            for conventions in CONVENTIONS
        },
        "train_accuracy": scores.train_accuracy,
        "test_accuracy": scores.test_accuracy,
        "train_loss": scores.train_loss + scores.penalty,
        "test_loss": None if scores.test_loss is None else scores.test_loss + scores.penalty,
        "sparsity": scores.sparsity,
        "attempts": len(run.attempts) + 1,
        "threads": run.machine["threads"],
        "seconds": run.machine["seconds"],
    }


def _describe_measurement(found: Clusterability) -> dict[str, Any]:
    canonical = {} if found.canonical is None else vars(found.canonical)
    scaled = {f"canonical_{name}": value for name, value in canonical.items()}
    return scaled | {
        f"{prefix}{name}": value
        for prefix, clustering in (("", found.plain), ("refined_", found.refined))
        for name, value in (
            ("ncut", clustering.ncut),
            ("null_mean", clustering.null and clustering.null.mean),
            ("null_std", clustering.null and clustering.null.std),
            ("p_value", clustering.p_value),
            ("z_score", clustering.z_score),
            ("effective_clusters", clustering.effective_clusters),
        )
    }


def _means(rows: list[dict[str, Any]]) -> dict[str, Any]:
    def mean_of(parts: list[dict[str, Any]], names: Sequence[str]) -> dict[str, float]:
        return {
            name: statistics.fmean(part[name] for part in parts)
            for name in names
            if all(part.get(name) is not None for part in parts)
        }

    found: dict[str, Any] = mean_of(
        rows, ["train_accuracy", "test_accuracy", "train_loss", "test_loss"]
    )
    for conventions in CONVENTIONS:
        parts = [row[conventions] for row in rows]
        names = ["ncut", "null_mean", "null_std", "effective_clusters"]
        found[conventions] = {
            **mean_of(parts, names),
            **mean_of(parts, [f"refined_{name}" for name in names]),
            **mean_of(parts, ["canonical_ncut", "canonical_refined_ncut"]),
            "ncut_std": statistics.pstdev(part["ncut"] for part in parts),
            "n_significant": sum(part["p_value"] < 0.02 for part in parts),
            "refined_n_significant": sum(part["refined_p_value"] < 0.02 for part in parts),
        }
    return {**found, "n_runs": len(rows)}


def table(conditions: list[dict[str, Any]]) -> Iterator[str]:
    """Yield the lines of a Markdown table of the means, the published ones in brackets."""
    yield (
        "| table | condition | | n-cut | of shuffles | below all 50 | n-cut, default | of shuffles "
        "| below all 50 | test accuracy or loss |"
    )
    yield "|" + "---|" * 10
    for row in conditions:
        for phase, found in row["phases"].items():
            ours, paper = found["mean"], found["published"]
            test = "test_loss" if "test_accuracy" not in ours else "test_accuracy"
            n_runs, count = ours["n_runs"], "n_significant"
            published, default = ours["published"], ours["default"]
            significant = (
                f" ({paper[count]:.0f} of {paper['n_runs']:.0f})" if count in paper else ""
            )
            cells = [
                row["table"],
                row["condition"],
                phase,
                f"{published['ncut']:.3f}{_bracketed(paper, 'ncut')}",
                f"{published['null_mean']:.3f}{_bracketed(paper, 'null_mean')}",
                f"{published[count]} of {n_runs}{significant}",
                f"{default['ncut']:.3f}",
                f"{default['null_mean']:.3f}",
                f"{default[count]} of {n_runs}",
                f"{ours[test]:.3f}{_bracketed(paper, test)}" if test in ours else "",
            ]
            yield f"| {' | '.join(cells)} |"


def _bracketed(paper: dict[str, float], name: str) -> str:
    return f" ({paper[name]:.3f})" if name in paper else ""


if __name__ == "__main__":
    main()
