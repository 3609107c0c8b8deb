"""Named sets of choices: for valid p-values, the paper's text, or the published numbers.

docs/differences.md lists the differences of the paper's text and the authors' released code.
"""

from __future__ import annotations

from dataclasses import dataclass

from clusterability.registry import Registry


@dataclass(frozen=True)
class Starts:
    """Number of starts of k-means: few, or many on a large network.

    Args:
        few, many: numbers of starts.
        many_above: networks with more connected neurons get ``many``; None to ignore neurons.
        many_outputs: networks with this number of outputs get ``many``; None to ignore outputs.

    >>> print(Starts(25, 100, many_above=2000))
    25 up to 2,000 neurons, 100 above
    """

    few: int
    many: int
    many_above: int | None = None
    many_outputs: int | None = None

    def number(self, n_live: int, n_outputs: int | None) -> int:
        """Return the number of starts for a network.

        Args:
            n_live: number of neurons with any connection.
            n_outputs: number of outputs of the network; None if unknown.
        """
        is_large = self.many_above is not None and n_live > self.many_above
        is_wide = self.many_outputs is not None and n_outputs == self.many_outputs
        return self.many if is_large or is_wide else self.few

    def __str__(self) -> str:
        if self.many_above is not None:
            return f"{self.few} up to {self.many_above:,} neurons, {self.many} above"
        if self.many_outputs is not None:
            return f"{self.few}, {self.many} for networks with {self.many_outputs:,} outputs"
        return str(self.few)


@dataclass(frozen=True)
class Conventions:
    """One set of choices; omitted choices take the default's value.

    Args:
        null, isolated, ties, kernel_norm, volume_offset: as in
            :class:`clusterability.settings.Settings`.
        starts: number of starts of k-means where ``n_init`` is not given.
    """

    null: str = "layer"
    isolated: str = "drop-after"
    ties: str = "tied"
    kernel_norm: str = "l1"
    volume_offset: float = 0.0
    starts: Starts = Starts(25, 100, many_above=2000)


CONVENTIONS: Registry[Conventions] = Registry(
    "clusterability.conventions",
    {
        "default": Conventions(),
        "paper": Conventions(starts=Starts(10, 100, many_outputs=1000)),
        "published": Conventions(
            isolated="drop-first",
            ties="independent",
            kernel_norm="induced-1",
            volume_offset=1e-8,
        ),
    },
)
"""Sets of conventions by name; ``clusterability measure --conventions`` accepts every one."""
