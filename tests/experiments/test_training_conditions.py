import json

import pytest

from clusterability import Clusterability
from clusterability.experiments import training_conditions
from clusterability.experiments.conditions import (
    Condition,
    cnn_conditions,
    mlp_conditions,
    promoting_conditions,
)
from clusterability.experiments.published import published_row
from clusterability.training.spec import TrainingSpec


def test_every_condition_stands_in_a_table():
    conditions = [*mlp_conditions(), *cnn_conditions(), *promoting_conditions()]
    names = [condition.name for condition in conditions]
    assert len(set(names)) == len(names) == 40
    for condition in conditions:
        line = (condition.table, condition.dataset, condition.treatment)
        assert bool(published_row(*line, "pruned")) == bool(condition.table), condition.name


def test_section_4_has_the_penalty_and_the_initialization_of_its_tables():
    by_name = {condition.name: condition.spec for condition in promoting_conditions()}
    penalized = by_name["table-1-penalty"].choices()
    assert penalized.items() >= {"eigenvalue_penalty": 0.05, "normalize": True}.items()
    assert by_name["table-1-penalty-slip"].choices() == penalized | {"pruned_norm": "threshold"}
    assert (by_name["mnist-init"].tags, by_name["mnist-init"].beta) == (10, 0.6)


def test_published_numbers_are_the_papers():
    line = published_row("A.19", "polynomials", "L2", "unpruned")
    assert (line["ncut"], line["null_mean"], line["n_significant"]) == (8.115, 9.867, 5)
    assert published_row("A.19", "polynomials", "L3", "unpruned") == {}


def test_conditions_are_the_specs_of_the_command():
    by_name = {condition.name: condition.spec for condition in mlp_conditions()}
    assert by_name["mnist-l2"].name == "mlp-mnist-l2-seed0-c7761bb8"
    assert by_name["polynomials-l2"].name == "mlp-regression-polynomials-l2-seed0-d0df246a"


@pytest.mark.slow
def test_a_condition_from_training_to_the_table(tmp_path, monkeypatch, capsys):
    spec = TrainingSpec("small-mlp", "digits", dropout=True, epochs=2, pruning_epochs=1)
    tiny = Condition("tiny", spec, "A.5", "MNIST", "Dropout")
    monkeypatch.setitem(training_conditions.GROUPS, "mlp", lambda: [tiny])
    runs, path = tmp_path / "runs", tmp_path / "report.json"
    arguments = ["--out", str(runs), "--runs", "2"]
    training_conditions.main(arguments)
    files = sorted(runs.glob("*/*-published.json")) + sorted(runs.glob("*/*-default.json"))
    assert len(files) == 8
    times = [file.stat().st_mtime_ns for file in files]
    training_conditions.main(arguments)  # nothing is done again
    assert [file.stat().st_mtime_ns for file in files] == times

    training_conditions.main([*arguments, "--json", str(path)])
    (row,) = json.loads(path.read_text())["conditions"]
    pruned = row["phases"]["pruned"]
    ncuts = [Clusterability.from_json(f.read_text()).ncut for f in files if "/pruned-def" in str(f)]
    assert pruned["mean"]["default"]["ncut"] == sum(ncuts) / 2
    assert pruned["published"]["ncut"] == 8.35
    lines = capsys.readouterr().out.splitlines()
    assert f"{sum(ncuts) / 2:.3f}" in lines[-1]
    assert "(8.350)" in lines[-1]
    assert row["command"] == (
        "clusterability train --network small-mlp --dataset digits --dropout --epochs 2 "
        "--pruning-epochs 1 --runs 2"
    )
