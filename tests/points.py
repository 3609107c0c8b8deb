"""Points to cluster, and what a clustering of them is held against."""

import numpy as np

from clusterability.clustering.kmeans import draw_starts


def blobs(n, m, k, spread=0.3, seed=0):
    rng = np.random.default_rng(seed)
    centers = rng.standard_normal((k, m))
    return centers[rng.integers(k, size=n)] + spread * rng.standard_normal((n, m))


def starts(n_init, k, seed=0):
    return draw_starts(np.random.default_rng(seed), n_init, k)


def means(points, labels, weights=None):
    weights = np.ones(len(points)) if weights is None else weights
    members = [labels == c for c in range(labels.max() + 1)]
    return np.stack([np.average(points[m], 0, weights[m]) for m in members])


def inertia(points, labels, weights=None):
    distances = ((points - means(points, labels, weights)[labels]) ** 2).sum(1)
    return float(distances.sum() if weights is None else weights @ distances)


def squared_distances(points, centers):
    return ((points[:, None] - centers) ** 2).sum(-1)


def check_labels(labels, n, k):
    assert labels.shape == (n,)
    assert labels.dtype == np.int32
    assert set(labels.tolist()) == set(range(k))


def check_fixed_point(points, labels, tolerance=1e-6, weights=None):
    """No point is nearer to another cluster's mean than to its own, beyond float32's rounding."""
    distances = squared_distances(points, means(points, labels, weights))
    own = np.take_along_axis(distances, labels[:, None].astype(int), 1)[:, 0]
    scale = np.abs(points).max() ** 2
    assert (own <= distances.min(1) + tolerance * scale).all()
