import numpy as np
import pytest

from clusterability.datasets import load_dataset
from clusterability.datasets.dataset import Dataset, Split
from clusterability.datasets.mixtures import (
    make_overlapping,
    make_published_overlapping,
    make_published_separate,
    make_separate,
)
from data_folders import FILES, small_base


def numbered(start: int, n: int = 40) -> Split:
    """Images that all differ, so that each is found again."""
    x = np.zeros((n, 1, 28, 28), np.uint8)
    x[:, 0, 0, 0] = np.arange(start, start + n)
    return Split(x, np.arange(n) % 10)


@pytest.fixture
def bases():
    return [
        Dataset("lines", numbered(0), numbered(100), 10),
        Dataset("mnist", numbered(50), numbered(150), 10),
    ]


def pairs(splits) -> list[tuple[int, int]]:
    return [
        (int(image[0, 0, 0]), int(label))
        for split in splits
        for image, label in zip(split.x, split.y, strict=True)
    ]


def test_overlapping_has_every_sample_once(bases):
    train, test = make_overlapping(0, bases)
    assert sorted(pairs([train])) == sorted(pairs([base.train for base in bases]))
    assert sorted(pairs([test])) == sorted(pairs([base.test for base in bases]))
    assert pairs([train]) != pairs([base.train for base in bases])


def test_separate_has_half_the_classes_of_each(bases):
    train, test = make_separate(0, bases)
    lines, digits = bases
    kept = [p for p in pairs([lines.train]) if p[1] < 5]
    kept += [p for p in pairs([digits.train]) if p[1] > 4]
    assert sorted(pairs([train])) == sorted(kept)
    assert pairs([train]) != kept
    assert len(test.y) == 40


def test_published_mixtures_have_the_published_order(bases):
    """One permutation of the training images, then one of the test images, both from seed 42."""
    for make, classes in (
        (make_published_overlapping, (range(10), range(10))),
        (make_published_separate, (range(5), range(5, 10))),
    ):
        rng = np.random.RandomState(42)
        for part, split in enumerate(make(7, bases)):
            joined = [
                pair
                for base, kept in zip(bases, classes, strict=True)
                for pair in pairs([(base.train, base.test)[part]])
                if pair[1] in kept
            ]
            expected = [joined[i] for i in rng.permutation(len(joined))]
            assert pairs([split]) == expected


def test_the_seed_makes_the_order(bases):
    one, same, other = (make_overlapping(seed, bases)[0].x.tobytes() for seed in (0, 0, 1))
    assert one == same != other


@pytest.mark.slow
def test_lines_of_the_mixture_are_those_of_lines(monkeypatch, tmp_path):
    data_dir, arrays = small_base(monkeypatch, tmp_path)
    data = load_dataset("lines-mnist", data_dir=data_dir)
    assert len(data.train.y) == 60_060
    lines = load_dataset("lines")
    total = lines.train.x.sum() + arrays[FILES[0]].sum()
    assert data.train.x.sum() == total
