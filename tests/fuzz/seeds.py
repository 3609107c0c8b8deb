"""Small whole files of every format, from which the damaged ones are made."""

from __future__ import annotations

import gzip
import io
import json
from collections import OrderedDict, defaultdict
from pathlib import Path
from tempfile import TemporaryDirectory

import networkx as nx
import numpy as np
import safetensors.torch
import scipy.sparse as sp
import torch
from torch import nn

from cifar_folders import binary_batches, old_pickle, samples
from clusterability import measure, toy, validate_clusters
from clusterability.report.labels import labels_csv
from clusterability.training import TrainingSpec
from clusterability.training.checkpoint import FILE, Checkpoint, write_checkpoint
from clusterability.training.networks import NETWORKS
from clusterability.training.progress import Progress
from clusterability.training.record import Attempt, EpochScores, PhaseScores, TrainedRun
from data_folders import idx_bytes, small_images

N_IMAGES = 10
"""In a batch of CIFAR-10."""


def mlp() -> nn.Sequential:
    return nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2))


def state() -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    convolution = nn.Sequential(
        nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3), nn.ReLU(), nn.Conv2d(3, 2, 1)
    )
    return {f"features.{name}": value for name, value in convolution.state_dict().items()}


def npz() -> list[bytes]:
    weights = {name: value.numpy() for name, value in mlp().state_dict().items()}
    return [saved_npz(weights), saved_npz(weights, np.savez_compressed)]


def saved_npz(arrays: dict[str, np.ndarray], save=np.savez) -> bytes:
    held = io.BytesIO()
    save(held, **arrays)
    return held.getvalue()


def matrices() -> list[bytes]:
    found = []
    for kind in ("csr", "csc", "coo", "bsr", "dia"):
        matrix = sp.csr_array([[0, 2, 0, 1], [2, 0, 1, 0], [0, 1, 0, 0], [1, 0, 0, 0.0]])
        held = io.BytesIO()
        sp.save_npz(held, matrix.asformat(kind))
        found.append(held.getvalue())
    with np.load(io.BytesIO(found[0])) as arrays:
        found.append(saved_npz({**arrays, "layers": np.array([0, 1, 0, 1])}))
    return found


def own_data() -> list[bytes]:
    rng = np.random.default_rng(0)
    x, y = rng.integers(0, 256, (6, 1, 3, 3), dtype=np.uint8), np.arange(6) % 2
    more = {"x_train": x / 255, "y_train": y * 0.5, "x_test": x / 255, "y_test": y * 0.5}
    return [saved_npz({"x": x, "y": y}), saved_npz(more)]


def torch_files(legacy: bool) -> list[bytes]:
    beside = {
        "epoch": 3,
        "state_dict": OrderedDict(state()),
        "optimizer": {"state": {0: {"step": 1, "exp_avg": torch.zeros(3)}}, "groups": [(1, 2)]},
        "history": defaultdict(list, loss=[0.5]),
        "best": np.float64(0.5),
        "folder": Path("runs/1"),
    }
    contents = [mlp().state_dict(), state(), beside]
    found = []
    for content in contents:
        held = io.BytesIO()
        torch.save(content, held, _use_new_zipfile_serialization=not legacy)
        found.append(held.getvalue())
    return found


def tensors() -> list[bytes]:
    half = {name: value.bfloat16() for name, value in state().items()}
    return [safetensors.torch.save(content) for content in (mlp().state_dict(), state(), half)]


def indices() -> list[bytes]:
    names = dict.fromkeys(mlp().state_dict(), "shard.safetensors")
    return [json.dumps({"metadata": {"total_size": 100}, "weight_map": names}).encode()]


def onnx_files() -> list[bytes]:
    from onnx import helper

    from onnx_models import exported, linear_model, model

    with TemporaryDirectory() as folder:
        convolution = nn.Sequential(
            *(nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten()),
            nn.Linear(3, 2),
        )
        files = [
            exported(mlp(), torch.zeros(1, 4), folder, "a.onnx").read_bytes(),
            exported(convolution, torch.zeros(1, 1, 4, 4), folder, "b.onnx").read_bytes(),
        ]
    nodes = [
        helper.make_node("Reshape", ["x", "shape"], ["r"]),
        helper.make_node("MatMul", ["r", "w"], ["m"]),
        helper.make_node("Pad", ["m", "pads"], ["p"], mode="constant"),
        helper.make_node("Softmax", ["p"], ["y"], axis=-1),
    ]
    constants = {"shape": np.array([1, 3]), "w": np.ones((3, 2), np.float32), "pads": [0, 0, 0, 1]}
    shaped = model(nodes, constants, (1, 3, 1))
    return [*files, *(proto.SerializeToString() for proto in (linear_model(), shaped))]


def keras_files(suffix: str) -> list[bytes]:
    from keras_networks import keras, layers, saved

    small = keras.Sequential(
        [layers.Input((4, 4, 1)), layers.Conv2D(2, 3), layers.Flatten(), layers.Dense(2)]
    )
    flat = keras.Sequential([layers.Input((4,)), layers.Dense(3, "relu"), layers.Dense(2)])
    with TemporaryDirectory() as folder:
        path = Path(folder) / f"model{suffix}"
        return [saved(model, path).read_bytes() for model in (small, flat)]


def networkx_graph() -> nx.Graph:
    graph = nx.Graph()
    graph.add_edge("a", "b", weight=2.0)
    graph.add_edge("b", 3, weight=1)
    graph.add_edge(3, "c d", weight=0.5)
    for i, node in enumerate(graph):
        graph.nodes[node]["layer"] = i % 2
    return graph


def graphml() -> list[bytes]:
    plain = nx.path_graph(4)
    return ["\n".join(nx.generate_graphml(g)).encode() for g in (networkx_graph(), plain)]


def node_links() -> list[bytes]:
    grids = [networkx_graph(), nx.grid_2d_graph(2, 2)]
    return [json.dumps(nx.node_link_data(graph, edges="links")).encode() for graph in grids]


def results() -> list[bytes]:
    return [measure(toy.planted_mlp(), 2, 2, n_init=2, workers=1).to_json().encode()]


def validations() -> list[bytes]:
    torch.manual_seed(0)
    model, y = mlp(), torch.arange(6) % 2
    labels = torch.arange(9) % 2
    return [
        validate_clusters(model, labels, torch.rand(6, 4), y, n_permutations=2).to_json().encode()
    ]


def idx_files() -> list[bytes]:
    return [idx_bytes(array[:5]) for array in small_images().values()]


def zipped_idx() -> list[bytes]:
    return [gzip.compress(data, mtime=0) for data in idx_files()[:1]]


def cifar_binary() -> list[bytes]:
    return [binary_batches(N_IMAGES)[0]["data_batch_1.bin"]]


def cifar_pickles() -> list[bytes]:
    x, y = samples(N_IMAGES)
    return [old_pickle(x[:N_IMAGES], y[:N_IMAGES])]


def results_of_mlp() -> list[bytes]:
    """Results that name the layers of :func:`mlp`."""
    torch.manual_seed(0)
    return [measure(mlp(), 2, 2, n_init=2, workers=1).to_json().encode()]


def labels() -> list[bytes]:
    torch.manual_seed(0)
    result = measure(mlp(), 2, 0, n_init=2, workers=1)
    return [labels_csv(result).encode()]


def score_rows() -> tuple[EpochScores, PhaseScores]:
    epoch = EpochScores("unpruned", 1, 0.5, 0.25, 0.5, None, 0.0, 0.0, 0.1)
    return epoch, PhaseScores(0.5, 0.25, 0.5, 0.25, 0.5, None, 0.0, 0.0)


def runs() -> list[bytes]:
    epoch, phase = score_rows()
    spec = TrainingSpec("small-mlp", "digits", epochs=1, pruning_epochs=0)
    run = TrainedRun(
        *(spec, Path(), {"unpruned": phase}, (epoch,), None, (Attempt("unpruned", 0.1),)),
        *({"device": "cpu", "threads": 1, "seconds": 0.5}, "0" * 64, (1, 8, 8), 10),
    )
    return [json.dumps(run.to_dict()).encode()]


def run_weights() -> list[bytes]:
    network = NETWORKS["small-mlp"].build((1, 8, 8), 10, False)
    return [safetensors.torch.save(network.state_dict())]


def checkpoints() -> list[bytes]:
    epoch, phase = score_rows()
    progress = Progress(0, 0, 1, [[epoch]], [{"unpruned": phase}], [None], [], 0.5, 1)
    with TemporaryDirectory() as folder:
        write_checkpoint(Path(folder), Checkpoint(mlp().state_dict(), progress, "digest"))
        return [(Path(folder) / FILE).read_bytes()]
