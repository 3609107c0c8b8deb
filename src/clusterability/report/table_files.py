"""A table of several results as CSV, Markdown or LaTeX, one row a network."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence
from pathlib import Path

from clusterability.errors import InputError
from clusterability.files.writing import check_writable
from clusterability.report.frames import Records, numbers
from clusterability.report.labels import harmless
from clusterability.report.text import comparison_rows
from clusterability.result import Clusterability
from clusterability.shown import show_path

_LATEX = {
    **{sign: f"\\{sign}" for sign in "&%$#_{}"},
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    '"': r"\textquotedbl{}",
}


def table_csv(results: Sequence[Clusterability], records: Records | None = None) -> str:
    """Return all numbers of the results in full precision; a field is empty where there is none.

    ``records`` are the rows of numbers, if there are more than those of a result by itself. If a
    spreadsheet would run a network's name as a formula, an apostrophe is put before it.

    >>> from clusterability import measure, toy
    >>> result = measure(toy.path(), n_clusters=2, n_shuffles=0, name="=A1")
    >>> table_csv([result]).splitlines()[1][:12]
    "'=A1,4,0,4,1"
    """
    text = io.StringIO()
    rows = [numbers(result) for result in results] if records is None else records
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    for row in rows:
        names = {key: harmless(value) for key, value in row.items() if isinstance(value, str)}
        writer.writerow(row | names)
    return text.getvalue()


def table_markdown(results: Sequence[Clusterability]) -> str:
    """Return the numbers for people as a Markdown table; markup in names is shown as text."""
    rows = [[_in_markdown(cell) for cell in row] for row in comparison_rows(results)]
    texts = [f"| {' | '.join(cells)} |" for cells in rows]
    ruler = "|---|" + "---:|" * (len(rows[0]) - 1)
    return "\n".join([texts[0], ruler, *texts[1:]]) + "\n"


def table_latex(results: Sequence[Clusterability]) -> str:
    """Return the numbers for people as a LaTeX table, for the package booktabs and UTF-8."""
    rows = [[_in_latex(cell) for cell in row] for row in comparison_rows(results)]
    texts = [" & ".join(cells) + r" \\" for cells in rows]
    return "\n".join(
        [
            rf"\begin{{tabular}}{{l{'r' * (len(rows[0]) - 1)}}}",
            r"\toprule",
            texts[0],
            r"\midrule",
            *texts[1:],
            r"\bottomrule",
            r"\end{tabular}",
            "",
        ]
    )


SUFFIXES = (".csv", ".md", ".tex")


def check_table_path(path: str | Path) -> None:
    """Refuse a path that a table cannot be written to; called before the computation.

    Raises:
        InputError: if the suffix is not .csv, .md or .tex, or the path cannot be written.
    """
    suffix = Path(path).suffix.lower()
    if suffix not in SUFFIXES:
        raise InputError(
            f"cannot write a table to {show_path(path)}: its suffix is {suffix!r};"
            f" use one of {', '.join(SUFFIXES)}"
        )
    check_writable(path)


def table_file(
    results: Sequence[Clusterability], path: str | Path, records: Records | None = None
) -> bytes:
    """Return the bytes of a table's file, in the format of the path's suffix."""
    suffix = Path(path).suffix.lower()
    if suffix == ".csv":
        return table_csv(results, records).encode()
    return (table_markdown(results) if suffix == ".md" else table_latex(results)).encode()


def _in_markdown(cell: str) -> str:
    return re.sub(r"([\\`*_{}\[\]<>()#+!|$&~])", r"\\\1", cell.replace("+-", "±"))


def _in_latex(cell: str) -> str:
    parts = cell.split("+-")
    escaped = ("".join(_LATEX.get(sign, sign) for sign in part) for part in parts)
    # A number's minus is longer than a hyphen.
    return re.sub(r"^-(?=\d)", "$-$", r"$\pm$".join(escaped))
