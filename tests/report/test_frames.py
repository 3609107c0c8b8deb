from dataclasses import replace
from importlib.util import find_spec

import numpy as np
import pytest

from clusterability import Clusterability
from clusterability.report import frames
from clusterability.report.frames import neurons, numbers
from results import planted, result_of, small_result


def naive_inside(result, labels):
    adjacency = result.graph.to_scipy().toarray()
    same = (labels[:, None] == labels[None, :]) & (labels >= 0)
    with np.errstate(invalid="ignore"):
        return (adjacency * same).sum(1) / adjacency.sum(1)


def test_numbers_are_those_of_the_result():
    result = small_result(null=[0.5, 0.6])
    row = numbers(result)
    assert row["network"] == "mlp.pt"
    assert (row["n_neurons"], row["n_isolated"], row["n_layers"], row["n_clusters"]) == (9, 1, 3, 2)
    for prefix, clustering in (("", result.plain), ("refined_", result.refined)):
        assert row[f"{prefix}ncut"] == clustering.ncut
        assert row[f"{prefix}null_mean"] == pytest.approx(0.55)
        assert row[f"{prefix}effect"] == clustering.effect
        assert row[f"{prefix}p_value"] == clustering.p_value == pytest.approx(1 / 3)
    without = numbers(small_result())
    assert without["null_mean"] is without["p_value"] is without["canonical_ncut"] is None
    assert list(without) == list(row)


def test_neurons_against_the_adjacency_matrix():
    graph, labels = planted([30, 40, 20], 3)
    result = result_of(graph, labels)
    moved = np.where(labels >= 0, (labels + (np.arange(90) % 7 == 0)) % 3, -1)
    result = replace(result, refined=replace(result.refined, labels=moved))
    rows = neurons(result)
    assert [row["layer"] for row in rows] == ["layer0"] * 30 + ["layer1"] * 40 + ["layer2"] * 20
    assert rows[30]["name"] == "layer1[0]"
    assert [row["index"] for row in rows[68:72]] == [38, 39, 0, 1]
    for column, expected in (("cluster", labels), ("refined_cluster", moved)):
        found = [-1 if row[column] is None else row[column] for row in rows]
        np.testing.assert_array_equal(found, expected)
    degrees = result.graph.to_scipy().toarray().sum(1)
    np.testing.assert_allclose([row["degree"] for row in rows], degrees)
    for column, where in (("inside", labels), ("refined_inside", moved)):
        found = [np.nan if row[column] is None else row[column] for row in rows]
        np.testing.assert_allclose(found, naive_inside(result, where))


def test_neurons_of_a_result_from_json():
    result = small_result()
    rows = neurons(Clusterability.from_json(result.to_json()))
    assert [row["cluster"] for row in rows] == [1, 1, 0, 0, 1, 0, None, 1, 0]
    assert {row["degree"] for row in rows} == {row["inside"] for row in rows} == {None}


@pytest.mark.skipif(find_spec("pandas") is not None, reason="pandas is installed")
def test_records_without_pandas():
    assert small_result().table() == [numbers(small_result())]
    assert small_result().neurons() == neurons(small_result())


@pytest.mark.slow
def test_frames_with_pandas():
    pytest.importorskip("pandas")
    result = small_result()
    found = result.neurons()
    assert list(found.columns) == list(neurons(result)[0])
    assert found["cluster"].isna().sum() == 1
    assert found["cluster"].dtype == "Int64"
    assert found.groupby("cluster").size().tolist() == [4, 4]
    assert result.table().loc[0, "ncut"] == result.ncut
    assert len(frames.frame([])) == 0
