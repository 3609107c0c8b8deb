"""k-means of many graphs and many starts at once, in torch operations, for a GPU.

The twin of :mod:`clusterability.clustering.kmeans`: the same starts from the same random numbers,
the same iteration, and the same choice among the starts; sums are rounded differently.
"""

from __future__ import annotations

import torch
from torch import Tensor

from clusterability.clustering.kmeans import MAX_ITERATIONS, SAME_PLACE

MEMORY = 2**31
"""Bytes that the largest temporary, one score for each point, center and start, may take."""


def kmeans_batch(points: Tensor, alive: Tensor, starts: Tensor) -> Tensor:
    """Cluster the points of each graph.

    Args:
        points: (n_graphs, n, m).
        alive: (n_graphs, n) bool, False for points to leave out.
        starts: (n_graphs, n_init, n_clusters, n_candidates) uniform in [0, 1).

    Returns:
        Labels (n_graphs, n) int32, -1 where left out.
    """
    _, n_init, n_clusters, _ = starts.shape
    if points.shape[2] == 0:
        points = points.new_zeros(*points.shape[:2], 1)
    scale = points.abs().amax((1, 2), keepdim=True).clamp_min(1e-300)
    points = (points / scale).float()
    size = max(1, MEMORY // (4 * points.shape[1] * n_init * n_clusters))
    labels = [
        _best_of_starts(*parts)
        for parts in zip(*(torch.split(t, size) for t in (points, alive, starts)), strict=True)
    ]
    return torch.cat(labels)


def _best_of_starts(points: Tensor, alive: Tensor, starts: Tensor) -> Tensor:
    centers = _seed(points, alive, starts)
    labels, centers = _lloyd(points, alive, centers)
    own = torch.take_along_dim(centers, labels[..., None].long(), dim=2).double()
    distances = (points[:, None].double() - own).square().sum(-1) * alive[:, None]
    best = distances.sum(-1).argmin(1)
    chosen = torch.take_along_dim(labels, best[:, None, None], dim=1)[:, 0]
    return torch.where(alive, chosen, -1).int()


def _seed(points: Tensor, alive: Tensor, starts: Tensor) -> Tensor:
    """Greedy k-means++; (n_graphs, n_init, n_clusters, m)."""
    n_graphs, n_init, n_clusters, _ = starts.shape
    graphs = torch.arange(n_graphs, device=points.device)[:, None]
    n_alive = alive.sum(1)[:, None]
    rank = torch.minimum((starts[:, :, 0, 0] * n_alive).long(), n_alive - 1)
    first = torch.searchsorted(alive.cumsum(1), rank + 1)
    centers = points.new_empty(n_graphs, n_init, n_clusters, points.shape[-1])
    centers[:, :, 0] = points[graphs, first]
    closest = _distances(points, centers[:, :, :1])[:, :, 0] * alive[:, None]
    for cluster in range(1, n_clusters):
        running = closest.double().cumsum(-1)
        thresholds = starts[:, :, cluster] * running[..., -1:]
        tries = torch.searchsorted(running, thresholds, right=True)
        tries = tries.clamp_max(points.shape[1] - 1)
        candidates = points[graphs[..., None], tries]
        improved = torch.minimum(closest[:, :, None], _distances(points, candidates))
        best = improved.sum(-1, dtype=torch.float64).argmin(-1)[:, :, None, None]
        centers[:, :, cluster] = torch.take_along_dim(candidates, best, dim=2)[:, :, 0]
        closest = torch.take_along_dim(improved, best, dim=2)[:, :, 0]
    return centers


def _distances(points: Tensor, centers: Tensor) -> Tensor:
    """Squared distances (n_graphs, n_init, n_centers, n)."""
    return torch.stack(
        [(points[:, None] - c[:, :, None]).square().sum(-1) for c in centers.unbind(2)], dim=2
    )


def _lloyd(points: Tensor, alive: Tensor, centers: Tensor) -> tuple[Tensor, Tensor]:
    """Iterate until no point changes its cluster; labels (n_graphs, n_init, n) and centers."""
    clusters = torch.arange(centers.shape[2], device=points.device)[:, None]
    labels = None
    for _ in range(MAX_ITERATIONS):
        half_norms = centers.square().sum(-1, keepdim=True) / 2
        scores = half_norms - centers @ points.mT[:, None]
        nearest = _fill_empty(points, alive, centers, scores.argmin(2))
        members = ((nearest[:, :, None] == clusters) & alive[:, None, None]).float()
        sizes = members.sum(-1, keepdim=True)
        centers = torch.where(sizes > 0, members @ points[:, None] / sizes.clamp_min(1), centers)
        if labels is not None and torch.equal(labels, nearest):
            break
        labels = nearest
    return nearest, centers


def _fill_empty(points: Tensor, alive: Tensor, centers: Tensor, nearest: Tensor) -> Tensor:
    """Give an empty cluster of each start the point that lies farthest from its own center."""
    n_clusters = centers.shape[2]
    counted = torch.where(alive[:, None], nearest, n_clusters)
    sizes = torch.nn.functional.one_hot(counted, n_clusters + 1).sum(2)[..., :n_clusters]
    graphs, starts = (sizes == 0).any(-1).nonzero(as_tuple=True)
    for graph, start in zip(graphs.tolist(), starts.tolist(), strict=True):
        own = centers[graph, start][nearest[graph, start]]
        distances = (points[graph] - own).square().sum(-1) * alive[graph]
        distances *= sizes[graph, start][nearest[graph, start]] > 1
        farthest = distances.argmax()
        if distances[farthest] > SAME_PLACE:
            empty = (sizes[graph, start] == 0).nonzero()[0, 0]
            nearest[graph, start, farthest] = empty
    return nearest
