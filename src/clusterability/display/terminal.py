"""Pages of paragraphs and tables: as plain text, or on a terminal with wrapping and color."""

from __future__ import annotations

import io
import re
import sys
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any

from clusterability.display.tables import align

if TYPE_CHECKING:
    from rich.console import Console

WARNING = "warning: "
"""Lines that begin so are shown in another color."""

NARROWEST = 20
"""On terminals narrower than this, or of no known width, text is not wrapped."""

LEAST_NAME = 12
"""Columns of names may become as narrow as this, though names break then."""

_SPACE = r" (?!%|\+-)"
"""Where cells may break: not within ``4.3 %``, nor before the sign of ``8.933 +- 0.029``."""


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
    from rich.text import Text

    console = Console(file=file, highlight=False, soft_wrap=False)
    if console.width < NARROWEST:
        print(plain_text(page), file=file)
        return
    for number, part in enumerate(page):
        if number:
            console.print()
        if isinstance(part, str):
            for line in part.splitlines():
                console.print(Text(line, style="yellow" if line.startswith(WARNING) else ""))
        else:
            _print_table(part, console)


def _print_table(table: Table, console: Console) -> None:
    """Print a table, or several one below the other where one would break words or numbers.

    Each of several begins with the first column.
    """
    from rich.cells import cell_len
    from rich.table import Table as Wrapped
    from rich.text import Text

    least, wanted = [], []
    for column, cells in enumerate(zip(*table.rows, strict=True)):
        words = [word for cell in cells for word in re.split(_SPACE, cell)]
        longest = max(map(cell_len, words))
        least.append(min(longest, LEAST_NAME) if column in table.left else longest)
        wanted.append(max(map(cell_len, cells)))
    for number, columns in enumerate(_groups(least, console.width)):
        if number:
            console.print()
        parts = [least[i] for i in columns], [wanted[i] for i in columns]
        widths, gap = _widths(*parts, console.width)
        wrapped = Wrapped(box=None, pad_edge=False, padding=(0, gap, 0, 0), header_style="bold")
        for column, width in zip(columns, widths, strict=True):
            justify: Any = "left" if column in table.left else "right"
            name = Text(table.rows[0][column])
            wrapped.add_column(name, justify=justify, overflow="fold", width=width)
        for row in table.rows[1:]:
            wrapped.add_row(*(Text(row[column]) for column in columns))
        console.print(wrapped)


def _groups(least: Sequence[int], room: int) -> list[list[int]]:
    """Return the numbers of columns that fit beside each other, all of them if possible.

    Args:
        least: least width of each column.
        room: width of the terminal.
    """
    groups = [[0]]
    for column in range(1, len(least)):
        group = [*groups[-1], column]
        if len(group) > 2 and sum(least[i] + 1 for i in group) - 1 > room:
            group = [0, column]
            groups.append(group)
        groups[-1] = group
    return groups


def _widths(least: Sequence[int], wanted: Sequence[int], room: int) -> tuple[list[int], int]:
    """Return the widths of columns, and the gap between them: 2, or 1 where that is too much."""
    n_gaps = len(least) - 1
    gap = 2 if sum(least) + 2 * n_gaps <= room else 1
    widths = list(wanted)
    while sum(widths) + gap * n_gaps > room and max(widths) > 1:
        spare = [width - low for width, low in zip(widths, least, strict=True)]
        most = spare if max(spare) > 0 else widths  # on a very narrow terminal words break
        widths[most.index(max(most))] -= 1
    return widths, gap
