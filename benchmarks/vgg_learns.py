"""Does the VGG learn, and is it pruned to 90 %, where there is time for an epoch or two only?

    python benchmarks/vgg_learns.py --data-dir DATA [--samples 10000] [--json PATH]

Fashion-MNIST with a border of zeros in three equal channels, so that its images have the size of
CIFAR-10's: two epochs and one with pruning, with dropout, augmented, batches of 32. This shows that
the network, its dropout, the augmentation and the pruning work together; it says nothing about the
published accuracies, which took 250 epochs on CIFAR-10.
"""

import argparse
import dataclasses
import json
import tempfile
from pathlib import Path

import numpy as np

from clusterability.datasets import Split, dataset_from_arrays, load_dataset
from clusterability.experiments.environment import environment
from clusterability.training import TrainingSpec, train
from clusterability.training.measured import measure_runs, measurement


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--data-dir", type=Path)
    parser.add_argument("--samples", type=int, default=10_000)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    data = load_dataset("fashion-mnist", data_dir=args.data_dir)
    x, y = in_color(data.train, args.samples)
    test_x, test_y = in_color(data.test, args.samples // 5)
    spec = TrainingSpec(
        *("vgg", "fashion-mnist-in-color"),
        dropout=True,
        augment=True,
        epochs=2,
        pruning_epochs=1,
        batch_size=32,
    )
    with tempfile.TemporaryDirectory() as out:
        run = train(spec, data=dataset_from_arrays(x, y, test_x, test_y), out=out, progress=True)
        measure_runs([run])
        ncuts = {phase: measurement(run, phase).plain.ncut for phase in run.phases}
    for row in run.curves:
        print(
            f"{row.phase} {row.epoch}: train {row.train_accuracy:.4f}, test {row.test_accuracy:.4f}"
        )
    report = {
        "question": "Does the VGG learn?",
        "samples": args.samples,
        "curves": [dataclasses.asdict(row) for row in run.curves],
        "ncut": ncuts,
        "machine": run.machine,
        "environment": environment(),
    }
    if args.json:
        args.json.write_text(json.dumps(report, indent=2) + "\n")


def in_color(split: Split, n_samples: int) -> tuple[np.ndarray, np.ndarray]:
    x = np.pad(split.x[:n_samples], ((0, 0), (0, 0), (2, 2), (2, 2)))
    return np.repeat(x, 3, axis=1), split.y[:n_samples]


if __name__ == "__main__":
    main()
