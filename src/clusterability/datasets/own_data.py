"""The user's own data, from arrays or an ``.npz`` file, checked."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clusterability.datasets.dataset import Dataset, Split
from clusterability.errors import InputError
from clusterability.shown import show_path, shown

SPELLINGS = (("x", "y", "test_x", "test_y"), ("x_train", "y_train", "x_test", "y_test"))


def dataset_from_arrays(
    x: Any, y: Any, test_x: Any = None, test_y: Any = None, name: str = "arrays"
) -> Dataset:
    """Check the user's own arrays and make a data set of them.

    Args:
        x: training inputs (n, channels, height, width), (n, height, width) or (n, n_features).
            Bytes (uint8) are pixels, later divided by 255; other numbers enter the network
            unchanged.
        y: classes 0, 1, 2, ... as whole numbers (n,); or targets of a regression as floats (n,) or
            (n, n_outputs).
        test_x: test inputs of the same shape.
        test_y: classes or targets of the test inputs.
        name: name of the data set.

    Raises:
        InputError: if shapes or lengths do not fit, a value is not finite, or the classes are not
            numbered from 0.

    >>> dataset_from_arrays([[0.5, 1.0], [0.0, 0.25]], [0, 1]).train.x.dtype
    dtype('float32')
    """
    if (test_x is None) != (test_y is None):
        given, other = ("test_y", "test_x") if test_x is None else ("test_x", "test_y")
        raise InputError(f"{given} is given without {other}; give both or none")
    train = _split(x, y, "x", "y")
    n_classes = _n_classes(train.y)
    if test_x is None:
        return Dataset(name, train, None, n_classes)
    test = _split(test_x, test_y, "test_x", "test_y")
    _check_alike(train, test, n_classes)
    return Dataset(name, train, test, n_classes)


def dataset_from_npz(path: Path) -> Dataset:
    """Read a data set from a file with the array names of one of the :data:`SPELLINGS`.

    Raises:
        InputError: if the file is damaged or has Python objects, or its arrays are no data set.
    """
    from clusterability.files.checks import check_readable, explain_damage
    from clusterability.files.npz import read_npz

    check_readable(path)
    with explain_damage(path):
        arrays = read_npz(path)
    try:
        x, y, test_x, test_y = _pick_arrays(arrays)
        return dataset_from_arrays(x, y, test_x, test_y, path.name)
    except InputError as error:
        raise InputError(f"{show_path(path)}: {error}") from None


def _pick_arrays(arrays: Mapping[str, NDArray[Any]]) -> list[NDArray[Any] | None]:
    for names in SPELLINGS:
        if names[0] in arrays and names[1] in arrays:
            return [arrays.get(name) for name in names]
    found = shown(", ".join(arrays) or "nothing", 200)
    raise InputError(
        f"the arrays are {found}, expected x, y and perhaps test_x, test_y, or x_train, y_train "
        "and perhaps x_test, y_test; save them under these names"
    )


def _split(x: Any, y: Any, x_name: str, y_name: str) -> Split:
    inputs, targets = _inputs(_array(x, x_name), x_name), _targets(_array(y, y_name), y_name)
    if len(inputs) != len(targets):
        raise InputError(
            f"{x_name} has {len(inputs):,} samples, but {y_name} {len(targets):,}; give one "
            "target for each sample"
        )
    return Split(inputs, targets)


def _array(values: Any, name: str) -> NDArray[Any]:
    try:
        array = np.asarray(values)
    except (TypeError, ValueError, RuntimeError) as error:
        reason = shown(str(error).splitlines()[0] if str(error) else type(error).__name__, 160)
        raise InputError(f"{name} is no array ({reason}); give one NumPy array") from None
    if np.ma.is_masked(values):
        raise InputError(f"{name} has masked values, expected none; remove or fill them")
    if array.dtype.kind not in "iuf":
        raise InputError(
            f"{name} has dtype {array.dtype}, expected whole numbers or floats; convert it"
        )
    if array.ndim == 0 or array.size == 0:
        raise InputError(f"{name} has shape {array.shape}, expected at least one sample; fill it")
    if array.dtype.kind == "f":
        _check_finite(array, name)
    return array


def _check_finite(array: NDArray[Any], name: str) -> None:
    # Numbers beyond the range of float32 count as infinite.
    with np.errstate(over="ignore"):
        n_bad = array.size - np.count_nonzero(np.isfinite(array.astype(np.float32)))
    if n_bad:
        raise InputError(
            f"{name} has {n_bad:,} values that are NaN or infinite in float32; remove or scale them"
        )


def _inputs(x: NDArray[Any], name: str) -> NDArray[Any]:
    if x.ndim not in (2, 3, 4):
        raise InputError(
            f"{name} has shape {x.shape}, expected (n, channels, height, width), (n, height, "
            "width) or (n, n_features); reshape it"
        )
    if x.ndim == 4 and x.shape[3] in (1, 3, 4) and x.shape[1] > 4:
        raise InputError(
            f"{name} has shape {x.shape}, which ends in the channels, expected (n, channels, "
            "height, width); use x.transpose(0, 3, 1, 2)"
        )
    if x.ndim == 3:
        x = x[:, None]
    return np.array(x, np.uint8 if x.dtype == np.uint8 else np.float32, order="C")


def _targets(y: NDArray[Any], name: str) -> NDArray[Any]:
    if y.dtype.kind == "f":
        if y.ndim > 2:
            raise InputError(f"{name} has shape {y.shape}, expected (n,) or (n, n_outputs)")
        return np.array(y.reshape(len(y), -1), np.float32, order="C")
    if y.ndim > 2 or (y.ndim == 2 and y.shape[1] != 1):
        raise InputError(
            f"{name} has whole numbers of shape {y.shape}, expected classes of shape (n,); "
            "for one-hot rows use y.argmax(1), for a regression floats"
        )
    if y.min() < 0 or y.max() > np.iinfo(np.int64).max:
        raise InputError(
            f"{name} has classes from {y.min()} to {y.max()}, expected 0, 1, 2, ...; renumber them"
        )
    return np.array(y.ravel(), np.int64)


def _n_classes(y: NDArray[Any]) -> int | None:
    if y.dtype.kind == "f":
        return None
    classes = np.unique(y)
    if len(classes) < 2:
        raise InputError(f"y has one class only, {classes[0]}; give samples of two or more")
    missing = np.flatnonzero(classes != np.arange(len(classes)))
    if len(missing):
        raise InputError(
            f"y has classes up to {classes[-1]}, but no sample of class {missing[0]}; number the "
            "classes 0, 1, 2, ..., as np.unique(y, return_inverse=True)[1] does"
        )
    return len(classes)


def _check_alike(train: Split, test: Split, n_classes: int | None) -> None:
    for name, ours, others in (("x", train.x, test.x), ("y", train.y, test.y)):
        if ours.shape[1:] != others.shape[1:] or ours.dtype != others.dtype:
            raise InputError(
                f"test_{name} has samples of shape {others.shape[1:]} and dtype {others.dtype}, "
                f"but {name} {ours.shape[1:]} and {ours.dtype}; make them alike"
            )
    if n_classes is not None and test.y.max() >= n_classes:
        raise InputError(
            f"test_y has class {test.y.max()}, but y only 0 to {n_classes - 1}; give samples of "
            "every class to train on"
        )
