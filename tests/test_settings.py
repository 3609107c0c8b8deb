import inspect
import json
import math
from dataclasses import fields, replace

import numpy as np
import pytest

from clusterability import Settings, measure
from clusterability.conventions import CONVENTIONS, Conventions, Starts
from clusterability.errors import InputError
from clusterability.nulls.shuffles import shuffle_layer
from clusterability.registries import KERNEL_NORMS, NULLS

SETS = {
    "default": ("layer", "drop-after", "tied", "l1", 0.0),
    "paper": ("layer", "drop-after", "tied", "l1", 0.0),
    "published": ("layer", "drop-first", "independent", "induced-1", 1e-8),
}


@pytest.mark.parametrize("name", SETS)
def test_a_word_takes_a_set_of_choices(name):
    settings = Settings(conventions=name)
    found = (settings.null, settings.isolated, settings.ties, settings.kernel_norm)
    assert (*found, settings.volume_offset) == SETS[name]
    assert (settings.n_clusters, settings.n_shuffles, settings.seed) == (12, 50, 0)
    assert settings.include == ()
    assert settings.n_init is None
    assert settings.choices() == ({} if name == "default" else {"conventions": name})


@pytest.mark.parametrize("name", SETS)
@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("null", "nonzero"),
        ("isolated", "drop-first"),
        ("isolated", "drop-after"),
        ("ties", "independent"),
        ("kernel_norm", "l2"),
        ("volume_offset", 0.0),
        ("volume_offset", 0.25),
        ("n_init", 7),
    ],
)
def test_an_option_given_by_itself_wins(name, field, value):
    settings = Settings(conventions=name, **{field: value})
    assert getattr(settings, field) == value
    plain = Settings(conventions=name)
    assert replace(settings, **{field: getattr(plain, field)}) == plain


def test_starts():
    published = CONVENTIONS["published"].starts
    assert CONVENTIONS["default"].starts == published
    assert [published.number(n, 1000) for n in (12, 2000, 2001)] == [25, 25, 100]
    paper = CONVENTIONS["paper"].starts
    assert [paper.number(5000, n) for n in (None, 10, 999, 1000)] == [10, 10, 10, 100]
    assert str(paper) == "10, 100 for networks with 1,000 outputs"
    assert str(Starts(3, 3)) == "3"


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("n_clusters", 1, "expected a whole number of at least 2"),
        ("n_clusters", None, "expected a whole number"),
        ("n_shuffles", -1, "expected a whole number of at least 0"),
        ("n_shuffles", 10**8, "expected at most"),
        ("seed", 0.5, "expected a whole number"),
        ("null", "layers", "did you mean 'layer'"),
        ("isolated", "drop_after", "did you mean 'drop-after'"),
        ("ties", "tie", "did you mean 'tied'"),
        ("kernel_norm", "induced1", "did you mean 'induced-1'"),
        ("conventions", "publised", "did you mean 'published'"),
        ("conventions", None, "expected one of default, paper, published"),
        ("include", "dense", "expected a tuple"),
        ("include", ("head",), "expected one of input, dense"),
        ("n_init", 0, "expected a whole number of at least 1"),
        ("n_init", "ten", "expected a whole number"),
        ("volume_offset", -1e-8, "expected a number of at least 0"),
        ("volume_offset", math.nan, "expected a number"),
        ("volume_offset", math.inf, "expected a number"),
        ("volume_offset", "1e-8", "expected a number"),
        ("volume_offset", True, "expected a number"),
    ],
)
def test_what_cannot_be_used_is_refused_by_name(field, value, message):
    with pytest.raises(InputError) as caught:
        Settings(**{field: value})
    assert str(caught.value).startswith(f"{field} is ")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_numbers_of_numpy_are_taken():
    settings = Settings(n_clusters=np.int64(5), volume_offset=np.float32(0.5))
    assert settings == Settings(n_clusters=5, volume_offset=0.5)
    assert type(settings.n_clusters) is int


def test_what_is_registered_is_known_at_once(monkeypatch):
    with pytest.raises(InputError, match="null is 'mine', expected one of layer, nonzero"):
        Settings(null="mine")
    monkeypatch.setitem(NULLS, "mine", shuffle_layer)
    monkeypatch.setitem(KERNEL_NORMS, "max", lambda kernels: kernels.abs().flatten(2).amax(2))
    monkeypatch.setitem(CONVENTIONS, "ours", Conventions(null="mine", kernel_norm="max"))
    settings = Settings(conventions="ours", ties="independent")
    assert (settings.null, settings.kernel_norm, settings.isolated) == ("mine", "max", "drop-after")
    with pytest.raises(InputError, match=r"null is 'min', .*did you mean 'mine'"):
        Settings(null="min")


def test_conventions_that_choose_what_is_not_there_are_refused(monkeypatch):
    monkeypatch.setitem(CONVENTIONS, "odd", Conventions(ties="loose"))
    with pytest.raises(InputError, match="ties is 'loose'"):
        Settings(conventions="odd")


def test_conventions_in_words():
    assert Settings().conventions_text == "default"
    assert Settings(n_clusters=3, seed=4, include=("input",)).conventions_text == (
        "default, include input"
    )
    departing = Settings(conventions="paper", ties="independent", n_init=5)
    assert departing.conventions_text == "paper, ties independent, n_init 5"
    elsewhere = Settings.restore({**Settings().to_dict(), "conventions": "theirs"})
    assert elsewhere.conventions_text == "theirs"


def test_measure_takes_every_choice():
    parameters = inspect.signature(measure).parameters
    defaults = {f.name: f.default for f in fields(Settings)}
    for name in ("n_clusters", "n_shuffles", "seed"):
        assert parameters[name].default == defaults[name]
    assert parameters["choices"].kind is inspect.Parameter.VAR_KEYWORD
    for name in defaults:
        assert name in measure.__doc__


def test_conventions_that_are_none_are_refused_by_name(monkeypatch):
    monkeypatch.setitem(CONVENTIONS, "five", 5)
    with pytest.raises(InputError, match="conventions 'five' are of type int, expected Conv"):
        Settings(conventions="five")


def test_choices_of_conventions_that_are_gone(monkeypatch):
    with monkeypatch.context() as patch:
        patch.setitem(CONVENTIONS, "mine", CONVENTIONS["published"])
        known = Settings(conventions="mine", n_clusters=3)
        text = json.dumps(known.to_dict())
    restored = Settings.restore(json.loads(text))
    assert restored.choices()["n_clusters"] == 3
    assert restored.choices()["conventions"] == "mine"
    assert restored.choices()["isolated"] == known.isolated
    assert len(restored.digest) == 8


@pytest.mark.parametrize("field", ["n_shuffles", "n_clusters", "seed"])
def test_numbers_of_thousands_of_digits(field):
    with pytest.raises(InputError, match="expected"):
        Settings(**{field: 10**5000})
