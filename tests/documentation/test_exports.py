"""Every name that the package or one of its packages exports for users has a doctest."""

import doctest
import inspect
import pkgutil
from importlib import import_module

import clusterability

NOT_FOR_USERS = (
    "clusterability.experiments.architectures",
    "clusterability.reading",
    "clusterability.tracing",
)
"""Networks to trace in benchmarks; readers, which users reach through sources; and the arguments of
rules, of which docs/extending.md has examples that are run."""

WITHOUT_NUMBERS = (
    "clusterability.ClusterabilityError",
    "clusterability.RunError",
    "clusterability.datasets.available",
    "clusterability.datasets.fetch",
)
"""Errors, and functions of files."""


def exports():
    found = pkgutil.walk_packages(clusterability.__path__, "clusterability.")
    for package in ["clusterability", *(module.name for module in found if module.ispkg)]:
        if not package.startswith(NOT_FOR_USERS):
            module = import_module(package)
            for name in getattr(module, "__all__", ()):
                yield f"{package}.{name}", getattr(module, name)


def test_every_export_has_a_doctest():
    kinds = {
        name: thing
        for name, thing in exports()
        if inspect.isroutine(thing) or isinstance(thing, type)
    }
    assert len(kinds) >= 50
    assert [n for n, thing in kinds.items() if ">>>" not in (inspect.getdoc(thing) or "")] == []


def shown(thing):
    """What the doctest of an export shows."""
    examples = doctest.DocTestParser().get_examples(inspect.getdoc(thing) or "")
    return "".join(example.want for example in examples)


def test_every_doctest_shows_a_number():
    without = [
        name
        for name, thing in exports()
        if (inspect.isroutine(thing) or isinstance(thing, type))
        and not any(letter.isdigit() for letter in shown(thing))
    ]
    assert sorted(without) == sorted(WITHOUT_NUMBERS)
