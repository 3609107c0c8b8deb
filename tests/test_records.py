import argparse
import json
from collections.abc import Mapping
from dataclasses import FrozenInstanceError, dataclass, fields, replace
from functools import partial
from typing import ClassVar

import pytest

from clusterability.arguments import some_of, whole, yes_or_no
from clusterability.cli.flags import add_flags, flag_of, given_values
from clusterability.errors import InputError
from clusterability.records import (
    Record,
    check_types,
    choice,
    choice_of,
    parse_names,
    parse_number,
)
from clusterability.settings import Settings
from clusterability.training.spec import TrainingSpec

SIZES = {"small": 1, "large": 10}


@dataclass(frozen=True)
class Order(Record):
    """What is ordered."""

    _title: ClassVar[str] = "order"

    kind: str = choice(names=SIZES, flag="--kind", metavar="NAME", basis=True, help="the size")
    number: int = choice(
        None,
        check=partial(whole, lowest=1),
        flag="--number",
        parse=parse_number,
        metavar="N",
        fill=lambda order: SIZES[order.kind],
        default_text="by its kind",
        help="100 % of them",
    )
    extras: tuple[str, ...] = choice(
        (),
        check=partial(some_of, known=("salt", "sugar")),
        flag="--with",
        parse=parse_names,
        metavar="NAMES",
        help="what is added",
    )
    hot: bool = choice(False, check=yes_or_no, flag="--hot", parse=None, help="whether it is hot")
    weight: float = choice(0.5, check=lambda _, value: float(value), help="in pounds")

    def _check_together(self) -> None:
        if self.hot and "sugar" in self.extras:
            raise InputError("hot is asked for with sugar; leave one out")


def test_what_is_not_given_is_filled_from_what_is():
    assert Order("large").number == 10
    assert Order("large", number=3).number == 3
    assert Order(kind="small", extras=["sugar", "salt"]).extras == ("salt", "sugar")


def test_a_record_is_frozen_and_equal_by_its_fields():
    with pytest.raises(FrozenInstanceError):
        Order("small").number = 2
    assert Order("small") == Order("small", 1, hot=False)
    assert Order("small") != replace(Order("small"), number=2)


@pytest.mark.parametrize(
    ("given_fields", "message"),
    [
        ({"kind": "smal"}, "kind is 'smal', expected one of small, large; did you mean 'small'?"),
        ({"number": 0}, "number is 0, expected a whole number of at least 1"),
        ({"extras": "salt"}, "extras is the string 'salt', expected a tuple such as (\"salt\",)"),
        ({"hot": 1}, "hot is 1, expected True or False"),
        ({"hot": True, "extras": ("sugar",)}, "hot is asked for with sugar; leave one out"),
    ],
)
def test_a_record_checks_itself(given_fields, message):
    with pytest.raises(InputError) as caught:
        Order(**{"kind": "small", **given_fields})
    assert str(caught.value) == message


def test_choices_are_what_differs_and_make_the_same_record():
    orders = [
        (Order("small"), {"kind": "small"}),
        (Order("large", 10), {"kind": "large"}),
        (Order("large", 1), {"kind": "large", "number": 1}),
        (Order("small", hot=True, weight=0.25), {"kind": "small", "hot": True, "weight": 0.25}),
    ]
    for order, choices in orders:
        assert order.choices() == choices
        assert Order(**choices) == order
    assert len({order.digest for order, _ in orders}) == len(orders)
    assert Order("large", 10).digest == Order("large").digest


@pytest.mark.parametrize(
    "record",
    [
        Order("large", extras=("salt",)),
        Settings(conventions="published", include=("dense", "input"), n_init=3, n_clusters=4),
        TrainingSpec("mlp", "mnist", l2=0.5, stack=(0, 1)),
    ],
)
def test_records_come_back_from_json(record):
    data = json.loads(json.dumps(record.to_dict()))
    for again in (type(record).from_dict(data), type(record).restore({**data, "later": 1})):
        assert again == record
        assert again.digest == record.digest


def test_a_record_is_restored_where_its_names_are_not_known():
    data = {**Order("small").to_dict(), "kind": "huge"}
    assert Order.restore(data).kind == "huge"
    with pytest.raises(InputError, match="kind is 'huge'"):
        Order.from_dict(data)
    with pytest.raises(InputError, match="kind is 3, expected a name"):
        Order.restore({**data, "kind": 3})
    with pytest.raises(InputError, match="number is None"):
        Order.restore({**data, "number": None})
    del data["hot"]
    with pytest.raises(KeyError, match="hot"):
        Order.restore(data)


def test_an_unknown_field_is_refused_with_the_nearest():
    with pytest.raises(
        InputError, match=r"a field of the order is 'extra', .*did you mean 'extras'"
    ):
        Order.from_dict({"kind": "small", "extra": ()})
    with pytest.raises(InputError, match="the order 5 cannot be read"):
        Order.from_dict(5)


def test_help_of_the_class_has_every_field():
    for record in (Order, Settings, TrainingSpec):
        for field in fields(record):
            assert f"        {field.name}: {choice_of(field).help}." in record.__doc__


def parsed(*arguments, without=()):
    parser = argparse.ArgumentParser()
    add_flags(parser.add_argument, Order, without)
    return parser, given_values(parser.parse_args(arguments), Order, without)


def test_flags_make_the_fields_that_were_given():
    assert parsed("--kind", "small")[1] == {"kind": "small"}
    found = parsed("--kind", "large", "--number", "3", "--with", "salt, sugar,", "--no-hot")[1]
    assert found == {"kind": "large", "number": 3, "extras": ("salt", "sugar"), "hot": False}
    with pytest.raises(SystemExit):
        parsed("--number", "3")
    assert parsed("--number", "3", without=("kind",))[1] == {"number": 3}


def test_a_flags_text_that_is_no_number_is_left_to_the_record():
    found = parsed("--kind", "large", "--number", "three")[1]
    with pytest.raises(InputError, match="number is 'three', expected a whole number"):
        Order(**found)
    assert [parse_number(text) for text in ("3", "3.0", "1e-8", "x", "")] == [3, 3.0, 1e-8, "x", ""]


def test_help_of_the_flags_is_that_of_the_fields(monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    text = " ".join(parsed("--kind", "small")[0].format_help().split())
    assert "--kind NAME small, large: the size --number" in text
    assert "--number N 100 % of them (default by its kind) --with" in text
    assert "--hot, --no-hot whether it is hot" in text
    assert "pounds" not in text
    assert flag_of(Order, "extras") == "--with"
    assert flag_of(Order, "weight") is None


@dataclass(frozen=True)
class Plain:
    name: "str" = "a"
    count: "int" = 1
    share: "float | None" = 0.5
    flag: "bool | None" = None
    parts: "tuple[float, ...]" = (1, 0.5)
    seconds: "Mapping[str, float] | None" = None
    other: "bytes" = None


@pytest.mark.parametrize(
    "given",
    [{}, {"share": None}, {"share": 3}, {"flag": True}, {"parts": ()}, {"seconds": {"total": 1}}],
)
def test_values_of_the_declared_types_pass(given):
    check_types(Plain(**given))


@pytest.mark.parametrize(
    "given",
    [
        *({"name": None}, {"name": 1}, {"count": 1.0}, {"count": True}, {"count": None}),
        *({"share": "0.5"}, {"share": float("nan")}, {"share": 10**400}, {"share": False}),
        *({"flag": 0}, {"parts": [1.0]}, {"parts": (None,)}, {"parts": None}),
        *({"seconds": {"total": "1"}}, {"seconds": {1: 1.0}}, {"seconds": ()}),
    ],
)
def test_values_of_other_types_are_refused_by_name(given):
    with pytest.raises(InputError, match=f"{next(iter(given))} is .*, expected "):
        check_types(Plain(**given))
