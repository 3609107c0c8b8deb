"""The cluster of each neuron, written as CSV."""

from __future__ import annotations

import csv
import io
import unicodedata
from collections.abc import Iterator, Sequence

from clusterability.errors import InputError
from clusterability.result import Clusterability
from clusterability.shown import escaped


def labels_csv(result: Clusterability | Sequence[Clusterability], refined: bool = False) -> str:
    """Return a CSV table ``layer,neuron,cluster`` with one line a neuron.

    For several results, a column ``network`` comes first. ``neuron`` counts from 0 within the
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
    writer.writerow((*["network"][:several], "layer", "neuron", "cluster"))
    for one in results:
        names = [harmless(one.network)][:several]
        writer.writerows((*names, *row) for row in label_rows(one, refined))
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


def harmless(name: str) -> str:
    """Return a name that no spreadsheet runs as a formula, with escapes for control characters."""
    name = escaped(name)
    # A full-width sign counts too: some spreadsheets read it as the plain one.
    first = unicodedata.normalize("NFKC", name).lstrip()[:1]
    return f"'{name}" if first and first in "=+-@" else name
