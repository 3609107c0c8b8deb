import math

import numpy as np
import pytest
import torch

from clusterability.arguments import (
    eigenvalue_indices,
    find_device,
    number,
    one_of,
    some_of,
    whole,
    yes_or_no,
)
from clusterability.errors import InputError


@pytest.mark.parametrize(
    ("value", "hint"),
    [
        ("layers", "; did you mean 'layer'?"),
        ("non-zero", "; did you mean 'nonzero'?"),
        ("metal", ""),
        (None, ""),
        (0, ""),
        ([], ""),
    ],
)
def test_unknown_names_are_refused_with_the_nearest(value, hint):
    with pytest.raises(InputError) as caught:
        one_of("null", value, ("layer", "nonzero"))
    assert str(caught.value) == f"null is {value!r}, expected one of layer, nonzero{hint}"


def test_a_known_name_comes_back():
    assert one_of("fruit", "pear", ("apple", "pear")) == "pear"


def test_objects_are_named_without_their_addresses():
    with pytest.raises(InputError) as caught:
        one_of("null", one_of, ("layer",))
    assert str(caught.value) == "null is <function one_of>, expected one of layer"


def test_several_names_come_back_in_order_and_once():
    assert some_of("parts", ["b", "a", "b"], ("b", "a")) == ("a", "b")
    assert some_of("parts", (), ("b", "a")) == ()
    assert some_of("parts", np.array(["a"]), ("b", "a")) == ("a",)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("a", r"parts is the string 'a', expected a tuple such as \(\"b\",\)"),
        (None, "parts is None, expected a tuple"),
        (5, "parts is 5, expected a tuple"),
        (np.array("a"), r"parts is array\('a'.*expected a tuple"),
        (["c"], "parts is 'c', expected one of b, a"),
        ([["a"]], r"parts is \['a'\], expected one of"),
    ],
)
def test_what_is_no_collection_of_known_names_is_refused(value, message):
    with pytest.raises(InputError, match=message):
        some_of("parts", value, ("b", "a"))


def test_whole_numbers_of_numpy_become_those_of_python():
    assert type(whole("n", np.int64(5), 1)) is int
    assert whole("n", 10**30, 0) == 10**30


@pytest.mark.parametrize("value", [1, -3, 3.0, "3", True, None, math.nan, np.float64(4)])
def test_what_is_no_whole_number_is_refused(value):
    with pytest.raises(InputError) as caught:
        whole("n", value, 2)
    assert str(caught.value) == f"n is {value!r}, expected a whole number of at least 2"


def test_the_highest_whole_number():
    assert whole("n", 7, 0, 7) == 7
    with pytest.raises(InputError, match="n is 8, expected at most 7"):
        whole("n", 8, 0, 7)


@pytest.mark.parametrize("value", [0, 1e-300, 2.5, np.float32(0.5), np.int8(3), 1e300])
def test_finite_numbers_become_floats(value):
    found = number("x", value)
    assert type(found) is float
    assert found == float(value)


@pytest.mark.parametrize(
    "value",
    [-1e-30, -1, math.nan, math.inf, -math.inf, 10**400, "1", "", None, True, [1.0], 1j],
)
def test_what_is_no_finite_number_is_refused(value):
    with pytest.raises(InputError, match=r"^x is .*, expected a number of at least 0$"):
        number("x", value)


def test_bounds_of_numbers():
    assert number("x", 0.999, below=1) == 0.999
    with pytest.raises(InputError, match="x is 1, expected a share of at least 0 and below 1"):
        number("x", 1, below=1, noun="a share")
    assert number("x", 1e-300, above=True) == 1e-300
    with pytest.raises(InputError, match="x is 0, expected a number above 0"):
        number("x", 0, above=True)


def test_only_truth_values_are_yes_or_no():
    assert yes_or_no("x", True) is True
    for value in (1, 0, None, "yes", np.bool_(True)):
        with pytest.raises(InputError, match="expected True or False"):
            yes_or_no("x", value)


def test_cuda_without_a_gpu_is_refused(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert find_device("auto").type == "cpu"
    with pytest.raises(InputError, match="torch finds no GPU here; use 'auto' or 'cpu'"):
        find_device("cuda")
    with pytest.raises(InputError, match=r"device is 'cud', expected one of .*did you mean 'cuda'"):
        find_device("cud")


def test_a_gpu_is_used_if_there_is_one(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert [find_device(name).type for name in ("auto", "cuda", "cpu")] == ["cuda", "cuda", "cpu"]


def test_indices_of_eigenvalues_in_arrays():
    assert eigenvalue_indices("eigenvalues", np.arange(2, 5)) == (2, 3, 4)
    assert eigenvalue_indices("eigenvalues", torch.tensor([3, 2])) == (2, 3)
    for value in (np.array(3), torch.tensor(3), np.array([[2, 3]]), np.array([2.0]), np.array([])):
        with pytest.raises(InputError, match="eigenvalues is"):
            eigenvalue_indices("eigenvalues", value)
