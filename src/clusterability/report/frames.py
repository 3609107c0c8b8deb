"""Results as tables of numbers: a pandas frame where pandas is installed, else a list of records.

A record is a dictionary, and a column is the same key of each. Nothing is rounded, and names are as
the network has them; what is written to a file is made safe where it is written.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from typing import Any

import torch

from clusterability.graph import NeuronGraph
from clusterability.report.grouping import require_graph
from clusterability.result import Clusterability, Clustering

Records = list[dict[str, Any]]

CLUSTERING_COLUMNS: dict[str, Callable[[Clustering], Any]] = {
    "ncut": lambda one: one.ncut,
    "null_mean": lambda one: one.null and one.null.mean,
    "null_std": lambda one: one.null and one.null.std,
    "effect": lambda one: one.effect,
    "z_score": lambda one: one.z_score,
    "p_value": lambda one: one.p_value,
    "effective_clusters": lambda one: one.effective_clusters,
    "smallest_share": lambda one: one.smallest_share,
    "clusters_with_path": lambda one: one.n_paths,
}
"""The numbers of one clustering, by column."""


def frame(records: Records) -> Any:
    """Return records as a pandas frame where pandas is installed, else as they are.

    Clusters stay whole numbers in a frame, with pandas' own missing value for isolated neurons.
    """
    if find_spec("pandas") is None:
        return records
    import pandas

    found = pandas.DataFrame(records)
    clusters = [name for name in ("cluster", "refined_cluster") if name in found]
    return found.astype(dict.fromkeys(clusters, "Int64"))


def numbers(result: Clusterability) -> dict[str, Any]:
    """Return the numbers of a result as one record, those of the refined clustering prefixed.

    >>> from clusterability import measure, toy
    >>> row = numbers(measure(toy.path(), n_clusters=2, n_shuffles=0))
    >>> round(row["ncut"], 4), row["n_neurons"], row["p_value"]
    (0.6667, 4, None)
    """
    settings, canonical = result.settings, result.canonical
    return {
        "network": result.network,
        "n_neurons": sum(layer.n_neurons for layer in result.layers),
        "n_isolated": sum(layer.n_isolated for layer in result.layers),
        "n_layers": len(result.layers),
        "n_components": result.n_components,
        "n_clusters": len(result.clusters),
        "n_shuffles": settings.n_shuffles,
        "seed": settings.seed,
        "conventions": settings.conventions_text,
        **_columns(result.plain),
        **{f"refined_{name}": value for name, value in _columns(result.refined).items()},
        "lower_bound": result.lower_bound,
        "gap": gap_after(result),
        "canonical_ncut": canonical and canonical.ncut,
        "canonical_refined_ncut": canonical and canonical.refined_ncut,
    }


def gap_after(result: Clusterability) -> float | None:
    """Return the gap between the k-th eigenvalue and the next; None if it is not known."""
    k, values = result.settings.n_clusters, result.eigenvalues
    return values[k] - values[k - 1] if len(values) > k else None


def _columns(clustering: Clustering) -> dict[str, Any]:
    return {name: value(clustering) for name, value in CLUSTERING_COLUMNS.items()}


def neurons(result: Clusterability) -> Records:
    """Return a record for each neuron, in layer order.

    ``layer`` is the layer's name, ``index`` counts from 0 within it, and ``name`` joins the two,
    where the neuron has no name of its own, as nodes of a graph have.
    ``cluster`` and ``refined_cluster`` are None for an isolated neuron. ``degree`` is the sum of
    its strengths, and ``inside`` and ``refined_inside`` are the shares of it that go to neurons of
    its own cluster; these three are None if the result has no graph, as after reading it from JSON.

    >>> from clusterability import measure, toy
    >>> result = measure(toy.barbell(), n_clusters=2, n_shuffles=0)
    >>> neurons(result)[0]["name"], neurons(result)[0]["inside"]
    ('all[0]', 1.0)
    """
    plain, refined = result.plain.labels.tolist(), result.refined.labels.tolist()
    degrees, inside, refined_inside = _strengths(result)
    places = [(layer, i) for layer in result.layers for i in range(layer.n_neurons)]
    return [
        {
            "layer": layer.name,
            "index": index,
            "name": layer.neuron_name(index),
            "cluster": _cluster(plain[neuron]),
            "refined_cluster": _cluster(refined[neuron]),
            "degree": degrees[neuron],
            "inside": inside[neuron],
            "refined_inside": refined_inside[neuron],
        }
        for neuron, (layer, index) in enumerate(places)
    ]


def _cluster(label: int) -> int | None:
    return None if label < 0 else label


def _strengths(result: Clusterability) -> tuple[Sequence[float | None], ...]:
    """Return each neuron's degree and its shares inside its plain and refined cluster."""
    if result.graph is None:
        unknown: Sequence[None] = [None] * len(result.labels)
        return unknown, unknown, unknown
    graph = require_graph(result)
    degrees = graph.degrees(torch.float64).detach().cpu()
    found = [degrees.tolist()]
    for clustering in (result.plain, result.refined):
        labels = torch.from_numpy(clustering.labels)
        shares = (_strengths_inside(graph, labels) / degrees).tolist()
        found.append([None if math.isnan(share) else share for share in shares])
    return tuple(found)


def _strengths_inside(graph: NeuronGraph, labels: torch.Tensor) -> torch.Tensor:
    """Return the sum of each neuron's strengths to its own cluster, (n_neurons,), in float64."""
    members = torch.nn.functional.one_hot(labels.clamp_min(0)) * (labels >= 0)[:, None]
    towards = graph.product(members.to(graph.device, torch.float64)).detach().cpu()
    return towards.gather(1, labels.clamp_min(0)[:, None]).squeeze(1)
