"""Pages on a terminal are wrapped and colored, elsewhere plain."""

import io
import re

import pytest

from clusterability.display.terminal import Table, plain_text, print_page

NAME = "a network with a long name [bold]and what looks like markup[/bold]"
PAGE = [
    NAME,
    Table([("layer", "neurons"), ("first", "12"), ("[red]x[/red]", "3,456")], left=[0]),
    f"One sentence of more than twenty characters.\nwarning: {NAME}",
]


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def printed(monkeypatch):
    """What a terminal of some width receives."""

    def show(width, page=PAGE, **environment):
        for name in ("NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
            monkeypatch.delenv(name, raising=False)
        for name, value in {"TERM": "xterm", "COLUMNS": str(width), **environment}.items():
            monkeypatch.setenv(name, value)
        file = Terminal()
        print_page(page, file)
        return file.getvalue()

    return show


def test_elsewhere_it_is_plain():
    file = io.StringIO()
    print_page(PAGE, file)
    assert file.getvalue() == plain_text(PAGE) + "\n"
    rows = ["layer         neurons", "first              12", "[red]x[/red]    3,456"]
    assert plain_text(PAGE).split("\n\n")[1].splitlines() == rows


@pytest.mark.parametrize("width", [20, 40, 200])
def test_it_wraps_at_any_width_and_loses_nothing(printed, width):
    text = re.sub(r"\x1b\[[\d;]*m", "", printed(width))
    assert max(map(len, text.splitlines())) <= width
    assert sorted("".join(text.split())) == sorted("".join(plain_text(PAGE).split()))


@pytest.mark.parametrize("width", [24, 30, 40, 60, 80, 120])
def test_numbers_stay_whole_on_a_narrow_terminal(printed, width):
    head = ("network", "n-cut", "shuffles", "effect", "effective clusters", "neurons")
    rows = [("net", "8.551", "8.933 +- 0.029", "-4.3 %", "5.2 of 12", "1,818"), ("b", *"12345")]
    text = printed(width, [Table([head, *rows], left=[0])], NO_COLOR="1")
    lines = re.sub(r"\x1b\[[\d;]*m", "", text).splitlines()
    assert max(map(len, lines)) <= width
    words = " ".join(lines).split()
    for word in " ".join([*head[1:], *rows[0][1:], *rows[1][1:]]).split():
        assert word in words
    assert any("-4.3 %" in line for line in lines)
    n_parts = text.count("\n\n") + 1
    assert [word for word in words if word in ("network", "net", "b")] == [
        *("network", "net", "b") * n_parts
    ]
    assert (n_parts > 1) == (width < 60)


@pytest.mark.parametrize("width", [0, 1, 12, 19])
def test_a_terminal_of_a_few_characters_or_none_gets_plain_text(printed, width):
    assert printed(width) == plain_text(PAGE) + "\n"


def test_color_unless_it_is_unwanted(printed):
    assert "\x1b[33mwarning" in printed(200)
    assert "\x1b[33m" not in printed(200, NO_COLOR="1")
    assert "\x1b" not in printed(200, TERM="dumb")
