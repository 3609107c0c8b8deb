"""A request to end the process, SIGTERM, while the command runs, and whose answer it is."""

import os
import signal
import threading

import pytest

from clusterability.cli import datasets, main
from forked import Forked


@pytest.fixture
def handlers(monkeypatch):
    """The handlers that the command had as it ran."""
    found = []
    run = lambda *_: found.append(signal.getsignal(signal.SIGTERM))  # noqa: E731
    monkeypatch.setattr(datasets, "run", run)
    return found


def test_the_handler_is_there_while_the_command_runs_alone(handlers):
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
    assert main(["datasets"]) == 0
    assert handlers != [signal.SIG_DFL]
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL


def test_a_handler_of_the_caller_stays(handlers):
    mine = lambda *_: None  # noqa: E731
    before = signal.signal(signal.SIGTERM, mine)
    try:
        assert main(["datasets"]) == 0
        assert handlers == [mine]
        assert signal.getsignal(signal.SIGTERM) is mine
    finally:
        signal.signal(signal.SIGTERM, before)


def test_a_thread_that_is_not_the_main_one_sets_no_handler(handlers):
    codes = []
    thread = threading.Thread(target=lambda: codes.append(main(["datasets"])))
    thread.start()
    thread.join()
    assert codes == [0]
    assert handlers == [signal.SIG_DFL]


@pytest.mark.parametrize("times", [1, 2])
def test_what_is_written_is_said_once_also_if_asked_twice(times, monkeypatch):
    def run(_, written):
        written.append("kept.csv")
        try:
            os.kill(os.getpid(), signal.SIGTERM)
        finally:
            if times == 2:  # while the first is answered
                os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(datasets, "run", run)
    with Forked(["datasets"]) as process:
        _, said = process.communicate()
    assert process.returncode == 128 + signal.SIGTERM
    assert said == "clusterability: asked to end; written: kept.csv\n"
