"""Results of one network for several numbers of clusters: a table, and what they speak for."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import repeat
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clusterability.clustering.agreement import Agreement
from clusterability.display.terminal import Table, plain_text
from clusterability.report.frames import Records, frame, gap_after, numbers
from clusterability.report.labels import harmless, has_names, label_rows, neuron_names
from clusterability.report.numerals import (
    LEVEL,
    bound_name,
    effect_text,
    null_text,
    p_text,
    share_text,
    z_text,
)
from clusterability.report.text import heading
from clusterability.result import Clusterability
from clusterability.shown import shown

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SMALL_SHARE = 0.01
"""A cluster with less of the volume than this makes a clustering degenerate."""


@dataclass(frozen=True, eq=False)
class ClusterScan:
    """The results of one network for several numbers of clusters k.

    Attributes:
        results: one for each k, ascending; each is what a measurement with that k alone gives.
        stability: for each k, how far the clusters of k-means from several seeds agree, with their
            consensus; empty if no seeds were asked for.
        refined_stability: the same of the refined clusters.

    >>> from clusterability import scan_clusters, toy
    >>> scan = scan_clusters(toy.planted_mlp(), "2-4", n_shuffles=19)
    >>> [result.settings.n_clusters for result in scan.results], scan.recommended
    ([2, 3, 4], 2)
    """

    results: tuple[Clusterability, ...]
    stability: tuple[Agreement, ...] = ()
    refined_stability: tuple[Agreement, ...] = ()

    @property
    def numbers_of_clusters(self) -> tuple[int, ...]:
        return tuple(result.settings.n_clusters for result in self.results)

    @property
    def gaps(self) -> tuple[float | None, ...]:
        """The gap between the k-th eigenvalue and the next, for each k; None if unknown."""
        return tuple(gap_after(result) for result in self.results)

    @property
    def recommended(self) -> int | None:
        """The k with the largest effect, of those below their shuffles at the 5 % level.

        None if there is no such k.
        """
        found = [result for result in self.results if _is_significant(result)]
        best = max(found, key=_effect, default=None)
        return None if best is None else best.settings.n_clusters

    def table(self) -> Any:
        """Return a row for each k: the columns of a result's ``table()``, and, if seeds were asked
        for, ``stability`` and ``refined_stability``, which are mean adjusted Rand indices.

        It is a pandas frame where pandas is installed, else a list of dictionaries.
        """
        return frame(self.records())

    def records(self) -> Records:
        """Return the rows of :meth:`table` as dictionaries."""
        rows = [numbers(result) for result in self.results]
        for row, plain, refined in zip(rows, self.stability, self.refined_stability, strict=False):
            row |= {"stability": plain.mean, "refined_stability": refined.mean}
        return rows

    def plot(self, path: str | Path | None = None) -> Figure:
        """Draw n-cut, effect, gap and stability over k; write to ``path`` if it is given."""
        from clusterability.report.scan_drawing import plot_scan

        return plot_scan(self, path)

    def text(self) -> str:
        """Return :meth:`page` as text."""
        return plain_text(self.page())

    def page(self) -> list[str | Table]:
        """Return the table for people, and what it speaks for."""
        first = self.results[0]
        network = heading(first).rpartition(",")[0]
        shared = [text for text in first.warnings if all(text in r.warnings for r in self.results)]
        lines = [recommendation(self), *(f"warning: {shown(text, 1000)}" for text in shared)]
        return [network, Table(_rows(self)), "\n".join(lines)]

    def __repr__(self) -> str:
        return self.text()


def _rows(scan: ClusterScan) -> list[tuple[str, ...]]:
    bound = bound_name(*(result.settings for result in scan.results)).removeprefix("lower ")
    stable = ("stability",) if scan.stability else ()
    rows: list[tuple[str, ...]] = [
        (
            *("k", "n-cut", bound, "shuffles", "effect", "Z", "p", "refined", "its effect"),
            *("gap", "smallest", *stable),
        )
    ]
    for i, (result, gap) in enumerate(zip(scan.results, scan.gaps, strict=True)):
        plain, refined = result.plain, result.refined
        cells = [
            str(result.settings.n_clusters),
            f"{plain.ncut:.3f}",
            f"{result.lower_bound:.3f}",
            null_text(plain.null),
            effect_text(plain.effect),
            "-" if plain.z_score is None else z_text(plain.z_score),
            "-" if plain.p_value is None else p_text(plain.p_value),
            f"{refined.ncut:.3f}",
            effect_text(refined.effect),
            "-" if gap is None else f"{gap:.3f}",
            share_text(plain.smallest_share),
        ]
        if scan.stability:
            cells.append(f"{scan.stability[i].mean:.2f}")
        rows.append(tuple(cells))
    return rows


def recommendation(scan: ClusterScan) -> str:
    """Return in words what effects, gaps and stability speak for."""
    best = next((r for r in scan.results if r.settings.n_clusters == scan.recommended), None)
    sentences = [_on_effects(scan, best), *_on_gaps(scan)]
    if best is not None:
        small = sum(cluster.volume_share < SMALL_SHARE for cluster in best.clusters)
        if small:
            hold = "holds" if small == 1 else "hold"
            n = f"{small} of the {len(best.clusters)} clusters"
            sentences.append(f"At k = {scan.recommended}, {n} {hold} under 1 % of the volume.")
        sentences.append(
            "Its p is that of a k named beforehand; the best of several has a small p too often."
        )
    return " ".join([*sentences, *_on_stability(scan)])


def _on_effects(scan: ClusterScan, best: Clusterability | None) -> str:
    if all(result.plain.null is None for result in scan.results):
        return "No shuffles were run: nothing is known about chance, and no k is recommended."
    if best is None:
        n = scan.results[0].settings.n_shuffles
        few = f", for which {n} shuffles are too few" if 1 / (n + 1) > LEVEL else ""
        return (
            f"For no k is the network more clusterable than its shuffles at the 5 % level{few}: no "
            "k is recommended."
        )
    text = f"k = {scan.recommended} has the largest effect, {effect_text(best.effect)}"
    alike = [
        str(result.settings.n_clusters)
        for result in scan.results
        if result is not best and _effect(result) >= _effect(best) - _spread(result, best)
    ]
    return f"{text}; within the shuffles' spread: {', '.join(alike)}." if alike else f"{text}."


def _on_gaps(scan: ClusterScan) -> list[str]:
    known = [
        (gap, k)
        for gap, k in zip(scan.gaps, scan.numbers_of_clusters, strict=True)
        if gap is not None
    ]
    if len(known) < 2:
        return []
    gap, k = max(known)
    return [f"The largest gap between eigenvalues, {gap:.3f}, is after number {k}."]


def _on_stability(scan: ClusterScan) -> list[str]:
    if not scan.stability:
        return []
    means = dict(zip(scan.numbers_of_clusters, [one.mean for one in scan.stability], strict=True))
    k = max(means, key=means.__getitem__) if scan.recommended is None else scan.recommended
    lowest = min(means, key=means.__getitem__)
    others = f"; lowest, at k = {lowest}, is {means[lowest]:.2f}" if len(means) > 1 else ""
    return [
        f"Clusters from several seeds agree at k = {k} with an adjusted Rand index of "
        f"{means[k]:.2f} (1 is the same, 0 is chance){others}."
    ]


def _is_significant(result: Clusterability) -> bool:
    return result.p_value is not None and result.p_value <= LEVEL


def _effect(result: Clusterability) -> float:
    return -1.0 if result.effect is None else result.effect


def _spread(*results: Clusterability) -> float:
    """Return the largest standard deviation of the shuffles, as a share of their mean."""
    nulls: Sequence[Any] = [result.plain.null for result in results]
    return max(null.std / null.mean if null and null.mean else 0.0 for null in nulls)


def scan_csv(scans: Sequence[ClusterScan]) -> str:
    """Return a CSV table with one line a neuron and k: where it is, its cluster, and the consensus.

    Columns are ``network``, ``clusters``, ``layer``, ``neuron``, ``cluster``, and, if seeds were
    asked for, ``consensus`` and ``share``, the share of the seeds that have it there; where neurons
    have names, ``name`` comes last.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    stable = ("consensus", "share") if scans[0].stability else ()
    named = any(has_names(result) for scan in scans for result in scan.results)
    head = ("network", "clusters", "layer", "neuron", "cluster", *stable, *["name"][:named])
    writer.writerow(head)
    for scan in scans:
        for i, result in enumerate(scan.results):
            k, rows = result.settings.n_clusters, label_rows(result)
            found = scan.stability[i] if scan.stability else None
            names = neuron_names(result) if named else repeat(())
            for neuron, (row, name) in enumerate(zip(rows, names, strict=False)):
                more = [] if found is None else _consensus(found, neuron)
                writer.writerow((harmless(result.network), k, *row, *more, *name))
    return text.getvalue()


def _consensus(found: Agreement, neuron: int) -> list[str]:
    label = int(found.labels[neuron])
    return ["" if label < 0 else str(label), f"{found.shares[neuron]:g}"]
