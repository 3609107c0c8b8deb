"""The canonical scaling of a graph, at which every hidden neuron's strengths in and out agree.

A ReLU network's function stays when a hidden neuron's inputs are multiplied by c and its outputs by
1 / c, and its n-cut does not. The sum of all strengths a_ij exp(x_j - x_i), from i to j, over the
logarithms x of these factors, 0 on inputs and outputs, is convex. At its minimum every hidden
neuron's incoming strength equals its outgoing one. It exists if every hidden neuron lies on a path
from an input to an output: strengths of the others are set to 0.

>>> from clusterability import toy
>>> chain = NeuronGraph.chain([torch.full((2, 3), 8.0), torch.full((3, 2), 2.0)])
>>> [block.strengths[0, 0].item() for block in canonical(chain, ties(chain)).blocks]
[4.0, 4.0]
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import scipy  # scipy.sparse is loaded when it is first used
import torch
from numpy.typing import NDArray
from torch import Tensor

from clusterability.errors import InputError
from clusterability.graph.blocks import block_name
from clusterability.graph.graph import NeuronGraph

MOST_SWEEPS = 1000
"""The sweeps end here at the latest."""

IMBALANCE = 1e-8
"""The sweeps end when no logarithm of a factor changes by more."""


@dataclass(frozen=True, eq=False)
class Ties:
    """Which neurons have one factor, since a skip connection adds what they hold.

    Attributes:
        groups: (n_neurons,) int64, the group of each neuron, -1 of inputs and outputs.
        bundles: layers with common groups, in the order of a sweep; each with whether blocks join
            its own layers.
    """

    groups: Tensor
    bundles: tuple[tuple[frozenset[int], bool], ...]

    @property
    def n_groups(self) -> int:
        return int(self.groups.max()) + 1 if len(self.groups) else 0


def ties(graph: NeuronGraph) -> Ties:
    """Return the ties of a graph's neurons: those of its ``shared_scale``.

    Without it, equal copies of a block tie the neurons that they lead to.

    Raises:
        InputError: if the graph has no direction from inputs to outputs.
    """
    check_directed(graph, "scaling='canonical'", "scaling='raw'")
    if graph.shared_scale is not None:
        return make_ties(graph, graph.shared_scale.numpy())
    first: dict[str, int] = {}
    pairs = []
    for i, block in enumerate(graph.blocks):
        if block.kernel is None:
            continue
        other = graph.blocks[first.setdefault(block.kernel, i)]
        same = other.strengths.shape == block.strengths.shape
        if same and other is not block and torch.equal(other.strengths, block.strengths):
            n, places = block.strengths.shape[-1], (other.target, block.target)
            pairs.append([graph.offsets[place] + np.arange(n) for place in places])
    joined = np.concatenate(pairs, axis=1) if pairs else np.empty((2, 0), np.int64)
    return make_ties(graph, group(joined, graph.n_neurons))


def make_ties(graph: NeuronGraph, groups: NDArray[np.int64]) -> Ties:
    """Return ties of these groups, one a neuron; those of inputs and outputs are fixed.

    Args:
        graph: of the neurons.
        groups: (n_neurons,), -1 for further neurons whose factor is 1.
    """
    sources = {block.source for block in graph.blocks}
    targets = {block.target for block in graph.blocks}
    layer_of = np.repeat(np.arange(len(graph.layers)), graph.layer_sizes)
    hidden = np.isin(layer_of, list(sources & targets))
    free = ~np.isin(groups, [-1, *groups[~hidden]])
    numbered = np.full(groups.size, -1)
    numbered[free] = np.unique(groups[free], return_inverse=True)[1].reshape(-1)
    return Ties(torch.from_numpy(numbered), _bundles(graph, numbered, layer_of))


def group(pairs: NDArray[np.int64], n: int) -> NDArray[np.int64]:
    """Return a group for each of n things, equal for those that pairs (2, n_pairs) join."""
    ones = np.ones(pairs.shape[1], bool)
    joined = scipy.sparse.coo_array((ones, (pairs[0], pairs[1])), shape=(n, n))
    found = scipy.sparse.csgraph.connected_components(joined, directed=False)[1]
    numbers: NDArray[np.int64] = found.astype(np.int64)
    return numbers


def _bundles(
    graph: NeuronGraph, groups: NDArray[np.int64], layer_of: NDArray[np.int64]
) -> tuple[tuple[frozenset[int], bool], ...]:
    held = groups >= 0
    n = len(graph.layers)
    pairs = np.stack([layer_of[held], groups[held] + n])
    labels = group(pairs, n + int(groups.max(initial=-1)) + 1)[:n]
    bundles = []
    for label in dict.fromkeys(labels[np.unique(layer_of[held])].tolist()):
        layers = frozenset(np.flatnonzero(labels == label).tolist())
        inner = any({block.source, block.target} <= layers for block in graph.blocks)
        bundles.append((layers, inner))
    return tuple(bundles)


def check_directed(graph: NeuronGraph, choice: str, remedy: str) -> None:
    """Refuse a graph whose layers have no order such that every block leads onward.

    Args:
        graph: any graph.
        choice: what needs the order, for the message.
        remedy: what to use in its place.

    Raises:
        InputError: if a block lies on a loop of layers.
    """
    waiting = list(graph.blocks)
    while waiting:
        targets = {block.target for block in waiting}
        left = [block for block in waiting if block.source in targets]
        if len(left) == len(waiting):
            raise InputError(
                f"{block_name(left[0], graph.layers)} lies on a loop, but {choice} needs layers "
                f"from inputs to outputs, as a network has them; use {remedy}"
            )
        waiting = left


@torch.no_grad()
def canonical(graph: NeuronGraph, tied: Ties) -> NeuronGraph:
    """Return the graph in canonical scaling, in its own precision, lying flat.

    Args:
        graph: one graph.
        tied: of this graph, or of the graph that it is a shuffle of.
    """
    alive = connected_through(graph)
    double = graph.with_flat_strengths(graph.flat_strengths().double())
    kept = _rescaled(double, alive.double(), alive.double())
    factors = torch.exp(log_factors(kept, tied))
    scaled = _rescaled(double, alive / factors, alive * factors)
    return graph.with_flat_strengths(scaled.flat_strengths().to(graph.blocks[0].strengths.dtype))


def connected_through(graph: NeuronGraph) -> Tensor:
    """Return which neurons lie on a path from an input to an output, (n_neurons,) bool.

    Inputs and outputs themselves count.
    """
    sources = {block.source for block in graph.blocks}
    targets = {block.target for block in graph.blocks}
    found = []
    for ends, forward in ((targets, True), (sources, False)):
        reached = [
            torch.full((layer.n_neurons,), i not in ends) for i, layer in enumerate(graph.layers)
        ]
        for _ in graph.layers:
            before = sum(int(part.sum()) for part in reached)
            for block in graph.blocks if forward else reversed(graph.blocks):
                start, end = (block.source, block.target)[:: 1 if forward else -1]
                joined = block.strengths if forward else block.strengths.mT
                reached[end] |= (joined[reached[start]] > 0).any(0)
            if sum(int(part.sum()) for part in reached) == before:
                break
        found.append(torch.cat(reached))
    return found[0] & found[1]


def log_factors(graph: NeuronGraph, tied: Ties) -> Tensor:
    """Return x of every neuron, (n_neurons,) float64, which balances strengths in and out.

    A step for one neuron alone is (log out - log in) / 2; where neurons of a sweep's step are
    joined to each other, half of it never makes the sum of strengths larger.

    Args:
        graph: one graph in float64; groups without strength keep x = 0.
        tied: its ties.
    """
    x = torch.zeros(tied.n_groups + 1, dtype=torch.float64)  # the last is that of group -1
    pieces = torch.split(tied.groups, graph.layer_sizes)
    for _ in range(MOST_SWEEPS):
        largest = 0.0
        for layers, inner in tied.bundles:
            given, made = _sums(graph, layers, pieces, x)
            both = (given > 0) & (made > 0)
            both[-1] = False
            step = torch.where(both, (made.log() - given.log()) / (4 if inner else 2), 0.0)
            x += step
            largest = max(largest, float(step.abs().max()))
        if largest <= IMBALANCE:
            break
        x += _common_step(graph, tied, pieces, x)
    return x[tied.groups]


def _common_step(graph: NeuronGraph, tied: Ties, groups: Sequence[Tensor], x: Tensor) -> Tensor:
    """Return a step of Newton's method that is common to the layers of each bundle.

    It evens what the sweeps would even layer by layer, many times over in a deep network.
    """
    n = len(tied.bundles)
    number = {layer: i for i, (layers, _) in enumerate(tied.bundles) for layer in layers}
    totals = torch.zeros(n + 1, n + 1, dtype=x.dtype)  # the last is all that is fixed
    for block in graph.blocks:
        source, target = groups[block.source], groups[block.target]
        left, right = _split(torch.exp(-x[source]), source), _split(torch.exp(x[target]), target)
        rows = torch.tensor([number.get(block.source, n), n])
        columns = torch.tensor([number.get(block.target, n), n])
        totals.index_put_((rows[:, None], columns), left @ block.strengths @ right.T, True)
    totals.fill_diagonal_(0)
    slope = totals.sum(0) - totals.sum(1)
    curvature = torch.diag(totals.sum(0) + totals.sum(1)) - totals - totals.T
    step = torch.zeros(n + 1, dtype=x.dtype)
    step[:n] = -torch.linalg.pinv(curvature[:n, :n], hermitian=True) @ slope[:n]
    step /= step.abs().max().clamp_min(1)
    if float((totals * torch.exp(step - step[:, None])).sum()) > float(totals.sum()):
        return torch.zeros_like(x)
    common = torch.zeros_like(x)
    for layer, bundle in number.items():
        common[groups[layer]] = step[bundle]
    common[-1] = 0
    return common


def _split(values: Tensor, groups: Tensor) -> Tensor:
    """Return the values where a neuron has a group, and those where it has none, (2, n)."""
    return torch.stack([values * (groups >= 0), values * (groups < 0)])


def _sums(
    graph: NeuronGraph, layers: frozenset[int], groups: Sequence[Tensor], x: Tensor
) -> tuple[Tensor, Tensor]:
    """Return the strength into and out of each group, over the neurons of some layers."""
    given, made = torch.zeros_like(x), torch.zeros_like(x)
    last = len(x) - 1
    for block in graph.blocks:
        if block.source not in layers and block.target not in layers:
            continue
        source, target = groups[block.source], groups[block.target]
        before, after = torch.exp(-x[source]), torch.exp(x[target])
        if block.target in layers:
            given.index_add_(0, target % (last + 1), (before @ block.strengths) * after)
        if block.source in layers:
            made.index_add_(0, source % (last + 1), (block.strengths @ after) * before)
    return given, made


def _rescaled(graph: NeuronGraph, rows: Tensor, columns: Tensor) -> NeuronGraph:
    """Multiply what leaves each neuron by one factor, and what arrives by another."""
    left, right = (torch.split(factors, graph.layer_sizes) for factors in (rows, columns))
    blocks = tuple(
        replace(b, strengths=b.strengths * left[b.source][:, None] * right[b.target])
        for b in graph.blocks
    )
    return NeuronGraph.unchecked(graph.layers, blocks)
