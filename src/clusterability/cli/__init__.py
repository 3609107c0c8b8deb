"""The command ``clusterability`` parses arguments, calls the package, and writes the outputs."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import threading
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import NoReturn

from clusterability._version import __version__
from clusterability.cli import datasets, measure, reproduce, train
from clusterability.errors import ClusterabilityError, InputError

COMMANDS = (measure, train, reproduce, datasets)
"""Each has ``add_parser(commands)``, and ``run(args, written)``, which appends written paths."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code: 2 for a user's mistake, 1 for other failures."""
    written: list[str] = []
    try:
        args = command_parser().parse_args(arguments)
        with _terminable(), _warnings_in_a_line():
            args.run(args, written)
        if sys.stdout is not None:
            sys.stdout.flush()
    except ClusterabilityError as error:
        _complain(str(error))
        return 2 if isinstance(error, InputError) else 1
    except KeyboardInterrupt as interrupt:
        _leave_interrupted(interrupt, written)
    except RuntimeError as error:
        # Before Python 3.12, an interrupt while a class is made comes as the cause of this one.
        if not isinstance(error.__cause__, KeyboardInterrupt):
            raise
        _leave_interrupted(error.__cause__, written)
    except BrokenPipeError:
        # The pipe's reader has closed it. Python would report this again at exit, when it flushes.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (OSError, MemoryError) as error:
        _complain(f"{error or 'out of memory'}; free some space or memory, or write elsewhere")
        _leave_at_once(1)
    return 0


class Termination(KeyboardInterrupt):
    """A request to end the process, as a cluster's scheduler sends before it kills."""


@contextmanager
def _terminable() -> Iterator[None]:
    """Treat a request to end the process as an interrupt, unless someone else handles it."""
    is_main = threading.current_thread() is threading.main_thread()
    if not is_main or signal.getsignal(signal.SIGTERM) != signal.SIG_DFL:
        yield
        return
    signal.signal(signal.SIGTERM, _terminate)
    try:
        yield
    finally:
        if signal.getsignal(signal.SIGTERM) is _terminate:  # what runs may have set its own
            signal.signal(signal.SIGTERM, signal.SIG_DFL)


@contextmanager
def _warnings_in_a_line() -> Iterator[None]:
    """Show a warning as a sentence, without the file and the line of code that it came from."""
    usual = warnings.showwarning

    def show(message: Warning | str, *_: object, **__: object) -> None:
        _complain(f"warning: {' '.join(str(message).split())}")

    warnings.showwarning = show
    try:
        yield
    finally:
        warnings.showwarning = usual


def _terminate(*_: object) -> NoReturn:
    raise Termination


def _leave_interrupted(interrupt: KeyboardInterrupt, written: Sequence[str]) -> NoReturn:
    is_asked = isinstance(interrupt, Termination)
    happened = "asked to end" if is_asked else "interrupted"
    _complain(f"{happened}; written: {', '.join(written) or 'nothing'}")
    # What a shell reports of a process that the signal ended.
    _leave_at_once(128 + (signal.SIGTERM if is_asked else signal.SIGINT))


def _complain(message: str) -> None:
    if sys.stderr is not None:
        print(f"clusterability: {message}", file=sys.stderr, flush=True)


def _leave_at_once(code: int) -> NoReturn:
    """Exit without waiting for other threads: their compiled loops cannot be interrupted."""
    os._exit(code)


def command_parser() -> argparse.ArgumentParser:
    """Return the parser of the command and all its subcommands."""
    parser = argparse.ArgumentParser(
        prog="clusterability",
        description="How far a trained neural network falls apart into clusters of neurons, "
        "and whether that is more than chance.",
    )
    parser.add_argument("--version", action="version", version=f"clusterability {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    for command in COMMANDS:
        command.add_parser(commands).set_defaults(run=command.run)
    return parser
