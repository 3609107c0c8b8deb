"""A process that trains the runs that it reads from its standard input, one after the other.

Two networks in two threads would take nearly as long as in turn: a step has dozens of operations,
and at each the threads pass on the interpreter's lock. The process is not one of
:mod:`multiprocessing`, so that a script that trains needs no ``if __name__ == "__main__"``.
"""

from __future__ import annotations

import json
import os
import queue
import signal
import sys
import threading
from pathlib import Path
from typing import Any

import torch

from clusterability.datasets import Dataset, Split
from clusterability.errors import InputError, RunError
from clusterability.files.checks import explain_damage
from clusterability.files.npz import read_npz
from clusterability.training.folders import RunFolder
from clusterability.training.machine import Machine
from clusterability.training.memory import explain_lack_of_memory
from clusterability.training.samples import Data, place
from clusterability.training.spec import TrainingSpec
from clusterability.training.training import PausedError, Training


def main() -> None:
    """Read the data set from the file that the first line names, then train a run for each line."""
    # The parent answers an interrupt; when it ends, the input ends, and with it this process.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    lines: queue.SimpleQueue[str] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(lines,), daemon=True).start()
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    data: Data | None = None
    while True:
        message = json.loads(lines.get())
        answer: dict[str, Any] = {"finished": True}
        try:
            with explain_lack_of_memory():
                if data is None:
                    data = _read_data(message)
                else:
                    _train(message, data)
        except PausedError:
            answer = {"finished": False}
        except InputError as error:
            answer = {"error": "InputError", "message": str(error)}
        except RunError as error:
            answer = {"error": "RunError", "message": str(error)}
        except OSError as error:
            answer = {"error": "OSError", "message": str(error)}
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


def _listen(lines: queue.SimpleQueue[str]) -> None:
    for line in sys.stdin:
        lines.put(line)
    # The last finished epoch is saved, and a file is written whole or not at all.
    os._exit(0)


def _read_data(message: dict[str, Any]) -> Data:
    path = Path(message["path"])
    with explain_damage(path):
        arrays = read_npz(path)
    train = Split(arrays["x"], arrays["y"])
    test = Split(arrays["test_x"], arrays["test_y"]) if "test_x" in arrays else None
    dataset = Dataset("data", train, test, message["n_classes"], message["reshuffled"])
    return place(dataset, torch.device("cpu"), message["digest"])


def _train(message: dict[str, Any], data: Data) -> None:
    spec = TrainingSpec.from_dict(message["spec"])
    # The parent holds the folder's lock.
    folder = RunFolder(Path(message["out"]), spec)
    machine = Machine(torch.device("cpu"), message["threads"], 1, message["progress"])
    training = Training([spec], [folder], data, machine, position=message["position"])
    training.train(message["max_epochs"])


if __name__ == "__main__":
    main()
