"""A process that does the tasks that it reads from its standard input, one after the other."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from clusterability.experiments.store import BusyError, Store, Where
from clusterability.experiments.tasks import task_from_dict
from clusterability.processes import serve
from clusterability.training.memory import explain_lack_of_memory
from clusterability.workers import single_threaded_libraries


def main() -> None:
    """Do each task on one thread, and answer whether another process had it."""
    torch.set_num_threads(1)
    with single_threaded_libraries():
        serve(answer)


def answer(message: dict[str, Any]) -> dict[str, Any]:
    """Do the task of a message, and say whether another process is at it."""
    task = task_from_dict(message["task"])
    try:
        with explain_lack_of_memory():
            task.do(Store(Path(message["folder"])), Where(**message["where"]))
    except BusyError:
        return {"busy": True}
    return {"busy": False}


if __name__ == "__main__":
    main()
