"""Measure a network for several numbers of clusters at once."""

from __future__ import annotations

import os
from collections.abc import Collection, Sequence
from typing import Any

from clusterability.arguments import whole
from clusterability.clustering.agreement import agreement
from clusterability.measuring import measure_each
from clusterability.reading.loaded import InputShape
from clusterability.report.scan import ClusterScan
from clusterability.resources import find_resources
from clusterability.settings import AUTO, Settings, numbers_of
from clusterability.sources.network import AnyNetwork

LARGEST_AUTO = 20
"""``auto`` stands for numbers of clusters from 2 to this, or to fewer in a smaller network."""


def scan_clusters(
    network: AnyNetwork,
    clusters: str | Collection[int] = AUTO,
    n_shuffles: int = 50,
    seed: int = 0,
    example_inputs: Any = None,
    *,
    n_seeds: int = 1,
    input_shape: InputShape | None = None,
    order: Sequence[str] | None = None,
    entry: str | None = None,
    edge_weight: str | None = None,
    workers: int | None = None,
    device: str = "auto",
    progress: bool = False,
    resume: str | os.PathLike[str] | None = None,
    name: str | None = None,
    **choices: Any,
) -> ClusterScan:
    """Measure a network for several numbers of clusters k.

    The network is read once, and on a CPU each graph is shuffled and embedded once: the first k
    eigenvectors are the same for every k. Each result is what :func:`clusterability.measure` gives
    for that k, up to rounding. Where an eigenvalue repeats, as that of the parts of a network which
    falls into more than k, a different choice among its eigenvectors can give other labels.

    Args:
        network: as of :func:`clusterability.measure`, as are all arguments that are not named here.
        clusters: numbers of clusters, as ``range(2, 21)``, ``"2-20"`` or ``"4,7,12"``; ``"auto"``
            for 2 to 20, or to one less than the network has neurons.
        n_seeds: number of seeds, from ``seed`` on, with which the network itself is clustered, to
            see how stable its clusters are; 1 to leave that out.

    Raises:
        InputError: if the network or an argument cannot be used.

    >>> from clusterability import toy
    >>> scan = scan_clusters(toy.planted_mlp(), range(2, 5), n_shuffles=19, n_seeds=3)
    >>> scan.recommended, scan.stability[0].mean, scan.stability[0].labels.tolist()
    (2, 1.0, [0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1])
    """
    wanted = numbers_of(clusters)
    settings = Settings.from_dict(
        {"n_shuffles": n_shuffles, "seed": seed, **choices, "n_clusters": max(wanted or [2])}
    )
    n_seeds = whole("n_seeds", n_seeds, 1, 10**4)
    how = {
        "order": order,
        "entry": entry,
        "edge_weight": edge_weight,
        "example_inputs": example_inputs,
        "input_shape": input_shape,
    }

    def counts(n_connected: int) -> Sequence[int]:
        return wanted or range(2, max(2, min(LARGEST_AUTO, n_connected - 1)) + 1)

    resources = find_resources(workers, device, progress, resume)
    found = measure_each(network, settings, counts, resources, how, name, n_seeds)
    if n_seeds == 1:
        return ClusterScan(found.results)
    return ClusterScan(
        found.results,
        tuple(map(agreement, found.labels)),
        tuple(map(agreement, found.refined_labels)),
    )
