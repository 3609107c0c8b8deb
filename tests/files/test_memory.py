import pytest

from clusterability.errors import InputError
from clusterability.files import memory


def test_memory_available_is_plausible():
    available = memory.available_memory()
    assert available is None or 2**20 < available < 2**60


def test_the_check_compares(monkeypatch):
    monkeypatch.setattr(memory, "available_memory", lambda: 10**9)
    memory.check_fits("it", 10**9)
    with pytest.raises(InputError, match=r"it holds 1\.5 GB, more than the 1\.0 GB of memory"):
        memory.check_fits("it", 15 * 10**8)


def test_where_the_system_does_not_say_nothing_is_refused(monkeypatch):
    monkeypatch.setattr(memory, "available_memory", lambda: None)
    memory.check_fits("it", 10**30)
