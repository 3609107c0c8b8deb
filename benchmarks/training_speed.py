"""How long is an epoch of the paper's MLP, beside a plain loop, the bare arithmetic, and five runs?

    python benchmarks/training_speed.py --data-dir DATA [--repeats 3] [--json PATH]

MLP 784-256-256-256-256-10 on Fashion-MNIST, batches of 128, Adam; the best of several epochs each,
in turn, in one process. Three plain loops with a DataLoader: over a data set that makes each image
a picture and this a tensor, as torchvision's MNIST does with ToTensor; over one that converts each
image's bytes; and over tensors that were converted beforehand. On a GPU, the stack is of 5 and of
30 runs.
"""

import argparse
import json
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import nn
from torch.utils.data import DataLoader, TensorDataset
from torch.utils.data import Dataset as TorchDataset

from clusterability.datasets import Dataset, load_dataset
from clusterability.experiments.environment import environment
from clusterability.training import TrainingSpec, build, train, train_many
from clusterability.training.loop import train_epoch
from clusterability.training.mlp_stack import MLPStack
from clusterability.training.randomness import Randomness, Use
from clusterability.training.samples import samples
from clusterability.training.scoring import evaluate
from clusterability.workers import available_workers

BATCH = 128
SEEDS = 5


class Pictures(TorchDataset):
    """Each image by way of a picture, for transformations, and then a tensor."""

    def __init__(self, data: Dataset) -> None:
        self.x, self.y = torch.from_numpy(data.train.x[:, 0]), torch.from_numpy(data.train.y)

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, i: int) -> tuple[torch.Tensor, int]:
        picture = Image.fromarray(self.x[i].numpy())
        pixels = torch.from_numpy(np.array(picture, np.uint8, copy=True))
        pixels = pixels.view(picture.size[1], picture.size[0], 1).permute(2, 0, 1).contiguous()
        return pixels.to(torch.float32).div(255), int(self.y[i])


class Images(TorchDataset):
    """Bytes in memory, made to floats between 0 and 1 one by one."""

    def __init__(self, data: Dataset) -> None:
        self.x, self.y = data.train.x, data.train.y

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, i: int) -> tuple[torch.Tensor, int]:
        return torch.from_numpy(self.x[i]).to(torch.float32).div(255), int(self.y[i])


def plain_loop(images: TorchDataset, device: torch.device) -> Callable[[], None]:
    model = build("mlp", (1, 28, 28), 10).to(device)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    loader = DataLoader(images, batch_size=BATCH, shuffle=True)

    def epoch() -> None:
        total = 0.0
        for x, y in loader:
            x, y = x.to(device), y.to(device)
            loss = nn.functional.cross_entropy(model(x), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.item() * len(x)

    return epoch


def our_loop(data: Dataset, n_runs: int, device: torch.device) -> Callable[[], None]:
    part = samples(data, data.train, device)
    randomness = [Randomness(seed) for seed in range(n_runs)]
    networks = [
        build("mlp", (1, 28, 28), 10, generator=r.numpy(Use.INITIALIZATION)) for r in randomness
    ]
    stack = MLPStack(networks, 1e-3, device)

    def epoch() -> None:
        orders = [r.numpy(Use.ORDER).permutation(len(part)) for r in randomness]
        order = torch.from_numpy(np.stack(orders)).to(device)
        train_epoch(stack, part, torch.split(order, BATCH, dim=1))

    return epoch


def evaluation(data: Dataset, device: torch.device) -> Callable[[], None]:
    stack = MLPStack([build("mlp", (1, 28, 28), 10)], 1e-3, device)
    part = samples(data, data.test, device)
    return lambda: evaluate(stack, part)


def product_rate(device: torch.device) -> float:
    """Floating-point operations a second of a product of square matrices."""
    n = 1024 if device.type == "cpu" else 8192
    a, b = torch.randn(n, n, device=device), torch.randn(n, n, device=device)
    return 2 * n**3 / min(timed(lambda: torch.mm(a, b), device) for _ in range(20))


def timed(function: Callable[[], object], device: torch.device) -> float:
    started = time.perf_counter()
    function()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - started


def whole_runs(data: Dataset, device: str, n_epochs: int) -> dict[str, Callable[[], object]]:
    """Five seeds one after the other and together: with evaluation, checkpoints and curves."""
    spec = TrainingSpec("mlp", "fashion-mnist", epochs=n_epochs, pruning_epochs=0)
    folder = Path(tempfile.mkdtemp())

    def fresh() -> Path:
        shutil.rmtree(folder, ignore_errors=True)
        return folder

    def in_turn() -> None:
        out = fresh()
        for seed in range(SEEDS):
            one = TrainingSpec("mlp", "fashion-mnist", epochs=n_epochs, pruning_epochs=0, seed=seed)
            train(one, data=data, out=out, device=device)

    def together() -> None:
        train_many(spec, SEEDS, data=data, out=fresh(), device=device)

    def stacked() -> None:
        train_many(spec, SEEDS, stacked=True, data=data, out=fresh(), device=device)

    return {"five_in_turn": in_turn, "five_together": together, "five_stacked": stacked}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--data-dir", type=Path)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=4, help="of the five runs")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    # As training does, before torch starts its threads; the plain loops gain from it too.
    torch.set_flush_denormal(True)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    torch.set_num_threads(available_workers())
    data = load_dataset("fashion-mnist", data_dir=args.data_dir)
    converted = samples(data, data.train, torch.device("cpu"))
    tensors = TensorDataset(converted.x, torch.from_numpy(data.train.y))
    loops = {
        "plain_pictures": plain_loop(Pictures(data), device),
        "plain_converting": plain_loop(Images(data), device),
        "plain_converted": plain_loop(tensors, device),
        "here": our_loop(data, 1, device),
        "here_stack_of_5": our_loop(data, 5, device),
        "evaluation_of_test": evaluation(data, device),
    }
    if device.type == "cuda":
        loops["here_stack_of_30"] = our_loop(data, 30, device)
    loops |= whole_runs(data, device.type, args.epochs)
    seconds: dict[str, list[float]] = {name: [] for name in loops}
    rates = []
    for _ in range(args.repeats):
        rates.append(product_rate(device))
        for name, loop in loops.items():
            seconds[name].append(timed(loop, device))
            print(f"{name:20} {seconds[name][-1]:.3f} s", flush=True)
    best = {name: min(values) for name, values in seconds.items()}
    n_weights = sum(p.numel() for p in build("mlp", (1, 28, 28), 10).parameters())
    report = {
        "question": "How long is an epoch of the paper's MLP?",
        "seconds": seconds,
        "best": best,
        "epochs_of_five_runs": args.epochs,
        "bare_arithmetic_seconds": 6 * n_weights * len(data.train.x) / max(rates),
        "product_rate_flops": max(rates),
        "plain_pictures_over_here": best["plain_pictures"] / best["here"],
        "plain_converting_over_here": best["plain_converting"] / best["here"],
        "plain_converted_over_here": best["plain_converted"] / best["here"],
        "together_over_in_turn": best["five_together"] / best["five_in_turn"],
        "stacked_over_in_turn": best["five_stacked"] / best["five_in_turn"],
        "device": "cpu" if device.type == "cpu" else torch.cuda.get_device_name(),
        "threads": torch.get_num_threads(),
        "environment": environment(),
    }
    for name in report:
        if "_over_" in name or name.endswith("_seconds"):
            print(f"{name:30} {report[name]:.3f}")
    if args.json:
        args.json.write_text(json.dumps(report, indent=2) + "\n")


if __name__ == "__main__":
    main()
