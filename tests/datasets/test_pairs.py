import numpy as np
import pytest

from clusterability.datasets import load_dataset
from clusterability.datasets.pairs import (
    half_width,
    published_same_pairs,
    random_pairs,
    same_pairs,
)
from clusterability.datasets.streams import stream
from data_folders import FILES, small_base
from naive_resizing import naive_resized


def naive_same_pairs(y, rng):
    members = {c: [i for i in range(len(y)) if y[i] == c] for c in set(y.tolist())}
    draws = rng.integers(0, [len(members[c]) for c in y.tolist()])
    second = [members[c][draw] for c, draw in zip(y.tolist(), draws, strict=True)]
    return list(range(len(y))), second, list(y)


def naive_random_pairs(y, rng):
    first, second = rng.integers(0, len(y), (2, len(y)))
    labels = []
    for i, j in zip(first, second, strict=True):
        labels.append((y[i] + y[j]) % 10)
    return first, second, labels


NAIVE = {"same": naive_same_pairs, "diff": naive_random_pairs}


def naive_halves(images: np.ndarray) -> np.ndarray:
    small = np.array([naive_resized(image, (28, 14)) for image in images])
    return np.round(small / small.max() * 255)


@pytest.fixture
def base(monkeypatch, tmp_path):
    return small_base(monkeypatch, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["same", "diff"])
def test_halves_equal_their_naive_twin(base, kind):
    data_dir, arrays = base
    data = load_dataset(f"mnist-halves-{kind}", seed=5, data_dir=data_dir)
    for part, split in enumerate((data.train, data.test)):
        images, y = arrays[FILES[2 * part]], arrays[FILES[2 * part + 1]]
        first, second, labels = NAIVE[kind](y, stream(5, f"mnist-pairs-{kind}", part))
        small = naive_halves(images)
        for i in range(len(y)):
            expected = np.hstack([small[first[i]], small[second[i]]])
            np.testing.assert_array_equal(split.x[i, 0], expected)
        np.testing.assert_array_equal(split.y, labels)


@pytest.mark.parametrize("kind", ["same", "diff"])
def test_stacks_equal_their_naive_twin(base, kind):
    data_dir, arrays = base
    data = load_dataset(f"mnist-stack-{kind}", seed=5, data_dir=data_dir)
    images, y = arrays[FILES[0]], arrays[FILES[1]]
    first, second, labels = NAIVE[kind](y, stream(5, f"mnist-pairs-{kind}", 0))
    for i in range(len(y)):
        np.testing.assert_array_equal(data.train.x[i], [images[first[i]], images[second[i]]])
    np.testing.assert_array_equal(data.train.y, labels)


def test_fashion_is_made_of_fashion(monkeypatch, tmp_path):
    data_dir, arrays = small_base(monkeypatch, tmp_path, "fashion-mnist", seed=9)
    data = load_dataset("fashion-stack-same", data_dir=data_dir)
    np.testing.assert_array_equal(data.train.x[:, 0], arrays[FILES[0]])


def naive_published_pairs(y, kind, rng):
    """Return pairs drawn one number after the other, as the published script does."""
    members = [[i for i in range(len(y)) if y[i] == c] for c in range(10)]
    fewest = min(len(of_class) for of_class in members if of_class)
    drawn = []
    for i in range(len(y)):
        if kind == "same":
            drawn.append((i, members[y[i]][rng.randint(0, fewest)], y[i]))
        else:
            first, second = rng.randint(0, len(y), size=2)
            drawn.append((first, second, (int(y[first]) + int(y[second])) % 10))
    return drawn


@pytest.mark.parametrize("kind", ["same", "diff"])
def test_published_pairs_are_drawn_in_the_published_order(base, kind):
    data_dir, arrays = base
    name, rng = f"mnist-stack-{kind}-published", np.random.RandomState(42)
    data, other = (load_dataset(name, seed=seed, data_dir=data_dir) for seed in (5, 6))
    for part, split in enumerate((data.train, data.test)):
        images, y = arrays[FILES[2 * part]], arrays[FILES[2 * part + 1]]
        for i, (first, second, label) in enumerate(naive_published_pairs(y, kind, rng)):
            np.testing.assert_array_equal(split.x[i], [images[first], images[second]])
            assert split.y[i] == label
    np.testing.assert_array_equal(data.train.x, other.train.x)


def test_published_partners_are_among_the_first_of_the_class():
    y = np.random.default_rng(1).permutation(np.repeat([0, 2, 1], [5, 4, 12]))
    rng = np.random.RandomState(0)
    seen = np.zeros((21, 21), bool)
    for _ in range(400):
        first, second, labels = published_same_pairs(y, rng)
        seen[first, second] = True
    np.testing.assert_array_equal(labels, y)
    for label in range(3):
        members = np.flatnonzero(y == label)
        # The smallest class has four samples.
        np.testing.assert_array_equal(np.flatnonzero(seen[members].any(0)), members[:4])


def test_partners_are_uniform_among_the_class():
    y = np.repeat([0, 2, 1], [4, 4, 12])
    rng = np.random.default_rng(0)
    seen = np.zeros((20, 20), int)
    for _ in range(600):
        first, second, labels = same_pairs(y, rng)
        assert (y[second] == labels).all()
        seen[first, second] += 1
    possible = seen[y[:, None] == y]
    assert possible.min() > 20
    np.testing.assert_allclose(seen[0, :4] / 150, 1, atol=0.4)


def test_random_pairs_have_the_sum_modulo_ten():
    y = np.arange(10).repeat(50)
    first, second, labels = random_pairs(y, np.random.default_rng(0))
    np.testing.assert_array_equal((y[first] + y[second]) % 10, labels)
    assert (y[first] == y[second]).any()
    assert (y[first] != y[second]).any()


def test_the_brightest_pixel_of_the_whole_set_is_255():
    images = np.zeros((2, 1, 28, 28), np.uint8)
    images[0, 0, :, 8:12], images[1, 0, :, 8:12] = 40, 20
    small = half_width(images)
    assert small[0].max() == 255
    assert small[1].max() in (127, 128)


def test_black_images_stay_black():
    assert not half_width(np.zeros((2, 1, 28, 28), np.uint8)).any()


@pytest.mark.parametrize("name", ["mnist-halves-same", "mnist-stack-diff", "mnist-7x7"])
def test_the_seed_makes_the_bytes(base, name):
    one, same, other = (
        load_dataset(name, seed=seed, data_dir=base[0]).train.x.tobytes() for seed in (1, 1, 2)
    )
    assert one == same
    assert (one == other) == (name == "mnist-7x7")


@pytest.mark.slow
def test_small_images_are_in_0_to_1_and_not_rounded(base):
    data_dir, arrays = base
    data = load_dataset("mnist-7x7", data_dir=data_dir)
    expected = [[naive_resized(image, (7, 7)) / 255] for image in arrays[FILES[0]]]
    np.testing.assert_allclose(data.train.x, expected, atol=1e-6)
    assert data.train.x.dtype == np.float32
    np.testing.assert_array_equal(data.test.y, arrays[FILES[3]])
