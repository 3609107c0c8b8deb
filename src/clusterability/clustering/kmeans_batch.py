"""k-means of many graphs and many starts at once, in torch operations, for a GPU.

This is the twin of :mod:`clusterability.clustering.kmeans`: it makes the same starts from the same
random numbers, iterates the same way and chooses the same start; only its sums round differently.
"""

from __future__ import annotations

import torch
from torch import Tensor

from clusterability.clustering.kmeans import SMALLEST_WEIGHT
from clusterability.clustering.kmeans_loops import MAX_ITERATIONS, SAME_PLACE

MEMORY = 2**31
"""Most bytes of the largest temporary: a score for each graph, point, center and start."""


def kmeans_batch(
    points: Tensor, alive: Tensor, starts: Tensor, weights: Tensor | None = None
) -> Tensor:
    """Cluster the points of each graph.

    Args:
        points: (n_graphs, n, m).
        alive: (n_graphs, n) bool, False for points to leave out.
        starts: (n_graphs, n_init, n_clusters, n_candidates) uniform in [0, 1).
        weights: (n_graphs, n) not negative: weight of each point. By default all count alike.

    Returns:
        Labels (n_graphs, n) int32, -1 where left out.
    """
    _, n_init, n_clusters, _ = starts.shape
    if points.shape[2] == 0:
        points = points.new_zeros(*points.shape[:2], 1)
    scale = points.abs().amax((1, 2), keepdim=True).clamp_min(1e-300)
    points = (points / scale).float()
    weights = _scale_weights(alive, weights)
    size = max(1, MEMORY // (4 * points.shape[1] * n_init * n_clusters))
    labels = [
        _best_of_starts(*parts)
        for parts in zip(*(torch.split(t, size) for t in (points, weights, starts)), strict=True)
    ]
    return torch.cat(labels)


def _scale_weights(alive: Tensor, weights: Tensor | None) -> Tensor:
    """Divide weights by the largest of each graph; points to leave out get 0, others more."""
    if weights is None:
        return alive.float()
    weights = torch.where(alive, weights, 0)
    largest = weights.amax(1, keepdim=True).clamp_min(1e-300)
    return torch.where(alive, (weights / largest).clamp_min(SMALLEST_WEIGHT), 0).float()


def _best_of_starts(points: Tensor, weights: Tensor, starts: Tensor) -> Tensor:
    centers = _seed(points, weights, starts)
    labels, centers = _lloyd(points, weights, centers)
    own = torch.take_along_dim(centers, labels[..., None].long(), dim=2).double()
    distances = (points[:, None].double() - own).square().sum(-1) * weights[:, None]
    best = distances.sum(-1).argmin(1)
    chosen = torch.take_along_dim(labels, best[:, None, None], dim=1)[:, 0]
    return torch.where(weights > 0, chosen, -1).int()


def _seed(points: Tensor, weights: Tensor, starts: Tensor) -> Tensor:
    """Seed by greedy k-means++; return centers (n_graphs, n_init, n_clusters, m)."""
    n_graphs, n_init, n_clusters, _ = starts.shape
    graphs = torch.arange(n_graphs, device=points.device)[:, None]
    running = weights.double().cumsum(1)
    first = torch.searchsorted(running, starts[:, :, 0, 0] * running[:, -1:], right=True)
    centers = points.new_empty(n_graphs, n_init, n_clusters, points.shape[-1])
    centers[:, :, 0] = points[graphs, first]
    closest = _distances(points, weights, centers[:, :, :1])[:, :, 0]
    for cluster in range(1, n_clusters):
        running = closest.double().cumsum(-1)
        thresholds = starts[:, :, cluster] * running[..., -1:]
        tries = torch.searchsorted(running, thresholds, right=True)
        tries = tries.clamp_max(points.shape[1] - 1)
        candidates = points[graphs[..., None], tries]
        improved = torch.minimum(closest[:, :, None], _distances(points, weights, candidates))
        best = improved.sum(-1, dtype=torch.float64).argmin(-1)[:, :, None, None]
        centers[:, :, cluster] = torch.take_along_dim(candidates, best, dim=2)[:, :, 0]
        closest = torch.take_along_dim(improved, best, dim=2)[:, :, 0]
    return centers


def _distances(points: Tensor, weights: Tensor, centers: Tensor) -> Tensor:
    """Return weights x squared distances, (n_graphs, n_init, n_centers, n)."""
    distances = torch.stack(
        [(points[:, None] - c[:, :, None]).square().sum(-1) for c in centers.unbind(2)], dim=2
    )
    return distances.mul_(weights[:, None, None])


def _lloyd(points: Tensor, weights: Tensor, centers: Tensor) -> tuple[Tensor, Tensor]:
    """Iterate until no point changes its cluster; return labels (n_graphs, n_init, n), centers."""
    clusters = torch.arange(centers.shape[2], device=points.device)[:, None]
    labels = None
    for _ in range(MAX_ITERATIONS):
        half_norms = centers.square().sum(-1, keepdim=True) / 2
        scores = half_norms - centers @ points.mT[:, None]
        nearest = _fill_empty(points, weights, centers, scores.argmin(2))
        members = (nearest[:, :, None] == clusters) * weights[:, None, None]
        masses = members.sum(-1, keepdim=True)
        means = members @ points[:, None] / masses.clamp_min(SMALLEST_WEIGHT)
        centers = torch.where(masses > 0, means, centers)
        if labels is not None and torch.equal(labels, nearest):
            break
        labels = nearest
    return nearest, centers


def _fill_empty(points: Tensor, weights: Tensor, centers: Tensor, nearest: Tensor) -> Tensor:
    """Give one empty cluster of each start the point that adds most to the inertia."""
    n_clusters = centers.shape[2]
    counted = torch.where(weights[:, None] > 0, nearest, n_clusters)
    sizes = torch.nn.functional.one_hot(counted, n_clusters + 1).sum(2)[..., :n_clusters]
    graphs, starts = (sizes == 0).any(-1).nonzero(as_tuple=True)
    for graph, start in zip(graphs.tolist(), starts.tolist(), strict=True):
        own = centers[graph, start][nearest[graph, start]]
        distances = (points[graph] - own).square().sum(-1)
        movable = (sizes[graph, start][nearest[graph, start]] > 1) & (distances > SAME_PLACE)
        shares = distances * weights[graph] * movable
        most = shares.argmax()
        if shares[most] > 0:
            empty = (sizes[graph, start] == 0).nonzero()[0, 0]
            nearest[graph, start, most] = empty
    return nearest
