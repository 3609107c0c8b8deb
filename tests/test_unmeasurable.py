"""Graphs that are warned of, and graphs and arguments that are refused."""

import math

import numpy as np
import pytest

from clusterability.errors import InputError
from graphs import (
    chain_of,
    random_chain,
    side_by_side,
)
from measurements import check, run


def test_a_network_in_parts_is_warned_of():
    result = run(side_by_side(3, 10), 3, n_shuffles=2)
    assert result.n_components == 3
    assert any("falls into 3 parts with no connection" in message for message in result.warnings)
    assert result.refined.ncut == pytest.approx(0, abs=1e-6)
    assert run(random_chain([9, 8]), n_shuffles=0).n_components == 1


def test_more_clusters_than_positive_eigenvalues_are_warned_of():
    result = run(random_chain([40, 3]), 6, n_shuffles=2)
    check(result)
    assert any("has 3 positive eigenvalues, fewer than" in text for text in result.warnings)
    assert run(random_chain([40, 8]), 6, n_shuffles=0).warnings == ()


def test_clusters_that_cannot_be_told_apart_are_warned_of():
    result = run(chain_of(np.ones((6, 5)), np.ones((5, 6))), 4, n_shuffles=2)
    check(result)
    assert len(result.clusters) == 4
    assert any("divided arbitrarily" in message for message in result.warnings)
    # No four parts of this graph are better than any others are, nor are its shuffles.
    assert result.p_value == 1


@pytest.mark.parametrize(
    ("blocks", "message"),
    [
        ([[[1.0, 2.0]], [[0.0], [0.0]]], "block between 'layer1' and 'layer2' holds only zeros"),
        ([[[1.0, math.nan]], [[1.0], [1.0]]], "NaN or infinite"),
        ([[[1.0, math.inf]], [[1.0], [1.0]]], "NaN or infinite"),
        ([[[1.0, -2.0]], [[1.0], [1.0]]], "negative strength"),
    ],
)
def test_strengths_that_cannot_be_measured_are_refused(blocks, message):
    with pytest.raises(InputError, match=message):
        run(chain_of(*blocks), 2)


def test_too_few_live_neurons_are_refused():
    graph = chain_of([[1.0, 0.0], [0.0, 0.0]], [[1.0, 0.0], [0.0, 0.0]])
    with pytest.raises(InputError) as caught:
        run(graph, 4)
    assert str(caught.value) == (
        "the network has 3 neurons with non-zero weights, fewer than n_clusters=4; "
        "pass n_clusters <= 3"
    )
    check(run(graph, 3))


@pytest.mark.parametrize(
    "options",
    [{"n_clusters": 1}, {"n_shuffles": -1}, {"seed": 0.5}, {"null": "?"}, {"workers": 0}],
)
def test_arguments_are_checked_before_the_network(options):
    with pytest.raises(InputError, match=next(iter(options))):
        run(chain_of([[math.nan]]), **options)
