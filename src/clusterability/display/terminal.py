"""Pages of paragraphs and tables: as plain text, or on a terminal with wrapping and color."""

from __future__ import annotations

import io
import sys
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import IO

from clusterability.display.tables import align

WARNING = "warning: "
"""Lines that begin so are shown in another color."""


@dataclass(frozen=True)
class Table:
    """The cells of a table, the headings first; ``left`` are the columns that are flush left.

    >>> print(Table([("name", "neurons"), ("fc1", "256")], left=[0]))
    name  neurons
    fc1       256
    """

    rows: Sequence[Sequence[str]]
    left: Collection[int] = ()

    def __str__(self) -> str:
        return align(self.rows, self.left)


Page = Sequence[str | Table]
"""Paragraphs and tables, one below the other."""


def plain_text(page: Page) -> str:
    """Return a page as text, with an empty line between its parts."""
    return "\n\n".join(map(str, page))


def print_page(page: Page, file: IO[str] | None = None) -> None:
    """Print a page: on a terminal wrapped to its width and in color, elsewhere as plain text.

    The environment variable NO_COLOR leaves out the color.

    Args:
        page: what to print.
        file: where; by default standard output. Characters that it cannot encode are replaced.
    """
    file = sys.stdout if file is None else file
    if isinstance(file, io.TextIOWrapper):
        file.reconfigure(errors="replace")
    if file.isatty():
        _print_wrapped(page, file)
    else:
        print(plain_text(page), file=file)


def _print_wrapped(page: Page, file: IO[str]) -> None:
    # Pipes and files need not wait for it.
    from rich.console import Console
    from rich.table import Table as Wrapped
    from rich.text import Text

    console = Console(file=file, highlight=False, soft_wrap=False)
    for number, part in enumerate(page):
        if number:
            console.print()
        if isinstance(part, str):
            for line in part.splitlines():
                console.print(Text(line, style="yellow" if line.startswith(WARNING) else ""))
            continue
        head, *rows = part.rows
        wrapped = Wrapped(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
        for column, name in enumerate(head):
            justify = "left" if column in part.left else "right"
            wrapped.add_column(Text(name), justify=justify, overflow="fold")  # type: ignore[arg-type]
        for row in rows:
            wrapped.add_row(*map(Text, row))
        console.print(wrapped)
