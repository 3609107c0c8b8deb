"""Small runs, and the plain training loop that ours is compared with."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import nn

from clusterability.datasets import Dataset, Split, load_dataset
from clusterability.penalties import L1, L2
from clusterability.training import TrainingSpec
from clusterability.training.dropout import drop_
from clusterability.training.folders import RunFolder
from clusterability.training.machine import Machine
from clusterability.training.samples import data_digest, place
from clusterability.training.torch_settings import training_settings
from clusterability.training.training import Training

WEIGHTS = ("unpruned.safetensors", "pruned.safetensors")


def few_digits(n_train=150, n_test=50):
    """The first of the shipped digits."""
    digits = load_dataset("digits")
    return Dataset(
        "few",
        Split(digits.train.x[:n_train], digits.train.y[:n_train]),
        Split(digits.test.x[:n_test], digits.test.y[:n_test]),
        10,
    )


def small_spec(**fields):
    """Two epochs and two of pruning, on whatever data is given."""
    return TrainingSpec(
        **{"network": "small-mlp", "dataset": "few", "epochs": 2, "pruning_epochs": 2} | fields
    )


def weights_of(run):
    """The bytes of a run's weights."""
    return [(run.folder / name).read_bytes() for name in WEIGHTS[: len(run.spec.phases)]]


def small_mlp(widths=(7, 6, 5, 4), rate=0.0, seed=0):
    """An MLP whose biases are not zero."""
    generator = torch.Generator().manual_seed(seed)
    modules = []
    for n_in, n_out in pairwise(widths):
        modules += [nn.Linear(n_in, n_out), nn.ReLU()]
        modules += [nn.Dropout(rate)] if rate else []
    network = nn.Sequential(*modules[: -2 if rate else -1])
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) / 2)
    return network


class StoppedError(Exception):
    """Raised by a hook to stop a training."""


def train_with_hook(out, spec, after_epoch, data=None, device="cpu"):
    """Train one run, by default on few digits; ``after_epoch`` is called when an epoch is saved."""
    data = few_digits() if data is None else data
    machine = Machine(torch.device(device), threads=1, workers=1, progress=False)
    with RunFolder(out, spec) as folder, training_settings():
        on_device = place(data, machine.device, data_digest(data))
        return Training([spec], [folder], on_device, machine, after_epoch=after_epoch).train()


def stop_after(out, spec, n_epochs, data=None, device="cpu"):
    """Train one run for so many epochs, pruning included, and return its checkpoint."""

    def stop(training):
        if sum(len(rows) for rows in training.progress.curves) == n_epochs:
            raise StoppedError

    with pytest.raises(StoppedError):
        train_with_hook(out, spec, stop, data, device)
    return out / spec.name / "checkpoint.safetensors"


def change_checkpoint(path, change):
    """Replace the tensors of a checkpoint by those that a function makes of them."""
    with safe_open(path, "pt") as file:
        metadata = file.metadata()
    save_file(change(load_file(path)), path, metadata)


def make_infinite(tensors):
    """The state of an MLP that will diverge."""
    return {**tensors, "parameter": torch.full_like(tensors["parameter"], torch.inf)}


def naive_mask(weights, sparsity):
    """Stable sort of all magnitudes: the smallest are pruned, the first of equal ones first."""
    flat = np.abs(np.asarray(weights)).ravel()
    mask = np.ones(flat.size)
    mask[np.argsort(flat, kind="stable")[: round(sparsity * flat.size)]] = 0
    return mask.reshape(np.shape(weights))


def cubic(step, initial, final, begin, end):
    """The sparsity as TF-MOT's PolynomialDecay documents it."""
    progress = min(1.0, max(0.0, (step - begin) / (end - begin)))
    return final + (initial - final) * (1 - progress) ** 3


def weight_penalties(networks, weights):
    """Those of :class:`PlainTraining`, as training takes them."""
    pairs = zip(networks.kernel_names, weights, strict=True)
    l1, l2 = zip(*(((name, a), (name, b)) for name, (a, b) in pairs), strict=True)
    return [L1(dict(l1)), L2(dict(l2))]


class PlainTraining:
    """A module trained by autograd and torch.optim.Adam, with everything that ours has.

    Dropout takes its masks from the same generators, by :func:`drop_` on ones. ``weights`` are the
    weights of L1 and of L2, a pair for each layer.
    """

    def __init__(self, network, weights, learning_rate):
        self.network, self.weights, self.learning_rate = network, weights, learning_rate
        self.weighted = [m for m in network if isinstance(m, nn.Linear | nn.Conv2d)]
        self.masks = None
        self.generator = None
        self.start_phase()

    def start_phase(self):
        parameters = self.network.parameters()
        self.optimizer = torch.optim.Adam(parameters, self.learning_rate, eps=1e-7)

    def prune(self, sparsity):
        self.masks = [
            torch.from_numpy(naive_mask(m.weight.detach(), sparsity)).to(m.weight.dtype)
            for m in self.weighted
        ]
        self._mask()

    def _mask(self):
        with torch.no_grad():
            for mask, module in zip(self.masks or [], self.weighted, strict=False):
                module.weight *= mask

    def step(self, x, y):
        self.network.train()
        self.optimizer.zero_grad()
        for module in self.network:
            if isinstance(module, nn.Dropout):
                x = x * drop_(torch.ones_like(x)[None], module.p, [self.generator])[0]
            else:
                x = module(x)
        is_regression = y.dtype.is_floating_point
        loss = nn.functional.mse_loss(x, y) if is_regression else nn.functional.cross_entropy(x, y)
        penalty = sum(
            l1 * m.weight.abs().sum() + l2 * m.weight.square().sum()
            for (l1, l2), m in zip(self.weights, self.weighted, strict=True)
        )
        (loss + penalty).backward()
        self.optimizer.step()
        self._mask()
        return loss.item() * len(y)
