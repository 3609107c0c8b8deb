import numpy as np
import pytest
import torch

from clusterability.errors import InputError
from clusterability.options import check_options, one_of

GIVEN = {
    "n_clusters": 12,
    "n_shuffles": 50,
    "seed": 0,
    "null": "layer",
    "isolated": "drop-first",
    "ties": "independent",
    "n_init": None,
    "workers": None,
    "device": "cpu",
}


def check(**changed):
    return check_options(**{**GIVEN, **changed})


def test_what_is_given_comes_back():
    options = check(n_clusters=2, n_shuffles=0, seed=7, null="nonzero", isolated="drop-after")
    assert (options.n_clusters, options.n_shuffles, options.seed) == (2, 0, 7)
    assert (options.null, options.isolated) == ("nonzero", "drop-after")
    assert check(ties="tied").ties == "tied"
    assert options.n_init is None
    assert options.workers >= 1
    assert options.device == torch.device("cpu")


@pytest.mark.parametrize("name", ["n_clusters", "n_shuffles", "seed", "n_init", "workers"])
def test_whole_numbers_of_numpy_become_those_of_python(name):
    assert type(getattr(check(**{name: np.int64(5)}), name)) is int


@pytest.mark.parametrize(
    ("name", "lowest"),
    [("n_clusters", 2), ("n_shuffles", 0), ("seed", 0), ("n_init", 1), ("workers", 1)],
)
@pytest.mark.parametrize("value", ["too low", 3.0, "3", True, float("nan")])
def test_what_is_no_whole_number_is_refused(name, lowest, value):
    value = lowest - 1 if value == "too low" else value
    with pytest.raises(InputError) as caught:
        check(**{name: value})
    assert str(caught.value) == f"{name} is {value!r}, expected a whole number of at least {lowest}"
    assert getattr(check(**{name: lowest}), name) == lowest


@pytest.mark.parametrize("name", ["n_clusters", "n_shuffles", "seed"])
def test_these_have_no_default_to_fall_back_on(name):
    with pytest.raises(InputError, match=f"{name} is None"):
        check(**{name: None})


@pytest.mark.parametrize(
    ("name", "value", "hint"),
    [
        ("null", "layers", "; did you mean 'layer'?"),
        ("null", "non-zero", "; did you mean 'nonzero'?"),
        ("isolated", "drop_after", "; did you mean 'drop-after'?"),
        ("ties", "tie", "; did you mean 'tied'?"),
        ("device", "metal", ""),
        ("null", None, ""),
        ("device", 0, ""),
    ],
)
def test_unknown_names_are_refused_with_the_nearest(name, value, hint):
    with pytest.raises(InputError) as caught:
        check(**{name: value})
    message = str(caught.value)
    assert message.startswith(f"{name} is {value!r}, expected one of ")
    assert message.endswith(hint)
    assert ("did you mean" in message) == bool(hint)


def test_one_of_lists_what_is_known():
    assert one_of("fruit", "pear", ("apple", "pear")) == "pear"
    with pytest.raises(InputError, match=r"fruit is 'fig', expected one of apple, pear$"):
        one_of("fruit", "fig", ("apple", "pear"))


def test_cuda_without_a_gpu_is_refused(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert check(device="auto").device.type == "cpu"
    with pytest.raises(InputError, match="torch finds no GPU here; use 'auto' or 'cpu'"):
        check(device="cuda")


def test_a_gpu_is_used_if_there_is_one(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    devices = [check(device=name).device.type for name in ("auto", "cuda", "cpu")]
    assert devices == ["cuda", "cuda", "cpu"]
