"""The data sets by name."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

from clusterability.datasets import digits, lines, mixtures, noise, pairs, polynomials, resizing
from clusterability.datasets.entry import DatasetEntry
from clusterability.datasets.published import CIFAR, FASHION, MNIST
from clusterability.registry import Registry

NOT_STATED = "not stated"
NONE_NEEDED = "none needed"

PUBLISHED = (
    DatasetEntry(
        "mnist",
        "handwritten digits",
        NOT_STATED,
        source="LeCun, Cortes and Burges (1998), http://yann.lecun.com/exdb/mnist/",
        files=MNIST,
    ),
    DatasetEntry(
        "fashion-mnist",
        "clothes and shoes",
        "MIT",
        source="Xiao, Rasul and Vollgraf (2017), https://github.com/zalandoresearch/fashion-mnist",
        files=FASHION,
    ),
    DatasetEntry(
        "cifar-10",
        "animals and vehicles, in color",
        NOT_STATED,
        n_train=50_000,
        shape=(3, 32, 32),
        source="Krizhevsky (2009), https://www.cs.toronto.edu/~kriz/cifar.html",
        files=CIFAR,
    ),
    DatasetEntry(
        "digits",
        "handwritten digits, small",
        "CC BY 4.0",
        n_train=1_437,
        n_test=360,
        shape=(1, 8, 8),
        source="Alpaydin and Kaynak (1998), https://archive.ics.uci.edu/dataset/80",
        make=digits.load_digits,
        shipped=digits.PATH,
    ),
)

MADE = (
    DatasetEntry("random", "random pixels, random labels", NONE_NEEDED, make=noise.make_random),
    DatasetEntry(
        "random-memorization",
        "few random images, in the same order in every epoch",
        NONE_NEEDED,
        n_train=3_000,
        n_test=0,
        make=noise.make_memorization,
        reshuffled=False,
    ),
    DatasetEntry(
        "polynomials",
        "512 polynomials of two variables",
        NONE_NEEDED,
        shape=(2,),
        n_outputs=512,
        make=polynomials.make_polynomials,
        regression=True,
    ),
    DatasetEntry(
        "random-published",
        "random, as the published runs drew it",
        NONE_NEEDED,
        n_test=0,
        source="made from seed 42",
        make=noise.make_published_random,
    ),
    DatasetEntry(
        "memorization-published",
        "the first 3,000 of random-published",
        NONE_NEEDED,
        n_train=3_000,
        n_test=0,
        source="made from seed 42",
        make=noise.make_published_memorization,
        reshuffled=False,
    ),
    DatasetEntry(
        "polynomials-published",
        "polynomials, as the published runs drew it",
        NONE_NEEDED,
        shape=(2,),
        n_outputs=512,
        source="made from seed 42",
        make=polynomials.make_published_polynomials,
        regression=True,
    ),
    DatasetEntry("lines", "1 to 10 vertical lines", NONE_NEEDED, make=lines.make_lines),
    DatasetEntry(
        "lines-mnist",
        "lines and mnist together",
        NOT_STATED,
        n_train=120_000,
        n_test=20_000,
        source="made from mnist and the seed",
        bases=("lines", "mnist"),
        make=mixtures.make_overlapping,
    ),
    DatasetEntry(
        "lines-mnist-sep",
        "classes 0 to 4 of lines, 5 to 9 of mnist",
        NOT_STATED,
        source="made from mnist and the seed",
        bases=("lines", "mnist"),
        make=mixtures.make_separate,
    ),
    DatasetEntry(
        "lines-published",
        "lines, as the published runs drew it",
        NONE_NEEDED,
        source="made from seed 42",
        make=lines.make_published_lines,
    ),
    DatasetEntry(
        "lines-mnist-published",
        "lines and mnist together, as in the published runs",
        NOT_STATED,
        n_train=120_000,
        n_test=20_000,
        source="made from mnist and seed 42",
        bases=("lines-published", "mnist"),
        make=mixtures.make_published_overlapping,
    ),
    DatasetEntry(
        "lines-mnist-sep-published",
        "classes 0 to 4 of lines, 5 to 9 of mnist, as in the published runs",
        NOT_STATED,
        source="made from mnist and seed 42",
        bases=("lines-published", "mnist"),
        make=mixtures.make_published_separate,
    ),
    DatasetEntry(
        "mnist-7x7",
        "handwritten digits, made smaller",
        NOT_STATED,
        shape=(1, 7, 7),
        source="made from mnist",
        bases=("mnist",),
        make=resizing.make_small,
    ),
)


def _pairs(short: str, base: str, license: str) -> Iterator[DatasetEntry]:
    """Yield the entries of HALVES and STACK of one data set."""
    labels = {"same": "of one class", "diff": "the sum of their classes modulo 10"}
    kinds: list[tuple[pairs.Kind, str, str]] = []
    for kind, label in labels.items():
        kinds.append((cast(pairs.Kind, kind), label, "the seed"))
        title = f"{label}, as the published runs drew it"
        kinds.append((cast(pairs.Kind, f"{kind}-published"), title, "seed 42"))
    for kind, label, seed in kinds:
        about: dict[str, Any] = {"source": f"made from {base} and {seed}", "bases": (base,)}
        name, title = f"{short}-halves-{kind}", f"two images side by side, {label}"
        yield DatasetEntry(name, title, license, make=pairs.halves(kind), **about)
        name, title, shape = (
            f"{short}-stack-{kind}",
            f"two images in two channels, {label}",
            (2, 28, 28),
        )
        yield DatasetEntry(name, title, license, shape=shape, make=pairs.stack(kind), **about)


DATASETS: Registry[DatasetEntry] = Registry(
    "clusterability.datasets",
    {
        entry.name: entry
        for entry in (
            *PUBLISHED,
            *MADE,
            *_pairs("mnist", "mnist", NOT_STATED),
            *_pairs("fashion", "fashion-mnist", "MIT"),
        )
    },
)
"""All data sets by name. To add another, register an entry with a function ``make``."""
