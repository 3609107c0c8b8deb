import pytest
import torch

from clusterability.errors import RunError
from clusterability.training import running, train
from clusterability.training.memory import explain_lack_of_memory
from training_cases import few_digits, small_spec


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: 9 bytes\nmore"), "9 bytes"),
        (torch.OutOfMemoryError("CUDA out of memory. Tried\nmore"), "CUDA out of memory"),
        (MemoryError("Unable to allocate 9 TiB"), "Unable to allocate 9"),
        (MemoryError(), "out of memory"),
    ],
)
def test_a_lack_of_memory_is_one_sentence(error, reason):
    message = rf"not enough memory \(.*{reason}.*\); train fewer runs in a stack"
    with pytest.raises(RunError, match=message) as found, explain_lack_of_memory():
        raise error
    assert "\n" not in str(found.value)


@pytest.mark.parametrize("error", [RuntimeError("no such shape"), RunError("can't allocate")])
def test_other_errors_pass(error):
    with pytest.raises(type(error)) as found, explain_lack_of_memory():
        raise error
    assert found.value is error


def test_training_explains_it(tmp_path, monkeypatch):
    def fail(*_arguments):
        raise RuntimeError("can't allocate memory")

    monkeypatch.setattr(running, "place", fail)
    with pytest.raises(RunError, match="train fewer runs in a stack"):
        train(small_spec(), data=few_digits(), out=tmp_path, threads=1)
