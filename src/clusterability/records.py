"""Frozen records of choices; each choice is described in one place, its field.

The field states the allowed values, the default, and the command's flag. The checks, the flags and
their help (:mod:`clusterability.cli.flags`), the JSON, and a hash of all choices other than the
defaults are derived from it.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import MISSING, Field, asdict, dataclass, field, fields
from functools import cached_property, partial
from typing import Any, ClassVar, Self

from clusterability.arguments import one_of
from clusterability.errors import InputError
from clusterability.shown import described

_KEY = "choice"

MOST_INDICES = 10_000
"""A range of more indices than this is taken for a mistake."""


@dataclass(frozen=True)
class Choice:
    """The description of one field of a record.

    Args:
        check: function ``(name, value) -> value to keep``; raises an InputError for a bad value.
        help: one line of help.
        flag: flag of the command; None if the command has none.
        parse: function that turns the flag's text into a value; None for a switch with ``--flag``
            and ``--no-flag``.
        metavar: placeholder for the text in the help.
        fill: function that computes the value of a field that is None, from the fields before it.
        default_text: the default in words, if the value itself does not explain it.
        basis: whether the value of this field determines the defaults of others.
        names: the allowed values, if they are names.
    """

    check: Callable[[str, Any], Any]
    help: str
    flag: str | None = None
    parse: Callable[[str], Any] | None = str
    metavar: str | None = None
    fill: Callable[[Any], Any] | None = None
    default_text: str | None = None
    basis: bool = False
    names: Collection[str] | None = None


def choice(
    default: Any = MISSING,
    *,
    check: Callable[[str, Any], Any] | None = None,
    names: Collection[str] | None = None,
    **about: Any,
) -> Any:
    """Return a dataclass field with its :class:`Choice`.

    Args:
        default: default value, checked like any other; without one the field is required.
        check: as in :class:`Choice`; by default it tests that the value is among the names.
        names: as in :class:`Choice`.
        about: further arguments of :class:`Choice`.
    """
    if check is None:
        assert names is not None
        check = partial(one_of, known=names)
    return field(default=default, metadata={_KEY: Choice(check, names=names, **about)})


def choice_of(field: Field[Any]) -> Choice:
    """Return the description of a record's field."""
    found: Choice = field.metadata[_KEY]
    return found


@dataclass(frozen=True)
class Record:
    """Base class of frozen dataclasses whose fields are all made by :func:`choice`.

    Raises:
        InputError: if a value cannot be used; names the first such field and its allowed values.
    """

    _title: ClassVar[str]
    """The name of the record in messages."""

    def __init_subclass__(cls) -> None:
        """Add the fields to the docstring, for help() and editors."""
        found = {k: v for k, v in vars(cls).items() if isinstance(v, Field)}
        lines = [f"        {name}: {choice_of(f).help}." for name, f in found.items()]
        cls.__doc__ = "\n".join([cls.__doc__ or "", "    Args:", *lines, "    "])

    def __post_init__(self) -> None:
        for f in fields(self):
            value, about = getattr(self, f.name), choice_of(f)
            if value is None and about.fill is not None:
                value = about.fill(self)
            object.__setattr__(self, f.name, about.check(f.name, value))
        self._check_together()

    def _check_together(self) -> None:
        """Refuse values that contradict each other; each is already checked by itself."""

    def choices(self) -> dict[str, Any]:
        """Return the fields whose values differ from the defaults.

        ``type(record)(**record.choices())`` equals the record.
        """
        about = {f.name: choice_of(f) for f in fields(self)}
        defaults = {f.name: f.default for f in fields(self) if choice_of(f).basis}
        plain = None
        with suppress(InputError):  # a restored record may rest on unknown names
            plain = type(self)(**{n: getattr(self, n) for n, each in about.items() if each.basis})
        return {
            name: getattr(self, name)
            for name in about
            if getattr(self, name) != defaults.get(name, getattr(plain, name, ...))
        }

    @cached_property
    def digest(self) -> str:
        """Return a hash of :meth:`choices`, as eight hexadecimal digits."""
        text = json.dumps(self.choices(), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:8]

    def to_dict(self) -> dict[str, Any]:
        """Return all fields by name, in types that JSON has."""
        return {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(self).items()}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Return the record with these fields, from :meth:`to_dict` or written by hand.

        Raises:
            InputError: if a field is unknown, or its value cannot be used.
        """
        known = [f.name for f in fields(cls)]
        try:
            for name in data:
                one_of(f"a field of the {cls._title}", name, known)
            return cls(**data)
        except TypeError as error:
            raise InputError(
                f"the {cls._title} {described(data)} cannot be read ({error}); expected a mapping "
                "of its fields"
            ) from None

    @classmethod
    def restore(cls, data: Mapping[str, Any]) -> Self:
        """Return the record from a dict of :meth:`to_dict`, without looking names up.

        A result can so be read without the package that registered its null model. All fields must
        be there; unknown ones are ignored.

        Raises:
            InputError: if the value of a field cannot be used.
            KeyError: if a field is missing.
        """
        record = object.__new__(cls)
        for f in fields(cls):
            about, value = choice_of(f), data[f.name]
            check = _check_text if about.names is not None else about.check
            object.__setattr__(record, f.name, check(f.name, value))
        return record


def _check_text(name: str, value: Any) -> str:
    if not isinstance(value, str):
        raise InputError(f"{name} is {described(value)}, expected a name")
    return value


def check_types(record: Any) -> None:
    """Refuse a dataclass, made of what JSON holds, if a field's value is not as it is declared.

    Plain types, tuples and mappings of them are checked, and ``None`` where it is declared; what is
    declared as another type is not. Numbers must be finite, and a bool is none.

    Raises:
        InputError: that names the field.
    """
    for f in fields(record):
        value, declared = getattr(record, f.name), str(f.type)
        if not any(_fits(value, kind) for kind in declared.split(" | ")):
            raise InputError(f"{f.name} is {described(value)}, expected {declared}")


def _fits(value: Any, declared: str) -> bool:
    if declared in _PLAIN:
        return _PLAIN[declared](value)
    inner = declared.partition("[")[2].partition(",")[0]
    if declared.startswith("tuple[") and inner in _PLAIN:
        return isinstance(value, tuple) and all(_fits(part, inner) for part in value)
    if declared == "Mapping[str, float]":
        is_mapping = isinstance(value, Mapping)
        return is_mapping and all(_fits(k, "str") and _fits(v, "float") for k, v in value.items())
    return True


def _is_number(value: Any) -> bool:
    try:
        return type(value) in (int, float) and math.isfinite(value)
    except OverflowError:
        return False


_PLAIN: dict[str, Callable[[Any], bool]] = {
    "str": lambda value: isinstance(value, str),
    "int": lambda value: type(value) is int,
    "float": _is_number,
    "bool": lambda value: isinstance(value, bool),
    "None": lambda value: value is None,
}


def parse_number(text: str) -> int | float | str:
    """Return the number in the text, or else the text itself, which the record will refuse."""
    for kind in (int, float):
        with suppress(ValueError):
            return kind(text)
    return text


def parse_indices(text: str) -> tuple[int, ...] | str:
    """Return the whole numbers in a text, or else the text itself, which the record will refuse.

    >>> parse_indices("2-4,7")
    (2, 3, 4, 7)
    """
    found: list[int] = []
    for part in text.split(","):
        first, dash, last = (piece.strip() for piece in part.partition("-"))
        if not (first.isdecimal() and (last.isdecimal() if dash else not last)):
            return text
        span = range(int(first), int(last or first) + 1)
        if len(span) > MOST_INDICES:
            return text
        found += span
    return tuple(found)


def parse_names(text: str) -> tuple[str, ...]:
    """Return the names in a comma-separated text."""
    return tuple(part.strip() for part in text.split(",") if part.strip())
