"""Does a change of the code change any number?

    python benchmarks/same_numbers.py --write PATH        before the change
    python benchmarks/same_numbers.py --against PATH      after it, on the same machine

Measures and trains a fixed set of small networks with given seeds, and the files of the folder that
CLUSTERABILITY_NETWORKS names, if it is set. All numbers are compared to the last bit: exit status 1
and a line for each that differs. Every choice is passed by name, so that new defaults change
nothing here.
"""

import argparse
import hashlib
import json
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
import scipy.sparse as sp
import torch
from torch import nn

from clusterability import Block, Clusterability, InputError, Layer, NeuronGraph, measure
from clusterability.experiments.environment import environment
from clusterability.training import TrainedRun, TrainingSpec, train_many

CHOICES = {
    "n_clusters": 5,
    "n_shuffles": 3,
    "seed": 1,
    "null": "layer",
    "isolated": "drop-first",
    "ties": "independent",
    "n_init": 5,
    "device": "cpu",
}

Numbers = dict[str, str]


class Residual(nn.Module):
    """Two residual blocks; if ``projects``, the second skip is a convolution of its own."""

    def __init__(self, projects: bool) -> None:
        super().__init__()
        self.stem, self.last = nn.Conv2d(3, 12, 3), nn.Conv2d(12, 8, 1)
        self.first, self.second = nn.Conv2d(12, 20, 1), nn.Conv2d(20, 12, 1)
        self.third, self.fourth = nn.Conv2d(12, 20, 1), nn.Conv2d(20, 12, 1)
        self.skip = nn.Conv2d(12, 12, 1) if projects else nn.Identity()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.relu(self.stem(x))
        x = torch.relu(x + self.second(torch.relu(self.first(x))))
        return self.last(torch.relu(self.skip(x) + self.fourth(torch.relu(self.third(x)))))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    group = parser.add_mutually_exclusive_group(required=True)
    group.add_argument("--write", type=Path, metavar="PATH")
    group.add_argument("--against", type=Path, metavar="PATH")
    args = parser.parse_args()
    found = {name: numbers_of(case) for name, case in cases().items()}
    if args.write:
        report = {
            "question": "Does a change of the code change any number?",
            "numbers": found,
            "environment": environment(),
        }
        args.write.write_text(json.dumps(report, indent=1) + "\n")
        return
    lines = list(differences(json.loads(args.against.read_text())["numbers"], found))
    print(*lines, sep="\n")
    print(f"{len(found)} networks, {len(lines)} differences", file=sys.stderr)
    sys.exit(bool(lines))


def cases() -> dict[str, Callable[[], Numbers]]:
    """Return what is computed for each name."""
    measured: dict[str, tuple[object, dict[str, object]]] = {
        "example": ("example:fashion-mnist-mlp", {"n_clusters": 12}),
        "mlp": (state_dict([60, 40, 30, 20, 10]), {}),
        "sparse mlp": (state_dict([60, 40, 30, 20, 10], 0.1), {}),
        "sparse mlp, drop-after": (
            state_dict([60, 40, 30, 20, 10], 0.1),
            {"isolated": "drop-after"},
        ),
        "sparse mlp, nonzero": (state_dict([60, 40, 30, 20, 10], 0.1), {"null": "nonzero"}),
        "half precision": (state_dict([60, 40, 30, 20, 10], dtype=torch.float16), {}),
        "float64": (state_dict([60, 40, 30, 20, 10], dtype=torch.float64), {}),
        "cnn": (cnn(), {}),
        "cnn, whole": (cnn(), {"include": ("input", "dense")}),
        "residual": (with_weights(Residual(projects=False)), {}),
        "residual, tied": (with_weights(Residual(projects=False)), {"ties": "tied"}),
        "not two-colorable": (with_weights(Residual(projects=True)), {}),
        "without layers": (scipy_graph(150), {}),
        "iterated, two-colorable": (random_graph([600, 1100, 600], [(0, 1), (1, 2)]), {}),
        "iterated": (random_graph([500, 400, 300], [(0, 1), (1, 2), (0, 2)]), {}),
    }
    for norm in ("l2", "induced-1", "induced-2"):
        measured[f"cnn, {norm}"] = cnn(), {"kernel_norm": norm}
    folder = os.environ.get("CLUSTERABILITY_NETWORKS")
    for path in sorted(Path(folder).iterdir()) if folder else []:
        if path.suffix != ".md":
            measured[path.name] = path, {"n_clusters": 12, "n_shuffles": 1}
    return {
        **{name: partial(measured_numbers, *case) for name, case in measured.items()},
        "trained, stacked": partial(trained_numbers, "mlp", stacked=True),
        "trained": partial(trained_numbers, "small-mlp", stacked=False),
    }


def numbers_of(case: Callable[[], Numbers]) -> Numbers:
    """Return a case's numbers, or that the network is refused."""
    try:
        return case()
    except InputError:
        return {"refused": "InputError"}


def state_dict(
    sizes: list[int], density: float = 1.0, dtype: torch.dtype = torch.float32
) -> dict[str, torch.Tensor]:
    """Weights of a chain of dense layers, all but ``density`` of them zero."""
    rng = np.random.default_rng(0)
    weights = {}
    for i, (n_in, n_out) in enumerate(zip(sizes[:-1], sizes[1:], strict=True)):
        weight = rng.standard_normal((n_out, n_in)) * (rng.random((n_out, n_in)) < density)
        weights[f"{i}.weight"] = torch.tensor(weight, dtype=dtype)
    return weights


def cnn() -> nn.Module:
    return with_weights(
        nn.Sequential(
            *(nn.Conv2d(1, 16, 3), nn.BatchNorm2d(16), nn.ReLU(), nn.Conv2d(16, 24, 3), nn.ReLU()),
            *(nn.MaxPool2d(2), nn.Conv2d(24, 16, 3), nn.BatchNorm2d(16), nn.ReLU()),
            *(nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(64, 20), nn.Linear(20, 10)),
        )
    )


def with_weights(module: nn.Module) -> nn.Module:
    """Fill a module with random weights and running statistics that are always the same."""
    rng = np.random.default_rng(0)
    with torch.no_grad():
        for name, tensor in module.state_dict().items():
            if tensor.is_floating_point():
                drawn = rng.standard_normal(tuple(tensor.shape))
                tensor.copy_(torch.tensor(np.abs(drawn) if "running_var" in name else drawn))
    return module.eval()


def scipy_graph(n_neurons: int) -> sp.csr_array:
    rng = np.random.default_rng(0)
    upper = np.triu(rng.random((n_neurons, n_neurons)) * (rng.random((n_neurons,) * 2) < 0.1), 1)
    return sp.csr_array(upper + upper.T)


def random_graph(sizes: list[int], pairs: list[tuple[int, int]]) -> NeuronGraph:
    """Build a graph that is too large for a direct solution of its eigenproblem."""
    rng = np.random.default_rng(0)
    layers = tuple(Layer(f"layer{i}", size) for i, size in enumerate(sizes))
    blocks = (
        Block(s, t, torch.tensor(rng.random((sizes[s], sizes[t]), dtype=np.float32)))
        for s, t in pairs
    )
    return NeuronGraph(layers, tuple(blocks))


def measured_numbers(network: object, choices: dict[str, object]) -> Numbers:
    result = measure(network, **{**CHOICES, **choices})
    return dict(result_numbers(result))


def result_numbers(result: Clusterability) -> Iterator[tuple[str, str]]:
    """Yield every number of a result with its name, floats as hexadecimals, labels as a digest."""
    yield "lower bound", exact([result.lower_bound])
    yield "eigenvalues", exact(result.eigenvalues)
    yield "components", str(result.n_components)
    yield "neurons and isolated", str([(x.n_neurons, x.n_isolated) for x in result.layers])
    for name, clustering in (("plain", result.plain), ("refined", result.refined)):
        scores = (clustering.ncut, clustering.p_value, clustering.effective_clusters)
        yield f"{name} n-cut, p-value, effective clusters", exact(scores)
        yield f"{name} null", exact(clustering.null.values)
        yield f"{name} volume shares", exact([c.volume_share for c in clustering.clusters])
        yield f"{name} cuts", exact([c.cut for c in clustering.clusters])
        yield f"{name} labels", digest(clustering.labels.astype(np.int64))


def trained_numbers(network: str, stacked: bool) -> Numbers:
    """Train two seeds for two epochs and one with pruning, and return weights and losses."""
    spec = TrainingSpec(
        *(network, "digits"), dropout=True, l1=1e-5, epochs=2, pruning_epochs=1, pruning_interval=2
    )
    with tempfile.TemporaryDirectory() as out:
        runs = train_many(spec, 2, stacked=stacked, out=out, device="cpu", threads=1, workers=1)
        return {
            f"{run.spec.name.rpartition('-')[0]} {name}": value
            for run in runs
            for name, value in run_numbers(run)
        }


def run_numbers(run: TrainedRun) -> Iterator[tuple[str, str]]:
    for phase in run.phases:
        weights = sorted(run.network(phase).state_dict().items())
        yield f"{phase} weights", digest(*(tensor.numpy() for _, tensor in weights))
    yield "losses", exact([row.train_loss for row in run.curves])


def exact(values: object) -> str:
    return " ".join(float(value).hex() for value in values)


def digest(*arrays: np.ndarray) -> str:
    return hashlib.sha256(b"".join(array.tobytes() for array in arrays)).hexdigest()


def differences(before: dict[str, Numbers], after: dict[str, Numbers]) -> Iterator[str]:
    """Yield a line for each number that is not the same, or not there, before and after."""
    for case in before | after:
        old, new = before.get(case), after.get(case)
        if old is None or new is None:
            yield f"{case}: only {'after' if old is None else 'before'}"
            continue
        for name in old | new:
            if old.get(name) != new.get(name):
                yield f"{case}: {name}: {old.get(name)} became {new.get(name)}"


if __name__ == "__main__":
    main()
