"""The cluster of each neuron, written as CSV."""

from __future__ import annotations

import csv
import io
import unicodedata
from collections.abc import Iterator, Sequence
from itertools import repeat

from clusterability.errors import InputError
from clusterability.result import Clusterability
from clusterability.shown import escaped


def labels_csv(result: Clusterability | Sequence[Clusterability], refined: bool = False) -> str:
    """Return a CSV table ``layer,neuron,cluster`` with one line a neuron.

    For several results, a column ``network`` comes first; where neurons have names, as nodes of a
    graph have, a column ``name`` comes last. ``neuron`` counts from 0 within the
    layer; ``cluster`` is empty for an isolated neuron. If a spreadsheet would run a name as a
    formula, an apostrophe is put before it. Control characters are written as escapes.

    Args:
        result: result of :func:`clusterability.measure`, or several.
        refined: whether to write the refined clusters instead of those of k-means.

    Raises:
        InputError: if the number of labels is not the number of neurons.
    """
    results = [result] if isinstance(result, Clusterability) else result
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    several = isinstance(result, Sequence)
    named = any(map(has_names, results))
    head = (*["network"][:several], "layer", "neuron", "cluster", *["name"][:named])
    writer.writerow(head)
    for one in results:
        network = [harmless(one.network)][:several]
        names = neuron_names(one) if named else repeat(())
        for row, name in zip(label_rows(one, refined), names, strict=False):
            writer.writerow((*network, *row, *name))
    return text.getvalue()


def label_rows(
    result: Clusterability, refined: bool = False
) -> Iterator[tuple[str, int, int | str]]:
    """Yield layer, number in it, and cluster of each neuron; the last is empty for an isolated one.

    Raises:
        InputError: if the number of labels is not the number of neurons.
    """
    labels = (result.refined if refined else result.plain).labels.tolist()
    n_neurons = sum(layer.n_neurons for layer in result.layers)
    if len(labels) != n_neurons:
        raise InputError(
            f"the result has {len(labels)} labels for {n_neurons} neurons; measure again"
        )
    each = iter(labels)
    for layer in result.layers:
        name = harmless(layer.name)
        for neuron in range(layer.n_neurons):
            label = next(each)
            yield name, neuron, "" if label < 0 else label


def has_names(result: Clusterability) -> bool:
    """Return whether neurons have names of their own, as nodes of a graph have."""
    return any(layer.neurons is not None for layer in result.layers)


def neuron_names(result: Clusterability) -> Iterator[tuple[str]]:
    """Yield each neuron's name, harmless in a spreadsheet."""
    for layer in result.layers:
        for neuron in range(layer.n_neurons):
            yield (harmless(layer.neuron_name(neuron)),)


def harmless(name: str) -> str:
    """Return a name that no spreadsheet runs as a formula, with escapes for control characters."""
    name = escaped(name)
    # A full-width sign counts too: some spreadsheets read it as the plain one.
    first = unicodedata.normalize("NFKC", name).lstrip()[:1]
    return f"'{name}" if first and first in "=+-@" else name
