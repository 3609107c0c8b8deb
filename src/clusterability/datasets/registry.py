"""The data sets by name."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from clusterability.datasets import digits, lines, mixtures, noise, pairs, polynomials, resizing
from clusterability.datasets.entry import DatasetEntry, Make
from clusterability.datasets.published import CIFAR, FASHION, MNIST
from clusterability.datasets.streams import PUBLISHED_SEED
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
        "mnist-7x7",
        "handwritten digits, made smaller",
        NOT_STATED,
        shape=(1, 7, 7),
        source="made from mnist",
        bases=("mnist",),
        make=resizing.make_small,
    ),
)


def _as_published(entry: DatasetEntry, make: Make, **changes: Any) -> DatasetEntry:
    """Return the entry of a set that is drawn from the seed as the published runs drew it."""
    about: dict[str, Any] = {
        "name": f"{entry.name}-published",
        "title": f"{entry.title}, as the published runs drew it",
        "source": entry.source.replace("the seed", f"seed {PUBLISHED_SEED}"),
    }
    return replace(entry, make=make, **(about | changes))


def _published_draws() -> Iterator[DatasetEntry]:
    made, of_lines = {entry.name: entry for entry in MADE}, ("lines-published", "mnist")
    yield _as_published(made["random"], noise.make_published_random, n_test=0)
    yield _as_published(
        made["random-memorization"],
        noise.make_published_memorization,
        name="memorization-published",
        title="the first 3,000 of random-published",
    )
    yield _as_published(made["polynomials"], polynomials.make_published_polynomials)
    yield _as_published(made["lines"], lines.make_published_lines)
    overlapping, separate = mixtures.make_published_overlapping, mixtures.make_published_separate
    yield _as_published(made["lines-mnist"], overlapping, bases=of_lines)
    yield _as_published(made["lines-mnist-sep"], separate, bases=of_lines)


def _pairs(short: str, base: str, license: str) -> Iterator[DatasetEntry]:
    """Yield the entries of HALVES and STACK of one data set."""
    labels: dict[pairs.Kind, str] = {
        "same": "of one class",
        "diff": "the sum of their classes modulo 10",
    }
    about: dict[str, Any] = {"source": f"made from {base} and the seed", "bases": (base,)}
    for kind, label in labels.items():
        name, title = f"{short}-halves-{kind}", f"two images side by side, {label}"
        entry = DatasetEntry(name, title, license, make=pairs.halves(kind), **about)
        yield entry
        yield _as_published(entry, pairs.halves(kind, published=True))
        name, title = f"{short}-stack-{kind}", f"two images in two channels, {label}"
        make = pairs.stack(kind)
        entry = DatasetEntry(name, title, license, shape=(2, 28, 28), make=make, **about)
        yield entry
        yield _as_published(entry, pairs.stack(kind, published=True))


DATASETS: Registry[DatasetEntry] = Registry(
    "clusterability.datasets",
    {
        entry.name: entry
        for entry in (
            *PUBLISHED,
            *MADE,
            *_published_draws(),
            *_pairs("mnist", "mnist", NOT_STATED),
            *_pairs("fashion", "fashion-mnist", "MIT"),
        )
    },
)
"""All data sets by name. To add another, register an entry with a function ``make``."""
