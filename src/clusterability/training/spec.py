"""What is trained and how, as data: a frozen record whose hash names the run's folder."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
import os
import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from numbers import Real
from typing import Any

from clusterability.errors import InputError
from clusterability.options import one_of, whole
from clusterability.shown import shown
from clusterability.training.networks import NETWORKS


@dataclass(frozen=True)
class TrainingSpec:
    """One run: everything on which its weights depend, but for the machine.

    What is left out is as the paper trained that network (appendix A.2); Adam has learning rate
    0.001, betas 0.9 and 0.999, epsilon 1e-7, and is begun afresh for the pruning.

    Args:
        network: ``mlp``, ``mlp-regression``, ``small-mlp``, ``small-cnn`` or ``vgg``.
        dataset: a name of :data:`clusterability.datasets.DATASETS`, or the path of an ``.npz``.
        dropout: with the paper's rates.
        l1, l2: weights of ``sum |w|`` and ``sum w^2`` over the kernels, as in Keras (no half).
        mixed_l2: the published L2 runs' form: L1 on the first layer and L2 on the others, both
            with the weight ``l2``.
        epochs, pruning_epochs: before pruning and with it; no pruning if the latter is 0.
        initial_sparsity, final_sparsity, pruning_interval: of the cubic schedule.
        batch_size, learning_rate: of both phases.
        augment: random rotations, shifts and flips of the images, of a CNN; by default for
            ``cifar-10``.
        retrain_below: train again, with other random numbers, while the n-cut of either phase is
            below this, at most ten times; 0 for never. The paper did so for L2.
        seed: of the initialization, the order of samples, dropout and augmentation.
        data_seed: of data sets that are made, and so the same for several runs.
        stack: seeds of the runs whose weights are trained in one stack, for they round
            differently; empty for a run by itself.

    Raises:
        InputError: if a field cannot be used.

    >>> TrainingSpec("mlp", "mnist", dropout=True).name
    'mlp-mnist-dropout-seed0-7dce2e2f'
    """

    network: str
    dataset: str
    dropout: bool = False
    l1: float = 0.0
    l2: float = 0.0
    mixed_l2: bool = False
    epochs: int | None = None
    pruning_epochs: int | None = None
    initial_sparsity: float = 0.5
    final_sparsity: float = 0.9
    pruning_interval: int = 10
    batch_size: int | None = None
    learning_rate: float = 0.001
    augment: bool | None = None
    retrain_below: float = 0.0
    seed: int = 0
    data_seed: int = 0
    stack: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        network = NETWORKS[one_of("network", self.network, NETWORKS)]
        fill = _Fill(self)
        if isinstance(self.dataset, os.PathLike):
            fill.set("dataset", os.fspath(self.dataset))
        if not isinstance(self.dataset, str) or not self.dataset:
            raise InputError(
                f"dataset is {self.dataset!r}, expected a name such as mnist, or a path"
            )
        fill.default("epochs", network.epochs)
        fill.default("pruning_epochs", network.pruning_epochs)
        fill.default("batch_size", network.batch_size)
        fill.default("augment", self.dataset == "cifar-10" and not network.is_mlp)
        fill.default("stack", ())
        _check(self, fill)

    @property
    def phases(self) -> tuple[str, ...]:
        """Names of the phases, which are also those of the weights that are saved after each."""
        return ("unpruned", "pruned") if self.pruning_epochs else ("unpruned",)

    def phase_epochs(self, phase: int) -> int:
        """Epochs of a phase."""
        epochs = (self.epochs, self.pruning_epochs)[phase]
        assert epochs is not None
        return epochs

    def choices(self) -> dict[str, Any]:
        """The fields that are not as the paper trained this network."""
        plain = type(self)(self.network, self.dataset)
        return {
            field.name: getattr(self, field.name)
            for field in dataclasses.fields(self)
            if field.name in ("network", "dataset")
            or getattr(self, field.name) != getattr(plain, field.name)
        }

    @property
    def digest(self) -> str:
        """Eight hexadecimal digits that depend on :meth:`choices` and on nothing else."""
        text = json.dumps(self.choices(), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:8]

    @property
    def name(self) -> str:
        """Name of the run's folder: what it is, for people, and the hash."""
        dataset = re.sub(r"[^a-z0-9-]+", "-", self.dataset.rsplit("/", 1)[-1].lower()).strip("-")
        parts = [self.network, dataset[:40]]
        parts += ["dropout"] if self.dropout else []
        parts += ["l1"] if self.l1 else []
        parts += ["l2"] if self.l2 else []
        return "-".join([*parts, f"seed{self.seed}", self.digest])

    def to_dict(self) -> dict[str, Any]:
        """All fields, as JSON has them."""
        return {**dataclasses.asdict(self), "stack": list(self.stack)}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> TrainingSpec:
        """The spec that :meth:`to_dict` wrote.

        Raises:
            InputError: if there are other fields, or a field cannot be used.
        """
        known = {field.name for field in dataclasses.fields(cls)}
        try:
            unknown = sorted(set(data) - known)
            if unknown:
                raise InputError(
                    f"the spec has a field {shown(unknown[0])!r}, expected only "
                    f"{', '.join(sorted(known))}"
                )
            return cls(**data)
        except TypeError as error:
            raise InputError(f"the spec cannot be read ({error}); write its fields again") from None


class _Fill:
    """Sets fields of a frozen record while it is made."""

    def __init__(self, spec: TrainingSpec) -> None:
        self.spec = spec

    def set(self, name: str, value: Any) -> None:
        object.__setattr__(self.spec, name, value)

    def default(self, name: str, value: Any) -> None:
        if getattr(self.spec, name) is None:
            self.set(name, value)

    def number(self, name: str, expected: str, holds: Callable[[float], bool]) -> None:
        value: Any = getattr(self.spec, name)
        number = math.nan
        if not isinstance(value, bool) and isinstance(value, Real):
            with suppress(OverflowError):
                number = float(value)
        if not math.isfinite(number) or not holds(number):
            raise InputError(f"{name} is {value!r}, expected {expected}")
        self.set(name, number)


_WHOLE = (
    ("epochs", 1, 10**6),
    ("pruning_epochs", 0, 10**6),
    ("batch_size", 1, 10**7),
    ("pruning_interval", 1, 10**9),
    ("seed", 0, None),
    ("data_seed", 0, None),
)


def _check(spec: TrainingSpec, fill: _Fill) -> None:
    for name, lowest, highest in _WHOLE:
        fill.set(name, whole(name, getattr(spec, name), lowest, highest))
    for name in ("dropout", "mixed_l2", "augment"):
        if not isinstance(getattr(spec, name), bool):
            raise InputError(f"{name} is {getattr(spec, name)!r}, expected True or False")
    for name in ("l1", "l2", "retrain_below"):
        fill.number(name, "a number of at least 0", lambda v: v >= 0)
    fill.number("learning_rate", "a number above 0", lambda v: v > 0)
    for name in ("initial_sparsity", "final_sparsity"):
        fill.number(name, "a share of zeros, at least 0 and below 1", lambda v: 0 <= v < 1)
    if spec.initial_sparsity > spec.final_sparsity:
        raise InputError(
            f"initial_sparsity is {spec.initial_sparsity}, above the final_sparsity of "
            f"{spec.final_sparsity}; pruned weights do not come back, so give at most that"
        )
    if spec.mixed_l2 and not spec.l2:
        raise InputError("mixed_l2 is asked for without l2; give the weight l2 too")
    if spec.augment and NETWORKS[spec.network].is_mlp:
        raise InputError(
            f"augment is asked for, but network {spec.network!r} takes images flattened; leave it "
            "out, or train a CNN"
        )
    _check_stack(spec, fill)


def _check_stack(spec: TrainingSpec, fill: _Fill) -> None:
    if not isinstance(spec.stack, Sequence):
        raise InputError(f"stack is {spec.stack!r}, expected seeds, such as (0, 1, 2)")
    fill.set("stack", tuple(whole("stack", seed, 0) for seed in spec.stack))
    if spec.stack and (spec.seed not in spec.stack or len(set(spec.stack)) < len(spec.stack)):
        raise InputError(
            f"stack is {spec.stack}, expected different seeds with the run's own, {spec.seed}"
        )
    if spec.stack and (not NETWORKS[spec.network].is_mlp or spec.retrain_below):
        raise InputError(
            f"stack is {spec.stack}, but only MLPs without retrain_below are trained in one; "
            "leave it empty"
        )
