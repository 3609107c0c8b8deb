"""How fast are training and measuring on a GPU, beside one thread of the same machine's CPU?

    python benchmarks/gpu.py [--seconds 5] [--devices cpu,cuda] [--json PATH]

Training: steps of the package's own loop on random images; on a GPU as they are and recorded as a
graph, the best of three rounds. Measuring: new networks with 50 shuffles, the better of two.
"""

import argparse
import json
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import torch

from clusterability import measure
from clusterability.experiments.environment import environment
from clusterability.files.writing import write_whole
from clusterability.training import TrainingSpec, build
from clusterability.training.drawing import draw_networks
from clusterability.training.penalty import penalties_of
from clusterability.training.randomness import Randomness, Use
from clusterability.training.recorded_step import step_of
from clusterability.training.samples import Data, Samples

SHAPES = {"mlp": (1, 28, 28), "small-cnn": (1, 28, 28), "vgg": (3, 32, 32)}
N_SAMPLES = 4096

STEPS: dict[str, tuple[int, dict[str, Any]]] = {
    "MLP": (1, {"network": "mlp"}),
    "MLP, dropout": (1, {"network": "mlp", "dropout": True}),
    "MLP, 5 stacked": (5, {"network": "mlp"}),
    "MLP, 30 stacked": (30, {"network": "mlp"}),
    "MLP, eigenvalue penalty": (1, {"network": "mlp", "eigenvalue_penalty": 0.1}),
    "MLP, normalized": (1, {"network": "mlp", "normalize": True}),
    "MLP, group lasso": (1, {"network": "mlp", "group_lasso": 3e-4, "tags": 12}),
    "small CNN": (1, {"network": "small-cnn"}),
    "small CNN, dropout": (1, {"network": "small-cnn", "dropout": True}),
    "small CNN, bfloat16": (1, {"network": "small-cnn", "precision": "bfloat16"}),
    "VGG": (1, {"network": "vgg"}),
    "VGG, dropout, augmented": (1, {"network": "vgg", "dropout": True, "augment": True}),
    "VGG, bfloat16": (1, {"network": "vgg", "precision": "bfloat16"}),
}
"""Number of runs in the stack, and fields of the spec."""


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--seconds", type=float, default=5.0, help="of each round")
    every = "cpu,cuda" if torch.cuda.is_available() else "cpu"
    parser.add_argument("--devices", default=every, help="default %(default)s")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    torch.set_num_threads(1)
    devices = args.devices.split(",")
    steps = list(time_steps(devices, args.seconds))
    measured = list(time_measurements(devices))
    if args.json is not None:
        report = {
            "command": "python benchmarks/gpu.py"
            f" --seconds {args.seconds:g} --devices {args.devices}",
            "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
            "steps": steps,
            "measurements": measured,
            "environment": environment(),
        }
        write_whole(args.json, (json.dumps(report, indent=1) + "\n").encode())


def time_steps(devices: list[str], seconds: float) -> Iterator[dict[str, Any]]:
    for name, (n_runs, fields) in STEPS.items():
        found: dict[str, Any] = {"step": name}
        for device in devices:
            step = make_step(n_runs, fields, torch.device(device), is_plain=True)
            found[device] = best_of_three(step, seconds / 3)
        if "cuda" in devices:
            step = make_step(n_runs, fields, torch.device("cuda"), is_plain=False)
            found["recorded"] = best_of_three(step, seconds / 3)
        print(row(found), flush=True)
        yield found


def row(found: dict[str, Any]) -> str:
    name, *values = found.values()
    return f"{name:35}" + "".join(f"{1000 * value:12.3f} ms" for value in values)


def make_step(
    n_runs: int, fields: dict[str, Any], device: torch.device, is_plain: bool
) -> Callable[[], object]:
    """Return a step of training, each on other images."""
    spec = TrainingSpec(dataset="random", **fields)
    shape = SHAPES[spec.network]
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(N_SAMPLES, *shape, generator=generator).to(device)
    targets = torch.eye(10).repeat(N_SAMPLES // 10 + 1, 1)[:N_SAMPLES].to(device)
    part = Samples(x, targets, False)
    data = Data(part, part, True, "")
    randomness = [Randomness(seed) for seed in range(n_runs)]
    networks = draw_networks(spec, data, randomness)
    maps = None
    if spec.augment:
        maps = torch.eye(2, 3).expand(N_SAMPLES, 2, 3).to(device)
    generators = [r.torch(Use.DROPOUT, 0, 0, device) for r in randomness]
    networks.start_epoch(
        generators, maps, penalties_of(spec, networks.kernel_names, networks.clusters)
    )
    orders = torch.stack([torch.randperm(N_SAMPLES, generator=generator) for _ in range(n_runs)])
    assert spec.batch_size is not None
    batches = torch.split(orders.to(device), spec.batch_size, dim=1)
    count = iter(range(10**12))

    take_step = partial(networks.step, part) if is_plain else step_of(networks, part)

    def step() -> None:
        if spec.normalize:
            networks.normalize("weights")
        take_step(batches[next(count) % len(batches)])

    return step


def best_of_three(step: Callable[[], object], seconds: float) -> float:
    """Return the seconds of a step."""
    for _ in range(5):
        step()
    rounds = []
    for _ in range(3):
        n_steps, started = 0, clock()
        while clock(n_steps % 10 == 0) - started < seconds:
            step()
            n_steps += 1
        rounds.append((clock() - started) / n_steps)
    return min(rounds)


def clock(waits: bool = True) -> float:
    """Return the time when the GPU, if there is one, has done what it was told."""
    if waits and torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter()


def time_measurements(devices: list[str]) -> Iterator[dict[str, Any]]:
    for name, shape in SHAPES.items():
        network = build(name, shape, 10).eval()
        found: dict[str, Any] = {"measure": name}
        for device in devices:
            seconds = []
            for _ in range(2):
                started = clock()
                result = measure(network, input_shape=shape, device=device, n_shuffles=50)
                seconds.append(clock() - started)
            found[device], found[f"{device}_ncut"] = min(seconds), result.ncut
            found[f"{device}_steps"] = result.seconds
            print(f"measure {name}, {device}: {min(seconds):.2f} s", flush=True)
        yield found


if __name__ == "__main__":
    main()
