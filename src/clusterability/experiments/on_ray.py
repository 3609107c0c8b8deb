"""Tasks are done on a Ray cluster; what a node that dies was at is done by another one.

A node that sees the driver's folder works in it. To another one the files that a task needs are
sent, and the files that it makes come back, so that no folder need be shared.
"""

from __future__ import annotations

import logging
import os
import secrets
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from types import ModuleType
from typing import Any

from clusterability.errors import InputError, RunError
from clusterability.experiments.running import Queue, do_tasks, shown_progress
from clusterability.experiments.store import Store, Task, Where
from clusterability.experiments.tasks import Measure
from clusterability.files.writing import write_whole
from clusterability.processes import work_in_all

CONNECT_SECONDS = 10
"""Time for an address to answer."""

HELLO = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes((0, 0, 0, 4, 0, 0, 0, 0, 0))
"""The start of an HTTP/2 connection (RFC 9113, section 3.4), of which Ray's are."""

FRAME_HEADER = 9
"""Bytes at the start of each frame, of which the fourth is the type."""

SETTINGS = 4
"""Type of the frame with which a server answers it."""

MAX_RETRIES = 10
"""How often a task is begun again whose node has died."""

Files = dict[str, bytes]
"""Contents by their paths in the folder of a store."""


def run_on_ray(queue: Queue, where: Where, address: str, progress: bool = False) -> None:
    """Do the tasks on a cluster; results are those of :func:`.run_locally`, byte for byte.

    Args:
        queue: of the tasks; afterwards :attr:`Queue.failed` has those that failed.
        where: how they use the machine; data sets lie in the same folder on all nodes.
        address: of the cluster, such as ``"10.0.0.1:6379"``, or ``"auto"``.
        progress: show a bar with the time that is left, if standard error is a terminal.

    Raises:
        InputError: if Ray is not installed or the address does not answer.
        RunError: if a task's nodes died again and again.
    """
    if not queue.count_waiting():
        return
    ray = _import_ray()
    with _connected(ray, address), _token(queue.store.folder) as token:
        remote = ray.remote(num_cpus=1, max_retries=MAX_RETRIES)(_do)
        n_threads = max(1, int(ray.cluster_resources().get("CPU", 1)))

        def do(task: Task) -> bool:
            files = _needed_files(task, queue.store)
            arguments = (task.to_dict(), asdict(where), str(queue.store.folder), token, files)
            try:
                answer = ray.get(remote.remote(*arguments))
            except ray.exceptions.RayError as error:
                raise RunError(
                    f"{task.key} could not be done on the cluster: "
                    f"{str(error).strip().splitlines()[0]}; what is finished is kept, so give the "
                    "same command again"
                ) from None
            return _take(answer, queue.store)

        with shown_progress(queue, progress):
            work_in_all(lambda *_: do_tasks(queue, do), range(n_threads))


def _import_ray() -> ModuleType:
    try:
        import ray
    except ImportError:
        raise InputError(
            "--ray needs the package ray, which is not installed; run pip install "
            "'clusterability[ray]'"
        ) from None
    found: ModuleType = ray
    return found


@contextmanager
def _connected(ray: ModuleType, address: str) -> Iterator[None]:
    """Join the cluster, and leave it at the end."""
    host, colon, port = address.rpartition(":")
    try:
        if colon and port.isdecimal() and "/" not in host:
            _knock(host.strip("[]"), int(port))
        ray.init(address, log_to_driver=False, logging_level=logging.ERROR)
    except (OSError, RuntimeError, ValueError, OverflowError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise InputError(
            f"the Ray cluster {address!r} does not answer ({reason}); start one with ray start "
            "--head, or leave out --ray"
        ) from None
    try:
        yield
    finally:
        ray.shutdown()


def _knock(host: str, port: int) -> None:
    """Wait for a server's first bytes: Ray itself waits minutes for one that is silent.

    Raises:
        OSError: if none answers in time, or the one that does cannot be Ray's.
    """
    with socket.create_connection((host, port), CONNECT_SECONDS) as connection:
        if os.environ.get("RAY_USE_TLS", "0").lower() in ("1", "true"):
            return  # it would wait for another greeting
        connection.sendall(HELLO)
        with connection.makefile("rb") as answer:
            frame = answer.read(FRAME_HEADER)
    if frame[3:4] != bytes((SETTINGS,)):
        raise OSError("what listens there is no node of Ray")


@contextmanager
def _token(folder: Path) -> Iterator[str]:
    """Put a random file into the folder, by which a node knows it; yield its name."""
    name = f".shared-{secrets.token_hex(16)}"
    write_whole(folder / name, b"")
    try:
        yield name
    finally:
        (folder / name).unlink(missing_ok=True)


def _needed_files(task: Task, store: Store) -> Files:
    """Return what a node needs that does not see the folder."""
    if not isinstance(task, Measure):
        return {}
    folder = store.runs / task.spec.name
    names = ("run.json", f"{task.phase}.safetensors")
    return {f"runs/{folder.name}/{name}": (folder / name).read_bytes() for name in names}


def _do(
    task: dict[str, Any], where: dict[str, Any], folder: str, token: str, files: Files
) -> dict[str, Any]:
    """Do a task on a node; return what a worker process answers, and the files that it made."""
    from clusterability.experiments.worker import answer
    from clusterability.workers import single_threaded_libraries

    message = {"task": task, "where": where}
    with single_threaded_libraries():
        try:
            if (Path(folder) / token).exists():
                return {**answer({**message, "folder": folder}), "files": {}}
            with tempfile.TemporaryDirectory(prefix="clusterability-") as own:
                _write(files, Path(own))
                found = answer({**message, "folder": own})
                return {**found, "files": _made(Path(own), files)}
        except (InputError, RunError, OSError) as error:
            kind = "InputError" if isinstance(error, InputError) else "RunError"
            return {"error": kind, "message": str(error)}


def _made(folder: Path, files: Files) -> Files:
    """Return the files that a task has made, without locks."""
    paths = [path for path in folder.rglob("*") if path.is_file()]
    named = {path.relative_to(folder).as_posix(): path for path in paths}
    return {
        name: path.read_bytes()
        for name, path in named.items()
        if name not in files and not path.name.startswith(".")
    }


def _write(files: Files, folder: Path) -> None:
    # The record is last, since a run with a record counts as finished.
    for name in sorted(files, key=lambda name: name.endswith("run.json")):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, files[name])


def _take(answer: dict[str, Any], store: Store) -> bool:
    """Write what came back, and return whether another process was at the task."""
    if "error" in answer:
        raise {"InputError": InputError, "RunError": RunError}[answer["error"]](answer["message"])
    _write(answer["files"], store.folder)
    return bool(answer["busy"])
