"""Frozen records of choices, in which each choice is written once.

A field says what it may hold, what it is when it is not given, and how a person asks for it. From
that come the checks, the command's flags and their help (:mod:`clusterability.cli.flags`), the
JSON, and a hash that changes with every choice that is not the default.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import MISSING, Field, asdict, dataclass, field, fields
from functools import partial
from typing import Any, ClassVar, Self

from clusterability.arguments import one_of
from clusterability.errors import InputError
from clusterability.shown import described

_KEY = "choice"


@dataclass(frozen=True)
class Choice:
    """What a record's class knows of one field.

    Args:
        check: ``(name, value) -> value to keep``; raises an InputError if it cannot be used.
        help: one line.
        flag: of the command; None for none.
        parse: makes a value of the flag's text; None for a switch with ``--flag`` and
            ``--no-flag``.
        metavar: stands for the text in the help.
        fill: makes the value of a field that is None from the fields before it.
        default_text: the default in words, where the field's own says nothing.
        basis: whether other fields are filled by this one.
        names: the values that there are, where they are names.
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
    """Return a dataclass field that is a choice; arguments as for :class:`Choice`.

    Args:
        default: value that is checked too; none if the field must be given.
        check: by default whether the value is among the names.
        names: see :class:`Choice`.
        about: see :class:`Choice`.
    """
    if check is None:
        assert names is not None
        check = partial(one_of, known=names)
    return field(default=default, metadata={_KEY: Choice(check, names=names, **about)})


def choice_of(field: Field[Any]) -> Choice:
    """Return what is known of a record's field."""
    found: Choice = field.metadata[_KEY]
    return found


@dataclass(frozen=True)
class Record:
    """Base of the frozen dataclasses all of whose fields are made by :func:`choice`.

    Raises:
        InputError: that names the first field that cannot be used, and what can.
    """

    _title: ClassVar[str]
    """What the record is called in messages."""

    def __init_subclass__(cls) -> None:
        """Describe the fields in the docstring, where help() and editors look."""
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
        """Refuse values that do not go together; each by itself is checked already."""

    def choices(self) -> dict[str, Any]:
        """Return the fields that are not what they are when they are not given.

        ``type(record)(**record.choices())`` is the same record.
        """
        about = {f.name: choice_of(f) for f in fields(self)}
        plain = type(self)(**{n: getattr(self, n) for n, each in about.items() if each.basis})
        defaults = {f.name: f.default for f in fields(self) if choice_of(f).basis}
        return {
            name: getattr(self, name)
            for name in about
            if getattr(self, name) != defaults.get(name, getattr(plain, name))
        }

    @property
    def digest(self) -> str:
        """Eight hexadecimal digits that depend on :meth:`choices` and on nothing else."""
        text = json.dumps(self.choices(), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:8]

    def to_dict(self) -> dict[str, Any]:
        """Return all fields, as JSON has them."""
        return {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(self).items()}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Return the record of these fields, as :meth:`to_dict` or a person writes them.

        Raises:
            InputError: if there are other fields, or a field cannot be used.
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
    def restored(cls, data: Mapping[str, Any]) -> Self:
        """Return the record that :meth:`to_dict` wrote, perhaps where more names were registered.

        So a result can be read without the package whose null model made it. All fields must be
        there; others are passed over.

        Raises:
            InputError: if a field cannot be used.
            KeyError: if one is missing.
        """
        record = object.__new__(cls)
        for f in fields(cls):
            about, value = choice_of(f), data[f.name]
            check = _is_text if about.names is not None else about.check
            object.__setattr__(record, f.name, check(f.name, value))
        return record


def _is_text(name: str, value: Any) -> str:
    if not isinstance(value, str):
        raise InputError(f"{name} is {described(value)}, expected a name")
    return value


def parse_number(text: str) -> int | float | str:
    """Return the number that the text is, or the text, which the record then refuses by name."""
    for kind in (int, float):
        with suppress(ValueError):
            return kind(text)
    return text


def parse_names(text: str) -> tuple[str, ...]:
    """Return the names between commas."""
    return tuple(part.strip() for part in text.split(",") if part.strip())
