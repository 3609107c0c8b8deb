"""Colors and font sizes of all figures, and text that is safe to draw."""

from __future__ import annotations

from functools import cache

from matplotlib.font_manager import FontProperties, findfont, get_font

from clusterability.shown import shown

# Any two colors lie at least 29 apart in CIELAB, also for viewers without red or green cones.
CLUSTER_COLORS = (
    *("#092fc9", "#fab71e", "#209060", "#660032", "#8ebcf6", "#c35f00"),
    *("#342077", "#b4cb72", "#147884", "#f0b3bd", "#7686fc", "#602800"),
)
INK = "#222222"
GRAY = "#8a8a8a"
PLAIN = "#0072b2"
REFINED = "#d55e00"

TITLE_SIZE = 10.5
LABEL_SIZE = 9
TICK_SIZE = 8


def cluster_color(label: int) -> str:
    """Return the color of a cluster; the twelve colors repeat after the twelfth cluster."""
    return CLUSTER_COLORS[label % len(CLUSTER_COLORS)]


def drawable(text: str, limit: int = 60) -> str:
    r"""Escape and shorten a text as in the terminal, and escape characters without a glyph.

    >>> drawable("conv\x1b1")
    'conv\\x1b1'
    """
    ends = text if len(text) <= 2 * limit else text[:limit] + text[-limit:]
    glyphs = _glyphs()
    known = (
        character
        if ord(character) in glyphs or not character.isprintable()
        else character.encode("unicode_escape").decode()
        for character in ends
    )
    # Only text longer than the limit was cut, so that shown() still leaves out its middle.
    return shown("".join(known), limit)


@cache
def _glyphs() -> frozenset[int]:
    # For a character that the font lacks, matplotlib warns and draws a box.
    return frozenset(get_font(findfont(FontProperties())).get_charmap())
