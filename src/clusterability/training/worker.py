"""A process that trains the runs that it reads from its standard input, one after the other."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from clusterability.datasets import Dataset, Split
from clusterability.files.checks import explain_damage
from clusterability.files.npz import read_npz
from clusterability.processes import serve
from clusterability.training.folders import RunFolder
from clusterability.training.machine import Machine
from clusterability.training.memory import explain_lack_of_memory
from clusterability.training.samples import Data, place
from clusterability.training.spec import TrainingSpec
from clusterability.training.training import PausedError, Training


def main() -> None:
    """Read the data set from the file that the first line names, then train a run for each line."""
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    data: list[Data] = []

    def answer(message: dict[str, Any]) -> dict[str, Any]:
        with explain_lack_of_memory():
            if not data:
                data.append(_read_data(message))
                return {}
            try:
                _train(message, data[0])
            except PausedError:
                return {"finished": False}
            return {"finished": True}

    serve(answer)


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
