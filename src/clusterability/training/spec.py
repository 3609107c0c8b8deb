"""What is trained and how, as data: a frozen record whose hash names the run's folder."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any, ClassVar

from clusterability.arguments import eigenvalue_indices, number, whole, yes_or_no
from clusterability.errors import InputError
from clusterability.records import Record, choice, parse_indices, parse_number
from clusterability.registries import LAYERS
from clusterability.shown import described
from clusterability.training.contradictions import EIGENVALUES, check_together
from clusterability.training.networks import NETWORKS, Network


def _check_dataset(name: str, value: Any) -> str:
    value = os.fspath(value) if isinstance(value, os.PathLike) else value
    if not isinstance(value, str) or not value:
        raise InputError(f"{name} is {described(value)}, expected a name such as mnist, or a path")
    return value


def _check_stack(name: str, value: Any) -> tuple[int, ...]:
    if not isinstance(value, Sequence):
        raise InputError(f"{name} is {described(value)}, expected seeds, such as (0, 1, 2)")
    return tuple(whole(name, seed, 0, 2**128) for seed in value)


_check_share = partial(number, below=1, noun="a share of zeros")

_check_weight = partial(number, below=1e30, noun="a weight")  # times 2 it is still a float32

PAPERS = "the paper's"

PRUNED_NORMS = ("weights", "threshold")

PRUNING_ORDERS = ("strict", "loose")

PRECISIONS = ("float32", "bfloat16")


def _check_rate(name: str, value: Any) -> float | None:
    noun = "a share of the activations"
    return None if value is None else number(name, value, above=True, below=1, noun=noun)


def _check_steps(name: str, value: Any) -> int | None:
    return None if value is None else whole(name, value, 1, 10**9)


@dataclass(frozen=True)
class TrainingSpec(Record):
    """One run: everything on which its weights depend, but for the machine.

    What is left out is as the paper trained that network (appendix A.2); Adam has learning rate
    0.001, betas 0.9 and 0.999, epsilon 1e-7, and is begun afresh for the pruning.

    Raises:
        InputError: if a field cannot be used.

    >>> TrainingSpec("mlp", "mnist", dropout=True).name
    'mlp-mnist-dropout-seed0-7dce2e2f'
    """

    _title: ClassVar[str] = "spec"

    network: str = choice(
        names=NETWORKS, flag="--network", metavar="NAME", basis=True, help="what is trained"
    )
    dataset: str = choice(
        check=_check_dataset,
        flag="--dataset",
        metavar="NAME",
        basis=True,
        help="see clusterability datasets; or an .npz file with x and y, test_x and test_y",
    )
    dropout: bool = choice(
        False,
        check=yes_or_no,
        flag="--dropout",
        parse=None,
        help="with the paper's rates, or that of --dropout-rate",
    )
    dropout_rate: float | None = choice(
        None,
        check=_check_rate,
        flag="--dropout-rate",
        parse=parse_number,
        metavar="P",
        default_text=PAPERS,
        help="of every dropout layer, with --dropout",
    )
    l1: float = choice(
        0.0,
        check=_check_weight,
        flag="--l1",
        parse=parse_number,
        metavar="W",
        help="weight of the sum of absolute weights of the kernels",
    )
    l2: float = choice(
        0.0,
        check=_check_weight,
        flag="--l2",
        parse=parse_number,
        metavar="W",
        help="weight of sum w^2 over the kernels, as in Keras without a half",
    )
    mixed_l2: bool = choice(
        False,
        check=yes_or_no,
        flag="--mixed-l2",
        parse=None,
        help="L1 on the first layer and L2 on the others, both with the weight of L2, as the "
        "published L2 runs",
    )
    eigenvalue_penalty: float = choice(
        0.0,
        check=_check_weight,
        flag="--eigenvalue-penalty",
        parse=parse_number,
        metavar="W",
        help="weight of the mean of chosen eigenvalues of the normalized Laplacian, of an MLP",
    )
    eigenvalues: tuple[int, ...] = choice(
        EIGENVALUES,
        check=eigenvalue_indices,
        flag="--eigenvalues",
        parse=parse_indices,
        metavar="LIST",
        default_text="2-4",
        help="which eigenvalues the penalty is of, from 2 on, such as 2-4,7",
    )
    eigenvalue_every: int = choice(
        1,
        check=partial(whole, lowest=1, highest=10**6),
        flag="--eigenvalue-every",
        parse=parse_number,
        metavar="N",
        help="add the penalty's gradient at every so many steps, so many times as large",
    )
    normalize: bool = choice(
        False,
        check=yes_or_no,
        flag="--normalize",
        parse=None,
        help="before each step, scale each hidden neuron's weights and bias to norm sqrt(2), and "
        "the weights that read it such that the function stays (algorithm 2)",
    )
    pruned_norm: str = choice(
        "weights",
        names=PRUNED_NORMS,
        flag="--pruned-norm",
        metavar="NAME",
        help="with --normalize, the norm while pruning: of the weights (weights), or by the "
        "published runs' slip of the weights times the threshold of pruning (threshold)",
    )
    clusterable_init: bool = choice(
        False,
        check=yes_or_no,
        flag="--clusterable-init",
        parse=None,
        help="multiply the first weights by BETA between neurons of different tags, and by "
        "1 + (1 - BETA) (TAGS - 1) between those of one (section 4.2)",
    )
    tags: int = choice(
        10,
        check=partial(whole, lowest=2, highest=10**6),
        flag="--tags",
        parse=parse_number,
        metavar="TAGS",
        help="number of tags, with --clusterable-init and what has clusters",
    )
    beta: float = choice(
        0.6,
        check=partial(number, above=True, below=1),
        flag="--beta",
        parse=parse_number,
        metavar="BETA",
        help="factor between different tags, with --clusterable-init; 0.8 in the paper's CNNs",
    )
    modular_pruning: bool = choice(
        False,
        check=yes_or_no,
        flag="--modular-pruning",
        parse=None,
        help="prune weights between neurons of different tags before all others, so that the "
        "network falls apart into clusters",
    )
    group_lasso: float = choice(
        0.0,
        check=_check_weight,
        flag="--group-lasso",
        parse=parse_number,
        metavar="W",
        help="weight of the group lasso on the blocks of weights between different tags",
    )
    partition_penalty: float = choice(
        0.0,
        check=_check_weight,
        flag="--partition-penalty",
        parse=parse_number,
        metavar="W",
        help="weight of the n-cut of the tags, of an MLP",
    )
    tag_layers: str = choice(
        "hidden",
        names=LAYERS,
        flag="--tag-layers",
        metavar="NAME",
        help="layers whose neurons have tags, for these three: hidden, hidden+outputs, all",
    )
    epochs: int | None = choice(
        None,
        check=partial(whole, lowest=1, highest=10**6),
        flag="--epochs",
        parse=parse_number,
        metavar="N",
        fill=lambda spec: spec._network.epochs,
        default_text=PAPERS,
        help="before pruning",
    )
    pruning_epochs: int | None = choice(
        None,
        check=partial(whole, lowest=0, highest=10**6),
        flag="--pruning-epochs",
        parse=parse_number,
        metavar="N",
        fill=lambda spec: spec._network.pruning_epochs,
        default_text=PAPERS,
        help="with pruning; 0 for none",
    )
    initial_sparsity: float = choice(
        0.5,
        check=_check_share,
        flag="--initial-sparsity",
        parse=parse_number,
        metavar="S",
        help="share of zeros from which the cubic schedule of pruning rises",
    )
    final_sparsity: float = choice(
        0.9,
        check=_check_share,
        flag="--final-sparsity",
        parse=parse_number,
        metavar="S",
        help="share of zeros at the end of pruning",
    )
    pruning_interval: int = choice(
        10,
        check=partial(whole, lowest=1, highest=10**9),
        flag="--pruning-interval",
        parse=parse_number,
        metavar="N",
        help="steps between two prunings",
    )
    pruning_order: str = choice(
        "strict",
        names=PRUNING_ORDERS,
        flag="--pruning-order",
        metavar="NAME",
        help="a pruned weight is 0 after each step (strict), or as in some published runs only "
        "before Adam's step, so that the next one and a new mask see what Adam made of it (loose)",
    )
    batch_size: int | None = choice(
        None,
        check=partial(whole, lowest=1, highest=10**7),
        flag="--batch-size",
        parse=parse_number,
        metavar="N",
        fill=lambda spec: spec._network.batch_size,
        default_text=PAPERS,
        help="samples in a batch",
    )
    epoch_steps: int | None = choice(
        None,
        check=_check_steps,
        flag="--epoch-steps",
        parse=parse_number,
        metavar="N",
        default_text="all batches",
        help="steps of an epoch; the next one goes on with the batches that are left",
    )
    learning_rate: float = choice(
        0.001,
        check=partial(number, above=True),
        flag="--learning-rate",
        parse=parse_number,
        metavar="R",
        help="of Adam",
    )
    precision: str = choice(
        "float32",
        names=PRECISIONS,
        flag="--precision",
        metavar="NAME",
        help="of the convolutions and products of a CNN; weights stay in float32",
    )
    augment: bool | None = choice(
        None,
        check=yes_or_no,
        flag="--augment",
        parse=None,
        fill=lambda spec: spec.dataset == "cifar-10" and not spec._network.is_mlp,
        default_text="for cifar-10",
        help="rotate, shift and flip the images at random, of a CNN",
    )
    retrain_below: float = choice(
        0.0,
        check=number,
        flag="--retrain-below",
        parse=parse_number,
        metavar="NCUT",
        default_text="never",
        help="train again, with other random numbers and at most ten times, while the n-cut of "
        "either phase is below this by the published conventions, as the paper did for L2",
    )
    seed: int = choice(
        0,
        check=partial(whole, lowest=0, highest=2**128),
        flag="--seed",
        parse=parse_number,
        metavar="N",
        help="of the initialization, the order of samples, dropout and augmentation; of the first "
        "of several runs",
    )
    data_seed: int = choice(
        0,
        check=partial(whole, lowest=0, highest=2**128),
        flag="--data-seed",
        parse=parse_number,
        metavar="N",
        help="of data sets that are made",
    )
    stack: tuple[int, ...] = choice(
        (),
        check=_check_stack,
        fill=lambda _: (),
        help="seeds of the runs whose weights are trained in one stack, for they round "
        "differently; empty for a run by itself",
    )

    def _check_together(self) -> None:
        check_together(self)

    @property
    def _network(self) -> Network:
        """The network's entry in :data:`clusterability.training.NETWORKS`."""
        return NETWORKS[self.network]

    @property
    def has_clusters(self) -> bool:
        """Whether neurons have tags that pruning or a penalty treats."""
        return bool(self.modular_pruning or self.group_lasso or self.partition_penalty)

    @property
    def phases(self) -> tuple[str, ...]:
        """Names of the phases, which are also those of the weights that are saved after each."""
        return ("unpruned", "pruned") if self.pruning_epochs else ("unpruned",)

    def phase_epochs(self, phase: int) -> int:
        """Epochs of a phase."""
        epochs = (self.epochs, self.pruning_epochs)[phase]
        assert epochs is not None
        return epochs

    @cached_property
    def name(self) -> str:
        """Name of the run's folder: what it is, for people, and the hash."""
        dataset = re.sub(r"[^a-z0-9-]+", "-", self.dataset.rsplit("/", 1)[-1].lower()).strip("-")
        parts = [self.network, dataset[:40]]
        parts += ["dropout"] if self.dropout else []
        parts += ["l1"] if self.l1 else []
        parts += ["l2"] if self.l2 else []
        parts += ["eigenvalues"] if self.eigenvalue_penalty else []
        parts += ["normalized"] if self.normalize else []
        parts += ["init"] if self.clusterable_init else []
        parts += ["lasso"] if self.group_lasso else []
        parts += ["partition"] if self.partition_penalty else []
        parts += ["modular"] if self.modular_pruning else []
        return "-".join([*parts, f"seed{self.seed}", self.digest])
