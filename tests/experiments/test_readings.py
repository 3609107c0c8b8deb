import pytest

from clusterability.experiments.tables import TABLES

LOOSE = {"pruning_order": "loose"}
DIFFERENCES = {
    ("1", "Eigenvalue penalty"): {"eigenvalue_penalty": 0.05, "pruned_norm": "threshold"},
    ("A.5", "None"): {},
    ("A.5", "Dropout"): {},
    ("A.5", "L1"): {},
    ("A.5", "L2"): {"mixed_l2": True},
    ("A.7", "same"): {"dataset": "mnist-halves-same-published"},
    ("A.8", "L2"): {},
    ("A.10", "Dropout & L2"): {"epoch_steps": 390, "l2": 5e-4},
    ("A.16", "Dropout"): {"dataset": "random-published"},
    ("A.18", "None"): {**LOOSE, "dataset": "memorization-published"},
    ("A.18", "Dropout"): {**LOOSE, "dataset": "memorization-published", "dropout_rate": 0.2},
    ("A.19", "None"): {**LOOSE, "dataset": "polynomials-published"},
    ("A.19", "L1"): {"dataset": "polynomials-published"},
    ("A.19", "L2"): {"dataset": "polynomials-published", "mixed_l2": True},
    ("A.20", "None"): {},
    ("A.21", "Dropout"): {},
}
LINES = {
    "LINES": "lines-published",
    "LINES-MNIST": "lines-mnist-published",
    "LINES-MNIST-SEP": "lines-mnist-sep-published",
}


def differences(line):
    published, text = (line.spec_of(reading, 3).choices() for reading in ("published", "paper"))
    assert published["seed"] == text["seed"] == 3
    return {key: value for key, value in published.items() if text.get(key) != value}


@pytest.mark.parametrize(("number", "treatment"), DIFFERENCES)
def test_what_the_published_runs_had_beside_the_text(number, treatment):
    lines = [line for line in TABLES[number].lines if line.treatment == treatment]
    assert differences(lines[0]) == DIFFERENCES[number, treatment]


@pytest.mark.parametrize("number", ["A.20", "A.21"])
@pytest.mark.parametrize("dataset", LINES)
def test_mixtures_are_pruned_in_the_loose_order(number, dataset):
    (line,) = (line for line in TABLES[number].lines if line.dataset == dataset)
    assert differences(line) == {**LOOSE, "dataset": LINES[dataset]}
