"""Do the paper's networks, trained here, reach the published accuracies and n-cuts?

    python benchmarks/training_conditions.py --out RUNS --data-dir DATA [--runs 5] [--only WORD]
    python benchmarks/training_conditions.py --out RUNS --data-dir DATA --runs 5 --json PATH

Trains each condition of tables A.5 to A.9 and A.18 to A.21 with seeds 0, 1, ... by the command that
is printed and kept in the JSON, measures each network against 50 shuffles, and sets the means
beside the published ones. All seeds are listed. What is finished in RUNS is not trained again;
with --json nothing is trained, and what there is is written down.
"""

import argparse
import csv
import json
import shlex
import statistics
from dataclasses import dataclass
from pathlib import Path

from clusterability.cli import main as command
from clusterability.training.measured import measurement
from clusterability.training.record import TrainedRun
from environment import environment

PUBLISHED = Path(__file__).parent / "published_training.csv"


@dataclass(frozen=True)
class Condition:
    """A line of the paper's tables, or two: before and after pruning.

    Args:
        name: of the condition.
        arguments: of ``clusterability train``.
        table, dataset, treatment: the lines of published_training.csv.
    """

    name: str
    arguments: str
    table: str
    dataset: str
    treatment: str


def mlp_conditions() -> list[Condition]:
    found = []
    regularizers = {
        "None": "",
        "Dropout": "--dropout",
        "L1": "--l1 5e-5",
        # As the published runs: mixed, and trained again where the n-cut was near zero.
        "L2": "--l2 5e-5 --mixed-l2 --retrain-below 1",
    }
    for table, title, dataset in [
        ("A.5", "MNIST", "mnist"),
        ("A.6", "Fashion-MNIST", "fashion-mnist"),
    ]:
        found += [
            Condition(f"{dataset}-{name.lower()}", f"mlp {dataset} {arguments}", table, title, name)
            for name, arguments in regularizers.items()
        ]
        # As the text has it.
        arguments = f"mlp {dataset} --l2 5e-5 --retrain-below 1"
        found.append(Condition(f"{dataset}-l2-text", arguments, table, title, "L2"))
    for title, base in [("MNIST", "mnist"), ("Fashion-MNIST", "fashion")]:
        for kind in ("same", "diff"):
            name = f"{base}-halves-{kind}"
            found.append(Condition(name, f"mlp {name}", "A.7", title, kind))
    for treatment, dropout in [("None", ""), ("Dropout", "--dropout")]:
        arguments = f"mlp random-memorization --epochs 100 --pruning-epochs 100 {dropout}"
        name = f"random-memorization-{treatment.lower()}"
        found.append(Condition(name, arguments, "A.18", "random (3,000, memorization)", treatment))
    for treatment in ("None", "L1", "L2"):
        arguments = f"mlp-regression polynomials {regularizers[treatment]}"
        name = f"polynomials-{treatment.lower()}"
        found.append(Condition(name, arguments, "A.19", "polynomials", treatment))
    for table, treatment, dropout in [("A.20", "None", ""), ("A.21", "Dropout", "--dropout")]:
        found += [
            Condition(
                f"{name}-{treatment.lower()}", f"mlp {name} {dropout}", table, title, treatment
            )
            for name, title in [
                ("lines", "LINES"),
                ("lines-mnist", "LINES-MNIST"),
                ("lines-mnist-sep", "LINES-MNIST-SEP"),
            ]
        ]
    return found


def cnn_conditions() -> list[Condition]:
    return [
        Condition(
            f"small-cnn-{dataset}-{treatment.lower()}",
            f"small-cnn {dataset} {dropout}",
            table,
            title,
            treatment,
        )
        for table, title, dataset in [
            ("A.8", "MNIST", "mnist"),
            ("A.9", "Fashion-MNIST", "fashion-mnist"),
        ]
        for treatment, dropout in [("None", ""), ("Dropout", "--dropout")]
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--only", default="", help="conditions whose name has this word")
    parser.add_argument("--cnn", action="store_true", help="the small CNN, not the MLPs")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    conditions = cnn_conditions() if args.cnn else mlp_conditions()
    conditions = [c for c in conditions if args.only in c.name]
    if args.json is None:
        for condition in conditions:
            train(condition, args)
        return
    published = read_published()
    found = [described(condition, args, published) for condition in conditions]
    report = {
        "question": "Do networks trained here reach the published accuracies and n-cuts?",
        "conditions": [row for row in found if row["phases"]],
        "environment": environment(),
    }
    args.json.write_text(json.dumps(report, indent=1) + "\n")
    print_table(report["conditions"])


def words(condition: Condition) -> list[str]:
    network, dataset, *rest = shlex.split(condition.arguments)
    return ["train", "--network", network, "--dataset", dataset, *rest, "--measure"]


def train(condition: Condition, args: argparse.Namespace) -> None:
    arguments = [*words(condition), "--runs", str(args.runs)]
    print("$ clusterability", shlex.join(arguments), flush=True)
    status = command([*arguments, "--out", str(args.out), "--data-dir", str(args.data_dir)])
    if status:
        print(f"{condition.name} ended with {status}", flush=True)


def read_published() -> dict[tuple[str, str, str, str], dict[str, str]]:
    with PUBLISHED.open() as file:
        return {
            (row["table"], row["dataset"], row["treatment"], row["phase"]): row
            for row in csv.DictReader(file)
        }


def described(condition: Condition, args: argparse.Namespace, published: dict) -> dict:
    runs = finished_runs(condition, args)
    phases = {}
    for phase in ("unpruned", "pruned"):
        rows = [described_run(run, phase) for run in runs]
        if rows:
            key = (condition.table, condition.dataset, condition.treatment, phase)
            phases[phase] = {
                "mean": means(rows),
                "published": numbers(published.get(key, {})),
                "runs": rows,
            }
    return {
        "condition": condition.name,
        "table": condition.table,
        "command": shlex.join(["clusterability", *words(condition), "--runs", str(len(runs))]),
        "phases": phases,
    }


def finished_runs(condition: Condition, args: argparse.Namespace) -> list[TrainedRun]:
    from clusterability.cli import command_parser
    from clusterability.cli.train import _spec

    found = []
    for seed in range(args.runs):
        spec = _spec(command_parser().parse_args([*words(condition), "--seed", str(seed)]))
        folder = args.out / spec.name
        if (folder / "run.json").exists():
            run = TrainedRun.from_json((folder / "run.json").read_text(), folder)
            if all(measurement(run, phase) for phase in run.phases):
                found.append(run)
    return found


def described_run(run: TrainedRun, phase: str) -> dict:
    scores, found = run.phases[phase], measurement(run, phase)
    assert found is not None
    assert found.plain.null is not None
    assert found.refined.null is not None
    return {
        "seed": run.spec.seed,
        "ncut": found.plain.ncut,
        "null_mean": found.plain.null.mean,
        "null_std": found.plain.null.std,
        "p_value": found.plain.p_value,
        "z_score": found.plain.z_score,
        "effective_clusters": found.plain.effective_clusters,
        "refined_ncut": found.refined.ncut,
        "refined_null_mean": found.refined.null.mean,
        "refined_null_std": found.refined.null.std,
        "refined_p_value": found.refined.p_value,
        "train_accuracy": scores.train_accuracy,
        "test_accuracy": scores.test_accuracy,
        "train_loss": scores.train_loss + scores.penalty,
        "test_loss": None if scores.test_loss is None else scores.test_loss + scores.penalty,
        "sparsity": scores.sparsity,
        "attempts": len(run.attempts) + 1,
        "threads": run.machine["threads"],
        "seconds": run.machine["seconds"],
    }


def means(rows: list[dict]) -> dict:
    names = ["ncut", "null_mean", "null_std", "refined_ncut", "refined_null_mean"]
    names += ["train_accuracy", "test_accuracy", "train_loss", "test_loss"]
    found = {
        name: statistics.fmean(row[name] for row in rows)
        for name in names
        if all(row[name] is not None for row in rows)
    }
    found["ncut_std"] = statistics.pstdev(row["ncut"] for row in rows)
    for kind in ("", "refined_"):
        found[f"{kind}n_significant"] = sum(row[f"{kind}p_value"] < 0.02 for row in rows)
    return {**found, "n_runs": len(rows)}


def numbers(row: dict[str, str]) -> dict:
    skipped = ("table", "dataset", "treatment", "phase")
    return {name: float(v) for name, v in row.items() if name not in skipped and v}


def print_table(conditions: list[dict]) -> None:
    """The means as Markdown, published ones in brackets."""
    print("| table | condition | | n-cut | of shuffles | below all 50 | test accuracy or loss |")
    print("|---|---|---|---|---|---|---|")
    for row in conditions:
        for phase, found in row["phases"].items():
            ours, paper = found["mean"], found["published"]
            is_loss = "test_accuracy" not in ours
            test, digits = ("test_loss", 3) if is_loss else ("test_accuracy", 3)
            cells = [
                row["table"],
                row["condition"],
                phase,
                f"{ours['ncut']:.3f}{_of(paper, 'ncut', 3)}",
                f"{ours['null_mean']:.3f}{_of(paper, 'null_mean', 3)}",
                f"{ours['n_significant']} of {ours['n_runs']}{_significant(paper)}",
                f"{ours[test]:.{digits}f}{_of(paper, test, digits)}" if test in ours else "",
            ]
            print(f"| {' | '.join(cells)} |")


def _significant(paper: dict) -> str:
    if "n_significant" not in paper:
        return ""
    return f" ({paper['n_significant']:.0f} of {paper['n_runs']:.0f})"


def _of(paper: dict, name: str, digits: int) -> str:
    return f" ({paper[name]:.{digits}f})" if name in paper else ""


if __name__ == "__main__":
    main()
