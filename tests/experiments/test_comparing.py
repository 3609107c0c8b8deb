"""Our numbers beside the published: means and deviations by the standard library's."""

import math
import statistics
from types import SimpleNamespace

import pytest

from clusterability.experiments import comparing
from clusterability.experiments.comparing import Network, compare_table
from clusterability.experiments.tables import TABLES
from clusterability.training.record import PhaseScores

ACCURACIES = (0.97, 0.98, 0.985)


def network(seed, accuracy, loss):
    part = SimpleNamespace(
        ncut=8.0 + seed, null=None, p_value=None, z_score=None, effective_clusters=11.0
    )
    result = SimpleNamespace(plain=part, refined=part, settings=SimpleNamespace(n_shuffles=0))
    scores = PhaseScores(0.1, 0.99, 0.2, 0.98, loss, accuracy, 0.0, 0.9)
    return Network(seed, f"seed{seed}", scores, result, 1)


def compared(monkeypatch, losses, n_networks=3):
    triples = list(zip(range(3), ACCURACIES, losses, strict=True))[:n_networks]
    networks = [network(*triple) for triple in triples]
    monkeypatch.setattr(comparing, "finished_networks", lambda *_: networks)
    return compare_table(TABLES["A.5"], None, "published", 5)[0].numbers


def test_scores_have_their_deviation(monkeypatch):
    numbers = compared(monkeypatch, (0.1, 0.2, 0.4))
    assert numbers["test_accuracy"].ours == pytest.approx(statistics.mean(ACCURACIES))
    assert numbers["test_accuracy"].std == pytest.approx(statistics.stdev(ACCURACIES))
    assert numbers["test_loss"].std == pytest.approx(statistics.stdev((0.1, 0.2, 0.4)))
    assert numbers["train_accuracy"].std == 0.0
    assert numbers["ncut"].std == pytest.approx(1.0)


def test_one_network_has_no_deviation(monkeypatch):
    numbers = compared(monkeypatch, (0.1, 0.2, 0.4), n_networks=1)
    assert {number.std for number in numbers.values()} == {None}
    assert numbers["test_accuracy"].ours == ACCURACIES[0]


@pytest.mark.parametrize("loss", [math.inf, math.nan])
def test_losses_that_overflow_have_no_mean(monkeypatch, loss):
    numbers = compared(monkeypatch, (0.1, loss, 0.4))
    assert (numbers["test_loss"].ours, numbers["test_loss"].std) == (None, None)
