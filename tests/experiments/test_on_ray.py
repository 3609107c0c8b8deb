"""A Ray cluster of two nodes on one machine; one of them is killed.

A process that was part of a cluster cannot be forked any more, as other tests do: what connects to
one has a process of its own.
"""

import os
import signal
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import psutil
import pytest

from clusterability.errors import InputError
from clusterability.experiments import on_ray
from clusterability.experiments.reproducing import reproduce
from clusterability.experiments.store import MEASURES_VERSION, Store
from clusterability.experiments.tasks import Measure, Train
from forked import Forked
from reproduced import small_table, use_small

ray = pytest.importorskip("ray")

NAMES = ("table-x1.csv", "table-x1-networks.csv", "table-x1.md", "table-x1.tex")


@pytest.fixture(autouse=True)
def small(monkeypatch):
    use_small(monkeypatch)
    # Ray opens sockets and processes that it closes when they are collected.
    monkeypatch.setenv("RAY_DEDUP_LOGS", "0")


@contextmanager
def started_cluster():
    from ray.cluster_utils import Cluster

    # A node that is gone is missed sooner.
    checks = {"health_check_period_ms": 500, "health_check_failure_threshold": 2}
    head = {"num_cpus": 0, "include_dashboard": False, "_system_config": checks}
    found = Cluster(initialize_head=True, head_node_args=head)
    try:
        yield found
    finally:
        found.shutdown()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_a_node_that_is_killed_changes_nothing(tmp_path, monkeypatch):
    local, out = tmp_path / "local", tmp_path / "out"
    reproduce(["table-x1"], out=local, workers=1)
    # Nodes look for a file that is not there, as if the folder were on another machine.
    monkeypatch.setattr(on_ray, "_token", lambda _folder: _NoToken())
    in_its_own_process(lambda: reproduce_while_one_is_killed(out))
    for name in NAMES:
        assert (local / "published" / name).read_bytes() == (out / "published" / name).read_bytes()
    for path in (local / "runs").glob("*/*.safetensors"):
        assert path.read_bytes() == (out / "runs" / path.parent.name / path.name).read_bytes()


def in_its_own_process(check):
    with Forked(check) as process:
        process.wait(timeout=300)
        output = process.communicate()
    assert process.returncode == 0, output


def reproduce_while_one_is_killed(out):
    with started_cluster() as cluster:
        cluster.add_node(num_cpus=1)
        killed = threading.Thread(target=_kill_when_it_works, args=(cluster.add_node(num_cpus=1),))
        killed.start()
        found = reproduce(["table-x1"], out=out, ray=cluster.address)
        killed.join()
    return len(found.failed)


class _NoToken:
    def __enter__(self):
        return "nothing-of-this-name"

    def __exit__(self, *_):
        pass


def _kill_when_it_works(node):
    """Kill a node and its workers as soon as one of them is at a task."""
    deadline = time.monotonic() + 60
    while not _has_workers(node) and time.monotonic() < deadline:
        time.sleep(0.02)
    process = node.all_processes["raylet"][0].process
    children = psutil.Process(process.pid).children(recursive=True)
    os.kill(process.pid, signal.SIGKILL)
    for child in children:
        child.kill()


def _has_workers(node):
    process = psutil.Process(node.all_processes["raylet"][0].process.pid)
    return any("ray::_do" in " ".join(child.cmdline()) for child in process.children(True))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_an_address_that_does_not_answer(tmp_path, monkeypatch):
    monkeypatch.setattr(on_ray, "CONNECT_SECONDS", 1)

    def refused():
        with pytest.raises(InputError, match=r"the Ray cluster '127\.0\.0\.1:9' does not answer"):
            reproduce(["table-x1"], out=tmp_path, ray="127.0.0.1:9")
        return 0

    in_its_own_process(refused)


@pytest.mark.parametrize(
    ("answer", "message"),
    [(None, "timed out"), (b"SSH-2.0-x\r\n", "no node of Ray"), (b"", "no node of Ray")],
)
def test_an_address_that_is_silent_or_of_another_server(monkeypatch, answer, message):
    monkeypatch.setattr(on_ray, "CONNECT_SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as server, ThreadPoolExecutor(1) as pool:
        accepted = pool.submit(answer_once, server, answer)
        with pytest.raises(OSError, match=message):
            on_ray._knock(*server.getsockname())
        accepted.result().close()


def answer_once(server, answer):
    connection = server.accept()[0]
    if answer is not None:
        connection.recv(100)
        connection.sendall(answer)
        connection.shutdown(socket.SHUT_WR)
    return connection


def test_without_the_package_the_extra_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "ray", None)
    with pytest.raises(InputError, match=r"pip install 'clusterability\[ray\]'"):
        reproduce(["table-x1"], out=tmp_path, ray="auto")


@pytest.mark.slow
def test_files_that_a_node_needs_and_makes(tmp_path):
    store, table = Store(tmp_path / "a"), small_table()
    reproduce(["table-x1"], out=store.folder, n_runs=1, workers=1)
    spec = table.lines[1].spec_of("published", 0)
    task = Measure(spec, "pruned", table.settings("published", 0))
    assert on_ray._needed_files(Train(spec), store) == {}
    files = on_ray._needed_files(task, store)
    assert sorted(files) == [f"runs/{spec.name}/pruned.safetensors", f"runs/{spec.name}/run.json"]
    answer = on_ray._do(task.to_dict(), {}, str(tmp_path / "other"), "token", files)
    (name,) = answer["files"]
    assert name == f"runs/{spec.name}/pruned-{task.settings.digest}-v{MEASURES_VERSION}.json"
    other = Store(tmp_path / "b")
    assert on_ray._take(answer, other) is False
    assert task.is_done(other)
    # A node that sees the folder works in it, and sends nothing.
    with on_ray._token(store.folder) as token:
        seen = on_ray._do(task.to_dict(), {}, str(store.folder), token, {})
    assert seen == {"busy": False, "files": {}}
    assert not list(store.folder.glob(".shared-*"))
    failed = on_ray._do(Measure(spec, "pruned", task.settings).to_dict(), {}, "/nowhere", "", {})
    assert failed["error"] == "InputError"
    with pytest.raises(InputError, match="is not trained yet"):
        on_ray._take(failed, other)
