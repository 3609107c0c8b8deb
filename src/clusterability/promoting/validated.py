"""The record of what a network's clusters are worth, and its text and JSON."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from clusterability.arguments import whole
from clusterability.display.tables import align
from clusterability.errors import InputError
from clusterability.result import NullDistribution
from clusterability.shown import shown
from clusterability.significance import p_value

SCHEMA_VERSION = 1


@dataclass(frozen=True)
class Lesions:
    """A mean over the lesions of all clusters, and the same of permuted clusters.

    Attributes:
        observed: of the clusters, as a share.
        null: of partitions with the clusters' sizes in every layer.
    """

    observed: float
    null: NullDistribution

    @property
    def p_lower(self) -> float | None:
        """(r + 1) / (n + 1), r of n permuted partitions being at or below the observed value."""
        return p_value(self.observed, self.null.values)

    @property
    def p_upper(self) -> float | None:
        """(r + 1) / (n + 1), r of n permuted partitions being at or above the observed value."""
        return p_value(-self.observed, [-value for value in self.null.values])


@dataclass(frozen=True)
class ClusterValidation:
    """What a network's clusters are worth: cut apart, and each by itself taken out.

    Shares are from 0 to 1. The mean fall is over clusters and classes; the spread is the standard
    deviation of the fall over classes (ddof 0), averaged over clusters: high where clusters carry
    functions of their own.

    Attributes:
        accuracy: share of right predictions of the network as it is.
        accuracy_cut: when every weight between clusters is 0.
        accuracy_folded: the same, and the mean of what is cut goes into the biases first.
        n_cut: number of weights that the cut sets to 0.
        fall: of the accuracy on each class when a cluster is taken out.
        spread: of this fall over the classes.
        falls: of each class, for each cluster.
        classes: those that the targets have.
        n_inputs: number of inputs, on which the accuracies are.
        n_lesioned: number of these on which the lesions are judged.
        seed: of the permutations.
        notes: what else is to be known, in sentences.

    >>> import torch
    >>> from clusterability import validate_clusters
    >>> model = torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.ReLU(), torch.nn.Linear(4, 2))
    >>> labels, x, y = torch.arange(10) % 2, torch.rand(6, 4), torch.arange(6) % 2
    >>> report = validate_clusters(model, labels, x, y)
    >>> ClusterValidation.from_json(report.to_json()) == report
    True
    >>> report.n_inputs, len(report.falls)
    (6, 2)
    """

    accuracy: float
    accuracy_cut: float
    accuracy_folded: float
    n_cut: int
    fall: Lesions
    spread: Lesions
    falls: tuple[tuple[float, ...], ...]
    classes: tuple[int, ...]
    n_inputs: int
    n_lesioned: int
    seed: int
    notes: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return self.text()

    def text(self) -> str:
        """Return a table of accuracies and lesions, and a sentence on what they say."""
        cut = align(
            [
                ("accuracy", _percent(self.accuracy)),
                (f"cut apart ({self.n_cut:,} weights)", _percent(self.accuracy_cut)),
                ("cut apart, mean folded in", _percent(self.accuracy_folded)),
            ],
            left=[0],
        )
        rows: list[tuple[str, ...]] = [("a cluster taken out", "observed", "permuted", "p")]
        for name, found in (("fall", self.fall), ("spread over classes", self.spread)):
            null = found.null
            permuted = f"{100 * null.mean:.1f} +- {100 * null.std:.1f}" if null.values else "-"
            rows.append((name, f"{100 * found.observed:.1f}", permuted, _tail(found)))
        notes = [f"note: {note}" for note in self.notes]
        return "\n".join([cut, "", align(rows, left=[0]), "", self.sentence(), *notes])

    def sentence(self) -> str:
        """Return what the spread says about the clusters' functions at the 5 % level."""
        upper, lower = self.spread.p_upper, self.spread.p_lower
        if upper is None or lower is None:
            return "Nothing is said about chance: no permutations were run."
        if 1 / (len(self.spread.null.values) + 1) > LEVEL:
            return "Too few permutations for the 5 % level; 19 or more say something."
        if upper <= LEVEL:
            return (
                "Each cluster matters to some classes more than as many neurons at random: the "
                f"clusters carry functions of their own (p = {upper:.2g})."
            )
        if lower <= LEVEL:
            return (
                "Each cluster matters to all classes more alike than as many neurons at random: "
                f"the clusters stand in for each other (p = {lower:.2g})."
            )
        return "The clusters matter to classes no other than as many neurons at random."

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as plain Python objects, with the p-values."""
        found = asdict(self)
        for name, lesions in (("fall", self.fall), ("spread", self.spread)):
            null, values = lesions.null, list(lesions.null.values)
            found[name] = {
                "observed": lesions.observed,
                "p_lower": lesions.p_lower,
                "p_upper": lesions.p_upper,
                "null": {
                    "mean": null.mean if values else None,
                    "std": null.std if values else None,
                    "values": values,
                },
            }
        return {"schema_version": SCHEMA_VERSION, **found}

    def to_json(self, indent: int | None = 2) -> str:
        """Return the record as JSON."""
        return json.dumps(self.to_dict(), indent=indent, allow_nan=False)

    @classmethod
    def from_json(cls, text: str | bytes) -> ClusterValidation:
        """Read a record that :meth:`to_json` wrote.

        Raises:
            InputError: if the text is none.
        """
        try:
            data = json.loads(text)
            if data.pop("schema_version") != SCHEMA_VERSION:
                raise ValueError("another schema_version")
            for name in ("fall", "spread"):
                values = tuple(_finite(value) for value in data[name]["null"]["values"])
                data[name] = Lesions(_finite(data[name]["observed"]), NullDistribution(values))
            data["falls"] = tuple(tuple(map(_finite, row)) for row in data["falls"])
            data["classes"] = tuple(map(int, data["classes"]))
            data["notes"] = tuple(map(str, data["notes"]))
            for name in ("accuracy", "accuracy_cut", "accuracy_folded"):
                data[name] = _finite(data[name])
            for name in ("n_cut", "n_inputs", "n_lesioned", "seed"):
                data[name] = whole(name, data[name], 0)
            found = cls(**data)
            with np.errstate(all="ignore"):
                found.to_json()  # a mean of huge numbers may be none
            return found
        except (
            *(ValueError, TypeError, LookupError, AttributeError, RecursionError, OverflowError),
        ) as error:
            reason = shown(repr(error), 200)
            raise InputError(f"the JSON is no validation of clusters: {reason}") from None


LEVEL = 0.05


def compared(observed: np.ndarray, permuted: list[np.ndarray]) -> tuple[Lesions, Lesions]:
    """Return the fall and the spread of falls (n_clusters, n_classes), with those of permuted."""
    pairs = [(float(falls.mean()), float(falls.std(1).mean())) for falls in (observed, *permuted)]
    fall, spread = (
        Lesions(first, NullDistribution(tuple(rest))) for first, *rest in zip(*pairs, strict=True)
    )
    return fall, spread


def _finite(value: Any) -> float:
    found = float(value)
    if not math.isfinite(found):
        raise ValueError(f"{found} is no share")
    return found


def _percent(share: float) -> str:
    return f"{100 * share:.2f} %"


def _tail(found: Lesions) -> str:
    lower, upper = found.p_lower, found.p_upper
    if lower is None or upper is None:
        return "-"
    return f"{upper:.2g}, above" if upper <= lower else f"{lower:.2g}, below"
