"""Write the table of structure figures into docs/internals.md.

Run by ``make generate``. The figures show early when a file, a function or a wing outgrows the
others; the test of this script holds them below limits.
"""

from __future__ import annotations

import ast
import io
import tokenize
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median

PACKAGE = Path(__file__).parent.parent / "src" / "clusterability"
PAGE = Path(__file__).parent / "internals.md"

BEGIN = "<!-- Written by docs/structure.py: run `make generate`. -->\n"
END = "<!-- End of the written table. -->\n"

MOST_LINES = 40
MOST_PARAMETERS = 7
"""Of a function; those with more are counted."""


@dataclass(frozen=True)
class Function:
    """A function or method: its lines without the docstring, its parameters without self."""

    n_lines: int
    n_parameters: int
    is_public: bool
    has_doctest: bool


@dataclass(frozen=True)
class Figures:
    """Counts over all Python files below a folder; a wing is a folder at its top."""

    file_lines: dict[Path, int]
    n_comments: int
    functions: list[Function]

    @property
    def n_lines(self) -> int:
        return sum(self.file_lines.values())

    @property
    def wing_shares(self) -> dict[str, float]:
        """Share of all lines by wing, the largest first."""
        lines: Counter[str] = Counter()
        for path, n_lines in self.file_lines.items():
            if len(path.parts) > 1:
                lines[path.parts[0]] += n_lines
        return {wing: n / self.n_lines for wing, n in lines.most_common()}


def count(folder: Path) -> Figures:
    """Count the files, lines and functions of the package in a folder."""
    file_lines, n_comments = {}, 0
    functions: list[Function] = []
    for path in sorted(folder.rglob("*.py")):
        text = path.read_text(encoding="utf-8")
        file_lines[path.relative_to(folder)] = len(text.splitlines())
        tokens = tokenize.generate_tokens(io.StringIO(text).readline)
        n_comments += sum(token.type == tokenize.COMMENT for token in tokens)
        functions += _functions(ast.parse(text), is_public=True)
    return Figures(file_lines, n_comments, functions)


def _functions(parent: ast.AST, is_public: bool) -> Iterator[Function]:
    """Yield all functions inside; one inside another function is never public."""
    for node in ast.iter_child_nodes(parent):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield _function(node, is_public and not node.name.startswith("_"))
            yield from _functions(node, is_public=False)
        elif isinstance(node, ast.ClassDef):
            yield from _functions(node, is_public and not node.name.startswith("_"))
        else:
            yield from _functions(node, is_public)


def _function(node: ast.FunctionDef | ast.AsyncFunctionDef, is_public: bool) -> Function:
    assert node.end_lineno is not None
    docstring = ast.get_docstring(node, clean=False)
    n_docstring = 0 if docstring is None else len(docstring.splitlines())
    arguments = node.args
    names = [a.arg for a in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)]
    names += [a.arg for a in (arguments.vararg, arguments.kwarg) if a is not None]
    return Function(
        n_lines=node.end_lineno - node.lineno + 1 - n_docstring,
        n_parameters=sum(name not in ("self", "cls") for name in names),
        is_public=is_public,
        has_doctest=">>> " in (docstring or ""),
    )


def table(figures: Figures) -> str:
    """Return the figures as a Markdown table."""
    files, functions = figures.file_lines.values(), figures.functions
    lengths = [function.n_lines for function in functions]
    n_many = sum(function.n_parameters > MOST_PARAMETERS for function in functions)
    public = [function for function in functions if function.is_public]
    wing, share = next(iter(figures.wing_shares.items()))
    rows = [
        ("files, lines", f"{len(files)}, {figures.n_lines:,}"),
        ("lines of a file: median, largest", f"{median(files):g}, {max(files)}"),
        (
            f"lines of a function: median, longest, over {MOST_LINES}",
            f"{median(lengths):g}, {max(lengths)}, {sum(n > MOST_LINES for n in lengths)}",
        ),
        (f"functions with more than {MOST_PARAMETERS} parameters", f"{n_many}"),
        ("largest wing's share of the lines", f"`{wing}/`, {share:.1%}"),
        ("comments in a hundred lines", f"{100 * figures.n_comments / figures.n_lines:.1f}"),
        (
            "public functions with a doctest",
            f"{sum(f.has_doctest for f in public)} of {len(public)}",
        ),
    ]
    return "\n".join(["| | |", "|---|---|", *(f"| {name} | {value} |" for name, value in rows)])


def with_table(page: str, figures: Figures) -> str:
    """Return a page with the figures' table between its two marks."""
    before, rest = page.split(BEGIN)
    _, after = rest.split(END)
    return f"{before}{BEGIN}\n{table(figures)}\n\n{END}{after}"


if __name__ == "__main__":
    PAGE.write_text(with_table(PAGE.read_text("utf-8"), count(PACKAGE)), encoding="utf-8")
