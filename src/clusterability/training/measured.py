"""How clusterable trained networks are, beside their weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from clusterability.files.writing import write_whole
from clusterability.measuring import measure
from clusterability.result import Clusterability
from clusterability.settings import Settings
from clusterability.training.record import TrainedRun, measurement_path, read_beside


def measure_runs(
    runs: Sequence[TrainedRun],
    settings: Settings | None = None,
    *,
    workers: int | None = None,
    device: str = "auto",
    progress: bool = False,
) -> None:
    """Measure the network of each phase of each run, and write PHASE-clusterability.json.

    What has been measured with the same settings is not measured again; else its file is replaced.

    Args:
        runs: finished ones.
        settings: all but the seed, which is each run's own; by default the default ones.
        workers, device, progress: see :func:`clusterability.measure`.

    Raises:
        InputError: if a network has too few connected neurons, or a file cannot be written.
    """
    for run in runs:
        wanted = replace(settings or Settings(), seed=run.spec.seed)
        for phase in run.phases:
            found = measurement(run, phase)
            if found is None or found.settings != wanted:
                result = measure(
                    run.network(phase),
                    workers=workers,
                    device=device,
                    progress=progress,
                    name=f"{run.spec.name}/{phase}",
                    **wanted.choices(),
                )
                path = measurement_path(run.folder, phase)
                write_whole(path, (result.to_json() + "\n").encode())


def measurement(run: TrainedRun, phase: str) -> Clusterability | None:
    """What was measured of a phase, or None.

    Raises:
        InputError: if its file is damaged.
    """
    path = measurement_path(run.folder, phase)
    return read_beside(path, Clusterability.from_json, "to measure again")
