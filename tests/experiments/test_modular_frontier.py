import json

import pytest

from clusterability.experiments import modular_frontier
from clusterability.experiments.modular_frontier import FOUND, WAYS, Way, spec_of


def test_ways_are_specs_of_different_runs():
    specs = [spec_of(way, dataset, 0) for way in WAYS for dataset in ("mnist", "fashion-mnist")]
    assert len({spec.name for spec in specs}) == len(specs)
    assert spec_of(WAYS[0], "mnist", 0).choices() == {"network": "mlp", "dataset": "mnist"}
    assert all(
        spec.has_clusters != bool(way.views) for way in WAYS for spec in [spec_of(way, "m", 0)]
    )


@pytest.mark.slow
def test_a_way_from_training_to_the_table(tmp_path, monkeypatch, capsys):
    ways = (
        Way("none", {"epochs": 2, "pruning_epochs": 2}, FOUND[2:]),
        Way(
            "modular",
            {"epochs": 2, "pruning_epochs": 2, "modular_pruning": True, "tags": 4},
        ),
    )
    monkeypatch.setattr(modular_frontier, "WAYS", ways)
    monkeypatch.setattr(modular_frontier, "DATASETS", ("digits",))
    monkeypatch.setattr(modular_frontier, "N_SHUFFLES", 2)
    monkeypatch.setattr(modular_frontier, "N_PERMUTATIONS", 2)
    real = modular_frontier.TrainingSpec

    def small(_network, dataset, **fields):
        return real("small-mlp", dataset, **fields)

    monkeypatch.setattr(modular_frontier, "TrainingSpec", small)
    arguments = ["--out", str(tmp_path / "runs"), "--runs", "1"]
    modular_frontier.main(arguments)
    assert "digits modular seed 0" in capsys.readouterr().out
    modular_frontier.main(arguments)
    assert capsys.readouterr().out == ""
    files = ["--json", str(tmp_path / "report.json"), "--figure", str(tmp_path / "figure.svg")]
    modular_frontier.main([*arguments, *files])
    assert "modular (hidden)" in (tmp_path / "figure.svg").read_text()
    lines = capsys.readouterr().out.splitlines()
    report = json.loads((tmp_path / "report.json").read_text())
    assert len(lines) == 2 + len(report["means"]) == 2 + 4
    (pruned,) = (m for m in report["runs"] if m["way"] == "modular" and m["phase"] == "pruned")
    assert pruned["ncut"] < 1e-6
    assert pruned["n_cut"] == 0
    assert pruned["accuracy"] == pruned["accuracy_cut"] == pruned["accuracy_folded"]
