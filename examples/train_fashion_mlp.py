"""Train the network that the package ships as ``example:fashion-mnist-mlp``.

The paper's MLP, 784-256-256-256-256-10, on Fashion-MNIST: 20 epochs of Adam, then 20 more with
magnitude pruning to 90 % sparsity on the cubic schedule of Zhu and Gupta (2017), as in section 2
and appendix A.2 of Filan et al. (2021).

Kept to show where the shipped file is from; ``clusterability train`` trains such networks now.

    python examples/train_fashion_mlp.py --data-dir DATA --out RUNS

DATA holds ``fashion-mnist/`` with the four original IDX ``.gz`` files. Two files are written to
RUNS: ``unpruned.npz`` and ``pruned.npz``, compressed, with PyTorch's names and (out, in) layout.
"""

import argparse
import gzip
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

BATCH_SIZE = 128
PRUNING_INTERVAL = 10
INITIAL_SPARSITY, FINAL_SPARSITY = 0.5, 0.9


def read_idx(path: Path) -> np.ndarray:
    """Read an IDX file of unsigned bytes: magic number, one big-endian size per axis, the data."""
    raw = gzip.decompress(path.read_bytes())
    n_axes = raw[3]
    shape = np.frombuffer(raw, ">u4", count=n_axes, offset=4)
    return np.frombuffer(raw, np.uint8, offset=4 + 4 * n_axes).reshape(shape)


def load(folder: Path, part: str) -> tuple[Tensor, Tensor]:
    images = read_idx(folder / f"{part}-images-idx3-ubyte.gz")
    labels = read_idx(folder / f"{part}-labels-idx1-ubyte.gz")
    pixels = torch.from_numpy(images.reshape(len(images), -1).astype(np.float32) / 255)
    return pixels, torch.from_numpy(labels.astype(np.int64))


def build(dropout: float) -> nn.Sequential:
    """Glorot-uniform kernels and zero biases, the defaults of the Keras API."""
    widths = [784, 256, 256, 256, 256]
    modules: list[nn.Module] = []
    for n_in, n_out in zip(widths[:-1], widths[1:], strict=True):
        modules += [nn.Linear(n_in, n_out), nn.ReLU()]
        if dropout:
            modules.append(nn.Dropout(dropout))
    modules.append(nn.Linear(256, 10))
    for module in modules:
        if isinstance(module, nn.Linear):
            nn.init.xavier_uniform_(module.weight)
            nn.init.zeros_(module.bias)
    return nn.Sequential(*modules)


def scheduled_sparsity(step: int, n_steps: int) -> float:
    """Zhu and Gupta (2017), equation 1, from step 0 to ``n_steps``."""
    remaining = (1 - min(step / n_steps, 1.0)) ** 3
    return FINAL_SPARSITY + (INITIAL_SPARSITY - FINAL_SPARSITY) * remaining


def magnitude_mask(weight: Tensor, sparsity: float) -> Tensor:
    """1 where a weight is kept: all but the ``sparsity`` smallest magnitudes of its layer."""
    n_pruned = round(sparsity * weight.numel())
    order = weight.detach().abs().flatten().argsort(stable=True)
    mask = torch.ones(weight.numel())
    mask[order[:n_pruned]] = 0
    return mask.view_as(weight)


def train_phase(
    model: nn.Sequential, images: Tensor, labels: Tensor, n_epochs: int, prune: bool
) -> None:
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, eps=1e-7, fused=True)
    weights = [m.weight for m in model if isinstance(m, nn.Linear)]
    masks = [torch.ones_like(w) for w in weights]
    n_steps = n_epochs * -(-len(images) // BATCH_SIZE)
    step = 0
    for epoch in range(n_epochs):
        model.train()
        total = 0.0
        for batch in torch.randperm(len(images)).split(BATCH_SIZE):
            if prune and step % PRUNING_INTERVAL == 0:
                sparsity = scheduled_sparsity(step, n_steps - PRUNING_INTERVAL)
                masks = [magnitude_mask(w, sparsity) for w in weights]
                apply(masks, weights)
            loss = nn.functional.cross_entropy(model(images[batch]), labels[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            apply(masks, weights)
            total += loss.item() * len(batch)
            step += 1
        print(f"epoch {epoch + 1}/{n_epochs}: loss {total / len(images):.4f}", flush=True)


@torch.no_grad()
def apply(masks: list[Tensor], weights: list[nn.Parameter]) -> None:
    for mask, weight in zip(masks, weights, strict=True):
        weight.mul_(mask)


@torch.no_grad()
def accuracy(model: nn.Sequential, images: Tensor, labels: Tensor) -> float:
    model.eval()
    return (model(images).argmax(1) == labels).float().mean().item()


def save(model: nn.Sequential, path: Path) -> None:
    arrays = {name: value.detach().numpy() for name, value in model.state_dict().items()}
    np.savez_compressed(path, **arrays)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--data-dir", type=Path, required=True, help="holds fashion-mnist/")
    parser.add_argument("--out", type=Path, required=True, help="folder for the two files")
    parser.add_argument("--dataset", default="fashion-mnist", help="folder name under --data-dir")
    parser.add_argument("--dropout", type=float, default=0.0, help="0.5 in the paper's runs")
    parser.add_argument("--epochs", type=int, default=20, help="in each of the two phases")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()

    torch.manual_seed(args.seed)
    images, labels = load(args.data_dir / args.dataset, "train")
    test_images, test_labels = load(args.data_dir / args.dataset, "t10k")
    model = build(args.dropout)
    args.out.mkdir(parents=True, exist_ok=True)
    for prune, name in [(False, "unpruned"), (True, "pruned")]:
        train_phase(model, images, labels, args.epochs, prune)
        save(model, args.out / f"{name}.npz")
        print(f"{name}: test accuracy {accuracy(model, test_images, test_labels):.4f}")


if __name__ == "__main__":
    main()
