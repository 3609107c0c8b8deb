"""The cells of the notebooks run, and print the words that stand under them."""

import ast
import contextlib
import io
import json
import re
from pathlib import Path

import pytest
from matplotlib import pyplot

pandas = pytest.importorskip("pandas")

NOTEBOOKS = sorted((Path(__file__).parents[2] / "docs" / "notebooks").glob("*.ipynb"))


def words(text):
    """Digits may differ between processors, and lines are broken by the width of a screen."""
    return re.sub(r"[-\d., \\]+", " ", text).split()


def run(source, names):
    """Run a cell, and return what it prints and the value of its last expression."""
    body = ast.parse(source).body
    last = body.pop() if body and isinstance(body[-1], ast.Expr) else None
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(ast.Module(body, []), "a cell", "exec"), names)
        value = last and eval(compile(ast.Expression(last.value), "a cell", "eval"), names)
    # As in a notebook, a semicolon at the end keeps the value to itself.
    return printed.getvalue(), None if source.rstrip().endswith(";") else value


@pytest.mark.slow
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_cells(path, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MPLBACKEND", "agg")
    names = {"__name__": "__main__"}
    cells = [c for c in json.loads(path.read_text("utf-8"))["cells"] if c["cell_type"] == "code"]
    assert cells
    for cell in cells:
        printed, value = run("".join(cell["source"]), names)
        if isinstance(value, pandas.DataFrame):  # of the width that it has in a notebook
            text = value.to_string(line_width=80)
        else:
            text = "" if value is None else repr(value)
        texts = [o["text"] for o in cell["outputs"] if o["output_type"] == "stream"]
        assert words(printed) == words("".join(map("".join, texts)))
        results = [o["data"] for o in cell["outputs"] if o["output_type"] == "execute_result"]
        expected = [words(text)] if text else []
        assert [words("".join(data["text/plain"])) for data in results] == expected
    pyplot.close("all")


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_they_are_small_and_were_run_from_top_to_bottom(path):
    assert path.stat().st_size < 2**20
    cells = json.loads(path.read_text("utf-8"))["cells"]
    counts = [cell["execution_count"] for cell in cells if cell["cell_type"] == "code"]
    assert counts == list(range(1, len(counts) + 1))
    assert "/home/" not in path.read_text("utf-8")
