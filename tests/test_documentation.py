"""Every command and example of the documentation runs, and prints what it is said to print."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def fenced(language):
    return [
        pytest.param(text, id=f"{page.name}-{i}")
        for page in PAGES
        for i, text in enumerate(re.findall(rf"```{language}\n(.*?)```", page.read_text(), re.S))
    ]


@pytest.mark.parametrize("code", fenced("python"))
def test_python(code, tmp_path):
    found = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], cwd=tmp_path, capture_output=True, text=True
    )
    assert found.stderr == ""
    assert found.returncode == 0


@pytest.mark.parametrize("block", [p for p in fenced("console") if "$ " in p.values[0]])
def test_commands_with_output(block, tmp_path):
    """The layout and the words are compared; digits may differ between processors."""
    command, _, expected = block.removeprefix("$ ").partition("\n")
    arguments = [sys.executable, "-m", *shlex.split(command)]
    found = subprocess.run(arguments, cwd=tmp_path, capture_output=True, text=True)
    assert found.returncode == 0

    def words(text):
        return re.sub(r"[-\d., ]+", " ", text).split()

    assert words(found.stdout) == words(expected)


def test_commands_without_output_have_known_options():
    from clusterability.cli import command_parser

    for block in fenced("console"):
        for line in block.values[0].splitlines():
            if line.startswith("clusterability") and "--help" not in line:
                assert command_parser().parse_args(shlex.split(line)[1:]).run


def test_links_lead_somewhere():
    for page in PAGES:
        for target in re.findall(r"\]\(([^)#]+)\)", page.read_text()):
            if "://" not in target:
                assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_nothing_is_left_to_be_filled_in():
    for page in PAGES:
        assert not re.search(r"@[A-Z]+@", page.read_text())


def test_every_module_is_in_internals():
    text = (ROOT / "docs" / "internals.md").read_text()
    folder = ROOT / "src" / "clusterability"
    names = [path.stem for path in folder.glob("*.py") if not path.stem.startswith("_")]
    missing = [name for name in names if f"`{name}`" not in text]
    assert set(missing) <= {"errors", "output", "shown"}
