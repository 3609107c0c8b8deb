"""The documentation site: ``make docs`` builds it into build/docs with Sphinx.

The source folder is the repository's root, so that the links between README.md, docs/ and other
files are the same in the site as where the repository is browsed. Nothing is loaded from the
network, neither by the build nor by its pages.
"""

from __future__ import annotations

import pkgutil
from collections.abc import Iterator, Mapping
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import get_origin

from sphinx.application import Sphinx

import clusterability

ROOT = Path(__file__).parent.parent

project = "clusterability"
author = "The clusterability developers"
release = clusterability.__version__

extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
root_doc = "README"
include_patterns = ["*.md", "docs/**.md", "docs/notebooks/*.ipynb"]
# Folders that hold no page, or another's: they need not be searched.
exclude_patterns = [".*", "benchmarks", "build", "demo-output", "examples", "src", "tests"]
nb_execution_mode = "off"  # docs/run_notebooks.py runs them; their outputs lie in them
myst_heading_anchors = 4
nitpick_ignore_regex = [("myst", r"(\.\./)*[\w/]+")]  # folders have no page; a test checks them
napoleon_use_ivar = True  # a class's attributes are described once, by its docstring
smartquotes = False  # -- begins an option
html_theme = "furo"
html_title = f"clusterability {release}"

autodoc_default_options = {"members": True, "undoc-members": True, "no-value": True}
autodoc_member_order = "bysource"
autodoc_typehints_format = "short"

CONTENTS = """

```{toctree}
:hidden:
:glob:

docs/*
```

```{toctree}
:hidden:
:caption: Notebooks

docs/notebooks/first_measure
docs/notebooks/watched_training
docs/notebooks/own_graph
```

```{toctree}
:hidden:
:glob:
:caption: API reference

docs/api/*
```

```{toctree}
:hidden:
:caption: The project

CONTRIBUTING
CHANGELOG
```
"""

API_PAGE = """\
# {name}

```{{eval-rst}}
.. automodule:: {name}
   :exclude-members: {elsewhere}

{data}
```
"""

DATUM = """\
.. py:data:: {name}

   {content}
"""


def public_packages() -> dict[str, ModuleType]:
    """Return the packages that say in ``__all__`` what they export, by name."""
    found = pkgutil.walk_packages(clusterability.__path__, "clusterability.")
    names = ["clusterability", *(module.name for module in found if module.ispkg)]
    packages = {name: import_module(name) for name in names}
    return {name: package for name, package in packages.items() if hasattr(package, "__all__")}


def described_at_the_top(package: ModuleType) -> list[str]:
    """Return the classes that a wing exports and the top-level package too, whose page has them."""
    if package is clusterability:
        return []
    classes = [n for n in package.__all__ if isinstance(getattr(package, n), type)]
    return [n for n in classes if getattr(clusterability, n, None) is getattr(package, n)]


def describe_data(package: ModuleType) -> Iterator[str]:
    """Yield an entry for each export that automodule passes over: registries and type aliases."""
    for name in package.__all__:
        value = getattr(package, name)
        if get_origin(value) is not None:
            yield DATUM.format(name=name, content=f"The type ``{value}``.")
        elif isinstance(value, Mapping):
            keys = ", ".join(f"``{key}``" for key in value)
            yield DATUM.format(name=name, content=f"By name: {keys}.")


def write_api_pages(_: Sphinx) -> None:
    """Write a page for each public package into docs/api, which git ignores."""
    folder = ROOT / "docs" / "api"
    folder.mkdir(exist_ok=True)
    for page in folder.glob("*.md"):
        page.unlink()
    for name, package in public_packages().items():
        text = API_PAGE.format(
            name=name,
            elsewhere=", ".join(described_at_the_top(package)),
            data="\n".join(describe_data(package)),
        )
        (folder / f"{name}.md").write_text(text, encoding="utf-8")


def add_contents(_: Sphinx, page: str, source: list[str]) -> None:
    """Append the site's table of contents to the README."""
    if page == root_doc:
        source[0] += CONTENTS


def write_index(app: Sphinx, _: Exception | None) -> None:
    """Lead from index.html, which web servers look for, to the README."""
    refresh = f'<meta http-equiv="refresh" content="0; url={root_doc}.html">\n'
    (Path(app.outdir) / "index.html").write_text(refresh, encoding="utf-8")


def setup(app: Sphinx) -> None:
    """Connect the steps above to the build."""
    app.connect("builder-inited", write_api_pages)
    app.connect("source-read", add_contents)
    app.connect("build-finished", write_index)
