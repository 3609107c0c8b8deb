import platform

import pytest
import torch

from clusterability.errors import InputError
from clusterability.training import machine
from clusterability.training.machine import Machine, describe_machine, warn_if_emulated

CPU = torch.device("cpu")


def test_arguments_are_checked():
    assert Machine.from_arguments("cpu", None, 3, True) == Machine(CPU, None, 3, True)
    for arguments, words in (
        (("gpu", 1, 1), "device is 'gpu'"),
        (("cpu", 0, 1), "threads is 0"),
        (("cpu", 1, 0), "workers is 0"),
    ):
        with pytest.raises(InputError, match=words):
            Machine.from_arguments(*arguments, False)


def test_description():
    found = describe_machine(CPU, 2, 1.23456)
    assert (found["device"], found["threads"], found["seconds"]) == ("cpu", 2, 1.235)
    assert (found["torch"], found["python"]) == (torch.__version__, platform.python_version())


def test_bfloat16_on_a_processor_without_it_is_told(monkeypatch):
    monkeypatch.setattr(machine, "has_bfloat16", lambda: False)
    with pytest.warns(RuntimeWarning, match="no instructions for bfloat16"):
        warn_if_emulated("bfloat16", CPU)
    for precision, device in (("float32", CPU), ("bfloat16", torch.device("meta"))):
        warn_if_emulated(precision, device)  # a warning would be an error
    monkeypatch.setattr(machine, "has_bfloat16", lambda: True)
    warn_if_emulated("bfloat16", CPU)
    assert isinstance(machine.has_bfloat16(), bool)
