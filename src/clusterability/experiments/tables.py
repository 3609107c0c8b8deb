"""The paper's tables, as data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from clusterability.experiments.published import published_lines
from clusterability.experiments.records import Condition, Line, Table
from clusterability.training import TrainingSpec

MNIST, FASHION = "MNIST", "Fashion-MNIST"
SETS = {MNIST: "mnist", FASHION: "fashion-mnist"}

WEIGHT = 5e-5
"""Of L1 and L2 regularization."""

FIELDS: dict[str, dict[str, Any]] = {
    "None": {},
    "Dropout": {"dropout": True},
    "L1": {"l1": WEIGHT},
    "L2": {"l2": WEIGHT},
}
"""Fields of the spec for each treatment."""

NEAR_ZERO = 1.0
"""MLPs with L2 were trained again where their n-cut was below this (section 2)."""

AS_PUBLISHED = {"random-memorization": "memorization-published"}
"""Samples as the published runs drew them, where the name is not that of the set and an ending."""

MIXTURES = ("LINES", "LINES-MNIST", "LINES-MNIST-SEP")

CLUSTERS = {"A.1": 4, "A.2": 7, "A.3": 10, "A.4": 2}
"""The number of clusters of tables A.1 to A.4."""

Conditions = Mapping[tuple[str, str], Condition]
"""By data set and treatment."""


def _table(number: str, title: str, conditions: Conditions, **about: Any) -> Table:
    """Return a table that has the published lines of some conditions."""
    lines = [
        Line(dataset, treatment, phase, conditions.get((dataset, treatment)))
        for dataset, treatment, phase in published_lines(number)
    ]
    return Table(number, title, tuple(lines), **about)


def _mlp(dataset: str, network: str = "mlp", **fields: Any) -> Condition:
    return Condition(TrainingSpec(network, dataset, **fields))


def _mixed(network: str, dataset: str) -> Condition:
    """MLPs with L2, which in the published runs was L1 on the first layer."""
    text = TrainingSpec(network, dataset, **FIELDS["L2"], retrain_below=NEAR_ZERO)
    return Condition(replace(text, mixed_l2=True), text)


def _treated_mlps(dataset: str, network: str = "mlp") -> dict[str, Condition]:
    return {
        treatment: _mixed(network, dataset)
        if treatment == "L2"
        else _mlp(dataset, network, **fields)
        for treatment, fields in FIELDS.items()
    }


PLAIN = {
    (title, treatment): condition
    for title, dataset in SETS.items()
    for treatment, condition in _treated_mlps(dataset).items()
}
"""MLPs on MNIST and Fashion-MNIST, by data set and treatment."""


def _penalized() -> Conditions:
    """Table 1: the published gradient was half of the true one, so here the weight is half."""
    small = ("small-mlp", "mnist-7x7")
    penalty: dict[str, Any] = {"eigenvalue_penalty": 0.05, "normalize": True}
    slip: dict[str, Any] = {**penalty, "pruned_norm": "threshold"}
    text: dict[str, Any] = {**penalty, "eigenvalue_penalty": 0.1}
    return {
        ("MNIST 7x7", "None"): Condition(TrainingSpec(*small)),
        ("MNIST 7x7", "Eigenvalue penalty"): Condition(
            TrainingSpec(*small, **slip), TrainingSpec(*small, **text)
        ),
    }


LOOSE: dict[str, Any] = {"pruning_order": "loose"}
"""As the published runs of tables A.18 to A.21 seem to have pruned, but for those on MNIST and
those with L1 or L2: see docs/reproduction.md, the order of pruning."""


def _halves(shape: str, network: str) -> Conditions:
    """Pairs of images; those of the published runs were drawn from one seed."""
    found = {}
    for title, short in {MNIST: "mnist", FASHION: "fashion"}.items():
        for kind in ("same", "diff"):
            found[title, kind] = _as_drawn(network, f"{short}-{shape}-{kind}")
    return found


def _as_drawn(
    network: str, dataset: str, published: Mapping[str, Any] | None = None, **fields: Any
) -> Condition:
    """Samples that the published runs drew from one seed, in the text's reading from ours.

    Args:
        network, dataset, fields: of the spec.
        published: fields that it has only in the published reading.
    """
    drawn = AS_PUBLISHED.get(dataset, f"{dataset}-published")
    return Condition(
        TrainingSpec(network, drawn, **{**fields, **(published or {})}),
        TrainingSpec(network, dataset, **fields),
    )


def _small_cnns() -> Conditions:
    return {
        (title, treatment): Condition(TrainingSpec("small-cnn", dataset, **fields))
        for title, dataset in SETS.items()
        for treatment, fields in FIELDS.items()
    }


def _vggs() -> Conditions:
    """VGGs, whose published runs had 390 steps an epoch, and an L2 of 5e-4."""
    treatments = {**FIELDS, "Dropout & L2": {"dropout": True, "l2": WEIGHT}}
    return {("CIFAR-10", treatment): _vgg(**fields) for treatment, fields in treatments.items()}


def _vgg(**fields: Any) -> Condition:
    text = TrainingSpec("vgg", "cifar-10", **fields)
    heavier = {"l2": 10 * WEIGHT} if "l2" in fields else {}
    published = TrainingSpec("vgg", "cifar-10", epoch_steps=390, **{**fields, **heavier})
    return Condition(published, text)


def _initialized(network: str, beta: float) -> Conditions:
    fields: dict[str, Any] = {"clusterable_init": True, "tags": 10, "beta": beta}
    return {
        (title, "Clusterable init"): Condition(TrainingSpec(network, dataset, **fields))
        for title, dataset in SETS.items()
    }


def _initialized_vgg() -> Conditions:
    condition = _vgg(clusterable_init=True, tags=10, beta=0.8)
    return {("CIFAR-10", "Clusterable init"): condition}


def _random(title: str, dataset: str, **fields: Any) -> Conditions:
    """Random images; the published ones were drawn by NumPy's old generator from seed 42."""
    return {
        (title, treatment): _as_drawn("mlp", dataset, **FIELDS[treatment], **fields)
        for treatment in ("None", "Dropout")
    }


def _memorized(title: str) -> Conditions:
    """Random images that can be learned, with less dropout (see docs/reproduction.md)."""
    epochs: dict[str, Any] = {"epochs": 100, "pruning_epochs": 100}
    return {
        (title, "None"): _as_drawn("mlp", "random-memorization", LOOSE, **epochs),
        (title, "Dropout"): _as_drawn(
            *("mlp", "random-memorization", {**LOOSE, "dropout_rate": 0.2}),
            dropout=True,
            **epochs,
        ),
    }


def _polynomials() -> Conditions:
    published = _treated_mlps("polynomials-published", "mlp-regression")
    published["None"] = Condition(replace(published["None"].spec, **LOOSE))
    text = _treated_mlps("polynomials", "mlp-regression")
    return {
        ("polynomials", treatment): Condition(
            published[treatment].spec, text[treatment].spec_of("paper", 0)
        )
        for treatment in ("None", "L1", "L2")
    }


def _lines(treatment: str) -> Conditions:
    fields = FIELDS[treatment]
    drawn = {title: _as_drawn("mlp", title.lower(), LOOSE, **fields) for title in MIXTURES}
    conditions = {MNIST: _mlp("mnist", **fields), **drawn}
    return {(title, treatment): condition for title, condition in conditions.items()}


def _all_tables() -> list[Table]:
    kilo: dict[str, Any] = {"epochs": 1000, "pruning_epochs": 20}
    random = "random (60,000, unlearnable)"
    kilo_epoch = "random (60,000, 1000 epochs)"
    few = "random (3,000, memorization)"
    return [
        _table("1", "MLPs with and without the eigenvalue penalty", _penalized(), n_runs=10),
        *(
            _table(
                number,
                f"Pruned MLPs, {k} clusters",
                PLAIN,
                n_runs=10,
                n_clusters=k,
                n_shuffles=320,
                is_pooled=True,
            )
            for number, k in CLUSTERS.items()
        ),
        _table("A.5", "MLPs on MNIST", PLAIN),
        _table("A.6", "MLPs on Fashion-MNIST", PLAIN),
        _table("A.7", "MLPs on halves of images", _halves("halves", "mlp")),
        _table("A.8", "Small CNNs on MNIST", _small_cnns()),
        _table("A.9", "Small CNNs on Fashion-MNIST", _small_cnns()),
        _table("A.10", "VGGs on CIFAR-10", _vggs()),
        _table("A.11", "Networks by others, on ImageNet", {}, n_runs=1, n_shuffles=100),
        _table("A.12", "Small CNNs on stacked images", _halves("stack", "small-cnn")),
        _table("A.13", "MLPs, clusterable initialization", _initialized("mlp", 0.6)),
        _table("A.14", "Small CNNs, clusterable initialization", _initialized("small-cnn", 0.8)),
        _table("A.15", "VGGs, clusterable initialization", _initialized_vgg()),
        _table("A.16", "MLPs on random images", _random(random, "random"), n_runs=10),
        _table(
            *("A.17", "MLPs on random images, 1,000 epochs"),
            # The text has no pruning, but the n-cuts are of pruned networks.
            _random(kilo_epoch, "random", **kilo),
            n_runs=10,
        ),
        _table(
            *("A.18", "MLPs that memorize random images"),
            _memorized(few),
            n_runs=10,
        ),
        _table("A.19", "MLPs on polynomial regression", _polynomials()),
        _table("A.20", "Pruned MLPs on mixtures", _lines("None")),
        _table("A.21", "Pruned MLPs on mixtures, dropout", _lines("Dropout")),
    ]


TABLES = {table.number: table for table in _all_tables()}
"""The tables by number."""
