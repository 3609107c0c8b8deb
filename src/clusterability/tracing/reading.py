"""The input neurons of a weight operation, the outputs that reach them, and their segments."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from clusterability.errors import InputError
from clusterability.shown import quoted
from clusterability.tracing.numbering import Indices, distinct, distinct_rows, numbered
from clusterability.tracing.operations import WeightOperation
from clusterability.tracing.origins import (
    INPUT,
    Origin,
    Term,
    Value,
    same_origin,
    without_repeats,
)
from clusterability.tracing.provenance import joined
from clusterability.tracing.statistics import expanded


@dataclass(frozen=True, eq=False)
class Arrivals:
    """The arrivals of one term: label ``labels[i]`` arrives at neuron ``neurons[i]``."""

    origin: Origin
    labels: Indices
    neurons: Indices


@dataclass(frozen=True, eq=False)
class Reading:
    """The neurons that an operation reads.

    Attributes:
        inputs: (n_inputs,) the neuron of each input of the operation.
        segments: (n_neurons,) the segment of each neuron, numbered by first neuron; neurons of one
            segment are reached by the same operations.
        arrivals: the arrivals of each distinct origin.
    """

    inputs: Indices
    segments: Indices
    arrivals: tuple[Arrivals, ...]

    @cached_property
    def n_segments(self) -> int:
        return int(self.segments.max()) + 1 if self.segments.size else 0

    def members(self, segment: int) -> Indices:
        """Return the neurons of a segment, ascending."""
        return np.flatnonzero(self.segments == segment)

    def restricted(self, neurons: Sequence[int]) -> Reading:
        """Return the reading of some of the neurons, in their order."""
        if len(neurons) == len(self.segments):
            return self
        place = np.full(len(self.segments), -1)
        place[neurons] = np.arange(len(neurons))
        arrivals = []
        for each in self.arrivals:
            kept = place[each.neurons] >= 0
            if kept.any():
                neurons_kept = place[each.neurons[kept]]
                arrivals.append(Arrivals(each.origin, each.labels[kept], neurons_kept))
        inputs = place[self.inputs]
        return Reading(
            inputs[inputs >= 0], numbered(self.segments[neurons][:, None]), tuple(arrivals)
        )

    @cached_property
    def producers(self) -> tuple[frozenset[int], ...]:
        """For each segment, the operations (or ``INPUT``) whose outputs arrive there."""
        found: list[set[int]] = [set() for _ in range(self.n_segments)]
        for arrivals in self.arrivals:
            for segment in distinct(self.segments[arrivals.neurons]).tolist():
                found[segment].add(arrivals.origin.operation)
        return tuple(map(frozenset, found))


def read(operation: WeightOperation) -> Reading:
    """Return the neurons that an operation reads: channels (convolution) or features (linear).

    Features with the same labels, as the flattened pixels of a channel have, are one neuron.

    Raises:
        InputError: if a linear layer reads positions instead of features, or too large a sum.
    """
    value, axis = _expanded(operation.reads, quoted(operation.name)), operation.axis
    columns = [_by_feature(term, axis) for term in value.terms]
    n_inputs = value.shape[axis]
    inputs = np.arange(n_inputs)
    if operation.is_dense:
        inputs, mixed = _merged(columns, [term.origin for term in value.terms], n_inputs)
        if mixed:
            raise InputError(
                f"{quoted(operation.name)} joins positions instead of neurons: each of its inputs "
                "holds every channel; put a torch.nn.Flatten() before it if that is missing, else "
                "such a layer cannot be measured by this version"
            )
    return _reading(value, columns, inputs)


def read_output(value: Value) -> Reading | None:
    """Return the neurons of a network's output; None if no weight operation reaches it.

    Elements with the same labels are one neuron.
    """
    value = _expanded(value, "the output")
    terms = tuple(term for term in value.terms if term.origin.operation != INPUT)
    if not terms:
        return None
    labels = [part.numpy() for part in without_repeats(*(term.labels for term in terms))]
    columns = [part.reshape(-1, 1) for part in np.broadcast_arrays(*labels)]
    used = np.any([column[:, 0] > 0 for column in columns], axis=0)
    columns = [column[used] for column in columns]
    inputs, _ = _merged(columns, [term.origin for term in terms], int(used.sum()))
    return _reading(Value((), terms), columns, inputs)


def _expanded(value: Value, reader: str) -> Value:
    if all(term.origin.statistic is None for term in value.terms):
        return value
    try:
        return joined([expanded(value)], value.shape)
    except InputError as error:
        raise InputError(
            f"{reader} holds a sum, mean or maximum over neurons, and {error}: measure the network "
            "without it"
        ) from None


def _by_feature(term: Term, axis: int) -> Indices:
    """Return a term's labels as (n_features, n_elements), each feature's elements in a row."""
    labels = term.labels.movedim(axis, 0)
    for other in range(1, labels.ndim):
        if labels.stride(other) == 0:
            labels = labels.narrow(other, 0, 1)
    found: Indices = labels.flatten(1).numpy() if labels.ndim > 1 else labels[:, None].numpy()
    return found


def _merged(columns: list[Indices], origins: list[Origin], n: int) -> tuple[Indices, bool]:
    """Return the neuron of each feature, and whether features of several labels share one."""
    signatures = np.zeros((n, max(1, len(columns))), np.int64)
    several = np.zeros(n, np.bool_)
    for k, (column, origin) in enumerate(zip(columns, origins, strict=True)):
        if origin.operation == INPUT:
            signatures[:, k] = np.where(column.any(1), np.arange(1, n + 1), 0)
            continue
        one = (column == column[:, :1]).all(1)
        signatures[:, k] = column[:, 0]
        if not one.all():
            _, sets = distinct_rows(np.sort(column, axis=1))
            signatures[~one, k] = -1 - sets[~one]
            several |= ~one
    neurons = numbered(signatures)
    # Features without any label are constants: each is a neuron of its own.
    alone = ~signatures.any(1)
    if alone.any():
        neurons = numbered(np.stack([neurons, np.where(alone, np.arange(1, n + 1), 0)], 1))
    shared = np.bincount(neurons)[neurons] > 1
    return neurons, bool((several & shared).any())


def _reading(value: Value, columns: list[Indices], inputs: Indices) -> Reading:
    n_neurons = int(inputs.max()) + 1 if inputs.size else 0
    # Equal arrivals are pixels of one channel: count them once.
    found: list[tuple[Origin, Indices]] = []
    for term, column in zip(value.terms, columns, strict=True):
        keys = distinct((column + inputs[:, None] * (len(term.origin.channels) + 1)).ravel())
        for i, (origin, before) in enumerate(found):
            if same_origin(origin, term.origin):
                found[i] = origin, np.union1d(before, keys)
                break
        else:
            found.append((term.origin, keys))
    operations = sorted({origin.operation for origin, _ in found})
    present = np.zeros((n_neurons, max(1, len(operations))), np.bool_)
    arrivals = []
    for origin, keys in found:
        n_labels = len(origin.channels) + 1
        keys = keys[keys % n_labels > 0]
        neurons, labels = keys // n_labels, keys % n_labels - 1
        present[neurons, operations.index(origin.operation)] = True
        arrivals.append(Arrivals(origin, labels, neurons))
    together = np.packbits(present, axis=1).astype(np.int64)  # fewer columns, as different
    return Reading(inputs, numbered(together), tuple(arrivals))
