"""The cluster of each neuron as CSV."""

from __future__ import annotations

import csv
import io
import unicodedata

from clusterability.errors import InputError
from clusterability.result import Clusterability
from clusterability.shown import escaped


def labels_csv(result: Clusterability, refined: bool = False) -> str:
    """A CSV table ``layer,neuron,cluster`` with a line a neuron; an isolated one has no cluster.

    ``neuron`` counts from 0 within the layer. A layer's name that a spreadsheet would run as a
    formula begins with an apostrophe here, and control characters are written as escapes.

    Args:
        result: what was measured.
        refined: whether to write the refined clusters rather than those of k-means.

    Raises:
        InputError: if the result has not one label a neuron.
    """
    labels = (result.refined if refined else result.plain).labels.tolist()
    n_neurons = sum(layer.n_neurons for layer in result.layers)
    if len(labels) != n_neurons:
        raise InputError(
            f"the result has {len(labels)} labels for {n_neurons} neurons; measure again"
        )
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("layer", "neuron", "cluster"))
    each = iter(labels)
    for layer in result.layers:
        name = _harmless(layer.name)
        for neuron in range(layer.n_neurons):
            label = next(each)
            writer.writerow((name, neuron, "" if label < 0 else label))
    return text.getvalue()


def _harmless(name: str) -> str:
    name = escaped(name)
    # A full-width sign counts too: some spreadsheets read it as the plain one.
    first = unicodedata.normalize("NFKC", name).lstrip()[:1]
    return f"'{name}" if first and first in "=+-@" else name
