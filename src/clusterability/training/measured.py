"""How clusterable trained networks are, beside their weights."""

from __future__ import annotations

from collections.abc import Sequence

from clusterability.errors import InputError
from clusterability.measuring import measure
from clusterability.output import write_whole
from clusterability.result import Clusterability
from clusterability.shown import shown
from clusterability.training.record import TrainedRun, measurement_path


def measure_runs(
    runs: Sequence[TrainedRun],
    *,
    n_shuffles: int = 50,
    workers: int | None = None,
    device: str = "auto",
    progress: bool = False,
) -> None:
    """Measure the network of each phase of each run, and write PHASE-clusterability.json.

    With the paper's settings, the run's seed, and the paper's norm. What has been measured is not
    measured again.

    Raises:
        InputError: if a network has too few connected neurons, or a file cannot be written.
    """
    for run in runs:
        for phase in run.phases:
            if measurement(run, phase) is None:
                result = measure(
                    run.network(phase),
                    n_shuffles=n_shuffles,
                    seed=run.spec.seed,
                    workers=workers,
                    device=device,
                    progress=progress,
                    name=f"{run.spec.name}/{phase}",
                )
                path = measurement_path(run.folder, phase)
                write_whole(path, (result.to_json() + "\n").encode())


def measurement(run: TrainedRun, phase: str) -> Clusterability | None:
    """What was measured of a phase, or None.

    Raises:
        InputError: if its file is damaged.
    """
    path = measurement_path(run.folder, phase)
    if not path.exists():
        return None
    try:
        return Clusterability.from_json(path.read_text(encoding="utf-8", errors="replace"))
    except (InputError, OSError) as error:
        raise InputError(
            f"'{shown(str(path), 200)}' cannot be read ({error}); remove it to measure again"
        ) from None
