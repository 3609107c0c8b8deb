import numpy as np
import pytest
from matplotlib.image import imread

from clusterability.datasets import dataset_from_arrays, load_dataset
from clusterability.datasets.mosaic import BETWEEN, TWO_CHANNELS, enlarge, mosaic, to_colors
from clusterability.datasets.plane_drawing import formula
from clusterability.datasets.samples import samples_sheet
from clusterability.errors import InputError


def texts(figure):
    return [text.get_text() for text in (*figure.texts, *figure.axes[0].texts)]


@pytest.mark.slow
def test_a_row_a_class():
    figure = samples_sheet(load_dataset("digits"), n=4)
    assert texts(figure)[0] == "digits"
    assert texts(figure)[2:] == [str(c) for c in range(10)]
    picture = figure.axes[0].images[0].get_array()
    assert picture.shape == (10 * (32 + 2) + 2, 4 * (32 + 2) + 2, 3)


def test_samples_are_the_first_of_their_class():
    data = load_dataset("digits")
    picture = np.asarray(samples_sheet(data, n=2, classes=(3,)).axes[0].images[0].get_array())
    expected = data.train.x[data.train.y == 3][1, 0] / 255
    np.testing.assert_allclose(picture[2:34:4, 36:68:4, 0], expected)


@pytest.mark.slow
@pytest.mark.parametrize("suffix", ["png", "svg", "pdf"])
def test_the_same_samples_give_the_same_bytes(tmp_path, suffix):
    for name in "ab":
        samples_sheet(load_dataset("digits"), tmp_path / f"{name}.{suffix}", n=3, classes=(1, 2))
    a, b = ((tmp_path / f"{name}.{suffix}").read_bytes() for name in "ab")
    assert a == b


@pytest.mark.slow
def test_polynomials(tmp_path):
    figure = samples_sheet(load_dataset("polynomials"), tmp_path / "sheet.png")
    titles = [ax.get_title() for ax in figure.axes if ax.get_title()]
    assert len(titles) == 10
    assert titles[5] == "$x^2 + y^2$"
    assert imread(tmp_path / "sheet.png").std() > 0.05


def test_formulas():
    assert [formula(i) for i in (0, 1, 0b10, 0b100001000)] == ["$0$", "$1$", "$y$", "$x + x^2y^2$"]
    assert formula(511) == "all nine monomials"


def images(n_channels, dtype=np.uint8, size=(6, 6)):
    x = np.random.default_rng(0).integers(0, 256, (8, n_channels, *size))
    return x.astype(dtype)


@pytest.mark.parametrize("n_channels", [1, 2, 3, 4, 7])
def test_any_number_of_channels(n_channels):
    x = images(n_channels)
    colors = to_colors(x)
    assert colors.shape == (8, 6, 6, 3)
    assert 0 <= colors.min() <= colors.max() <= 1
    if n_channels == 3:
        np.testing.assert_allclose(colors, x.transpose(0, 2, 3, 1) / 255)
    samples_sheet(dataset_from_arrays(x, np.arange(8) % 2))


def test_two_channels_are_blue_and_green():
    x = np.zeros((1, 2, 1, 2), np.uint8)
    x[0, 0, 0, 0] = x[0, 1, 0, 1] = 255
    np.testing.assert_allclose(to_colors(x)[0, 0], TWO_CHANNELS)
    assert TWO_CHANNELS[0].argmax() == 2
    assert TWO_CHANNELS[1].argmax() == 1


def test_floats_beyond_0_to_1_are_scaled():
    colors = to_colors(np.array([-1.0, 0, 3]).reshape(1, 1, 1, 3))
    np.testing.assert_allclose(colors[0, 0, :, 0], [0, 0.25, 1])


def test_a_mosaic_leaves_room_where_samples_are_few():
    picture = mosaic([np.zeros((2, 3, 3, 3)), np.zeros((1, 3, 3, 3))], 2, 1)
    assert picture.shape == (9, 9, 3)
    np.testing.assert_allclose(picture[5:8, 5:8], np.broadcast_to(BETWEEN, (3, 3, 3)))
    assert not picture[1:4, 1:4].any()


def test_enlarged_repeats_pixels():
    image = np.arange(12.0).reshape(1, 2, 2, 3)
    np.testing.assert_array_equal(enlarge(image, 4)[0, ::2, ::2], image[0])
    assert enlarge(image, 2) is not None


@pytest.mark.slow
@pytest.mark.parametrize("size", [(1, 1), (1, 300), (600, 3), (500, 500)])
def test_sizes_of_images(tmp_path, size):
    x = images(1, size=size)
    figure = samples_sheet(dataset_from_arrays(x, np.arange(8) % 2), tmp_path / "sheet.png")
    assert max(figure.get_size_inches()) < 10


def test_more_classes_than_rows():
    data = dataset_from_arrays(np.zeros((60, 1, 4, 4), np.uint8), np.arange(60) % 30)
    assert texts(samples_sheet(data))[2:] == [str(c) for c in range(20)]


def test_a_regression_of_images():
    data = dataset_from_arrays(images(1), np.linspace(0, 1, 8))
    assert texts(samples_sheet(data))[1:] == ["8 samples of 1 x 6 x 6   |   1 target", ""]


def test_targets_over_a_plane():
    rng = np.random.default_rng(0)
    data = dataset_from_arrays(rng.standard_normal((50, 2)), rng.standard_normal((50, 3)))
    titles = [ax.get_title() for ax in samples_sheet(data).axes if ax.get_title()]
    assert titles == ["target 0", "target 1", "target 2"]


def test_points_are_seen_wherever_they_lie():
    x = np.random.default_rng(0).uniform(100, 200, (50, 2))
    ax = samples_sheet(dataset_from_arrays(x, x[:, 0])).axes[0]
    for low, high in (ax.get_xlim(), ax.get_ylim()):
        assert 80 < low < 110
        assert 190 < high < 220


@pytest.mark.parametrize("kind", [list, tuple, np.array])
def test_classes_in_any_sequence(kind):
    assert texts(samples_sheet(load_dataset("digits"), classes=kind([3, 1])))[2:] == ["3", "1"]


def test_a_name_that_the_font_lacks(tmp_path):
    data = dataset_from_arrays(images(1), np.arange(8) % 2, name="a\x1b$x_\u4e2d" * 20)
    samples_sheet(data, tmp_path / "sheet.png")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"classes": (10,)}, "no class 10 in 'digits', expected 0 to 9"),
        ({"classes": (-1,)}, "no class -1"),
        ({"classes": ()}, "classes is empty"),
        ({"n": 0}, "n is 0, expected 1 to 100"),
        ({"n": 10**6}, "n is 1000000"),
        ({"n": 1.5}, "n is 1.5, expected 1 to 100"),
        ({"n": "3"}, "n is '3', expected 1 to 100"),
        ({"path": "sheet.gif"}, "use one of"),
        ({"path": "missing/sheet.png"}, "there is no folder"),
    ],
)
def test_what_cannot_be_drawn(arguments, message, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=message):
        samples_sheet(load_dataset("digits"), **arguments)


def test_features_are_no_images():
    data = dataset_from_arrays(np.zeros((4, 5)), [0, 1, 0, 1])
    with pytest.raises(InputError, match=r"have shape \(5,\), expected images"):
        samples_sheet(data)
