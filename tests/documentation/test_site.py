"""The documentation site is built without warnings, and describes every export."""

import re
import subprocess
import sys
from importlib import import_module
from inspect import ismodule
from pathlib import Path

import pytest

import clusterability

pytest.importorskip("sphinx")
pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]


def test_the_site(tmp_path):
    command = [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", "-c", "docs"]
    command += [".", str(tmp_path)]
    found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert (found.returncode, found.stderr) == (0, "")
    assert_every_page_has_its_exports(tmp_path)
    assert_pages_lead_to_each_other(tmp_path)
    assert_pages_load_nothing_from_the_network(tmp_path)


def assert_every_page_has_its_exports(site):
    pages = list((site / "docs" / "api").glob("*.html"))
    assert {"clusterability", "clusterability.training"} <= {page.stem for page in pages}
    for page in pages:
        package = import_module(page.stem)
        names = [name for name in package.__all__ if not name.startswith("_")]
        if package is not clusterability:  # a class of both is described on the first page alone
            names = [
                n for n in names if getattr(clusterability, n, None) is not getattr(package, n)
            ]
        text = page.read_text("utf-8")
        missing = [name for name in names if f'id="{page.stem}.{name}"' not in text]
        assert [name for name in missing if not ismodule(getattr(package, name))] == []


def assert_pages_lead_to_each_other(site):
    assert "url=README.html" in (site / "index.html").read_text()
    home = (site / "README.html").read_text("utf-8")
    for page in ("docs/cli.html", "docs/api/clusterability.html", "CONTRIBUTING.html"):
        assert f'href="{page}"' in home


def assert_pages_load_nothing_from_the_network(site):
    for page in site.rglob("*.html"):
        loaded = re.findall(
            r"<(?:script|img|link)\b[^>]*\b(?:src|href)=\"([^\"]*)", page.read_text()
        )
        assert loaded or page.name == "index.html"
        assert [a for a in loaded if "//" in a and not a.startswith("data:")] == []
