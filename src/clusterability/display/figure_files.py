"""Figure files: the check of the suffix, and the bytes, which hold no dates."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.figure import Figure

from clusterability.errors import InputError
from clusterability.files.writing import check_writable
from clusterability.shown import described

# Without dates the same result gives the same bytes.
METADATA: dict[str, dict[str, Any]] = {
    ".png": {"Software": None},
    ".svg": {"Date": None},
    ".pdf": {"CreationDate": None},
}


DOTS_PER_INCH = 160

NOTEBOOK_DOTS_PER_INCH = 90
"""Enough for a screen, so that notebooks stay small."""


def check_figure_path(path: str | Path) -> None:
    """Refuse a path that a figure cannot be written to; called before the computation.

    Raises:
        InputError: if the suffix is not .png, .svg or .pdf, or the path cannot be written.
    """
    if not isinstance(path, str | Path):
        raise InputError(f"the path of a figure is {described(path)}, expected such as 'sheet.pdf'")
    suffix = Path(path).suffix.lower()
    if suffix not in METADATA:
        raise InputError(
            f"cannot write a figure to {str(path)!r}: its suffix is {suffix!r};"
            f" use one of {', '.join(METADATA)}"
        )
    check_writable(path)


def encoded(figure: Figure, path: str | Path, dots_per_inch: int = DOTS_PER_INCH) -> bytes:
    """Return the bytes of the figure's file, in the format of the path's suffix."""
    suffix = Path(path).suffix.lower()
    buffer = io.BytesIO()
    # Publishers accept fonts of type 42 only; the salt makes the identifiers in SVG repeatable.
    settings: dict[Any, Any] = {"svg.hashsalt": "clusterability", "pdf.fonttype": 42}
    with matplotlib.rc_context(settings):
        figure.savefig(buffer, format=suffix[1:], dpi=dots_per_inch, metadata=METADATA[suffix])
    return buffer.getvalue()


class ShownFigure(Figure):
    """A figure that a notebook shows, also where pyplot, which sees to that, was not imported."""

    def _repr_png_(self) -> bytes:
        return encoded(self, "figure.png", NOTEBOOK_DOTS_PER_INCH)
