"""Which order of pruning, and which rate of dropout, did the published networks have?

    python benchmarks/pruning_orders.py [--runs 2] [--out runs] [--data-dir DIR] [--json PATH]

Trains MLPs of tables A.5 to A.7, A.18, A.19 and A.21 in both orders of ``--pruning-order``, those
that memorize random images with both rates of dropout too, and measures the pruned ones by the
published conventions. Runs that the folder has are not trained again.
"""

import argparse
import json
from dataclasses import replace
from pathlib import Path
from statistics import fmean

from clusterability import measure
from clusterability.experiments.environment import environment
from clusterability.experiments.tables import FASHION, MNIST, TABLES
from clusterability.training import TrainingSpec, train

PUBLISHED = {
    (table.number, line.dataset, line.treatment): line.spec_of("published", 0)
    for table in TABLES.values()
    for line in table.lines
    if line.condition is not None
}
MEMORIZED = "random (3,000, memorization)"
DROPPED = PUBLISHED["A.18", MEMORIZED, "Dropout"]

CONDITIONS = {
    "A.5, MNIST, None": PUBLISHED["A.5", MNIST, "None"],
    "A.5, MNIST, L2": PUBLISHED["A.5", MNIST, "L2"],
    "A.6, Fashion-MNIST, None": PUBLISHED["A.6", FASHION, "None"],
    "A.7, MNIST, same": PUBLISHED["A.7", MNIST, "same"],
    "A.18, None": PUBLISHED["A.18", MEMORIZED, "None"],
    "A.18, Dropout, rate 0.5": replace(DROPPED, dropout_rate=None),
    "A.18, Dropout, rate 0.2": DROPPED,
    "A.19, None": PUBLISHED["A.19", "polynomials", "None"],
    "A.21, LINES, Dropout": PUBLISHED["A.21", "LINES", "Dropout"],
    "A.21, LINES-MNIST, Dropout": PUBLISHED["A.21", "LINES-MNIST", "Dropout"],
}
ORDERS = ("strict", "loose")


def pruned_network(spec: TrainingSpec, arguments: argparse.Namespace) -> dict[str, float | None]:
    """Return the scores of the last epoch of a run, and the n-cuts of its pruned network."""
    run = train(spec, out=arguments.out, data_dir=arguments.data_dir, device="cpu", threads=1)
    found = measure(run.network("pruned"), conventions="published", seed=spec.seed, workers=1)
    last = run.curves[-1]
    return {
        "seed": spec.seed,
        "train_loss": last.train_loss,
        "train_accuracy": last.train_accuracy,
        "test_loss": last.test_loss,
        "test_accuracy": last.test_accuracy,
        "ncut": found.ncut,
        "null_mean": float(found.null_distribution.mean()),
        "p_value": found.p_value,
    }


def main() -> None:
    """Train, measure, and print the means of each condition."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=2)
    parser.add_argument("--out", type=Path, default=Path("runs"))
    parser.add_argument("--data-dir", type=Path)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    results = []
    for name, spec in CONDITIONS.items():
        for order in ORDERS:
            specs = [replace(spec, pruning_order=order, seed=i) for i in range(arguments.runs)]
            rows = [pruned_network(one, arguments) for one in specs]
            results.append({"condition": name, "order": order, "networks": rows})
            means = {
                key: fmean(row[key] for row in rows)
                for key in ("train_loss", "train_accuracy", "ncut", "null_mean")
                if rows[0][key] is not None
            }
            print(
                name, order, {key: float(f"{mean:.4g}") for key, mean in means.items()}, flush=True
            )
    if arguments.json:
        report = {"environment": environment(), "runs": arguments.runs, "results": results}
        arguments.json.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
