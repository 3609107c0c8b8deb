"""One sentence that states the meaning of a result, and claims no more than its numbers show."""

from __future__ import annotations

from clusterability.display.tables import count_text
from clusterability.report.numerals import LEVEL, effect_text, n_at_or_below, p_text, z_text
from clusterability.result import Clusterability, Clustering

SMALL_SHARE = 0.01
NEAR_ZERO = 0.05


def sentence(result: Clusterability) -> str:
    """Return a sentence on whether the network is more clusterable than its shuffles.

    The first clause compares the n-cut of k-means, the paper's, with the shuffles' at the 5 %
    level. Caveats follow: too few shuffles for that level, a refined n-cut that disagrees,
    degenerate clusters, and a network in separate parts. For example: "More clusterable than all 50
    shuffles (p = 0.02, Z = -7.30, effect 5.0 %), but 9 of 12 clusters hold under 1 % of the
    volume."
    """
    claim, favorable = _against_chance(result.plain)
    notes = [*_too_few(result.plain), *_disagreement(result), *_degenerate(result), *_parts(result)]
    if not notes:
        return f"{claim}."
    *first, last = notes
    joined = f"{', '.join(first)}, and {last}" if first else last
    return f"{claim}, {'but' if favorable else 'and'} {joined}."


def _against_chance(clustering: Clustering) -> tuple[str, bool]:
    null, p_value = clustering.null, clustering.p_value
    if null is None or p_value is None:
        return "Nothing is said about chance: no shuffles were run", False
    n_shuffles, n_below = len(null.values), n_at_or_below(clustering)
    numbers = f"p = {p_text(p_value)}"
    if clustering.z_score is not None:
        numbers += f", Z = {z_text(clustering.z_score)}, effect {effect_text(clustering.effect)}"
    else:
        numbers += (
            f"; no Z, since {'one shuffle has' if n_shuffles == 1 else 'they have'} no spread"
        )
    if n_below == 0:
        than = f"all {n_shuffles} shuffles" if n_shuffles > 1 else "its one shuffle"
        return f"More clusterable than {than} ({numbers})", True
    if p_value <= LEVEL:
        above = n_shuffles - n_below
        return f"More clusterable than {above} of {n_shuffles} shuffles ({numbers})", True
    below = f"all {n_shuffles}" if n_below == n_shuffles > 1 else f"{n_below} of {n_shuffles}"
    lie = "lies" if n_below == 1 else "lie"
    claim = "Not more clusterable than its shuffles at the 5 % level"
    return f"{claim}: {below} {lie} at or below it ({numbers})", False


def _too_few(clustering: Clustering) -> list[str]:
    if clustering.null is None:
        return []
    n_shuffles = len(clustering.null.values)
    smallest = 1 / (n_shuffles + 1)
    if smallest <= LEVEL:
        return []
    return [
        f"with {count_text(n_shuffles, 'shuffle')} the smallest possible p is"
        f" 1/{n_shuffles + 1} = {p_text(smallest)}, above the 5 % level"
    ]


def _disagreement(result: Clusterability) -> list[str]:
    plain, refined = result.plain.p_value, result.refined.p_value
    if plain is None or refined is None or (plain <= LEVEL) == (refined <= LEVEL):
        return []
    verb = "is" if refined <= LEVEL else "is not"
    return [
        f"its refined n-cut {verb} below the shuffles' at the 5 % level (p = {p_text(refined)})"
    ]


def _degenerate(result: Clusterability) -> list[str]:
    clusters = result.plain.clusters
    n_small = sum(cluster.volume_share < SMALL_SHARE for cluster in clusters)
    if not n_small:
        return []
    hold = "holds" if n_small == 1 else "hold"
    return [f"{n_small} of {len(clusters)} clusters {hold} under 1 % of the volume"]


def _parts(result: Clusterability) -> list[str]:
    if result.n_components < 2:
        return []
    apart = f"the network falls into {result.n_components} separate parts"
    # Only k parts or more let k clusters have an n-cut of 0; fewer do not explain it.
    if result.plain.ncut < NEAR_ZERO and result.n_components >= len(result.plain.clusters):
        return [f"the n-cut is near 0 because {apart}"]
    return [f"{apart}, which cost no cut to tell apart"]
