"""Results as text for the terminal: tables, a sentence for each network, warnings."""

from __future__ import annotations

from collections.abc import Sequence

from clusterability.display.tables import align, count_text
from clusterability.display.terminal import Table, plain_text
from clusterability.report.numerals import (
    bound_name,
    effect_text,
    graph_text,
    isolated_text,
    null_text,
    p_text,
    share_text,
    z_text,
)
from clusterability.report.verdict import sentence
from clusterability.result import Cluster, Clusterability, Clustering
from clusterability.settings import Settings
from clusterability.shown import shown

WIDTH = 100
MANY_LAYERS = 8
MANY_CLUSTERS = 16


def describe(results: Sequence[Clusterability]) -> str:
    """Return :func:`page` as text."""
    return plain_text(page(results))


def page(results: Sequence[Clusterability]) -> list[str | Table]:
    """Return the table, then for each network a sentence and its warnings, one a line.

    For several networks, each sentence and warning begins with the network's name. All text except
    names is ASCII; names are escaped and shortened.
    """
    paragraphs = _tables(results)
    for result in results:
        name = f"{shown(result.network, 60)}: " if len(results) > 1 else ""
        lines = [name + sentence(result)]
        lines += [f"warning: {name}{shown(warning, 1000)}" for warning in result.warnings]
        paragraphs.append("\n".join(lines))
    return paragraphs


def summary(result: Clusterability) -> str:
    """Return a result in three lines: the network, its n-cuts, and the sentence."""
    bound = f"{bound_name(result.settings)} {result.lower_bound:.3f}"
    ncuts = f"n-cut {result.ncut:.3f}, refined {result.refined.ncut:.3f}, {bound}"
    return "\n".join([heading(result), ncuts, sentence(result)])


def table(results: Sequence[Clusterability]) -> str:
    """Return the numbers and clusters of one network, or one row for each of several, as text."""
    return plain_text(_tables(results))


def _tables(results: Sequence[Clusterability]) -> list[str | Table]:
    if len(results) > 1:
        return [Table(comparison_rows(results), left=[0])]
    (result,) = results
    numbers, clusters = Table(number_rows(result), left=[0]), Table(cluster_rows(result))
    return [heading(result), numbers, clusters, *rest_of_clusters(result)]


def heading(result: Clusterability) -> str:
    """Return the network's name and size, and into how many clusters it was divided."""
    asked, found = result.settings.n_clusters, len(result.clusters)
    sizes = [
        count_text(sum(layer.n_neurons for layer in result.layers), "neuron"),
        *isolated_text(result),
        count_text(len(result.layers), "layer"),
        count_text(found, "cluster") + ("" if found == asked else f" ({asked} were asked for)"),
        *graph_text(result.settings),
    ]
    return f"{shown(result.network)}: {', '.join(sizes)}"


def number_rows(result: Clusterability) -> list[tuple[str, ...]]:
    """Return the numbers of a result, one a row: its name, of k-means, and refined."""
    plain, refined = result.plain, result.refined
    return [
        ("", "k-means", "refined"),
        ("n-cut", f"{plain.ncut:.3f}", f"{refined.ncut:.3f}"),
        (_shuffles(result), null_text(plain.null), null_text(refined.null)),
        ("effect", effect_text(plain.effect), effect_text(refined.effect)),
        ("Z", _z(plain), _z(refined)),
        ("p", _p(plain), _p(refined)),
        ("effective clusters", *(f"{c.effective_clusters:.1f}" for c in (plain, refined))),
        ("smallest cluster's volume", *(share_text(c.smallest_share) for c in (plain, refined))),
        *_paths(result),
        (bound_name(result.settings), f"{result.lower_bound:.3f}", ""),
        *_canonical(result),
    ]


def _paths(result: Clusterability) -> list[tuple[str, str, str]]:
    """Return the row of clusters that join inputs to outputs inside themselves, if it is known."""
    found = [
        "-" if clustering.n_paths is None else f"{clustering.n_paths} of {len(clustering.clusters)}"
        for clustering in (result.plain, result.refined)
    ]
    return [] if found == ["-", "-"] else [("clusters from in to out", found[0], found[1])]


def _canonical(result: Clusterability) -> list[tuple[str, str, str]]:
    found = result.canonical
    if found is None:
        return []
    return [("n-cut, canonical scaling", f"{found.ncut:.3f}", f"{found.refined_ncut:.3f}")]


def _shuffles(result: Clusterability) -> str:
    null = result.plain.null
    return f"{count_text(len(null.values), 'shuffle')}, mean +- std" if null else "no shuffles"


def cluster_rows(result: Clusterability) -> list[tuple[str, ...]]:
    """Return the largest clusters, one a row, with the neurons in each layer if these are few."""
    clusters = result.clusters[:MANY_CLUSTERS]
    if len(result.layers) <= MANY_LAYERS:
        rows = _wide_rows(result, clusters)
        if len(align(rows).partition("\n")[0]) <= WIDTH:
            return rows
    return _narrow_rows(result, clusters)


def rest_of_clusters(result: Clusterability) -> list[str]:
    """Return a line on the clusters that :func:`cluster_rows` leaves out, if there are any."""
    rest = result.clusters[MANY_CLUSTERS:]
    if rest:
        size = count_text(sum(cluster.size for cluster in rest), "neuron")
        share = share_text(sum(cluster.volume_share for cluster in rest))
        smaller = count_text(len(rest), "smaller cluster")
        return [f"... and {smaller}: {size}, {share} of the volume"]
    return []


def _wide_rows(result: Clusterability, clusters: Sequence[Cluster]) -> list[tuple[str, ...]]:
    # A single layer needs no column: the number of neurons is the same.
    n_columns = len(result.layers) if len(result.layers) > 1 else 0
    names = (shown(layer.name, 14) for layer in result.layers[:n_columns])
    rows: list[tuple[str, ...]] = [("cluster", "neurons", "volume", "cut", *names)]
    rows += [
        (*_cells(label, cluster), *map(str, cluster.neurons_per_layer[:n_columns]))
        for label, cluster in enumerate(clusters)
    ]
    return rows


def _narrow_rows(result: Clusterability, clusters: Sequence[Cluster]) -> list[tuple[str, ...]]:
    heading = ("cluster", "neurons", "volume", "cut", "layers", "most neurons in")
    rows: list[tuple[str, ...]] = [heading]
    for label, cluster in enumerate(clusters):
        per_layer = cluster.neurons_per_layer
        most = max(range(len(per_layer)), key=per_layer.__getitem__)
        reached = f"{sum(n > 0 for n in per_layer)} of {len(per_layer)}"
        place = f"{shown(result.layers[most].name, 40)} ({per_layer[most]})"
        rows.append((*_cells(label, cluster), reached, place))
    return rows


def _cells(label: int, cluster: Cluster) -> tuple[str, str, str, str]:
    return str(label), f"{cluster.size:,}", share_text(cluster.volume_share), f"{cluster.cut:.3f}"


def comparison_rows(results: Sequence[Clusterability]) -> list[tuple[str, ...]]:
    """Return the numbers of several results, one a row, under a row of headings.

    A column for the conventions is last if they differ.
    """
    conventions = conventions_column([result.settings for result in results])
    bound = bound_name(*(result.settings for result in results)).removeprefix("lower ")
    rows: list[tuple[str, ...]] = [
        (
            *("network", "n-cut", bound, "refined", "shuffles", "effect", "Z", "p"),
            *("effective clusters", "neurons", *conventions[:1]),
        )
    ]
    for i, result in enumerate(results, 1):
        name = shown(result.network, 32)
        ncuts = (f"{x:.3f}" for x in (result.ncut, result.lower_bound, result.refined.ncut))
        null = null_text(result.plain.null)
        effective = f"{result.effective_clusters:.1f} of {len(result.clusters)}"
        n_neurons = f"{sum(layer.n_neurons for layer in result.layers):,}"
        chance = (null, effect_text(result.effect), _z(result.plain), _p(result.plain))
        rows.append((name, *ncuts, *chance, effective, n_neurons, *conventions[i : i + 1]))
    return rows


def conventions_column(settings: Sequence[Settings]) -> list[str]:
    """Return a column, a heading and a cell for each result, if their conventions differ.

    N-cuts, shuffles and Z-scores of different conventions are not comparable, so that the reader
    of the table must see them. If all conventions are the same, the column is empty.
    """
    texts = [each.conventions_text for each in settings]
    return ["conventions", *texts] if len(set(texts)) > 1 else []


def _z(clustering: Clustering) -> str:
    return "-" if clustering.z_score is None else z_text(clustering.z_score)


def _p(clustering: Clustering) -> str:
    return "-" if clustering.p_value is None else p_text(clustering.p_value)
