"""Quick measurements, and what is true of every one."""

import json
import math

import numpy as np
import pytest
import torch

from clusterability import measure
from clusterability.clustering.cut import normalized_cut
from graphs import naive_adjacency, naive_ncut, random_chain

SIZES = [30, 20, 16, 6]
GRAPH = random_chain(SIZES, density=0.12)


def run(graph=GRAPH, n_clusters=4, n_shuffles=6, **options):
    options = {"device": "cpu", "workers": 1, "n_init": 5, **options}
    return measure(graph, n_clusters, n_shuffles, **options)


def numbers(result):
    """All that a result says, less what may differ from run to run."""
    data = result.to_dict()
    del data["seconds"]
    return data


def check(result):
    """What is true of every result."""
    graph = result.graph
    degrees = graph.degrees(torch.float64).numpy()
    offset = result.settings.volume_offset
    if not offset:
        assert result.lower_bound <= result.refined.ncut + 1e-12
        assert result.refined.ncut <= result.plain.ncut
    for part in (result.plain, result.refined):
        n_clusters = len(part.clusters)
        assert part.labels.shape == (graph.n_neurons,)
        assert np.array_equal(part.labels < 0, degrees == 0)
        assert set(part.labels.tolist()) - {-1} == set(range(n_clusters))
        in_torch = normalized_cut(graph, part.labels, offset)
        assert part.ncut == pytest.approx(float(in_torch), abs=1e-6)
        naive = naive_ncut(naive_adjacency(graph), part.labels, offset)
        assert part.ncut == pytest.approx(naive, abs=1e-6)
        assert part.ncut == pytest.approx(sum(cluster.cut for cluster in part.clusters), abs=1e-6)
        for label, cluster in enumerate(part.clusters):
            members = part.labels == label
            assert cluster.size == members.sum() == sum(cluster.neurons_per_layer)
            share = degrees[members].sum() / degrees.sum()
            assert cluster.volume_share == pytest.approx(share)
            assert 0 <= cluster.cut <= 1
        shares = np.array([cluster.volume_share for cluster in part.clusters])
        assert shares.sum() == pytest.approx(1)
        assert part.effective_clusters == pytest.approx(math.prod(shares**-shares))
        assert 1 - 1e-9 <= part.effective_clusters <= n_clusters + 1e-9
        if part.null is not None:
            values = np.array(part.null.values)
            assert part.p_value == ((values <= part.ncut + 1e-9).sum() + 1) / (values.size + 1)
            if part.z_score is not None:
                assert part.z_score == pytest.approx((part.ncut - values.mean()) / values.std())
    volumes = [cluster.volume_share for cluster in result.clusters]
    assert volumes == sorted(volumes, reverse=True)
    assert sum(layer.n_isolated for layer in result.layers) == (degrees == 0).sum()
    assert json.loads(result.to_json())["ncut"] == result.ncut
