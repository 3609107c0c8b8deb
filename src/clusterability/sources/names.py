"""Networks from names on the command line."""

from __future__ import annotations

import contextlib
import importlib
import sys
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clusterability.arguments import did_you_mean
from clusterability.errors import InputError
from clusterability.shown import shown

if TYPE_CHECKING:
    from torch import nn

RESERVED_PREFIXES = ("hf:", "timm:", "run:")
"""Prefixes kept for later versions; names that begin with one are refused."""


def network_from_name(name: str) -> Path | nn.Module:
    """Return the path or the module for a name on the command line.

    An existing file comes first, then ``example:NAME``, then ``module:callable``. A name without a
    colon is always a path.

    Raises:
        InputError: if the name has a colon, but is no such name or cannot be loaded.
    """
    path = Path(name)
    prefix, colon, rest = name.partition(":")
    if exists(path) or not colon or "/" in prefix:
        return path
    if prefix == "example":
        return example(rest)
    if f"{prefix}:" in RESERVED_PREFIXES:
        raise InputError(
            f"{shown(name)!r} cannot be read: {prefix}: is reserved for a later version; "
            "give a file"
        )
    return _call(prefix, rest)


def exists(path: Path) -> bool:
    """Whether there is a file of that name; a name that no file can have is none."""
    try:
        return path.exists()
    except (OSError, ValueError):  # too long, or with a NUL
        return False


def examples() -> list[str]:
    """Return the names of the networks that the package ships."""
    folder = files("clusterability") / "data"
    return sorted(entry.name.removesuffix(".npz") for entry in folder.iterdir() if entry.is_file())


def example(name: str) -> Path:
    """Return the path of a shipped network.

    Raises:
        InputError: if the package ships no network of that name.
    """
    if name not in examples():
        raise InputError(
            f"there is no example {shown(name)!r}; this version ships {', '.join(examples())}"
            f"{did_you_mean(name, examples())}"
        )
    return Path(str(files("clusterability") / "data" / f"{name}.npz"))


def is_shipped(network: object) -> bool:
    """Whether this is the path of a network that the package ships."""
    return isinstance(network, Path) and network in [example(name) for name in examples()]


def _call(module_name: str, attribute: str) -> nn.Module:
    """Import a module, from the current folder too, and call its attribute without arguments.

    A network that is there already is returned as it is.
    """
    from torch import nn

    shown_name = f"{shown(module_name)}:{shown(attribute)}"
    if not attribute or not all(part.isidentifier() for part in module_name.split(".")):
        raise InputError(
            f"{shown_name!r} is no file, and no module:callable either; check the path"
        )
    folder, before = str(Path.cwd()), list(sys.path)
    sys.path.insert(0, folder)
    try:
        with contextlib.redirect_stdout(sys.stderr):  # standard output is for results
            function: Any = importlib.import_module(module_name)
            for part in attribute.split("."):
                function = getattr(function, part)
            network = function if isinstance(function, nn.Module) else function()
    except (Exception, SystemExit) as error:
        reason = f"{type(error).__name__}: {error}".splitlines()[0]
        raise InputError(f"{shown_name!r} could not be called: {shown(reason, 200)}") from error
    finally:
        after: object = sys.path
        if not isinstance(after, list):  # what was called has put something else there
            sys.path = before
        else:
            if folder in after:
                after.remove(folder)
            after += [place for place in before if place not in after]  # later imports need them
    if not isinstance(network, nn.Module):
        raise InputError(
            f"{shown_name!r} returned {type(network).__name__}, expected a torch.nn.Module"
        )
    return network
