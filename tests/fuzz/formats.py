"""The formats that are fuzzed: what reads each, and from which files damaged ones are made."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any

from clusterability import Clusterability
from clusterability.datasets.cifar import BINARY, CifarSet
from clusterability.datasets.cifar_pickles import read_batch
from clusterability.datasets.contents import read_contents
from clusterability.datasets.idx_files import parse_idx
from clusterability.datasets.own_data import dataset_from_npz
from clusterability.promoting.given_tags import given_tags
from clusterability.promoting.tags import whole_wiring
from clusterability.promoting.validated import ClusterValidation
from clusterability.reading.keras import read_keras
from clusterability.reading.onnx import read_onnx
from clusterability.reading.weights import read_weights
from clusterability.sources import trace
from clusterability.training.checkpoint import FILE, read_checkpoint
from clusterability.training.record import TrainedRun, measurement_path, read_beside
from fuzz import seeds
from fuzz.mutations import damaged_bytes, damaged_json
from fuzz.structures import Damage, in_archive, in_hdf5, in_header, in_message, in_pickle, otherwise


@dataclass(frozen=True)
class Format:
    """A kind of file.

    Attributes:
        name: of the format.
        file: name of the file, in a folder of its own.
        make: returns whole files.
        read: reads a file, all the way to what is used of it.
        damage: makes another file of one.
        beside: files that must lie in the same folder, by name.
    """

    name: str
    file: str
    make: Callable[[], Sequence[bytes]]
    read: Callable[[Path], Any]
    damage: Damage = damaged_bytes
    beside: Callable[[], dict[str, bytes]] = dict


def _traced(read: Callable[[Path], Any]) -> Callable[[Path], None]:
    """Read a model's file, and trace a few of those that can be read: tracing takes long."""

    def read_and_trace(path: Path) -> None:
        read(path)
        if hashlib.sha256(path.read_bytes()).digest()[0] < 4:
            trace(path)

    return read_and_trace


def _result(path: Path) -> None:
    found = Clusterability.from_json(path.read_text(encoding="utf-8", errors="replace"))
    str(found)
    Clusterability.from_json(found.to_json())


def _beside_run(path: Path) -> None:
    read_beside(path, Clusterability.from_json, "to measure again")


def _validation(path: Path) -> None:
    found = ClusterValidation.from_json(path.read_text(encoding="utf-8", errors="replace"))
    str(found)
    ClusterValidation.from_json(found.to_json())


@cache
def _wiring() -> Any:
    return whole_wiring(seeds.mlp(), None)[0]


def _tags(path: Path) -> None:
    given_tags(path, _wiring())


def _run(path: Path) -> None:
    text = path.read_text(encoding="utf-8", errors="replace")
    TrainedRun.from_json(text, path.parent).to_dict()


def _run_weights(path: Path) -> None:
    record = path.with_name("run.json")
    TrainedRun.from_json(record.read_text(encoding="utf-8"), path.parent).network("unpruned")


def _checkpoint(path: Path) -> None:
    found = read_checkpoint(path.parent, "digest")
    assert found is not None


def _idx(path: Path) -> None:
    parse_idx(bytearray(path.read_bytes()), path)


def _zipped_idx(path: Path) -> None:
    data = seeds.idx_files()[0]
    read_contents(path, len(data), hashlib.sha256(data).hexdigest())


def _cifar(path: Path) -> None:
    CifarSet("", "", seeds.N_IMAGES).read(path.parent)


def _cifar_pickle(path: Path) -> None:
    read_batch(path, seeds.N_IMAGES)


def _batches() -> dict[str, bytes]:
    return seeds.binary_batches(seeds.N_IMAGES)[0]


FORMATS = (
    Format("npz", "a.npz", seeds.npz, trace, otherwise(in_archive)),
    Format("npz, graph", "a.npz", seeds.matrices, trace, otherwise(in_archive)),
    Format("npz, data", "a.npz", seeds.own_data, dataset_from_npz, otherwise(in_archive)),
    Format("pt", "a.pt", partial(seeds.torch_files, False), trace, otherwise(in_archive)),
    Format("pt, legacy", "a.pth", partial(seeds.torch_files, True), trace, otherwise(in_pickle)),
    Format("safetensors", "a.safetensors", seeds.tensors, trace, otherwise(in_header)),
    Format(
        *("safetensors, index", "a.safetensors.index.json", seeds.indices, read_weights),
        otherwise(damaged_json),
        lambda: {"shard.safetensors": seeds.tensors()[0]},
    ),
    Format("onnx", "a.onnx", seeds.onnx_files, _traced(read_onnx), otherwise(in_message)),
    Format(
        *("keras", "a.keras", partial(seeds.keras_files, ".keras"), _traced(read_keras)),
        otherwise(in_archive, 0.8),
    ),
    Format(
        *("h5", "a.h5", partial(seeds.keras_files, ".h5"), _traced(read_keras)),
        otherwise(in_hdf5, 0.8),
    ),
    Format("graphml", "a.graphml", seeds.graphml, trace),
    Format("node-link JSON", "a.json", seeds.node_links, trace, otherwise(damaged_json)),
    Format("result", "a.json", seeds.results, _result, otherwise(damaged_json)),
    Format(
        *("measurement of a run", measurement_path(Path(), "pruned").name, seeds.results),
        *(_beside_run, otherwise(damaged_json)),
    ),
    Format("validation", "a.json", seeds.validations, _validation, otherwise(damaged_json)),
    Format("tags, JSON", "a.json", seeds.results_of_mlp, _tags, otherwise(damaged_json)),
    Format("tags, CSV", "a.csv", seeds.labels, _tags),
    Format("run.json", "run.json", seeds.runs, _run, otherwise(damaged_json)),
    Format(
        *("weights of a run", "unpruned.safetensors", seeds.run_weights, _run_weights),
        otherwise(in_header),
        lambda: {"run.json": seeds.runs()[0]},
    ),
    Format("checkpoint", FILE, seeds.checkpoints, _checkpoint, otherwise(in_header)),
    Format("IDX", "a-ubyte", seeds.idx_files, _idx),
    Format("IDX, gz", "a.gz", seeds.zipped_idx, _zipped_idx),
    Format(
        *("CIFAR-10, binary", f"{BINARY}/data_batch_1.bin", seeds.cifar_binary, _cifar),
        beside=lambda: {f"{BINARY}/{name}": data for name, data in _batches().items()},
    ),
    Format(
        *("CIFAR-10, pickle", "data_batch_1", seeds.cifar_pickles, _cifar_pickle),
        otherwise(in_pickle),
    ),
)
