"""The result of a measurement as a frozen record, and its JSON form."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from clusterability.arguments import whole
from clusterability.errors import InputError
from clusterability.records import check_types
from clusterability.settings import Settings, settings_of_result
from clusterability.shown import shown
from clusterability.significance import effect

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from clusterability.graph import NeuronGraph

SCHEMA_VERSION = 1


@dataclass(frozen=True)
class NullDistribution:
    """The n-cuts of a network's shuffles: values in order, mean, standard deviation (ddof 0)."""

    values: tuple[float, ...]

    def __repr__(self) -> str:
        return f"NullDistribution({len(self.values)} values, {self.mean:.4g} +- {self.std:.3g})"

    @property
    def mean(self) -> float:
        return float(np.mean(self.values))

    @property
    def std(self) -> float:
        return float(np.std(self.values))


@dataclass(frozen=True)
class Cluster:
    """One cluster of neurons.

    Attributes:
        size: number of neurons.
        volume_share: the cluster's volume (sum of degrees) over that of the whole network.
        cut: W(X, not X) / (vol(X) + offset), the cluster's term of the n-cut, between 0 and 1; the
            offset is the settings' ``volume_offset``, 0 by default.
        neurons_per_layer: number of its neurons in each layer.
        has_path: whether a path from an input to an output lies inside it; None if the graph has
            no inputs and outputs, or the result is from before there was this field.
    """

    size: int
    volume_share: float
    cut: float
    neurons_per_layer: tuple[int, ...]
    has_path: bool | None = None


@dataclass(frozen=True, eq=False)
class Clustering:
    """A clustering of the network, compared with the same clustering of its shuffles.

    Attributes:
        ncut: n-cut of the network.
        p_value: (r + 1) / (n + 1), r of n shuffles having an n-cut at or below the network's; None
            without shuffles.
        z_score: (ncut - mean) / std of the null; None without shuffles or spread.
        null: n-cuts of the shuffles; None without shuffles.
        effective_clusters: exp(entropy of the clusters' shares of the volume).
        labels: (n_neurons,) cluster of each neuron in layer order, from 0; -1 where isolated.
        clusters: one record a cluster; label i is clusters[i]. The plain clustering numbers them by
            falling volume; the refined clustering keeps these numbers.
    """

    ncut: float
    p_value: float | None
    z_score: float | None
    null: NullDistribution | None
    effective_clusters: float
    labels: NDArray[np.int64]
    clusters: tuple[Cluster, ...]

    def __repr__(self) -> str:
        return f"Clustering({len(self.clusters)} clusters, ncut={self.ncut:.4g}, null={self.null})"

    @property
    def smallest_share(self) -> float:
        """Share of the volume that the smallest cluster has."""
        return min(cluster.volume_share for cluster in self.clusters)

    @property
    def n_paths(self) -> int | None:
        """Number of clusters with a path from an input to an output inside; None if unknown."""
        known = [cluster.has_path for cluster in self.clusters if cluster.has_path is not None]
        return sum(known) if known else None

    @property
    def effect(self) -> float | None:
        """(mean - ncut) / mean of the null; None without shuffles.

        The effect is the size of the difference. Z can be large for a difference of 1 % where the
        null's spread is tiny.
        """
        return effect(self.ncut, self.null.values if self.null else ())


@dataclass(frozen=True)
class LayerSummary:
    """A layer's name, its number of neurons, and the number of those without a connection.

    ``neurons`` are the neurons' names, as of a graph's nodes; None if they are only numbered.
    """

    name: str
    n_neurons: int
    n_isolated: int
    neurons: tuple[str, ...] | None = None

    def neuron_name(self, index: int) -> str:
        """Return the name of a neuron; by default the layer's, with the index in brackets."""
        return f"{self.name}[{index}]" if self.neurons is None else self.neurons[index]


@dataclass(frozen=True)
class Canonical:
    """The n-cut of a network whose hidden neurons are rescaled, which changes no ReLU network.

    Every hidden neuron's incoming strength then equals its outgoing one, and the n-cut is the same
    whatever the scale of the hidden neurons was.

    Attributes:
        ncut: of k-means.
        refined_ncut: after local search.
        effective_clusters: of k-means, as of :class:`Clustering`.
    """

    ncut: float
    refined_ncut: float
    effective_clusters: float


@dataclass(frozen=True, eq=False)
class Clusterability:
    """A network's n-cut, its comparison with chance, and the clusters of neurons.

    The properties give the paper's measure (Algorithm 1 with k-means); :attr:`refined` holds the
    clustering after local search. :attr:`lower_bound` is below the n-cut of every partition into as
    many parts, if the settings' ``volume_offset`` is 0. ``n_init`` is the number of starts of
    k-means, set by ``n_init_policy``. :attr:`canonical` is None where scaling a hidden neuron may
    change the network's function, and where the whole result is of canonical scaling.

    >>> from clusterability import measure, toy
    >>> result = measure(toy.path(), n_clusters=2, n_shuffles=0)
    >>> round(result.ncut, 4), round(result.lower_bound, 4), result.n_components
    (0.6667, 0.5, 1)
    """

    network: str
    plain: Clustering
    refined: Clustering
    lower_bound: float
    eigenvalues: tuple[float, ...]
    layers: tuple[LayerSummary, ...]
    n_components: int
    warnings: tuple[str, ...]
    settings: Settings
    n_init: int
    n_init_policy: str
    version: str
    device: str
    seconds: Mapping[str, float]
    graph: NeuronGraph | None = field(default=None, repr=False)
    canonical: Canonical | None = None

    @property
    def ncut(self) -> float:
        return self.plain.ncut

    @property
    def p_value(self) -> float | None:
        return self.plain.p_value

    @property
    def z_score(self) -> float | None:
        return self.plain.z_score

    @property
    def effect(self) -> float | None:
        return self.plain.effect

    @property
    def null_distribution(self) -> NDArray[np.float64]:
        """(n_shuffles,) n-cuts of the shuffles; empty without shuffles."""
        return np.array(self.plain.null.values if self.plain.null else (), dtype=float)

    @property
    def labels(self) -> NDArray[np.int64]:
        return self.plain.labels

    @property
    def clusters(self) -> tuple[Cluster, ...]:
        return self.plain.clusters

    @property
    def effective_clusters(self) -> float:
        return self.plain.effective_clusters

    def plot(self, path: str | Path | None = None) -> Figure:
        """Draw the sheet of four figures; write it to ``path`` (.png, .svg or .pdf) if given."""
        from clusterability.report.figures import sheet

        return sheet(self, path)

    def table(self) -> Any:
        """Return the result's numbers as a table of one row, with the columns of ``--table``.

        It is a pandas frame where pandas is installed, else a list of one dictionary.
        """
        from clusterability.report.frames import frame, numbers

        return frame([numbers(self)])

    def neurons(self) -> Any:
        """Return a row for each neuron: ``layer``, ``index`` in it, ``name``, ``cluster``,
        ``refined_cluster``, ``degree``, and the shares ``inside`` and ``refined_inside`` of its
        strength that stay in its cluster.

        It is a pandas frame where pandas is installed, else a list of dictionaries.
        """
        from clusterability.report.frames import frame, neurons

        return frame(neurons(self))

    def __repr__(self) -> str:
        from clusterability.report.text import summary

        return summary(self)

    def _repr_html_(self) -> str:
        from clusterability.report.notebook import html

        return html(self)

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form as plain Python objects; docs/json.md lists its fields."""
        plain = _clustering_to_dict(self.plain)
        null = plain.pop("null")
        if null is not None:
            null = {"kind": self.settings.null, "n_shuffles": self.settings.n_shuffles, **null}
        return {
            "schema_version": SCHEMA_VERSION,
            "network": self.network,
            "null": null,
            "lower_bound": self.lower_bound,
            "eigenvalues": list(self.eigenvalues),
            **plain,
            "refined": _clustering_to_dict(self.refined),
            "canonical": self.canonical and asdict(self.canonical),
            "layers": [_present(asdict(layer)) for layer in self.layers],
            "n_components": self.n_components,
            "warnings": list(self.warnings),
            "settings": {
                **self.settings.to_dict(),
                "n_init": self.n_init,
                "n_init_policy": self.n_init_policy,
            },
            "version": self.version,
            "device": self.device,
            "seconds": dict(self.seconds),
        }

    def to_json(self, indent: int | None = 2) -> str:
        """Return the result as JSON, without the graph."""
        return json.dumps(self.to_dict(), indent=indent, allow_nan=False)

    @classmethod
    def from_json(cls, text: str | bytes) -> Clusterability:
        """Read a result that :meth:`to_json` wrote; its ``graph`` is None.

        Raises:
            InputError: if the text is not the JSON of a result, or has another schema version.
        """
        try:
            data = json.loads(text)
        except (ValueError, TypeError, RecursionError) as error:
            raise InputError(f"not a JSON text: {error}") from None
        if not isinstance(data, dict) or data.get("schema_version") != SCHEMA_VERSION:
            found = data.get("schema_version") if isinstance(data, dict) else type(data).__name__
            raise InputError(f"expected a result of schema_version {SCHEMA_VERSION}, got {found!r}")
        try:
            return cls._from_dict(data)
        except (
            *(KeyError, TypeError, AttributeError, ValueError, OverflowError, RecursionError),
        ) as error:
            reason = str(error) if isinstance(error, InputError) else repr(error)
            message = f"the JSON is no result of schema_version 1: {shown(reason, 200)}"
            raise InputError(message) from None

    @classmethod
    def _from_dict(cls, data: dict[str, Any]) -> Clusterability:
        layers = tuple(map(_layer_from_dict, data["layers"]))
        result = cls(
            network=data["network"],
            plain=_clustering_from_dict(data),
            refined=_clustering_from_dict(data["refined"]),
            lower_bound=data["lower_bound"],
            eigenvalues=tuple(data["eigenvalues"]),
            layers=layers,
            n_components=data["n_components"],
            warnings=tuple(data["warnings"]),
            settings=settings_of_result(data["settings"]),
            n_init=whole("n_init", data["settings"]["n_init"], 1),
            n_init_policy=data["settings"]["n_init_policy"],
            version=data["version"],
            device=data["device"],
            seconds=data["seconds"],
            canonical=data.get("canonical") and Canonical(**data["canonical"]),
        )
        for record in (result, *layers, *filter(None, [result.canonical])):
            check_types(record)
        for clustering in (result.plain, result.refined):
            _check_clustering(clustering, layers)
        with np.errstate(all="ignore"):
            result.to_json()  # a mean of huge numbers may be none
        return result


def _present(data: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in data.items() if value is not None}


def _layer_from_dict(data: dict[str, Any]) -> LayerSummary:
    names = data.get("neurons")
    if names is not None and not (isinstance(names, list) and len(names) == data["n_neurons"]):
        raise InputError(f"the names of a layer are no list of {data['n_neurons']} strings")
    return LayerSummary(**data | {"neurons": None if names is None else tuple(names)})


def _check_clustering(clustering: Clustering, layers: tuple[LayerSummary, ...]) -> None:
    for record in (clustering, *clustering.clusters, *filter(None, [clustering.null])):
        check_types(record)
    n_neurons = sum(whole("n_neurons", layer.n_neurons, 0) for layer in layers)
    labels, n_clusters = clustering.labels, len(clustering.clusters)
    if labels.shape != (n_neurons,) or not np.isin(labels, np.arange(-1, n_clusters)).all():
        raise InputError(
            f"{labels.size} labels do not number {n_neurons} neurons in {n_clusters} clusters"
        )
    if not clustering.clusters:
        raise InputError("it has no clusters")
    if any(len(cluster.neurons_per_layer) != len(layers) for cluster in clustering.clusters):
        raise InputError("a cluster lacks one of its layers")


def _clustering_to_dict(clustering: Clustering) -> dict[str, Any]:
    null = clustering.null
    return {
        "ncut": clustering.ncut,
        "p_value": clustering.p_value,
        "z_score": clustering.z_score,
        "effect": clustering.effect,
        "null": null and {"mean": null.mean, "std": null.std, "values": list(null.values)},
        "effective_clusters": clustering.effective_clusters,
        "labels": [None if label < 0 else label for label in clustering.labels.tolist()],
        "clusters": [asdict(cluster) for cluster in clustering.clusters],
    }


def _clustering_from_dict(data: Mapping[str, Any]) -> Clustering:
    return Clustering(
        ncut=data["ncut"],
        p_value=data["p_value"],
        z_score=data["z_score"],
        null=data["null"] and NullDistribution(tuple(data["null"]["values"])),
        effective_clusters=data["effective_clusters"],
        labels=np.array(
            [-1 if label is None else whole("label", label, 0) for label in data["labels"]],
            dtype=np.int64,
        ),
        clusters=tuple(
            Cluster(**{**cluster, "neurons_per_layer": tuple(cluster["neurons_per_layer"])})
            for cluster in data["clusters"]
        ),
    )
