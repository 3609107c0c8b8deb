import dataclasses
import json

import pytest

from clusterability.errors import InputError
from clusterability.training.progress import Progress
from clusterability.training.record import Attempt, EpochScores, PhaseScores

ROW = EpochScores("unpruned", 1, 0.1 + 0.2, 1 / 3, None, None, 0.0, 0.0, 1e-9)
SCORES = PhaseScores(1.5, None, 2 / 3, None, 1e300, None, 0.0, 0.9)
PLACE = Progress(
    attempt=2,
    phase=1,
    epoch=1,
    curves=[[ROW, ROW, ROW], []],
    phases=[{"unpruned": SCORES}, {}],
    diverged=[None, "pruned, epoch 2"],
    attempts=[Attempt("pruned", 0.25)],
    seconds=12.5,
    threads=2,
)


def test_round_trip_is_exact():
    text = json.dumps(vars(PLACE), default=dataclasses.asdict)
    assert Progress.from_dict(json.loads(text)) == PLACE


def test_runs_that_diverged_no_longer_learn():
    progress = Progress.start(3, threads=1)
    assert progress.learning == [0, 1, 2]
    progress.diverged[1] = "unpruned, epoch 1"
    assert progress.learning == [0, 2]


def test_begins_again_without_the_scores():
    progress = Progress.from_dict(json.loads(json.dumps(vars(PLACE), default=dataclasses.asdict)))
    progress.begin_again(Attempt("unpruned", 0.5))
    attempts = [*PLACE.attempts, Attempt("unpruned", 0.5)]
    fresh = dataclasses.replace(Progress.start(2, 2), attempt=3, seconds=12.5, attempts=attempts)
    assert progress == fresh


def test_a_place_that_training_comes_to():
    PLACE.check([2, 1], 2)


@pytest.mark.parametrize(
    ("fields", "error", "words"),
    [
        ({"phase": 2}, InputError, "phase is 2, expected at most 1"),
        ({"phase": "1"}, InputError, "phase is '1'"),
        ({"epoch": 0}, InputError, "epoch is 0"),
        ({"epoch": 2}, InputError, "epoch is 2, expected at most 1"),
        ({"attempt": -1}, InputError, "attempt is -1"),
        ({"threads": 0}, InputError, "threads is 0"),
        ({"curves": [[ROW, ROW], []]}, InputError, "curves do not end at epoch 1"),
        ({"phases": [{}, {}]}, InputError, "curves do not end"),
        ({"curves": [], "phases": [], "diverged": []}, InputError, "curves do not end"),
        ({"diverged": [None]}, ValueError, "shorter"),
        ({"curves": None}, TypeError, "None"),
    ],
)
def test_places_that_it_does_not_come_to(fields, error, words):
    with pytest.raises(error, match=words):
        dataclasses.replace(PLACE, **fields).check([2, 1], 2)
