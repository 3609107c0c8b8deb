"""Volume, cut and n-cut of a partition."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from clusterability.arguments import number
from clusterability.errors import InputError
from clusterability.graph import NeuronGraph


def volumes_and_cuts(graph: NeuronGraph, labels: Tensor, n_clusters: int) -> tuple[Tensor, Tensor]:
    """Return vol(X_i) and W(X_i, not X_i) of each cluster, (..., n_clusters), differentiable.

    Args:
        graph: one graph, or a batch.
        labels: (..., n_neurons) integers below ``n_clusters``; negative for neurons in no cluster.
            Leading axes of the labels and of the graph are broadcast.
        n_clusters: number of clusters.

    >>> from clusterability import toy
    >>> volumes_and_cuts(toy.two_triangles(), torch.tensor([0, 0, 0, 1, 1, 1]), 2)
    (tensor([7., 7.], dtype=torch.float64), tensor([1., 1.], dtype=torch.float64))
    """
    members = torch.nn.functional.one_hot(labels.clamp_min(0).long(), n_clusters)
    members = (members * (labels >= 0)[..., None]).to(graph.device, torch.float64)
    inside = (members * graph.product(members)).sum(-2)
    volumes = (graph.degrees(torch.float64)[..., None, :] @ members).squeeze(-2)
    return volumes, volumes - inside


def normalized_cut(
    graph: NeuronGraph, labels: Tensor | np.ndarray, volume_offset: float = 0.0
) -> Tensor:
    """Return n-cut(X_1, ..., X_k) = sum_i W(X_i, not X_i) / vol(X_i), float64, differentiable.

    Args:
        graph: one graph, or a batch.
        labels: integers, (n_neurons,), shared by all graphs of a batch, or (..., n_neurons), each
            graph's own; negative for neurons in no cluster, such as isolated ones. Empty clusters
            add nothing.
        volume_offset: added to each vol(X_i); 1e-8 in the published numbers.

    Returns:
        The n-cut of each graph, (...,); a scalar for one graph with one set of labels.

    Raises:
        InputError: if the labels do not fit, or a cluster has no connections or negative ones.

    Source: section 1.1 of Filan et al. (2021).

    >>> from clusterability import toy
    >>> normalized_cut(toy.two_triangles(), torch.tensor([0, 0, 0, 1, 1, 1]))
    tensor(0.2857, dtype=torch.float64)
    """
    volume_offset = number("volume_offset", volume_offset)
    labels = _check_labels(graph, labels)
    inside = labels >= 0
    used, numbers = torch.unique(labels[inside], return_inverse=True)
    labels = torch.full_like(labels, -1, dtype=torch.int64).masked_scatter(inside, numbers)
    volumes, cuts = volumes_and_cuts(graph, labels, len(used))
    # A cluster may be empty in one graph of a batch and filled in another.
    filled = (labels[..., None] == torch.arange(len(used), device=graph.device)).any(-2)
    if bool(((volumes <= 0) & filled).any()):
        lowest = float(volumes.min())
        if lowest < 0:
            raise InputError(
                f"a cluster has the volume {lowest:.3g}, expected none below 0; take absolute "
                "values of the strengths"
            )
        raise InputError("a cluster holds only isolated neurons; give these the label -1")
    return (cuts / torch.where(filled, volumes + volume_offset, 1)).sum(-1)


def _check_labels(graph: NeuronGraph, labels: Tensor | np.ndarray) -> Tensor:
    """Return the labels on the graph's device.

    Raises:
        InputError: if labels are not integers, not one a neuron, do not fit the batch, or put no
            neuron of a graph in any cluster.
    """
    if isinstance(labels, np.ndarray):
        labels = np.ascontiguousarray(labels)  # torch takes no negative strides
    try:
        labels = torch.as_tensor(labels, device=graph.device)
    except (TypeError, ValueError, RuntimeError):
        raise InputError(f"labels must be integers, got {type(labels).__name__}") from None
    numeric = labels.dtype in (torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64)
    if labels.shape[-1:] != (graph.n_neurons,) or not numeric:
        raise InputError(
            f"labels must be {graph.n_neurons} integers, one a neuron, "
            f"got {labels.dtype} of shape {tuple(labels.shape)}"
        )
    try:
        np.broadcast_shapes(labels.shape[:-1], graph.batch_shape)
    except ValueError:
        raise InputError(
            f"labels of shape {tuple(labels.shape)} do not fit a batch of graphs of shape "
            f"{graph.batch_shape}; give ({graph.n_neurons},), the labels of all graphs, or "
            f"{(*graph.batch_shape, graph.n_neurons)}"
        ) from None
    if not bool((labels >= 0).any(-1).all()):
        raise InputError("labels put no neuron in any cluster; number clusters from 0")
    return labels
