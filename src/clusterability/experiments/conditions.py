"""The conditions of tables 1, A.5 to A.9, A.13 and A.18 to A.21: what is trained for which line."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from clusterability.training.spec import TrainingSpec


@dataclass(frozen=True)
class Condition:
    """One line of a table of the paper, or two: before pruning and after it.

    Args:
        name: of the condition.
        spec: of the run with seed 0.
        table, dataset, treatment: the line, as the paper names them.
    """

    name: str
    spec: TrainingSpec
    table: str
    dataset: str
    treatment: str


L2_RUNS: dict[str, Any] = {"l2": 5e-5, "retrain_below": 1.0}
REGULARIZERS: dict[str, dict[str, Any]] = {
    "None": {},
    "Dropout": {"dropout": True},
    "L1": {"l1": 5e-5},
    # As the published runs: mixed, and trained again where the n-cut was near zero.
    "L2": {**L2_RUNS, "mixed_l2": True},
}


def mlp_conditions() -> list[Condition]:
    """Return the conditions that train MLPs."""
    return [
        *_regularized(),
        *_halves(),
        *_memorization(),
        *(
            Condition(
                f"polynomials-{treatment.lower()}",
                TrainingSpec("mlp-regression", "polynomials", **REGULARIZERS[treatment]),
                *("A.19", "polynomials", treatment),
            )
            for treatment in ("None", "L1", "L2")
        ),
        *_lines(),
    ]


def cnn_conditions() -> list[Condition]:
    """Return the conditions that train the small CNN."""
    return [
        Condition(
            f"small-cnn-{dataset}-{treatment.lower()}",
            TrainingSpec("small-cnn", dataset, **REGULARIZERS[treatment]),
            *(table, title, treatment),
        )
        for table, title, dataset in [
            ("A.8", "MNIST", "mnist"),
            ("A.9", "Fashion-MNIST", "fashion-mnist"),
        ]
        for treatment in ("None", "Dropout")
    ]


def promoting_conditions() -> list[Condition]:
    """Return the conditions of section 4, which train for clusterability.

    The published penalty had half of the true gradient, so that here it has half of the weight.
    """
    small = ("small-mlp", "mnist-7x7")
    penalty: dict[str, Any] = {"eigenvalue_penalty": 0.05, "normalize": True}
    table_1 = {
        "table-1-none": (TrainingSpec(*small), "None"),
        "table-1-penalty": (TrainingSpec(*small, **penalty), "Eigenvalue penalty"),
        "table-1-penalty-slip": (
            TrainingSpec(*small, **penalty, pruned_norm="threshold"),
            "Eigenvalue penalty",
        ),
    }
    return [
        *(Condition(n, spec, "1", "MNIST 7x7", row) for n, (spec, row) in table_1.items()),
        *(
            Condition(
                f"{dataset}-init",
                TrainingSpec("mlp", dataset, clusterable_init=True),
                *("A.13", title, "Clusterable init"),
            )
            for title, dataset in [("MNIST", "mnist"), ("Fashion-MNIST", "fashion-mnist")]
        ),
        *_wide_penalized(),
    ]


def _wide_penalized() -> list[Condition]:
    """The penalty on the wide MLP, which nobody has published."""
    found = []
    for weight in (0.01, 0.1, 1.0):
        for every in (1, 4):
            spec = TrainingSpec(
                *("mlp", "fashion-mnist"),
                eigenvalue_penalty=weight,
                eigenvalues=tuple(range(2, 13)),
                eigenvalue_every=every,
            )
            name = f"wide-penalty-{weight:g}" + ("" if every == 1 else f"-every-{every}")
            found.append(
                Condition(name, spec, "", "Fashion-MNIST", f"Eigenvalue penalty {weight:g}")
            )
    return found


def _regularized() -> list[Condition]:
    found = []
    for table, title, dataset in [
        ("A.5", "MNIST", "mnist"),
        ("A.6", "Fashion-MNIST", "fashion-mnist"),
    ]:
        for treatment, regularizer in REGULARIZERS.items():
            spec = TrainingSpec("mlp", dataset, **regularizer)
            name = f"{dataset}-{treatment.lower()}"
            found.append(Condition(name, spec, table, title, treatment))
        as_text = TrainingSpec("mlp", dataset, **L2_RUNS)
        found.append(Condition(f"{dataset}-l2-text", as_text, table, title, "L2"))
    return found


def _halves() -> list[Condition]:
    return [
        Condition(f"{base}-halves-{kind}", TrainingSpec("mlp", f"{base}-halves-{kind}"), *row)
        for title, base in [("MNIST", "mnist"), ("Fashion-MNIST", "fashion")]
        for kind in ("same", "diff")
        for row in [("A.7", title, kind)]
    ]


def _memorization() -> list[Condition]:
    return [
        Condition(
            f"random-memorization-{treatment.lower()}",
            TrainingSpec(
                "mlp",
                "random-memorization",
                epochs=100,
                pruning_epochs=100,
                **REGULARIZERS[treatment],
            ),
            *("A.18", "random (3,000, memorization)", treatment),
        )
        for treatment in ("None", "Dropout")
    ]


def _lines() -> list[Condition]:
    return [
        Condition(
            f"{dataset}-{treatment.lower()}",
            TrainingSpec("mlp", dataset, **REGULARIZERS[treatment]),
            *(table, title, treatment),
        )
        for table, treatment in [("A.20", "None"), ("A.21", "Dropout")]
        for dataset, title in [
            ("lines", "LINES"),
            ("lines-mnist", "LINES-MNIST"),
            ("lines-mnist-sep", "LINES-MNIST-SEP"),
        ]
    ]
