"""Every name that the package or one of its packages exports for users has a doctest."""

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
