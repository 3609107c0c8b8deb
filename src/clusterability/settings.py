"""A frozen record of every choice that changes the numbers of a measurement."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

from clusterability.arguments import number, some_of, whole
from clusterability.conventions import CONVENTIONS, Conventions
from clusterability.errors import InputError
from clusterability.records import Record, choice, parse_indices, parse_names, parse_number
from clusterability.registries import (
    INCLUDABLE,
    ISOLATED,
    KERNEL_NORMS,
    LAYERS,
    NULLS,
    SCALINGS,
    TIES,
)
from clusterability.shown import described

DEFAULT_CLUSTERS = 12
"""The paper's number."""

AUTO = "auto"
"""In place of numbers of clusters."""

MOST = 200
"""More numbers of clusters than this are taken for a mistake."""

GIVEN = "given"
"""Value of ``n_init_policy`` in a result if the user gave the number of starts of k-means."""

BY_CONVENTIONS = "by the conventions"


def _as_in_conventions(name: str) -> Callable[[Settings], Any]:
    def fill(settings: Settings) -> Any:
        conventions = CONVENTIONS[settings.conventions]
        if not isinstance(conventions, Conventions):
            raise InputError(
                f"the conventions {settings.conventions!r} are of type "
                f"{type(conventions).__name__}, expected Conventions"
            )
        return getattr(conventions, name)

    return fill


def _whole_or_none(name: str, value: Any) -> int | None:
    return None if value is None else whole(name, value, 1, 10**5)


@dataclass(frozen=True, kw_only=True)
class Settings(Record):
    """All choices that change the numbers of a measurement.

    :func:`clusterability.measure` takes the choices by name. The set of conventions fills in its
    choices where they are not given.

    Raises:
        InputError: if a choice is not valid; the message names the first one and valid values.

    >>> settings = Settings(conventions="published", ties="tied")
    >>> settings.isolated, settings.ties
    ('drop-first', 'tied')
    >>> settings.choices()
    {'conventions': 'published', 'ties': 'tied'}
    >>> from clusterability import measure, toy
    >>> measure(toy.path(), n_clusters=2, n_shuffles=0).settings.n_clusters
    2
    """

    _title: ClassVar[str] = "settings"

    n_clusters: int = choice(
        DEFAULT_CLUSTERS,
        check=partial(whole, lowest=2, highest=10**9),
        flag="--clusters",
        parse=parse_number,
        metavar="K",
        help="number of clusters; measure takes several too, as 2-20 or 4,7,12, or auto, and says "
        "which of them stands out",
    )
    n_shuffles: int = choice(
        50,
        check=partial(whole, lowest=0, highest=10**7),
        flag="--shuffles",
        parse=parse_number,
        metavar="N",
        help="shuffles that make the null distribution, 0 for none",
    )
    seed: int = choice(
        0,
        check=partial(whole, lowest=0, highest=2**128),
        flag="--seed",
        parse=parse_number,
        metavar="N",
        help="the same seed, the same numbers, on any number of workers",
    )
    conventions: str = choice(
        "default",
        names=CONVENTIONS,
        flag="--conventions",
        metavar="NAME",
        basis=True,
        help="a set of choices, over which one given by itself wins: default has valid p-values, "
        "paper is its text throughout, published is what made the published numbers",
    )
    null: str = choice(
        None,
        names=NULLS,
        flag="--null",
        metavar="NAME",
        fill=_as_in_conventions("null"),
        default_text=BY_CONVENTIONS,
        help="a shuffle permutes all strengths of a block (layer), or the non-zero ones among "
        "their places (nonzero)",
    )
    isolated: str = choice(
        None,
        names=ISOLATED,
        flag="--isolated",
        metavar="NAME",
        fill=_as_in_conventions("isolated"),
        default_text=BY_CONVENTIONS,
        help="leave out neurons without connections before the shuffles, as published "
        "(drop-first), or only after each (drop-after)",
    )
    ties: str = choice(
        None,
        names=TIES,
        flag="--ties",
        metavar="NAME",
        fill=_as_in_conventions("ties"),
        default_text=BY_CONVENTIONS,
        help="where a skip connection repeats a kernel, shuffle all copies alike (tied), or each "
        "by itself, as published (independent)",
    )
    kernel_norm: str = choice(
        None,
        names=KERNEL_NORMS,
        flag="--kernel-norm",
        metavar="NAME",
        fill=_as_in_conventions("kernel_norm"),
        default_text=BY_CONVENTIONS,
        help="strength of a convolution's kernel between two channels",
    )
    include: tuple[str, ...] = choice(
        (),
        check=partial(some_of, known=INCLUDABLE),
        flag="--include",
        parse=parse_names,
        metavar="PARTS",
        help="of a CNN, also its input, dense, or input,dense",
    )
    scaling: str = choice(
        "raw",
        names=SCALINGS,
        flag="--scaling",
        metavar="NAME",
        help="strengths as they are (raw), or after every hidden neuron of the network and of each "
        "shuffle is rescaled such that its strengths in and out agree (canonical), which changes "
        "no function of a ReLU network; for a CNN with --include input,dense",
    )
    layers: str = choice(
        "all",
        names=LAYERS,
        flag="--layers",
        metavar="NAME",
        help="layers of the graph: all, hidden or hidden+outputs; for a CNN see --include",
    )
    n_init: int | None = choice(
        None,
        check=_whole_or_none,
        flag="--starts",
        parse=parse_number,
        metavar="N",
        default_text=f"{BY_CONVENTIONS} and the network's size",
        help="starts of k-means",
    )
    volume_offset: float = choice(
        None,
        check=number,
        flag="--volume-offset",
        parse=parse_number,
        metavar="V",
        fill=_as_in_conventions("volume_offset"),
        default_text=BY_CONVENTIONS,
        help="a cluster's term of the n-cut is cut / (volume + V); the clusters stay the same",
    )

    @property
    def conventions_text(self) -> str:
        """The set of conventions, and the choices that depart from it or change the graph.

        >>> Settings(conventions="published", ties="tied", layers="hidden").conventions_text
        'published, ties tied, layers hidden'
        """
        if self.conventions not in CONVENTIONS:  # the set of a package that is not installed
            return self.conventions
        others = ("conventions", "n_clusters", "n_shuffles", "seed")
        departing = {k: v for k, v in self.choices().items() if k not in others}
        return ", ".join([self.conventions, *(f"{k} {_text(v)}" for k, v in departing.items())])


def _text(value: Any) -> str:
    return "+".join(value) if isinstance(value, tuple) else str(value)


def numbers_of(clusters: str | Collection[int]) -> list[int]:
    """Return the numbers of clusters that a text or a collection names, ascending, each once.

    ``"auto"`` names none: they depend on the network.

    Raises:
        InputError: if it names none, one below 2, or more than 200.

    >>> numbers_of("2-4,7,3")
    [2, 3, 4, 7]
    """
    if isinstance(clusters, str) and clusters == AUTO:
        return []
    expected = f"expected whole numbers from 2 on, as '2-20' or '4,7,12', at most {MOST}, or 'auto'"
    found = parse_indices(clusters) if isinstance(clusters, str) else clusters
    if hasattr(found, "tolist"):  # arrays and tensors
        found = found.tolist()
    is_text = isinstance(found, str | bytes | bytearray)
    if is_text or not isinstance(found, Collection) or not 0 < len(found) <= MOST:
        raise InputError(f"clusters is {described(clusters)}, {expected}")
    return sorted({whole("a number of clusters", k, 2, 10**9) for k in found})


def settings_of_result(data: Mapping[str, Any]) -> Settings:
    """Return the settings in the JSON of a result, also of one that is older than some of them."""
    given = {**_BEFORE, **data}
    if given["n_init_policy"] != GIVEN:
        given["n_init"] = None
    return Settings.restore(given)


_BEFORE = {
    "conventions": "default",
    "ties": "independent",
    "volume_offset": 0.0,
    "scaling": "raw",
    "layers": "all",
}
"""Settings missing from older results, with the values that then applied."""
