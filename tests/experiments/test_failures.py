"""What goes wrong while tasks are done, and what is left of it."""

import csv
from pathlib import Path

import pytest

from clusterability.errors import InputError, RunError
from clusterability.experiments import reproducing, running
from clusterability.experiments.estimates import Estimates
from clusterability.experiments.imagenet import MeasureFile
from clusterability.experiments.reproducing import reproduce
from clusterability.experiments.running import Queue, do_tasks
from clusterability.experiments.store import PROBE_BYTES, Store, Where, can_be_written
from clusterability.experiments.tasks import Train
from clusterability.settings import Settings
from clusterability.training import TrainingSpec
from clusterability.training.record import read_beside
from reproduced import use_small


@pytest.fixture(autouse=True)
def small(monkeypatch):
    use_small(monkeypatch)


@pytest.mark.slow
def test_tables_hold_what_was_finished_before_a_process_died(tmp_path, monkeypatch):
    real = reproducing.run_locally

    def dies(queue, where, _, progress):
        queue.tasks = queue.tasks[:2]
        real(Queue(queue.tasks, queue.store, queue.estimates), where, 1, progress)
        raise RunError("a worker process died")

    monkeypatch.setattr(reproducing, "run_locally", dies)
    with pytest.raises(RunError, match="a worker process died"):
        reproduce(["table-x1"], out=tmp_path)
    text = (tmp_path / "published" / "table-x1-networks.csv").read_text()
    rows = list(csv.DictReader(text.splitlines()))
    assert len(rows) == 1
    assert rows[0]["device"] == "cpu"


def test_a_full_disk_ends_the_work(tmp_path, monkeypatch):
    tasks = [Train(TrainingSpec("small-mlp", "digits", seed=seed)) for seed in range(3)]
    store = Store(tmp_path)
    full = "cannot write 'run.json': No space left on device"
    tried = []

    def fails(task):
        tried.append(task)
        raise InputError(full)

    queue = Queue(tasks, store, Estimates(store))
    do_tasks(queue, fails)
    assert len(tried) == 3  # the folder can be written: the tasks have nothing to do with another
    monkeypatch.setattr(running, "can_be_written", lambda _: False)
    queue, tried[:] = Queue(tasks, store, Estimates(store)), []
    do_tasks(queue, fails)
    assert len(tried) == 1
    assert queue.failed == dict.fromkeys((task.key for task in tasks), full)


def test_a_folder_is_probed_by_writing(tmp_path, monkeypatch):
    assert can_be_written(tmp_path)
    assert list(tmp_path.iterdir()) == []
    assert not can_be_written(tmp_path / "none")
    if Path("/dev/full").exists():
        path_type = type(tmp_path)
        real = path_type.write_bytes

        def on_a_full_disk(path, content):
            real(path, b"")
            assert len(content) == PROBE_BYTES
            return real(path_type("/dev/full"), content)

        monkeypatch.setattr(path_type, "write_bytes", on_a_full_disk)
        assert not can_be_written(tmp_path)
        assert list(tmp_path.iterdir()) == []


def test_a_record_larger_than_memory_is_refused(tmp_path):
    path = tmp_path / "run.json"
    with path.open("wb") as file:
        file.truncate(2**42)
    with pytest.raises(InputError, match=r"more than the .* of memory available"):
        read_beside(path, str, "to train again")


def test_the_file_that_was_named_last_is_shown(tmp_path):
    from clusterability import measure, toy

    store = Store(tmp_path / "out")
    (store.folder / "files").mkdir(parents=True)
    tasks = []
    for name in ("a", "b"):
        path = tmp_path / f"vgg16-{name}.pth"
        path.write_text(name)
        task = MeasureFile("VGG-16", str(path), "published")
        result = measure(toy.planted_mlp(), 2, 0, name=name, conventions="published")
        store.file_result_path(task.key).write_text(result.to_json())
        tasks.append(task)
    for task in (*tasks, tasks[0]):
        task.mark_as_chosen(store)
        first = store.file_results("VGG-16", "published")[0]
        assert first.network == Path(task.path).name[6]
    assert isinstance(tasks[0].settings, Settings)
    earlier_version = store.folder / f"{tasks[0].key}.json"
    store.file_result_path(tasks[0].key).rename(earlier_version)
    store.file_result_path(tasks[1].key).unlink()
    assert not store.file_results("VGG-16", "published")
    assert not tasks[0].is_done(store)


def test_links_to_nothing_among_the_records_hold_nothing(tmp_path):
    store = Store(tmp_path)
    (tmp_path / "files").mkdir()
    store.file_result_path("files/vgg-16-0").symlink_to(tmp_path / "gone.json")
    assert store.file_results("VGG-16", "published") == []


def test_what_is_no_folder_cannot_be_written(tmp_path):
    (tmp_path / "file").touch()
    assert not can_be_written(tmp_path / "file")
    assert not can_be_written(tmp_path / "gone")


def test_paths_on_other_machines_are_whole(tmp_path, monkeypatch):
    from clusterability.experiments.imagenet import file_tasks

    monkeypatch.chdir(tmp_path)
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights" / "vgg16-1.pth").write_text("1")
    (task,) = file_tasks(["VGG-16"], "weights", "published")
    assert task.path == str(tmp_path / "weights" / "vgg16-1.pth")
    seen = []
    monkeypatch.setattr(reproducing, "run_locally", lambda _, where, *__: seen.append(where))
    reproduce(["table-x1"], out=tmp_path / "out", data_dir="weights", hours=0)
    assert seen == [Where(str(tmp_path / "weights"), "cpu")]
