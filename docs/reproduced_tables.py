"""Write the tables of docs/reproduction.md from the results in benchmarks/results/reproduction.

Run by ``make generate``. Above each table stands a comment with the name of its file; what follows
up to the next empty line is written anew, in the form of ``clusterability reproduce``.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping
from pathlib import Path

from clusterability.experiments.comparing import Compared, ComparedLine, tolerances
from clusterability.experiments.records import Table
from clusterability.experiments.tables import TABLES
from clusterability.experiments.writing import NUMBERS, SCORES, markdown

PAGE = Path(__file__).parent / "reproduction.md"
RESULTS = Path(__file__).parent.parent / "benchmarks" / "results" / "reproduction"

TABLE = re.compile(r"<!-- ([\w-]+/table-\w+) -->\n(?:\|.*\n)*(?:\n[^\n]*, after at most .*\n)?")
BY_NAME = {table.name: table for table in TABLES.values()}


def with_tables(page: str) -> str:
    """Return a page with each table written from its file."""
    return TABLE.sub(lambda found: f"<!-- {found[1]} -->\n{_markdown(found[1])}", page)


def _markdown(name: str) -> str:
    found = rows(f"{name}.csv")
    table = table_of(name, found)
    return markdown(table, lines_of(table, found))


def table_of(name: str, rows: list[dict[str, str]]) -> Table:
    """Return the table of a file of results, by its name without the suffix and its rows."""
    table = BY_NAME[name.rpartition("/")[2]]
    max_epochs = rows[0].get("max_epochs")
    return table.shortened(int(max_epochs)) if max_epochs else table


def rows(name: str) -> list[dict[str, str]]:
    """Return the rows of a file of results."""
    return list(csv.DictReader((RESULTS / name).read_text(encoding="utf-8").splitlines()))


def lines_of(table: Table, rows: list[dict[str, str]]) -> list[ComparedLine]:
    """Return a table's lines, without their networks, from the rows of its file."""
    by_name = {(line.dataset, line.treatment, line.phase): line for line in table.lines}
    found = []
    for row in rows:
        line = by_name[row["dataset"], row["treatment"], row["phase"]]
        n_finished, n_wanted = int(row["n_networks"]), int(row["n_wanted"])
        tolerated = tolerances(table.published(line), n_finished)
        numbers = {name: _compared(row, name, tolerated[name]) for name in (*NUMBERS, *SCORES)}
        found.append(ComparedLine(line, (), n_finished, n_wanted, numbers, {}))
    return found


def _compared(row: Mapping[str, str], name: str, tolerance: float | None) -> Compared:
    columns = (name, f"{name}_std", f"{name}_published", f"{name}_published_std")
    ours, std, published, published_std = (float(row[c]) if row[c] else None for c in columns)
    return Compared(ours, std, published, published_std, tolerance)


if __name__ == "__main__":
    PAGE.write_text(with_tables(PAGE.read_text("utf-8")), encoding="utf-8")
