import io
import zipfile

import numpy as np
import pytest
import torch

from clusterability.datasets import dataset_from_arrays, load_dataset
from clusterability.errors import InputError

IMAGES = np.arange(6 * 4, dtype=np.uint8).reshape(6, 1, 2, 2)
CLASSES = np.array([0, 1, 2, 0, 1, 2])


def test_images_and_classes():
    data = dataset_from_arrays(IMAGES, CLASSES, IMAGES[:2], CLASSES[:2], name="mine")
    assert (data.name, data.n_classes, data.reshuffled) == ("mine", 3, True)
    np.testing.assert_array_equal(data.train.x, IMAGES)
    np.testing.assert_array_equal(data.test.y, [0, 1])
    assert (data.train.x.dtype, data.train.y.dtype) == (np.uint8, np.int64)


@pytest.mark.parametrize(
    ("x", "dtype", "shape"),
    [
        (IMAGES[:, 0], np.uint8, (1, 2, 2)),
        (IMAGES.astype(np.int64), np.float32, (1, 2, 2)),
        (IMAGES / 255, np.float32, (1, 2, 2)),
        (IMAGES.astype(np.float16), np.float32, (1, 2, 2)),
        (IMAGES.reshape(6, 4) - 5.0, np.float32, (4,)),
        (IMAGES.reshape(6, 4).tolist(), np.float32, (4,)),
        (torch.from_numpy(IMAGES), np.uint8, (1, 2, 2)),
        (IMAGES.transpose(0, 1, 3, 2), np.uint8, (1, 2, 2)),
        (IMAGES.astype(">f8"), np.float32, (1, 2, 2)),
    ],
)
def test_kinds_of_inputs(x, dtype, shape):
    train = dataset_from_arrays(x, CLASSES).train
    assert (train.x.dtype, train.x.shape) == (dtype, (6, *shape))
    assert train.x.flags.c_contiguous
    np.testing.assert_allclose(train.x, np.asarray(x).reshape(train.x.shape), rtol=1e-6)


@pytest.mark.parametrize("dtype", [np.uint8, np.int32, np.uint64, ">i2"])
def test_kinds_of_classes(dtype):
    data = dataset_from_arrays(IMAGES, CLASSES[:, None].astype(dtype))
    assert data.train.y.dtype == np.int64
    np.testing.assert_array_equal(data.train.y, CLASSES)


@pytest.mark.parametrize("shape", [(6,), (6, 1), (6, 5)])
def test_floats_are_a_regression(shape):
    y = np.random.default_rng(0).standard_normal(shape)
    data = dataset_from_arrays(IMAGES, y)
    assert data.n_classes is None
    assert data.train.y.dtype == np.float32
    np.testing.assert_allclose(data.train.y, y.reshape(6, -1), rtol=1e-6)


def test_later_changes_of_the_arrays_do_not_matter():
    x, y = IMAGES.copy(), CLASSES.copy()
    data = dataset_from_arrays(x, y)
    x[:], y[:] = 0, 0
    np.testing.assert_array_equal(data.train.x, IMAGES)
    np.testing.assert_array_equal(data.train.y, CLASSES)


def with_nan(value):
    x = IMAGES.astype(np.float64)
    x[3, 0, 1, 1] = value
    return x


REFUSED = {
    "lengths": (IMAGES, CLASSES[:5], r"x has 6 samples, but y 5"),
    "no samples": (IMAGES[:0], CLASSES[:0], r"x has shape \(0, 1, 2, 2\).*at least one sample"),
    "no pixels": (IMAGES[:, :, :0], CLASSES, r"at least one sample"),
    "NaN": (with_nan(np.nan), CLASSES, r"x has 1 values that are NaN or infinite"),
    "infinite": (with_nan(-np.inf), CLASSES, r"NaN or infinite"),
    "beyond float32": (with_nan(1e300), CLASSES, r"infinite in float32"),
    "NaN target": (IMAGES, np.full(6, np.nan), r"y has 6 values"),
    "text": (np.full((6, 2), "a"), CLASSES, r"dtype <U1, expected whole numbers or floats"),
    "truth": (IMAGES > 3, CLASSES, r"dtype bool"),
    "masked": (np.ma.masked_equal(IMAGES, 3), CLASSES, r"x has masked values"),
    "complex": (IMAGES * 1j, CLASSES, r"dtype complex128"),
    "objects": (np.array([[None]] * 6), CLASSES, r"dtype object"),
    "ragged": ([[1], [1, 2]], CLASSES[:2], r"x is no array"),
    "one axis": (np.arange(6), CLASSES, r"x has shape \(6,\)"),
    "five axes": (IMAGES[..., None], CLASSES, r"reshape it"),
    "channels last": (np.zeros((6, 32, 32, 3), np.uint8), CLASSES, r"transpose\(0, 3, 1, 2\)"),
    "one-hot": (IMAGES, np.eye(6, dtype=int), r"for one-hot rows use y\.argmax\(1\)"),
    "from one": (IMAGES, CLASSES + 1, r"no sample of class 0; number the classes"),
    "negative class": (IMAGES, CLASSES - 1, r"classes from -1 to 1"),
    "gap": (IMAGES, CLASSES * 2, r"up to 4, but no sample of class 1"),
    "huge class": (IMAGES, CLASSES * 10**12, r"no sample of class 1"),
    "one class": (IMAGES, CLASSES * 0, r"one class only, 0"),
    "deep targets": (IMAGES, np.zeros((6, 1, 1)), r"expected \(n,\) or \(n, n_outputs\)"),
    "huge unsigned": (IMAGES, CLASSES.astype(np.uint64) + np.uint64(2**63), r"renumber"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_is_refused(what):
    x, y, message = REFUSED[what]
    with pytest.raises(InputError, match=message):
        dataset_from_arrays(x, y)


@pytest.mark.parametrize(
    ("test_x", "test_y", "message"),
    [
        (IMAGES, None, "test_x is given without test_y"),
        (None, CLASSES, "test_y is given without test_x"),
        (IMAGES[:, :, :1], CLASSES, r"test_x has samples of shape \(1, 1, 2\)"),
        (IMAGES / 255, CLASSES, "test_x has samples .* float32, but x .* uint8"),
        (IMAGES, CLASSES / 2, "test_y has samples"),
        (IMAGES, CLASSES + 1, "test_y has class 3, but y only 0 to 2"),
        (IMAGES[:2], CLASSES, "test_x has 2 samples, but test_y 6"),
    ],
)
def test_test_parts_that_do_not_fit(test_x, test_y, message):
    with pytest.raises(InputError, match=message):
        dataset_from_arrays(IMAGES, CLASSES, test_x, test_y)


@pytest.mark.parametrize(
    "names", [("x", "y", "test_x", "test_y"), ("x_train", "y_train", "x_test", "y_test")]
)
@pytest.mark.parametrize("n", [2, 4])
def test_files(tmp_path, names, n):
    path = tmp_path / "mine.npz"
    arrays = (IMAGES, CLASSES, IMAGES[1:], CLASSES[1:])[:n]
    np.savez(path, **dict(zip(names, arrays, strict=False)))
    data = load_dataset(path)
    assert (data.name, data.n_classes) == ("mine.npz", 3)
    assert (data.test is None) == (n == 2)
    np.testing.assert_array_equal(load_dataset(str(path)).train.x, IMAGES)


def test_a_compressed_file(tmp_path):
    np.savez_compressed(tmp_path / "mine.npz", x=IMAGES, y=CLASSES)
    np.testing.assert_array_equal(load_dataset(tmp_path / "mine.npz").train.x, IMAGES)


def npz(**members):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(f"{name}.npy", content)
    return buffer.getvalue()


def npy(array, allow_pickle=False):
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=allow_pickle)
    return buffer.getvalue()


def huge_claim():
    return npy(IMAGES).replace(b"(6, 1, 2, 2), ", b"(6, 9, 9, 9), ")


FILES = {
    "objects": (npz(x=npy(np.array([{}] * 6), True), y=npy(CLASSES)), "Python objects"),
    "claim": (npz(x=huge_claim(), y=npy(CLASSES)), "claims shape"),
    "other names": (npz(images=npy(IMAGES), y=npy(CLASSES)), "the arrays are images, y, expected"),
    "no zip": (b"<!doctype html>", "BadZipFile"),
    "truncated": (npz(x=npy(IMAGES), y=npy(CLASSES))[:-30], "BadZipFile"),
    "empty": (b"", "is empty"),
    "classes": (npz(x=npy(IMAGES), y=npy(CLASSES + 1)), "no sample of class 0"),
    "half a test part": (npz(x=npy(IMAGES), y=npy(CLASSES), test_x=npy(IMAGES)), "without test_y"),
}


@pytest.mark.parametrize("what", FILES)
def test_wrong_files(tmp_path, what):
    content, message = FILES[what]
    path = tmp_path / "mine.npz"
    path.write_bytes(content)
    with pytest.raises(InputError, match=message) as error:
        load_dataset(path)
    assert "\n" not in str(error.value)


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(InputError, match="there is no file"):
        load_dataset(tmp_path / "missing.npz")
