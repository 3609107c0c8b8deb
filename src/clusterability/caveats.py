"""Warnings about a result, derived from the result itself."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray

from clusterability.clustering.sums import cluster_sums
from clusterability.graph import NeuronGraph
from clusterability.graph.packed import pack
from clusterability.graph.paths import clusters_with_path
from clusterability.result import Clusterability
from clusterability.shown import quoted
from clusterability.spectral.degrees import fast_degrees, fast_total

SAME_NCUT = 1e-6
"""If all shuffles' n-cuts lie within this range, they count as the same."""

LARGE_GAP = 0.1
"""A gap of at least this between eigenvalues (of 0 to 2) is a sign of clusters."""

OUTSTANDING = 5
"""A gap is reported if it is at least this many times the gap after the k-th eigenvalue."""


def caveats(result: Clusterability, rescalable: bool | None = None) -> list[str]:
    """Return a sentence for each reason to be careful about a result.

    Args:
        result: must have its graph; the warnings that it already has are ignored.
        rescalable: whether the network keeps its function when hidden neurons are scaled; None if
            that is not known.
    """
    assert result.graph is not None
    totals = block_totals(result.graph)
    return [
        *_isolated(result),
        *_canonical(result, rescalable),
        *_zero_blocks(result, totals),
        *_separate_parts(result),
        *_degenerate(result),
        *_unreached(result),
        *_few_eigenvalues(result),
        *_same_shuffles(result),
        *_whole_layers(result),
        *_another_gap(result, totals),
        *_vanished_clusters(result),
    ]


def _isolated(result: Clusterability) -> Iterator[str]:
    n_isolated = sum(layer.n_isolated for layer in result.layers)
    if n_isolated:
        raw = result.settings.scaling == "raw"
        why = "have no connection" if raw else "lie on no path from inputs to outputs"
        text = f"{n_isolated} of {result.labels.size} neurons {why} and are left out"
        if result.settings.isolated == "drop-first" and result.settings.n_shuffles:
            text += (
                " (drop-first); dropping them before the shuffles, as published, makes small "
                "p-values too common in small, very sparse networks; drop-after does not"
            )
        yield text


def _zero_blocks(result: Clusterability, totals: Sequence[float]) -> Iterator[str]:
    """Warn of layers between which all strengths are zero, given the sum of each block's."""
    assert result.graph is not None
    graph = result.graph
    pairs = [
        f"{quoted(graph.layers[block.source].name)} and {quoted(graph.layers[block.target].name)}"
        for block, total in zip(graph.blocks, totals, strict=True)
        if block.strengths.numel() and total == 0
    ]
    if pairs:
        others = f", and {len(pairs) - 1} more such pairs" if len(pairs) > 1 else ""
        yield (
            f"all strengths between {pairs[0]} are zero{others}: as with a residual branch that "
            "begins at zero, by a batch norm of weight 0, and counts only once the network is "
            "trained"
        )


def _canonical(result: Clusterability, rescalable: bool | None) -> Iterator[str]:
    if result.settings.scaling != "canonical":
        return
    if rescalable is None:
        yield "canonical scaling keeps the function only between ReLUs, pools and the like"
    elif not rescalable:
        yield (
            "canonical scaling does not keep the function of this network, whose hidden neurons "
            "are not all between ReLUs, pools and the like; its canonical n-cut says nothing that "
            "the raw one does not"
        )
    if result.settings.n_shuffles:
        yield (
            "shuffles are drawn from the strengths as they are, so that p, Z and effect depend on "
            "the scale of hidden neurons, which the n-cut does not"
        )


def _separate_parts(result: Clusterability) -> Iterator[str]:
    if result.n_components > 1:
        yield (
            f"the network falls into {result.n_components} parts with no connection between them; "
            "a cluster that is a whole part costs nothing, so an n-cut near 0 says that it is "
            "disconnected, and nothing about how it is organized inside; of a network that "
            "was made so, validate_clusters tells what the parts are worth"
        )


def _degenerate(result: Clusterability) -> Iterator[str]:
    """Warn of an n-cut that is low where a few clusters hold nearly all of the volume."""
    n_clusters, worth = len(result.clusters), result.effective_clusters
    if 2 * worth < n_clusters and 2 * result.ncut < n_clusters:
        smallest = 100 * result.plain.smallest_share
        yield (
            f"the {n_clusters} clusters are worth {worth:.1f} of equal size, and the smallest has "
            f"{smallest:.2g} % of the volume: an n-cut is low too where small groups come off one "
            "large one, which says nothing about modules"
        )


def _unreached(result: Clusterability) -> Iterator[str]:
    """Warn if no path of connections leads from inputs to outputs."""
    assert result.graph is not None
    reached = clusters_with_path(
        result.graph, torch.zeros(result.labels.size, dtype=torch.int64), 1
    )
    if reached is not None and not bool(reached[0]):
        whole = result.settings.layers == "all"
        so = ": what the network gives does not depend on its inputs" if whole else ""
        yield f"no path of non-zero weights leads from the graph's first layer to its last{so}"


def _few_eigenvalues(result: Clusterability) -> Iterator[str]:
    n_positive = sum(eigenvalue < 1 for eigenvalue in result.eigenvalues)
    if n_positive < result.settings.n_clusters:
        remedy = f"; n_clusters <= {n_positive} is safer" if n_positive >= 2 else ""
        yield (
            f"the graph has {n_positive} positive eigenvalues, fewer than "
            f"n_clusters={result.settings.n_clusters}: neurons that they do not tell apart are "
            f"divided arbitrarily{remedy}"
        )


def _same_shuffles(result: Clusterability) -> Iterator[str]:
    nulls = (("n-cut", result.plain.null), ("refined n-cut", result.refined.null))
    same = [
        name
        for name, null in nulls
        if null and len(null.values) > 1 and max(null.values) - min(null.values) <= SAME_NCUT
    ]
    if same:
        yield (
            f"all {result.settings.n_shuffles} shuffles have the same {' and the same '.join(same)}"
            ", as where clusters are whole layers, which shuffles do not change; p and Z then say "
            "nothing about structure inside layers"
        )


def _whole_layers(result: Clusterability) -> Iterator[str]:
    """Warn if most layers lie in one cluster each; layers of one connected neuron do not count."""
    offsets = np.cumsum([0, *(layer.n_neurons for layer in result.layers)])
    found = [result.labels[first:end] for first, end in pairwise(offsets)]
    found = [labels[labels >= 0] for labels in found]
    found = [labels for labels in found if labels.size > 1]
    n_whole = sum(bool((labels == labels[0]).all()) for labels in found)
    if len(found) > 1 and 2 * n_whole > len(found):
        yield (
            f"{n_whole} of {len(found)} layers lie whole in one cluster: the clusters tell layers "
            "apart, and nothing about structure inside them; more clusters may"
        )


def _another_gap(result: Clusterability, totals: Sequence[float]) -> Iterator[str]:
    """Warn of a large eigengap far from k that the order of the layers does not explain."""
    assert result.graph is not None
    k = result.settings.n_clusters
    eigenvalues = np.array([value for value in result.eigenvalues if value < 1])
    gaps = np.diff(eigenvalues)
    if len(gaps) < k:
        return
    of_layers = layer_eigenvalues(result.graph, totals)
    known = np.zeros(len(gaps), bool)
    known[: result.n_components] = True
    n_of_layers = min(len(of_layers), len(gaps))
    known[:n_of_layers] |= of_layers[:n_of_layers] < eigenvalues[1 : n_of_layers + 1]
    largest = int(np.where(known, 0, gaps).argmax())
    n_standing_out, gap = largest + 1, gaps[largest]
    is_large = gap >= LARGE_GAP and gap >= OUTSTANDING * gaps[k - 1]
    if is_large and not known[largest] and abs(n_standing_out - k) > 1:
        yield (
            f"the eigenvalues have their largest gap after number {n_standing_out} ({gap:.3f}; "
            f"{gaps[k - 1]:.3f} after number {k}): {n_standing_out} clusters stand out, and "
            f"n_clusters={k} {'divides' if k > n_standing_out else 'joins'} some of them"
        )


def block_totals(graph: NeuronGraph) -> list[float]:
    """Return the sum of the strengths of each block."""
    return [float(fast_total(block.strengths)) for block in graph.blocks]


def layer_eigenvalues(graph: NeuronGraph, totals: Sequence[float]) -> NDArray[np.float64]:
    """Return the eigenvalues of L_norm of the graph of layers, one vertex a layer, ascending.

    An edge's weight is the sum of the strengths between two layers; ``totals`` has that of each
    block. The i-th eigenvalue is never below the i-th of the neurons' graph (Courant and Fischer: a
    layer's indicator is a vector over the neurons). In a random network the smallest of both nearly
    agree: these eigenvalues and the gap after them come from the order of the layers alone.

    >>> graph = NeuronGraph.chain([torch.ones(2, 3), torch.ones(3, 2)])
    >>> layer_eigenvalues(graph, block_totals(graph)).round(6).tolist()
    [0.0, 1.0, 2.0]
    """
    adjacency = np.zeros((len(graph.layers), len(graph.layers)))
    for block, total in zip(graph.blocks, totals, strict=True):
        adjacency[block.source, block.target] += total
        adjacency[block.target, block.source] += total
    degrees = adjacency.sum(1)
    alive = degrees > 0
    roots = np.sqrt(degrees[alive])
    normalized = adjacency[alive][:, alive] / roots[:, None] / roots
    eigenvalues: NDArray[np.float64] = np.clip(1 - np.linalg.eigvalsh(normalized)[::-1], 0, 2)
    return eigenvalues


def _vanished_clusters(result: Clusterability) -> Iterator[str]:
    """Warn of clusters whose term of the n-cut is nearly 0 because of ``volume_offset``."""
    assert result.graph is not None
    offset = result.settings.volume_offset
    if not offset:
        return
    n_clusters, labels = len(result.clusters), result.labels.astype(np.int32)
    degrees = fast_degrees(result.graph, torch.float64).numpy()
    volumes, inside = cluster_sums(pack(result.graph), degrees, labels, n_clusters)
    terms = np.clip(1 - inside / volumes, 0, 1).tolist()
    n_vanished = sum(
        cluster.cut < term / 2 for cluster, term in zip(result.clusters, terms, strict=True)
    )
    if n_vanished:
        yield (
            f"the volume of {n_vanished} of {n_clusters} clusters is below volume_offset={offset:g}"
            f", so that they count nearly nothing; without it the n-cut is {sum(terms):.3f}"
        )
