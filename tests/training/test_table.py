import dataclasses
from pathlib import Path

from clusterability.training.record import Attempt, PhaseScores, TrainedRun
from clusterability.training.table import runs_table
from training_cases import small_spec

SCORES = PhaseScores(0.1, 0.95, 0.2, 0.9876, 0.3, 0.875, 0.0, 0.0)


def run(seed, pruned=SCORES, **fields):
    spec = small_spec(seed=seed)
    made = TrainedRun(
        *(spec, Path("no/runs") / spec.name, {"unpruned": SCORES, "pruned": pruned}),
        *((), None, (), {}, "", (1, 8, 8), 10),
    )
    return dataclasses.replace(made, **fields)


def cells(line):
    return [cell for cell in line.split("  ") if cell]


def test_a_line_for_each_phase():
    pruned = dataclasses.replace(SCORES, sparsity=0.9, test_accuracy=0.5)
    header, *lines = runs_table([run(0, pruned), run(11, pruned)]).splitlines()
    names = ["seed", "network", "sparsity", "train loss", "test loss", "train acc.", "test acc."]
    assert [cell.strip() for cell in cells(header)] == names
    rows = [[cell.strip() for cell in cells(line)] for line in lines[:4]]
    assert rows[0] == ["0", "unpruned", "0.0 %", "0.2000", "0.3000", "98.76 %", "87.50 %"]
    assert rows[3] == ["11", "pruned", "90.0 %", "0.2000", "0.3000", "98.76 %", "50.00 %"]
    assert len({len(line) for line in [header, *lines[:4]]}) == 1
    assert lines[4:] == ["", "in no/runs:", *(f"  {small_spec(seed=s).name}" for s in (0, 11))]


def test_a_regression_has_no_accuracies():
    scores = PhaseScores(0.1, None, 0.2, None, None, None, 0.0, 0.0)
    table = runs_table([run(0, phases={"unpruned": scores})])
    assert "acc." not in table
    found = [cell.strip() for cell in cells(table.splitlines()[1])]
    assert found == ["0", "unpruned", "0.0 %", "0.2000"]


def test_attempts_are_told():
    attempts = (Attempt("unpruned", 0.25), Attempt("pruned", 0.5))
    last = runs_table([run(4, attempts=attempts)]).splitlines()[-1]
    assert last == "seed 4: trained 3 times, since the n-cut was 0.250, 0.500"
