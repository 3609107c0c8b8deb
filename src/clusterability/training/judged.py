"""What the clusters of trained networks are worth, beside their weights."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch

from clusterability.datasets import Dataset, load_dataset
from clusterability.files.writing import write_whole
from clusterability.promoting import ClusterValidation, validate_clusters
from clusterability.training.drawing import tags_of_run
from clusterability.training.record import TrainedRun, read_beside, validation_path
from clusterability.training.samples import samples

N_LESIONED = 1000
"""Test samples on which lesions are judged, which takes seconds."""


def validate_runs(
    runs: Sequence[TrainedRun],
    *,
    data: Dataset | None = None,
    data_dir: str | Path | None = None,
    progress: bool = False,
) -> None:
    """Cut and lesion the clusters of runs that have some, and write PHASE-clusters.json.

    It is done on the test part of a classification; what has been done is not done again.

    Args:
        runs: finished ones, trained on the same data.
        data: in place of the data set that their spec names.
        data_dir, progress: see :func:`clusterability.datasets.load_dataset`.

    Raises:
        InputError: if a file cannot be read or written.
    """
    wanted = [
        (run, phase)
        for run in runs
        for phase in run.phases
        if run.spec.has_clusters and validation(run, phase) is None
    ]
    if not wanted:
        return
    if data is None:
        spec = wanted[0][0].spec
        data = load_dataset(spec.dataset, seed=spec.data_seed, data_dir=data_dir, progress=progress)
    if data.n_classes is None or data.test is None:
        return
    test = samples(data, data.test, torch.device("cpu"))
    for run, phase in wanted:
        found = validate_clusters(
            *(run.network(phase), tags_of_run(run), test.x, test.targets.argmax(1)),
            seed=run.spec.seed,
            n_lesioned=N_LESIONED,
        )
        write_whole(validation_path(run.folder, phase), (found.to_json() + "\n").encode())


def validation(run: TrainedRun, phase: str) -> ClusterValidation | None:
    """Return what was found of a phase's clusters, or None.

    Raises:
        InputError: if its file is damaged.
    """
    path = validation_path(run.folder, phase)
    return read_beside(path, ClusterValidation.from_json, "to judge again")
