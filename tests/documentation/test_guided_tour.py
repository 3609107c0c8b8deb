"""The walk of one call in docs/internals.md is the way that a call takes."""

import re
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from clusterability.cli import main

PAGE = Path(__file__).parents[2] / "docs" / "internals.md"


def steps_of_the_tour():
    """The tour's steps, each with its file and function."""
    _, chapter = PAGE.read_text("utf-8").split("## The walk of one call\n")
    chapter, *_ = chapter.split("\n## ")
    steps = re.findall(r"^\d+\. \[.+?\]\((.+?)\), `(\w+)`:", chapter, re.M)
    assert len(steps) == len(re.findall(r"^\d+\. ", chapter, re.M))
    return [((PAGE.parent / link).resolve(), function) for link, function in steps]


def walk(call, steps):
    """The steps that a call does not pass: each must be entered after the one before it."""
    remaining = list(steps)

    def note(frame, event, _):
        if event == "call" and remaining:
            file, function = remaining[0]
            code = frame.f_code
            if code.co_name == function and Path(code.co_filename).resolve() == file:
                del remaining[0]

    threading.setprofile(note)
    sys.setprofile(note)
    try:
        call()
    finally:
        sys.setprofile(None)
        threading.setprofile(None)
    return remaining


@pytest.mark.slow
def test_a_call_passes_every_step_in_order(tmp_path):
    rng = np.random.default_rng(0)
    path = tmp_path / "network.npz"
    np.savez(path, **{"fc1.weight": rng.random((8, 9)), "fc2.weight": rng.random((7, 8))})
    command = ["measure", str(path), "--clusters", "3", "--shuffles", "2", "--quiet"]
    steps = steps_of_the_tour()
    assert 5 <= len(steps) <= 10
    assert walk(lambda: main(command), steps) == []
    assert walk(lambda: main(command), [steps[0], steps[0]]) == [steps[0]]
