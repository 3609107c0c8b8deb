from dataclasses import replace

import numpy as np
import pytest
import torch

from clusterability import InputError, measure, scan_clusters, toy
from clusterability.clustering.agreement import agreement
from clusterability.graph import NeuronGraph
from clusterability.report.scan import ClusterScan, recommendation, scan_csv
from clusterability.report.scan_drawing import plot_scan
from clusterability.settings import numbers_of
from results import planted, result_of, small_result


@pytest.fixture(scope="module")
def graph():
    return planted([30, 40, 30, 20], 4, density=0.5)[0]


@pytest.mark.slow
@pytest.mark.parametrize(
    "choices",
    [
        {},
        {"isolated": "drop-first", "null": "nonzero"},
        {"conventions": "published"},
        {"scaling": "canonical"},
    ],
    ids=str,
)
def test_each_result_is_that_of_its_number_alone(graph, choices):
    scan = scan_clusters(graph, [5, 2, 3], n_shuffles=4, seed=3, **choices)
    assert scan.numbers_of_clusters == (2, 3, 5)
    for k, found in zip((2, 3, 5), scan.results, strict=True):
        alone = measure(graph, k, n_shuffles=4, seed=3, **choices)
        for side in ("plain", "refined"):
            of_scan, of_one = getattr(found, side), getattr(alone, side)
            np.testing.assert_array_equal(of_scan.labels, of_one.labels)
            np.testing.assert_allclose(of_scan.null.values, of_one.null.values, rtol=1e-9)
            assert of_scan.ncut == pytest.approx(of_one.ncut, rel=1e-9)
        assert found.settings == alone.settings
        assert found.warnings == alone.warnings
        assert found.lower_bound == pytest.approx(alone.lower_bound, abs=1e-6)
        np.testing.assert_allclose(found.eigenvalues, alone.eigenvalues, atol=1e-9)
        assert (found.n_init, found.n_init_policy) == (alone.n_init, alone.n_init_policy)
        assert list(found.seconds) == list(alone.seconds)


def few_on_a_path():
    """A network of which 5 neurons lie on a path from inputs to outputs, and 25 are connected."""
    first, second = torch.nn.Linear(10, 10, bias=False), torch.nn.Linear(10, 10, bias=False)
    rng = np.random.default_rng(0)
    into, out_of = np.zeros((10, 10)), np.zeros((10, 10))
    into[:4], into[4, 8:] = rng.random((4, 10)), rng.random(2)
    out_of[:, 5:], out_of[8:, 4] = rng.random((10, 5)), rng.random(2)
    with torch.no_grad():
        first.weight.copy_(torch.from_numpy(into))
        second.weight.copy_(torch.from_numpy(out_of))
    return torch.nn.Sequential(first, torch.nn.ReLU(), second)


@pytest.mark.slow
@pytest.mark.parametrize("clusters", ["auto", [2, 5, 8], [6, 7]])
def test_canonical_n_cuts_are_those_of_the_numbers_it_has_neurons_for(clusters):
    scan = scan_clusters(few_on_a_path(), clusters, n_shuffles=0)
    for k, result in zip(scan.numbers_of_clusters, scan.results, strict=True):
        alone = measure(few_on_a_path(), k, n_shuffles=0).canonical
        assert (alone is None) == (k > 5)
        assert (result.canonical is None) == (alone is None)
        if alone is not None:
            assert result.canonical.ncut == pytest.approx(alone.ncut, rel=1e-9)
            assert result.canonical.refined_ncut == pytest.approx(alone.refined_ncut, rel=1e-9)


def test_seeds_are_those_of_measurements(graph):
    scan = scan_clusters(graph, "3", n_shuffles=0, seed=5, n_seeds=3)
    labels = [measure(graph, 3, n_shuffles=0, seed=seed) for seed in (5, 6, 7)]
    for found, side in ((scan.stability, "plain"), (scan.refined_stability, "refined")):
        expected = agreement([getattr(result, side).labels for result in labels])
        np.testing.assert_allclose(found[0].indices, expected.indices)
        np.testing.assert_array_equal(found[0].labels, expected.labels)


@pytest.mark.slow
def test_auto_is_2_to_20_or_what_the_network_allows():
    assert scan_clusters(toy.path(4), n_shuffles=0).numbers_of_clusters == (2, 3)
    assert scan_clusters(toy.star(1), n_shuffles=0).numbers_of_clusters == (2,)
    graph = NeuronGraph.chain([torch.rand(30, 30)])
    assert scan_clusters(graph, n_shuffles=0).numbers_of_clusters == tuple(range(2, 21))


@pytest.mark.parametrize(
    ("clusters", "words"),
    [
        ("5-3", "clusters is '5-3', expected whole numbers"),
        ("", "clusters is ''"),
        ([], "clusters is \\[\\]"),
        (range(2, 10**9), "at most 200"),
        (4, "clusters is 4, expected"),
        ([2, 1], "a number of clusters is 1"),
        ([2.5], "a number of clusters is 2.5"),
        (b"2-3", "clusters is b'2-3', expected"),
        (np.array(3), r"clusters is array\(3\), expected"),
        (np.array([[2, 3]]), r"a number of clusters is \[2, 3\]"),
        ("2-30", "14 neurons with non-zero weights, fewer than n_clusters=30"),
    ],
)
def test_numbers_of_clusters_that_cannot_be(clusters, words):
    with pytest.raises(InputError, match=words):
        scan_clusters(toy.planted_mlp(), clusters, n_shuffles=0)


@pytest.mark.parametrize("clusters", [np.array([2, 3]), torch.tensor([3, 2]), {3, 2}])
def test_numbers_of_clusters_in_any_collection(clusters):
    assert numbers_of(clusters) == [2, 3]


def of_counts(*effects, std=0.01):
    """A scan with these effects for k = 2, 3, ..., and nulls of mean 1 and standard deviation."""
    results = []
    for i, effect in enumerate(effects):
        graph, labels = planted([20, 20], i + 2, density=1)
        null = [1 - std, 1 + std] * 10
        result = result_of(graph, labels, null, eigenvalues=np.linspace(0, 1, 15) ** 2)
        ncut, p = 1 - effect, 1 / 21 if effect > std else 0.5
        results.append(replace(result, plain=replace(result.plain, ncut=ncut, p_value=p)))
    return ClusterScan(tuple(results))


def test_recommended_is_the_largest_effect():
    scan = of_counts(0.05, 0.2, 0.195, 0.1)
    assert scan.recommended == 3
    words = recommendation(scan)
    assert words.startswith("k = 3 has the largest effect, 20.0 %; within the shuffles' spread: 4.")
    assert "The largest gap between eigenvalues, 0.046, is after number 5." in words
    assert "p is that of a k named beforehand" in words


def test_nothing_is_recommended_without_evidence():
    assert of_counts(-0.2, 0.0).recommended is None
    assert "no k is recommended" in recommendation(of_counts(-0.2, 0.0))
    without = ClusterScan((small_result(), small_result()))
    assert "No shuffles were run" in recommendation(without)
    few = ClusterScan((small_result(null=[0.5, 0.6]),))
    assert "for which 2 shuffles are too few" in recommendation(few)


def test_text_and_csv_are_safe():
    result = small_result(network="=\x1b[2J<b>", warnings=["odd \x07"])
    scan = ClusterScan((result, result))
    assert "\x1b" not in scan.text()
    assert "\x07" not in repr(scan)
    assert scan.text().endswith(r"warning: odd \x07")
    assert scan_csv([scan]).splitlines()[1].startswith(r"'=\x1b[2J<b>,2,pixels,0,1")


@pytest.mark.slow
def test_the_figure_has_the_numbers(graph, tmp_path):
    scan = scan_clusters(graph, "2-4", n_shuffles=3, n_seeds=2)
    figure = plot_scan(scan, tmp_path / "scan.svg")
    ncuts, effects, gaps, stability = figure.axes
    lines = {line.get_label(): line.get_ydata() for line in ncuts.lines}
    k = np.array([2, 3, 4])
    np.testing.assert_allclose(lines["k-means"] * k, [r.ncut for r in scan.results])
    np.testing.assert_allclose(lines["lower bound"] * k, [r.lower_bound for r in scan.results])
    np.testing.assert_allclose(
        effects.lines[1].get_ydata() / 100, [r.refined.effect for r in scan.results]
    )
    np.testing.assert_allclose([bar.get_height() for bar in gaps.patches], scan.gaps)
    np.testing.assert_allclose(stability.lines[0].get_ydata(), [s.mean for s in scan.stability])
    assert (tmp_path / "scan.svg").exists()
    assert len(plot_scan(scan_clusters(graph, "2-3", n_shuffles=0)).axes) == 2
    rows = scan.records()
    assert [row["gap"] for row in rows] == list(scan.gaps)


def test_of_one_k_the_stability_is_said_once():
    one = recommendation(scan_clusters(toy.planted_mlp(), [2], n_shuffles=0, n_seeds=2))
    assert one.endswith("index of 1.00 (1 is the same, 0 is chance).")
    two = recommendation(scan_clusters(toy.planted_mlp(), [2, 3], n_shuffles=0, n_seeds=2))
    assert "; lowest, at k = " in two
