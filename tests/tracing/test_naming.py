from itertools import combinations
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clusterability.shown import listed, quoted, show_path, shown
from clusterability.tracing.naming import natural_key, split_name

NAMES = st.text(st.sampled_from("ab01239._/-é"), max_size=12)


def test_natural_order_of_typical_names():
    names = ["fc10.weight", "fc2.weight", "fc.weight", "layers.10.w", "layers.9.w", "fc02.bias"]
    assert sorted(names, key=natural_key) == [
        "fc.weight",
        "fc02.bias",
        "fc2.weight",
        "fc10.weight",
        "layers.9.w",
        "layers.10.w",
    ]


@pytest.mark.slow
@given(st.lists(NAMES))
def test_any_names_can_be_compared(names):
    ordered = sorted(names, key=natural_key)
    assert all(natural_key(a) <= natural_key(b) for a, b in combinations(ordered, 2))


@given(st.text(st.sampled_from("abc"), max_size=3), st.integers(0, 10**6), st.integers(0, 10**6))
def test_numbers_are_compared_by_value(word, first, second):
    keys = [natural_key(f"{word}.{number}.weight") for number in (first, second)]
    assert (keys[0] < keys[1]) == (first < second)


@pytest.mark.parametrize(
    "names",
    [
        ["Enc_1", "enc2.fc", "encoder.0", "encoders", "bottleneck", "dec1", "decoder9", "decoders"],
        ["stem.conv", "body.0", "body.1", "head"],
        ["net.input", "net.hidden", "net.output"],
        ["first", "mid", "last"],
        ["fcIn", "fc1", "fc2", "fcOut"],
        ["features.0", "features.10", "classifier.1", "classifier.4"],
        ["embedding", "decode", "inner", "output_layer"],
        ["backbone.out", "layer.in", "out_in", "plain"],
    ],
)
def test_words_that_tell_a_place_come_before_the_alphabet(names):
    backwards = names[::-1]
    assert sorted(backwards, key=natural_key) == names


def test_a_number_of_any_length_can_be_a_name():
    assert natural_key("9" * 10_000) < natural_key("1" + "0" * 10_000)


def test_shown_escapes_and_cuts():
    assert shown("a\nb\x1b[2J\u202e") == "a\\nb\\x1b[2J\\u202e"
    assert len(shown("x" * 1000)) == 80
    assert quoted("fc1") == "'fc1'"
    assert show_path(Path("a") / ("b" * 90)) == f"'{Path('a') / ('b' * 90)}'"


@given(st.text(st.characters()))  # surrogates, too, which names of files may have
def test_shown_is_printable_and_short(name):
    assert shown(name).isprintable()
    assert len(shown(name)) <= 80


def test_listed_keeps_beginning_and_end():
    assert listed(["a", "b"], " -> ") == "a -> b"
    assert listed(list(range(100)), "-") == "0-1-2-3-4-5-...-99"


def test_split_name():
    assert split_name("a.b.c") == ("a.b", "c")
    assert split_name("c") == ("", "c")
