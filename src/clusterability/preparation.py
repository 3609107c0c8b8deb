"""Preparation of a network's graph for shuffling and clustering."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from clusterability.errors import InputError
from clusterability.graph import NeuronGraph
from clusterability.graph.blocks import block_name
from clusterability.graph.canonical import canonical, ties
from clusterability.graph.ends import only_layers
from clusterability.nulls.isolated import without_isolated
from clusterability.nulls.ties import check_copies, untie
from clusterability.settings import Settings
from clusterability.spectral.degrees import fast_degrees

LARGEST = 2.0**100
"""Largest strength whose products with roots of degrees stay within the range of float32."""

SMALLEST = 2.0**-126
"""Smallest strength that float32 holds with all its digits."""


@dataclass(frozen=True, eq=False)
class Prepared:
    """A graph, ready to be measured.

    Attributes:
        graph: the whole graph, on the CPU, in float32, its strengths lying flat, and scaled.
        working: the part of the graph to shuffle, with the ties that its shuffles keep, not scaled
            and, if it is to be scaled, with all layers.
        observed: the same part, scaled, of the layers that are clustered.
        alive: (n_neurons,) bool, True for neurons of ``graph`` with any connection.
        scale: strengths of the network divided by those of ``graph``.
    """

    graph: NeuronGraph
    working: NeuronGraph
    observed: NeuronGraph
    alive: NDArray[np.bool_]
    scale: float

    @property
    def n_live(self) -> int:
        return int(self.alive.sum())


def prepare(
    graph: NeuronGraph, settings: Settings, reached_by_left_out: Sequence[int] = ()
) -> Prepared:
    """Check a graph and convert it for shuffling and clustering.

    Args:
        graph: the graph.
        settings: the choices of the measurement.
        reached_by_left_out: numbers of layers that parts of the network reach which the graph has
            not; these may have no connection in the graph.

    Raises:
        InputError: if a strength is negative or not finite, a layer has no connection, fewer
            neurons are connected than ``n_clusters``, or copies cannot be tied.
    """
    if settings.scaling == "raw":
        graph = only_layers(graph, settings.layers)
    flat, scale = _flatten(graph, reached_by_left_out)
    alive = (fast_degrees(flat, torch.float64) > 0).numpy()
    _check_size(int(alive.sum()), settings.n_clusters, "with non-zero weights")
    working = _shuffled_part(flat, alive, settings)
    if settings.scaling == "raw":
        return Prepared(flat, working, working, alive, scale)
    scaled = observed = only_layers(canonical(working, ties(working)), settings.layers)
    if working.n_neurons < flat.n_neurons:
        like = flat if settings.ties == "tied" else untie(flat)
        scaled = only_layers(canonical(flat, ties(like)), settings.layers)
    alive = (fast_degrees(scaled, torch.float64) > 0).numpy()
    n_alive, where = int(alive.sum()), "on a path of non-zero weights from inputs to outputs"
    _check_size(n_alive, settings.n_clusters, where)
    return Prepared(scaled, working, observed, alive, scale)


def _flatten(graph: NeuronGraph, reached: Sequence[int]) -> tuple[NeuronGraph, float]:
    """Return the graph on the CPU, in float32 and flat, and the divisor of its strengths.

    The n-cut does not depend on the scale of the strengths, so they are divided such that float32
    holds as many of them as it can.
    """
    graph.check_strengths()
    graph = graph.to("cpu")
    scale = _scale(graph)
    if scale == 1 and all(block.strengths.dtype == torch.float32 for block in graph.blocks):
        flat = graph.flat_strengths().detach()
    else:
        flat = torch.cat([_single_precision(b.strengths.detach(), scale) for b in graph.blocks])
    flat_graph = graph.with_flat_strengths(flat)
    _check_touched(flat_graph, reached)
    return flat_graph, scale


def _scale(graph: NeuronGraph) -> float:
    """Return the power of two to divide the strengths by; 1 if float32 holds all of them.

    Otherwise the largest strength becomes about ``LARGEST``, so that 1e-30 and 1e30 both fit.
    """
    largest = max(float(block.strengths.detach().max()) for block in graph.blocks)
    lost = any(
        block.strengths.dtype == torch.float64
        and bool(((block.strengths > 0) & (block.strengths < SMALLEST)).any())
        for block in graph.blocks
    )
    if largest == 0 or (1e-18 < largest < 1e18 and not lost):
        return 1.0
    exponent = math.frexp(largest)[1] - math.frexp(LARGEST)[1]
    return 2.0 ** max(exponent, -1022)  # of the smallest normal number: the divisor is never 0


def _single_precision(strengths: Tensor, scale: float) -> Tensor:
    if scale != 1:
        strengths = strengths.double() / scale  # the divisor itself may be out of float32's range
    return strengths.to(torch.float32).flatten()


def _check_touched(graph: NeuronGraph, reached: Sequence[int]) -> None:
    """Refuse a layer if all its blocks hold only zeros; one block of zeros is accepted."""
    touched = set(reached)
    for block in graph.blocks:
        if bool(block.strengths.any()):
            touched |= {block.source, block.target}
    for block in graph.blocks:
        if not {block.source, block.target} <= touched:
            raise InputError(
                f"{block_name(block, graph.layers)} holds only zeros, or strengths so small beside "
                "the largest that float32 cannot hold both; measure a network whose layers are "
                "connected"
            )


def _check_size(n_live: int, n_clusters: int, where: str) -> None:
    if n_live < n_clusters:
        remedy = f"pass n_clusters <= {n_live}" if n_live >= 2 else "measure a larger one"
        raise InputError(
            f"the network has {n_live} neurons {where}, fewer than "
            f"n_clusters={n_clusters}; {remedy}"
        )


def _shuffled_part(graph: NeuronGraph, alive: NDArray[np.bool_], settings: Settings) -> NeuronGraph:
    drop_first, tied = settings.isolated == "drop-first", settings.ties == "tied"
    if tied and drop_first:
        check_copies(graph, torch.from_numpy(alive))
    working = without_isolated(graph) if drop_first else graph
    return working if tied else untie(working)
