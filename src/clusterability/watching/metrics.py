"""The numbers of a result that are logged."""

from clusterability.result import Clusterability


def metrics(result: Clusterability) -> dict[str, float]:
    """Return what is logged of a result, by name; without shuffles this is the n-cut alone."""
    found = {
        "ncut": result.ncut,
        "effect": result.effect,
        "z_score": result.z_score,
        "p_value": result.p_value,
    }
    return {f"clusterability/{name}": x for name, x in found.items() if x is not None}
