"""How long a task takes: learned from what is finished here, before that from what was seen."""

from __future__ import annotations

import json
import statistics
from contextlib import suppress
from pathlib import Path
from typing import Any

from clusterability.arguments import number, whole
from clusterability.datasets import DATASETS
from clusterability.errors import InputError
from clusterability.experiments.store import MEASUREMENTS, Fields, Store, Task, parse_object
from clusterability.experiments.tasks import Measure, MeasureNew, Train
from clusterability.training import TrainingSpec
from clusterability.training.record import read_beside

SECONDS_PER_EPOCH = {
    "mlp": 1.1,
    "mlp-regression": 1.5,
    "small-mlp": 0.5,
    "small-cnn": 111.0,
    "vgg": 539.0,
}
"""For 60,000 samples (50,000 of the VGG), one thread of a server of 2023, if nothing is known."""

PENALTY_FACTOR = 2.5
"""Of a step with the eigenvalue penalty."""

SECONDS_PER_GRAPH = {"small-mlp": 0.03, "small-cnn": 0.05, "vgg": 1.0}
"""For one graph, observed or shuffled, if nothing is known; 0.15 for others."""


SECONDS_PER_FILE = 120.0
"""For a network trained by others, with its shuffles."""


class Estimates:
    """Seconds of each kind of task.

    Args:
        store: whose finished tasks are looked at, once.
    """

    def __init__(self, store: Store) -> None:
        self._training: dict[str, list[float]] = {}
        self._measuring: dict[str, list[float]] = {}
        # A damaged record is told of when it is needed.
        for path in sorted(store.runs.glob("*/run.json")):
            with suppress(InputError, LookupError, TypeError, AttributeError, ArithmeticError):
                self._learn(_read(path), path.parent)

    def _learn(self, record: Fields, folder: Path) -> None:
        fields = record["spec"]
        n_epochs = fields["epochs"] + (fields["pruning_epochs"] or 0)
        n_epochs = whole("epochs", n_epochs, 1) * (len(record["attempts"]) + 1)
        for kind in _kinds(fields):
            seconds = _seconds(record["machine"]["seconds"]) / n_epochs
            self._training.setdefault(kind, []).append(seconds)
        for path in folder.glob(MEASUREMENTS):
            measured = _read(path)
            n_graphs = whole("n_shuffles", measured["settings"]["n_shuffles"], 0) + 1
            seconds = _seconds(measured["seconds"]["total"]) / n_graphs
            self._measuring.setdefault(fields["network"], []).append(seconds)

    def of(self, task: Task) -> float:
        """Return the seconds that a task takes, about."""
        if isinstance(task, Train):
            return self._train(task.spec)
        if isinstance(task, Measure):
            return self._graph(task.spec.network) * (task.settings.n_shuffles + 1)
        if isinstance(task, MeasureNew):
            return self._graph(task.network) * task.n_networks
        return SECONDS_PER_FILE

    def _train(self, spec: TrainingSpec) -> float:
        n_epochs = sum(spec.phase_epochs(phase) for phase in range(len(spec.phases)))
        for kind in _kinds(spec.to_dict()):
            if kind in self._training:
                return n_epochs * statistics.median(self._training[kind])
        n_samples = DATASETS[spec.dataset].n_train if spec.dataset in DATASETS else 60_000
        seconds = SECONDS_PER_EPOCH.get(spec.network, 10.0) * n_samples / 60_000
        return n_epochs * seconds * (PENALTY_FACTOR if spec.eigenvalue_penalty else 1)

    def _graph(self, network: str) -> float:
        if network in self._measuring:
            return statistics.median(self._measuring[network])
        return SECONDS_PER_GRAPH.get(network, 0.15)


def _seconds(value: Any) -> float:
    return number("seconds", value, above=True)


def _read(path: Path) -> Fields:
    return read_beside(path, parse_object, "to do it again") or {}


def _kinds(fields: dict[str, Any]) -> list[str]:
    """Return the kinds of a training, the most alike first."""
    coarse = [fields["network"], fields["dataset"], fields["precision"]]
    penalties = ("eigenvalue_penalty", "normalize", "group_lasso", "partition_penalty")
    treatment = [fields["dropout"], fields["l1"], fields["l2"], *(fields[n] for n in penalties)]
    return [json.dumps(coarse + treatment), json.dumps(coarse)]
