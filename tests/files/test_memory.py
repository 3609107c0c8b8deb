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


def group(folder, limit, used, stat):
    folder.mkdir(exist_ok=True)
    names = ("memory.max", "memory.current", "memory.stat")
    for name, content in zip(names, (limit, used, stat), strict=True):
        (folder / name).write_text(content)


def test_the_limit_of_a_container_holds(tmp_path):
    group(tmp_path, "3000000\n", "2000000\n", "anon 1500000\ninactive_file 500000\n")
    assert memory.available_memory(tmp_path) == 1_500_000
    group(tmp_path, "1000\n", "2000\n", "inactive_file 0\n")
    assert memory.available_memory(tmp_path) == 0


@pytest.mark.parametrize("limit", ["max\n", ""])
def test_a_container_without_a_limit(tmp_path, limit):
    group(tmp_path, limit, "2000000\n", "inactive_file 0\n")
    assert memory.available_memory(tmp_path) > 2_000_000


def test_the_older_files_of_a_container(tmp_path):
    (tmp_path / "memory").mkdir()
    for name, content in (
        ("memory.limit_in_bytes", "5000"),
        ("memory.usage_in_bytes", "3000"),
        ("memory.stat", "inactive_file 1000"),
    ):
        (tmp_path / "memory" / name).write_text(content)
    assert memory.available_memory(tmp_path) == 3000
