"""docs/cli.md is current, and the same for any terminal and version of Python."""

import argparse
import os
import subprocess
import sys

from cli_reference import PAGE, reference
from clusterability.cli import command_parser


def test_the_page_is_current():
    found = PAGE.read_text(encoding="utf-8")
    assert found == reference(command_parser()), "run make generate"


def test_terminal_and_torch_play_no_part():
    steps = [
        "import sys, cli_reference as written",
        "page = written.reference(written.command_parser())",
        "print('torch' in sys.modules, page, sep='\\n')",
    ]
    environment = os.environ | {"COLUMNS": "20", "FORCE_COLOR": "1", "PYTHONIOENCODING": "utf-8"}
    environment["PYTHONPATH"] = os.pathsep.join([str(PAGE.parent), *sys.path])
    found = subprocess.run(
        [sys.executable, "-c", "; ".join(steps)],
        env=environment,
        capture_output=True,
        encoding="utf-8",
        check=True,
    )
    assert found.stdout == f"False\n{reference(command_parser())}\n"


def test_every_option_has_a_row():
    page = reference(command_parser())
    commands = [a for a in command_parser()._actions if isinstance(a, argparse._SubParsersAction)]
    for parser in commands[0].choices.values():
        for action in parser._actions:
            for name in action.option_strings:
                assert f"`{name}`" in page or f"`{name} " in page


def test_an_argument_of_each_kind():
    parser = argparse.ArgumentParser(prog="program", description="What 1 < 2 | 3 * 4 is.")
    parser.add_argument("--level", "-l", type=int, default=3, help="of %(prog)s (%(default)s)")
    parser.add_argument("--kind", choices=("a", "b"), required=True, help="one")
    parser.add_argument("--fast", action=argparse.BooleanOptionalAction, default=True, help="go")
    parser.add_argument("paths", nargs="*", metavar="PATH")
    _, _, *rows = reference(parser).rstrip().split("\n\n")
    assert rows[0] == r"What 1 \< 2 \| 3 \* 4 is."
    assert rows[1] == "```text\nprogram --kind {a,b} [PATH ...] [options]\n```"
    assert rows[2].splitlines()[2:] == ["| `[PATH ...]` |  |"]
    assert rows[3].splitlines()[3:] == [
        "| `--level`, `-l LEVEL` | of program (3) |",
        "| `--kind {a,b}` | one (required) |",
        "| `--fast`, `--no-fast` | go |",
    ]
