"""Evaluations of graphs that are finished, kept in a file, so that an interrupted call goes on."""

from __future__ import annotations

import hashlib
import json
import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

import numpy as np
import torch
from filelock import FileLock, Timeout
from numpy.typing import NDArray

from clusterability._version import __version__
from clusterability.clustering.refinement import Refined
from clusterability.errors import InputError
from clusterability.evaluation import Draw, Evaluation
from clusterability.files.checks import check_regular
from clusterability.files.memory import check_fits
from clusterability.graph import NeuronGraph
from clusterability.settings import Settings
from clusterability.shown import described, show_path

NO_LABELS = np.zeros(0, np.int32)
"""Of a shuffle that is read back: nothing of it but its n-cuts is asked for."""

_DAMAGE = (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError)


class JournalError(InputError):
    """Finished graphs cannot be kept or read, which is no fault of the network."""


class Journal:
    """Finished evaluations of one graph, a line of JSON each, to which more are added.

    Lines are added by many threads, one at a time. A line that a killed process left without its
    end is forgotten. Each begins with a checksum of itself and the file's name, so that no line
    counts that has changed, or is of another graph.

    Args:
        path: of the file; None to keep nothing.
        n_labels: number of neurons that are clustered.
        each: the settings with which each graph is evaluated.
    """

    def __init__(self, path: Path | None, n_labels: int, each: Sequence[Settings]) -> None:
        self._n_labels, self._each = n_labels, each
        self._lock = threading.Lock()
        self._path = path
        self._file: IO[bytes] | None = None
        self._found: dict[str, list[Evaluation]] = {}
        if path is not None:
            self._found = self._read(path)
            self._file = _appended(path)

    def find(self, draw: Draw) -> list[Evaluation] | None:
        """Return the evaluations of a draw, one for each of the settings; None if it has none."""
        return self._found.get(_key(draw))

    def add(self, draw: Draw, evaluations: Sequence[Evaluation]) -> None:
        """Keep the evaluations of a draw.

        Raises:
            InputError: if the file cannot be written.
        """
        self._found[_key(draw)] = list(evaluations)
        if self._file is None or self._path is None:
            return
        line = {"draw": _key(draw), "found": [_to_dict(e, draw.shuffled) for e in evaluations]}
        content = signed(self._path, json.dumps(line, separators=(",", ":")).encode()) + b"\n"
        with self._lock:
            if self._file.closed:  # after an interrupt or a failure, other threads come to an end
                return
            try:
                self._file.write(content)
                self._file.flush()
            except OSError as error:
                self._close()
                raise _refusal(self._path, error) from None

    def close(self) -> None:
        """Close the file; nothing is kept any more."""
        with self._lock:
            self._close()

    def _close(self) -> None:
        if self._file is not None:
            with suppress(OSError):  # what could not be written is tried again
                self._file.close()

    def _read(self, path: Path) -> dict[str, list[Evaluation]]:
        if not path.exists():
            return {}
        check_regular(path)
        try:
            # Labels take more memory as Python objects than as text.
            check_fits(show_path(path), 8 * path.stat().st_size)
            content = path.read_bytes()
        except OSError as error:
            raise _refusal(path, error) from None
        lines = content.split(b"\n")
        found = {}
        for number, line in enumerate(lines[:-1], 1):
            try:
                key, evaluations = self._parse(json.loads(_verified(path, line)))
            except _DAMAGE:
                raise JournalError(
                    f"line {number} of {show_path(path)} is damaged; remove the file, and what it "
                    "keeps is computed again"
                ) from None
            found[key] = evaluations
        if lines[-1]:
            _truncate(path, len(content) - len(lines[-1]))
        return found

    def _parse(self, line: Any) -> tuple[str, list[Evaluation]]:
        key, found = line["draw"], line["found"]
        if not isinstance(key, str) or len(found) != len(self._each):
            raise ValueError
        shuffled = key.endswith("shuffled")
        pairs = zip(found, self._each, strict=True)
        return key, [self._from_dict(data, one.n_clusters, shuffled) for data, one in pairs]

    def _from_dict(self, data: Any, n_clusters: int, shuffled: bool) -> Evaluation:
        seconds = {str(step): _number(spent) for step, spent in data["seconds"].items()}
        labels = refined_labels = NO_LABELS
        if not shuffled:
            labels = self._labels(data["labels"], n_clusters)
            refined_labels = self._labels(data["refined_labels"], n_clusters)
        refined = Refined(_number(data["ncut"]), _number(data["refined_ncut"]), refined_labels)
        return Evaluation(labels, refined, seconds)

    def _labels(self, data: Any, n_clusters: int) -> NDArray[np.int32]:
        labels = np.array(data)
        if labels.shape != (self._n_labels,) or labels.dtype != np.int64:
            raise ValueError
        if labels.min() < -1 or labels.max() >= n_clusters:
            raise ValueError
        return labels.astype(np.int32)


@contextmanager
def opened_journal(
    folder: str | os.PathLike[str] | None,
    graph: NeuronGraph,
    each: Sequence[Settings],
    device: str,
    n_labels: int,
) -> Iterator[Journal]:
    """Open the journal of a graph and settings, whose file is named by a hash of both.

    Neither the number of shuffles nor the seed is part of the hash: more of them, or others, find
    what is there.

    Args:
        folder: holds the files; None to keep nothing.
        graph: what is evaluated, as it is or shuffled.
        each: the settings, which differ in ``n_clusters`` alone.
        device: kind of device that evaluates. Others round differently, and a network is compared
            with shuffles that were made as it was.
        n_labels: number of neurons that are clustered, fewer than the graph's where layers are left
            out of a scaled graph.

    Raises:
        InputError: if the file is damaged, cannot be read or written, or another process has it.
    """
    if folder is None:
        yield Journal(None, n_labels, each)
        return
    check_folder(folder)
    name = _digest(graph, each, device)
    lock = FileLock(Path(folder) / f".{name}.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise JournalError(
            f"another process measures the same into {show_path(Path(folder))}; wait for it, or "
            "name another folder to resume from"
        ) from None
    except (OSError, NotImplementedError) as error:  # the latter where files have no locks
        raise _refusal(Path(folder), error) from None
    try:
        journal = Journal(Path(folder) / f"{name}.jsonl", n_labels, each)
        try:
            yield journal
        finally:
            journal.close()
    finally:
        lock.release()


def check_folder(folder: str | os.PathLike[str]) -> None:
    """Make the folder if there is none.

    Raises:
        InputError: if it cannot be made or written.
    """
    given = os.fspath(folder) if isinstance(folder, os.PathLike) else folder
    if not isinstance(given, str) or not given:
        raise InputError(f"resume is {described(folder)}, expected the path of a folder")
    path = Path(given)
    try:
        path.mkdir(parents=True, exist_ok=True)
        if not os.access(path, os.W_OK | os.X_OK):
            raise PermissionError(13, "the folder is read-only")
    except (OSError, ValueError) as error:  # the latter for characters that no path has
        raise _refusal(path, error) from None


def _refusal(path: Path, error: Exception) -> JournalError:
    reason = getattr(error, "strerror", None) or error
    return JournalError(
        f"cannot keep finished graphs in {show_path(path)} ({reason}); name another folder to "
        "resume from, or leave it out"
    )


def _appended(path: Path) -> IO[bytes]:
    try:
        return path.open("ab")
    except OSError as error:
        raise _refusal(path, error) from None


def signed(path: Path, content: bytes) -> bytes:
    """Return the content of a line after its checksum, which the name of the file is part of."""
    found = hashlib.sha256(path.name.encode() + content).hexdigest()[:16]
    return found.encode() + b" " + content


def _verified(path: Path, line: bytes) -> bytes:
    content = line.partition(b" ")[2]
    if signed(path, content) != line:
        raise ValueError
    return content


def _truncate(path: Path, n_bytes: int) -> None:
    try:
        os.truncate(path, n_bytes)
    except OSError as error:
        raise _refusal(path, error) from None


def _key(draw: Draw) -> str:
    kind = "shuffled" if draw.shuffled else "as it is"
    return f"{draw.seed.entropy} {list(draw.seed.spawn_key)} {kind}"


def _to_dict(evaluation: Evaluation, shuffled: bool) -> dict[str, Any]:
    refined = evaluation.refined
    data = {
        "ncut": refined.ncut,
        "refined_ncut": refined.refined_ncut,
        "seconds": evaluation.seconds,
    }
    if not shuffled:
        labels = evaluation.labels.tolist()
        data |= {"labels": labels, "refined_labels": refined.labels.tolist()}
    return data


def _number(value: Any) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool) or not np.isfinite(value):
        raise ValueError
    return float(value)


def _digest(graph: NeuronGraph, each: Sequence[Settings], device: str) -> str:
    """Return a hash of all on which evaluations depend but their random numbers."""
    choices = [
        {n: v for n, v in one.to_dict().items() if n not in ("n_shuffles", "seed")} for one in each
    ]
    parts = [b.part and (b.part.kernel, b.part.columns.tolist()) for b in graph.blocks]
    places = [
        (block.source, block.target, block.kernel, part)
        for block, part in zip(graph.blocks, parts, strict=True)
    ]
    shared = None if graph.shared_scale is None else graph.shared_scale.tolist()
    head = [__version__, device, choices, graph.layer_sizes, places, shared]
    found = hashlib.sha256(json.dumps(head, sort_keys=True).encode())
    for block in graph.blocks:
        strengths = block.strengths.detach()
        found.update(str(strengths.dtype).encode())
        for part in (strengths, block.support):
            if part is not None:
                found.update(part.cpu().contiguous().flatten().view(torch.uint8).numpy().data)
    return found.hexdigest()[:16]
