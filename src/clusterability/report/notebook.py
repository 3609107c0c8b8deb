"""A result as a notebook shows it: its table, sentence and sheet in HTML."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from html import escape

from clusterability.display.figure_files import NOTEBOOK_DOTS_PER_INCH, encoded
from clusterability.report.figures import sheet
from clusterability.report.text import cluster_rows, heading, number_rows, rest_of_clusters
from clusterability.report.verdict import sentence
from clusterability.result import Clusterability
from clusterability.shown import shown


def html(result: Clusterability) -> str:
    """Return the table, the sentence, the warnings and the sheet of a result as HTML.

    Names and warnings come from the network's file: markup in them is shown as text. The sheet is a
    picture within the HTML, so that a saved notebook keeps it.
    """
    lines = [sentence(result), *(f"warning: {shown(text, 1000)}" for text in result.warnings)]
    picture = base64.b64encode(encoded(sheet(result), "sheet.png", NOTEBOOK_DOTS_PER_INCH)).decode()
    return "\n".join(
        [
            "<div>",
            f"<p>{_text(heading(result))}</p>",
            _table(number_rows(result)),
            _table(cluster_rows(result)),
            *(f"<p>{_text(line)}</p>" for line in [*rest_of_clusters(result), *lines]),
            f'<img alt="The sheet of figures" style="max-width: 100%" '
            f'src="data:image/png;base64,{picture}">',
            "</div>",
        ]
    )


def _table(rows: Sequence[Sequence[str]]) -> str:
    first, *others = rows
    head = "".join(f"<th>{_text(cell)}</th>" for cell in first)
    body = "".join(
        "<tr>" + "".join(f"<td>{_text(cell)}</td>" for cell in row) + "</tr>" for row in others
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _text(words: str) -> str:
    # Notebooks set what stands between dollar signs as mathematics.
    return escape(words).replace("$", "<span>$</span>")
