"""One page with all tables and figures of a reproduction."""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass

from clusterability.experiments.comparing import ComparedLine
from clusterability.experiments.records import Figure, Table
from clusterability.experiments.writing import header, row, shown_numbers

STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; color: #222; max-width: 1240px; margin: 2em auto;
       padding: 0 1em }
h2 { font-size: 1.15em; margin: 2.2em 0 .5em } p { margin: .4em 0 }
table { border-collapse: collapse; font-size: 13px }
th, td { padding: .25em .7em; text-align: left; border-bottom: 1px solid #ddd; white-space: nowrap }
td.missed { background: #fde7dc } img { max-width: 100% } .wide { overflow-x: auto }
.about { color: #666; font-size: 13px }
"""


@dataclass(frozen=True)
class Section:
    """One table with its lines, or one figure with the name of its file."""

    experiment: Table | Figure
    lines: Sequence[ComparedLine] = ()
    file: str | None = None


def page(sections: Sequence[Section], facts: Sequence[str]) -> str:
    """Return the page as HTML.

    Args:
        sections: in their order.
        facts: of the machine, the versions and the time, a sentence each.
    """
    body = [
        "<h1>Clusterability in Neural Networks: tables and figures reproduced</h1>",
        *(f"<p class=about>{html.escape(fact)}</p>" for fact in facts),
        "<p>Ours, in brackets the published numbers; what is not within tolerance is colored.</p>",
        *(_section(section) for section in sections),
    ]
    return (
        "<!doctype html>\n<html lang=en><meta charset=utf-8><title>Reproduction</title>"
        f"<style>{STYLE}</style>\n" + "\n".join(body) + "\n</html>\n"
    )


def _section(section: Section) -> str:
    experiment = section.experiment
    kind = type(experiment).__name__
    title = f"<h2>{kind} {experiment.number}: {html.escape(experiment.heading)}</h2>"
    if isinstance(experiment, Table):
        links = " ".join(
            f'<a href="{experiment.name}.{suffix}">{suffix}</a>' for suffix in ("csv", "md", "tex")
        )
        each = f'<a href="{experiment.name}-networks.csv">each network</a>'
        return f"{title}\n{_table(section.lines)}\n<p class=about>{links} {each}</p>"
    alt = html.escape(experiment.heading, quote=True)
    return f'{title}\n<img src="{section.file}" alt="{alt}">'


def _table(lines: Sequence[ComparedLine]) -> str:
    names = shown_numbers(lines)
    head = "".join(f"<th>{html.escape(title)}</th>" for title in header(lines))
    rows = []
    for compared in lines:
        cells = row(compared, names)
        missed = {4 + names.index(name) for name in compared.missed if name in names}
        rows.append(
            "".join(
                f"<td{' class=missed' if i in missed else ''}>{html.escape(cell)}</td>"
                for i, cell in enumerate(cells)
            )
        )
    body = "\n".join(f"<tr>{cells}</tr>" for cells in rows)
    return f"<div class=wide><table><tr>{head}</tr>\n{body}</table></div>"
