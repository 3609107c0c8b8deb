"""Tags that are there already: of a result, a file, a mapping or a row of labels."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from clusterability.errors import InputError
from clusterability.files.checks import check_regular
from clusterability.report.labels import harmless
from clusterability.result import Clusterability
from clusterability.shown import described, listed, quoted, show_path
from clusterability.wiring import Wiring

LARGEST_FILE = 2**28
"""Most bytes of a file of labels; a larger one is taken for a mistake."""


def given_tags(source: Any, wiring: Wiring) -> dict[str, Tensor]:
    """Return the tags of some layers by name, -1 where a neuron has none.

    Args:
        source: as of :func:`clusterability.cluster_tags`.
        wiring: of the whole module.

    Raises:
        InputError: if they do not fit the module, or cannot be read.
    """
    if isinstance(source, str | os.PathLike):
        source = _read(Path(source), wiring)
    if isinstance(source, Clusterability):
        sizes = [layer.n_neurons for layer in source.layers]
        parts = np.split(source.labels, np.cumsum(sizes)[:-1])
        names = [layer.name for layer in source.layers]
        source = dict(zip(names, parts, strict=True))
    if not isinstance(source, Mapping):
        source = _split(source, wiring)
    return checked(source, wiring)


def checked(source: Mapping[Any, Any], wiring: Wiring) -> dict[str, Tensor]:
    """Return tags by the names of layers as (n_neurons,) int64 on the CPU.

    Raises:
        InputError: if one is not the tags of a layer of the wiring.
    """
    sizes = {layer.name: layer.n_neurons for layer in wiring.layers}
    tags = {}
    for name, values in source.items():
        if name not in sizes:
            raise InputError(
                f"there are tags of a layer {quoted(name)}, but the network's are "
                f"{listed([quoted(known) for known in sizes])}"
            )
        found = _integers(values)
        if found is None or found.shape != (sizes[name],) or int(found.min()) < -1:
            raise InputError(
                f"the tags of layer {quoted(name)} are {described(values)}, expected "
                f"{sizes[name]} whole numbers from 0 on, one a neuron, or -1 for none"
            )
        tags[name] = found
    if not tags or most_tags(tags) < 2:
        raise InputError("the tags name fewer than two clusters; expected 0, 1, ... by layer")
    if most_tags(tags) > sum(sizes.values()):
        raise InputError(
            f"the tags name {most_tags(tags)} clusters, but the network has {sum(sizes.values())} "
            "neurons; number the clusters 0, 1, ..."
        )
    return tags


def most_tags(tags: Mapping[str, Tensor]) -> int:
    """Return the number of clusters that tags name: the largest tag plus 1."""
    return max(int(found.max()) for found in tags.values()) + 1


def check_tags(tags: Mapping[str, Tensor], wiring: Wiring) -> None:
    """Refuse tags that leave a hidden layer or the inputs without one of the clusters.

    Raises:
        InputError: that names the layer and the cluster.
    """
    sources = {connection.source for connection in wiring.connections}
    n_clusters = most_tags(tags)
    for i, layer in enumerate(wiring.layers):
        if layer.name not in tags or i not in sources:
            continue
        counts = torch.bincount(tags[layer.name].clamp_min(-1) + 1, minlength=n_clusters + 1)[1:]
        if not bool(counts.all()):
            missing = int((counts == 0).nonzero()[0])
            raise InputError(
                f"cluster {missing} of {n_clusters} has no neuron in layer {quoted(layer.name)}, "
                "so that nothing can pass through it there; give every cluster neurons in every "
                "layer, as cluster_tags(model, k) does"
            )


def _integers(values: Any) -> Tensor | None:
    """Return integers as an int64 tensor on the CPU; None if they are none."""
    try:
        found = values if isinstance(values, Tensor) else torch.as_tensor(np.asarray(values))
    except (TypeError, ValueError, RuntimeError):
        return None
    if found.is_floating_point() or found.is_complex() or found.dtype == torch.bool:
        return None
    return found.detach().to("cpu", torch.int64) if found.numel() else None


def _split(labels: Any, wiring: Wiring) -> dict[str, Tensor]:
    """Return the labels of a whole graph by layer."""
    sizes = [layer.n_neurons for layer in wiring.layers]
    found = _integers(labels)
    if found is None or found.shape != (sum(sizes),):
        raise InputError(
            f"the labels are {described(labels)}, expected {sum(sizes)} whole numbers, one for "
            f"each neuron of the layers {listed([layer.name for layer in wiring.layers])}; of "
            "some layers alone, pass a mapping from their names, or the result of measure"
        )
    names = (layer.name for layer in wiring.layers)
    return dict(zip(names, torch.split(found, sizes), strict=True))


def _read(path: Path, wiring: Wiring) -> Clusterability | dict[str, Any]:
    """Return the result, or the tags by layer, that a file holds."""
    if path.suffix.lower() not in (".json", ".csv"):
        raise InputError(
            f"{show_path(path)} is no file of labels; expected the .json of a result, or the .csv "
            "that clusterability measure --csv writes"
        )
    try:
        check_regular(path)
        if path.stat().st_size > LARGEST_FILE:
            raise InputError(f"{show_path(path)} is too large for labels; give another file")
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise InputError(f"cannot read {show_path(path)}: {error.strerror or error}") from None
    if path.suffix.lower() == ".json":
        return Clusterability.from_json(text)
    return _read_csv(text, path, wiring)


def _read_csv(text: str, path: Path, wiring: Wiring) -> dict[str, Any]:
    names = {harmless(layer.name): layer for layer in wiring.layers}
    found: dict[str, Tensor] = {}
    try:
        rows = csv.DictReader(io.StringIO(text), strict=True)
        for row in rows:
            layer = names[row["layer"]]
            tags = found.setdefault(layer.name, torch.full((layer.n_neurons,), -1))
            neuron = int(row["neuron"])
            if neuron < 0:
                raise IndexError(neuron)
            tags[neuron] = int(row["cluster"]) if row["cluster"] else -1
    except (KeyError, TypeError, ValueError, IndexError, RuntimeError, csv.Error):
        raise InputError(
            f"{show_path(path)} does not hold the labels of this network; expected lines "
            f"layer,neuron,cluster with the layers {listed(list(names))}"
        ) from None
    return dict(found)
