"""Flags of the command from the fields of records, and records' fields from the flags."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Collection
from dataclasses import MISSING, Field, fields
from typing import Any

from clusterability.records import Record, choice_of


def add_flags(add: Callable[..., Any], record: type[Record], without: Collection[str] = ()) -> None:
    """Add the flags of a record's fields to a parser.

    Args:
        add: method ``add_argument`` of a parser or of a group.
        record: class of the record; fields without a flag are skipped.
        without: names of further fields to skip.
    """
    for field in fields(record):
        about = choice_of(field)
        if about.flag is None or field.name in without:
            continue
        options: dict[str, Any] = {"dest": field.name, "default": None, "help": _help(field)}
        if about.parse is None:
            options["action"] = argparse.BooleanOptionalAction
        else:
            options |= {"type": about.parse, "metavar": about.metavar}
            options["required"] = field.default is MISSING
        add(about.flag, **options)


def given_values(
    args: argparse.Namespace, record: type[Record], without: Collection[str] = ()
) -> dict[str, Any]:
    """Return the values of the flags that the user gave, by the record's field."""
    names = [f.name for f in fields(record) if choice_of(f).flag and f.name not in without]
    return {name: getattr(args, name) for name in names if getattr(args, name) is not None}


def flag_of(record: type[Record], name: str) -> str | None:
    """Return the flag of a record's field."""
    (flag,) = (choice_of(f).flag for f in fields(record) if f.name == name)
    return flag


def _help(field: Field[Any]) -> str:
    about, default = choice_of(field), field.default
    text = about.help if about.names is None else f"{', '.join(about.names)}: {about.help}"
    if about.default_text is not None:
        text += f" (default {about.default_text})"
    elif isinstance(default, str | int | float) and not isinstance(default, bool):
        text += f" (default {default:g})" if isinstance(default, float) else f" (default {default})"
    return text.replace("%", "%%")
