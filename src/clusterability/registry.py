"""A registry maps names to objects, and imports an object when it is first used."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, MutableMapping
from functools import cache
from importlib import import_module
from importlib.metadata import EntryPoints, entry_points
from typing import Any, Generic, TypeVar

from clusterability.errors import InputError
from clusterability.shown import shown

T = TypeVar("T")


class Registry(MutableMapping[str, T], Generic[T]):
    """A mapping from names to objects: the package's own, other packages', and this process's.

    Listing the names imports nothing. Another package adds an object by an entry point of the
    registry's group in its ``pyproject.toml``; it cannot replace a name of this package. A process
    adds an object by ``registry[name] = thing`` or :meth:`register`, and may replace any name.

    Args:
        group: group of the entry points, such as ``"clusterability.nulls"``.
        shipped: the package's own objects by name; ``"module:attribute"`` is imported when used.

    >>> greetings = Registry("example.greetings", {"capital": "string:capwords"})
    >>> @greetings.register("loud")
    ... def loud(text):
    ...     return text.upper() + "!"
    >>> list(greetings), greetings["capital"]("good day"), greetings["loud"]("hello")
    (['capital', 'loud'], 'Good Day', 'HELLO!')
    """

    def __init__(self, group: str, shipped: Mapping[str, T | str]) -> None:
        self.group = group
        self._shipped = dict(shipped)
        self._added: dict[str, T] = {}
        self._loaded: dict[str, T] = {}

    def register(self, name: str) -> Callable[[T], T]:
        """Return a decorator that adds a function or a class under this name."""

        def add(thing: T) -> T:
            self[name] = thing
            return thing

        return add

    def is_local(self, name: str) -> bool:
        """Return whether this process has added the name; then other processes do not know it."""
        return name in self._added

    def __setitem__(self, name: str, thing: T) -> None:
        if not isinstance(name, str) or not name or not name.isprintable() or " " in name:
            raise InputError(f"name is {shown(repr(name))}, expected text without spaces")
        self._added[name] = thing

    def __delitem__(self, name: str) -> None:
        del self._added[name]

    def __iter__(self) -> Iterator[str]:
        yield from dict.fromkeys((*self._shipped, *sorted(self._others().names), *self._added))

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and (
            name in self._added or name in self._shipped or name in self._others().names
        )

    def __getitem__(self, name: str) -> T:
        if name in self._added:
            return self._added[name]
        if name not in self._loaded:
            self._loaded[name] = self._load(name)
        return self._loaded[name]

    def _load(self, name: str) -> T:
        if name not in self._shipped:
            return self._load_other(name)
        shipped = self._shipped[name]
        if not isinstance(shipped, str):
            return shipped
        module, _, attribute = shipped.partition(":")
        thing: T = getattr(import_module(module), attribute)
        return thing

    def _load_other(self, name: str) -> T:
        found = self._others()
        if name not in found.names:
            raise KeyError(name)
        entry = found[name]
        try:
            thing: T = entry.load()
        except Exception as error:
            package = entry.dist.name if entry.dist else entry.value
            reason = shown(f"{type(error).__name__}: {error}".splitlines()[0], 200)
            raise InputError(
                f"'{shown(name)}' of the installed package {shown(package)} cannot be loaded "
                f"({reason}); update or remove that package"
            ) from error
        return thing

    def _others(self) -> EntryPoints:
        return _entry_points(self.group)


@cache
def _entry_points(group: str) -> EntryPoints:
    """Return what installed packages add to a group; kept, as it reads a file of each package."""
    found: EntryPoints = _all_entry_points().select(group=group)
    return found


@cache
def _all_entry_points() -> Any:
    """Return the entry points of all installed packages; Python 3.12 changed the type."""
    return entry_points()
