import importlib
import importlib.util
from pathlib import Path

import numba
import pytest
from numba.core.dispatcher import Dispatcher

from clusterability import compiling
from clusterability.compiling import SHARED, compiled


@pytest.mark.parametrize("reorder", [False, True])
def test_a_read_only_package_without_a_cache_folder(reorder, monkeypatch):
    def without_a_folder(**options):
        if options["cache"]:
            raise RuntimeError("cannot cache function 'double': no locator available")
        return njit(**options)

    njit = numba.njit
    with monkeypatch.context() as patched:
        patched.setattr(numba, "njit", without_a_folder)

        @compiled(reorder=reorder)
        def double(x):
            return x + x

    assert double(3) == 6
    assert double.nopython_signatures


def compiled_in(path):
    """Return a compiled function of a module that is imported anew."""
    specification = importlib.util.spec_from_file_location("kept_machine_code", path)
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    assert module.double(3) == 6
    return module.double


@pytest.mark.slow
def test_machine_code_is_kept_as_long_as_what_it_may_contain_is_the_same(tmp_path, monkeypatch):
    path = tmp_path / "kept_machine_code.py"
    path.write_text(
        "from clusterability.compiling import compiled\n\n\n"
        "@compiled()\ndef double(x):\n    return x + x\n"
    )
    assert compiled_in(path).stats.cache_misses
    assert compiled_in(path).stats.cache_hits
    monkeypatch.setattr(compiling, "_content_of_shared", lambda: "other content")
    assert compiled_in(path).stats.cache_misses
    assert compiled_in(path).stats.cache_hits


def test_every_file_whose_compiled_functions_others_call_is_named():
    folder = Path(compiling.__file__).parent
    shared = set()
    for path in folder.rglob("*.py"):
        if "compiled(" in path.read_text():
            name = ".".join(("clusterability", *path.relative_to(folder).with_suffix("").parts))
            for value in vars(importlib.import_module(name)).values():
                if isinstance(value, Dispatcher) and value.__module__ != name:
                    shared.add(value.__module__)
    files = {"clusterability." + name.removesuffix(".py").replace("/", ".") for name in SHARED}
    assert shared
    assert shared <= files
