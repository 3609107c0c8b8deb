"""Every block of the documentation runs, and its links lead somewhere.

A block of Python is run as it stands. In a block of commands, one that begins with ``$`` must print
what follows it; the others are run in a folder that holds small stand-ins for the files that they
name. What is not run is listed in ``NOT_RUN``, and nowhere else.
"""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import networkx as nx
import numpy as np
import pytest
import torch
from safetensors.torch import save_file

import onnx_models
from clusterability.cli import command_parser, main
from documented_network import Residual

ROOT = Path(__file__).parents[2]
PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").glob("*.md"))]

NOT_RUN = {
    "make demo": "makes an environment",
    "make check": "runs the tests",
    "make test": "runs the tests",
    "make generate": "writes files of the repository, which tests compare",
    "make format": "writes files of the repository",
    ".venv/bin/pytest tests/nulls/test_shuffles.py": "runs tests",
    "python -m venv zoo": "makes an environment",
    "zoo/bin/pip install -r benchmarks/zoo-requirements.txt -e . scikit-learn": "gigabytes",
    "zoo/bin/python benchmarks/zoo.py": "an hour",
    "clusterability datasets mnist --download": "data",
    "clusterability datasets mnist-halves-diff --samples halves.png": "data",
    "clusterability datasets mnist-halves-same --samples sheet.png": "data",
    "clusterability reproduce table-a6 --runs 1": "minutes",
    "clusterability reproduce table-a6 figure-3 --out results": "hours",
    "clusterability reproduce all --hours 2": "hours",
    "clusterability reproduce tables --ray auto": "needs a cluster",
    "clusterability train --network mlp --dataset mnist --dropout --runs 5": "minutes",
    "clusterability train --network mlp --dataset mnist --dropout --runs 5 --measure": "minutes",
    "clusterability train --network mlp --dataset fashion-mnist --l2 5e-5 --mixed-l2": "minutes",
    "clusterability train --network mlp --dataset fashion-mnist --l2 5e-5 --mixed-l2 "
    "--retrain-below 1": "minutes",
    "clusterability train --network mlp --dataset mnist --modular-pruning --tags 12 "
    "--measure": "minutes",
    "clusterability train --network mlp-regression --dataset polynomials": "minutes",
    "clusterability train --network mlp-regression --dataset polynomials --no-prune": "minutes",
    "clusterability train --network small-cnn --dataset mnist-stack-diff --no-prune --measure "
    "--conventions published": "hours",
}
"""Why a command is not run; those marked ``data`` are where ``CLUSTERABILITY_DATA`` names it."""


def fenced(page, language):
    return re.findall(rf"^```{language}\n(.*?)^```$", page.read_text("utf-8"), re.S | re.M)


CONSOLES = [block for page in PAGES for block in fenced(page, "console")]
DIALOGS = [block for block in CONSOLES if block.startswith("$ ")]
COMMANDS = list(
    dict.fromkeys(line for b in CONSOLES if b not in DIALOGS for line in b.splitlines())
)


def test_every_block_is_of_a_known_kind():
    for page in PAGES:
        marks = re.findall(r"^```(.*)$", page.read_text("utf-8"), re.M)
        assert set(marks[0::2]) <= {"python", "console", "text", "toml"}, page.name
        assert set(marks[1::2]) <= {""}, page.name


@pytest.mark.slow
def test_python(tmp_path):
    """One process runs all blocks one after the other, each with names of its own."""
    blocks = [
        (f"{page.name}, block {i}", block)
        for page in PAGES
        for i, block in enumerate(fenced(page, "python"))
    ]
    code = f"for name, block in {blocks!r}:\n"
    code += "    exec(compile(block, name, 'exec'), {'__name__': '__main__'})"
    found = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], cwd=tmp_path, capture_output=True, text=True
    )
    assert found.stderr == ""
    assert found.returncode == 0


@pytest.mark.slow
@pytest.mark.parametrize("dialog", DIALOGS)
def test_commands_with_output(dialog, tmp_path, monkeypatch, capsys):
    """The layout and the words are compared; digits may differ between processors."""
    command, _, expected = dialog.removeprefix("$ ").partition("\n")
    program, *arguments = shlex.split(command)
    assert program == "clusterability"
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 0

    def words(text):
        return re.sub(r"[-\d., ]+", " ", text).split()

    assert words(capsys.readouterr().out) == words(expected)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with the files that the commands name."""
    folder = tmp_path_factory.mktemp("documentation")
    generator = torch.Generator().manual_seed(0)
    sizes = {"fc1.weight": (20, 30), "fc2.weight": (10, 20)}
    weights = {name: torch.randn(size, generator=generator) for name, size in sizes.items()}
    save_file(weights, folder / "model.safetensors")
    for name in ("a.pt", "b.pt"):
        torch.save(weights, folder / name)
    for step in (100, 200, 300):
        drawn = {name: torch.randn(size, generator=generator) for name, size in sizes.items()}
        torch.save(drawn, folder / f"ckpt_{step}.pt")
    kernels = {"conv1.weight": (6, 1, 5, 5), "conv2.weight": (16, 6, 5, 5)}
    drawn = {name: torch.randn(size, generator=generator) for name, size in kernels.items()}
    torch.save(drawn, folder / "lenet.pt")
    onnx_models.exported(Residual(), torch.zeros(1, 3, 16, 16), folder, "resnet50.onnx")
    nx.write_graphml(nx.karate_club_graph(), folder / "connectome.graphml")
    (folder / "mypackage").mkdir()
    for path in (folder / "models.py", folder / "mypackage" / "models.py"):
        path.write_text(
            "from documented_network import Residual, TwoInputs\n\n"
            "build, two_inputs = Residual, TwoInputs\n"
        )
    images = np.random.default_rng(0).random((200, 12), np.float32)
    np.savez(folder / "mydata.npz", x=images, y=np.arange(200) % 2)
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("command", [c for c in COMMANDS if NOT_RUN.get(c, "data") == "data"])
def test_commands(command, folder, monkeypatch, capsys):
    if command in NOT_RUN and not os.environ.get("CLUSTERABILITY_DATA"):
        pytest.skip("needs the data that CLUSTERABILITY_DATA names")
    monkeypatch.chdir(folder)
    program, *arguments = shlex.split(command)
    assert program == "clusterability"
    assert main(arguments) == 0
    assert capsys.readouterr().out


def test_commands_that_are_not_run_could_be():
    """They stand in the documentation, and name options, goals and files that there are."""
    assert set(NOT_RUN) <= set(COMMANDS)
    for command in NOT_RUN:
        program, *arguments = shlex.split(command)
        if program == "clusterability":
            assert command_parser().parse_args(arguments).run
        if program == "make":
            assert f"\n{arguments[0]}:" in (ROOT / "Makefile").read_text()
        for argument in arguments:
            assert not argument.endswith(".py") or (ROOT / argument).exists(), argument


def prose(page):
    """A page without its blocks of code."""
    return re.sub(r"^```.*?^```$", "", page.read_text("utf-8"), flags=re.S | re.M)


def anchors(page):
    headings = re.findall(r"^#+ (.+)$", prose(page), re.M)
    return {re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-") for text in headings}


def links(page):
    """The links of a page to files of the repository, each with its anchor."""
    targets = re.findall(r"\]\(([^)\s]+)\)", prose(page))
    for target in (t for t in targets if "://" not in t):
        name, _, anchor = target.partition("#")
        yield (page.parent / name).resolve() if name else page, anchor


def test_links_lead_somewhere():
    for page in PAGES:
        for path, anchor in links(page):
            assert path.exists(), f"{page.name} links to {path}"
            assert not anchor or anchor in anchors(path), f"{page.name} links to {path}#{anchor}"


def test_the_readme_leads_to_every_page():
    reached, ahead = set(), [ROOT / "README.md"]
    while ahead:
        page = ahead.pop()
        reached.add(page)
        ahead += [path for path, _ in links(page) if path in PAGES and path not in reached]
    assert set(PAGES) <= reached


def test_nothing_is_left_to_be_filled_in():
    for page in PAGES:
        assert not re.search(r"@[A-Z]+@", page.read_text("utf-8"))


def test_every_module_is_in_internals():
    text = (ROOT / "docs" / "internals.md").read_text("utf-8")
    folder = ROOT / "src" / "clusterability"
    modules = [path.stem for path in folder.glob("[!_]*.py")]
    wings = [f"{path.parent.name}/" for path in folder.glob("*/__init__.py")]
    assert [name for name in modules + wings if f"`{name}`" not in text] == []
