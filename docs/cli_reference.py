"""Write docs/cli.md, the reference of the command line, from the parsers.

Run by ``make generate``. The parsers' actions are read one by one instead of calling
``format_help``, whose layout depends on the width of the terminal and on the version of Python.
"""

from __future__ import annotations

import argparse
import textwrap
from collections.abc import Iterator
from pathlib import Path

from clusterability.cli import command_parser

PAGE = Path(__file__).parent / "cli.md"

NOTE = "<!-- Written by docs/cli_reference.py: change the parsers, then run `make generate`. -->"

REPEATS: dict[int | str | None, str] = {
    None: "{}",
    "?": "[{}]",
    "*": "[{} ...]",
    "+": "{0} [{0} ...]",
    argparse.PARSER: "{} ...",
}
"""How often an argument is given, by its ``nargs``."""


def reference(parser: argparse.ArgumentParser) -> str:
    """Return the page that describes a command and its subcommands."""
    parts = ["# The command line", NOTE, *_command(parser)]
    return "\n\n".join(parts) + "\n"


def _command(parser: argparse.ArgumentParser) -> Iterator[str]:
    """Yield the paragraphs of a command, then those of its subcommands."""
    yield _prose(parser.description or "")
    yield f"```text\n{_usage(parser)}\n```"
    for group in parser._action_groups:
        actions = [a for a in group._group_actions if a.nargs != argparse.PARSER]
        rows = [(_spelling(action), _help(action, parser)) for action in actions]
        if rows:
            yield _table(group.title or "", rows)
    yield from _epilog(parser.epilog or "")
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for name, child in action.choices.items():
                yield f"## {parser.prog} {name}"
                yield from _command(child)


def _usage(parser: argparse.ArgumentParser) -> str:
    """Return the usage with the arguments that must be given; the table has the others."""
    options = [a for a in parser._actions if a.option_strings and a.required]
    positionals = [a for a in parser._actions if not a.option_strings]
    words = [_spelling(action).strip("`") for action in (*options, *positionals)]
    return " ".join([parser.prog, *words, "[options]"])


def _spelling(action: argparse.Action) -> str:
    """Return an argument as it is typed, as code."""
    value = action.metavar or _listed(action) or action.dest.upper()
    if not action.option_strings:
        return f"`{REPEATS[action.nargs].format(value)}`"
    *others, last = action.option_strings
    if action.nargs != 0:
        last += f" {REPEATS[action.nargs].format(value)}"
    return ", ".join(f"`{name}`" for name in (*others, last))


def _listed(action: argparse.Action) -> str:
    return "{" + ",".join(map(str, action.choices)) + "}" if action.choices else ""


def _help(action: argparse.Action, parser: argparse.ArgumentParser) -> str:
    """Return an argument's help; Python up to 3.12 appends the default to that of a switch."""
    text = (action.help or "").removesuffix(" (default: %(default)s)")
    text %= {**vars(action), "prog": parser.prog}
    return f"{text} (required)" if action.required and action.option_strings else text


def _table(title: str, rows: list[tuple[str, str]]) -> str:
    cells = [f"| {name} | {_prose(text)} |" for name, text in rows]
    return "\n".join([f"| {title} | |", "|---|---|", *cells])


def _epilog(text: str) -> Iterator[str]:
    """Yield the paragraphs below the options, the examples as a block of commands."""
    for paragraph in text.strip().split("\n\n"):
        if paragraph.startswith("examples:\n"):
            yield f"```console\n{textwrap.dedent(paragraph.partition(chr(10))[2])}\n```"
        elif paragraph:
            yield _prose(paragraph)


def _prose(text: str) -> str:
    """Return text on one line, with Markdown's own signs escaped."""
    line = " ".join(text.split())
    for sign in ("*", "<", "|"):
        line = line.replace(sign, f"\\{sign}")
    return line


if __name__ == "__main__":
    PAGE.write_text(reference(command_parser()), encoding="utf-8")
