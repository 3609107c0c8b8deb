import json

import pytest

from clusterability.datasets import load_dataset
from clusterability.errors import InputError
from clusterability.experiments import distilling, modular_frontier
from clusterability.experiments.modular_frontier import FOUND, WAYS, Way, spec_of

EACH_TWICE = [way for way in WAYS for _ in range(2)]


def test_ways_are_specs_of_different_runs():
    specs = [spec_of(way, dataset, 0) for way in WAYS for dataset in ("mnist", "fashion-mnist")]
    names = {(spec.name, way.is_distilled) for spec, way in zip(specs, EACH_TWICE, strict=True)}
    assert len(names) == len(specs)
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
        Way("distilled", {"modular_pruning": True, "tags": 4}, is_distilled=True),
    )
    monkeypatch.setattr(modular_frontier, "WAYS", ways)
    monkeypatch.setattr(modular_frontier, "DATASETS", ("digits",))
    monkeypatch.setattr(modular_frontier, "N_SHUFFLES", 2)
    monkeypatch.setattr(modular_frontier, "N_PERMUTATIONS", 2)
    real = modular_frontier.TrainingSpec

    def small(_network, dataset, **fields):
        return real(
            "small-mlp", dataset, **{"epochs": 6, "pruning_epochs": 6, "batch_size": 16, **fields}
        )

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
    assert len(lines) == 2 + len(report["means"]) == 2 + 5
    (pruned,) = (m for m in report["runs"] if m["way"] == "modular" and m["phase"] == "pruned")
    assert pruned["ncut"] < 1e-6
    assert pruned["n_cut"] == 0
    assert pruned["accuracy"] == pruned["accuracy_cut"] == pruned["accuracy_folded"]
    (distilled,) = (m for m in report["runs"] if m["way"] == "distilled")
    assert distilled["ncut"] < 1e-6
    assert distilled["accuracy"] == distilled["accuracy_cut"] > 0.8
    assert distilled["sparsity"] == pytest.approx(0.9, abs=1e-3)


@pytest.mark.slow
def test_a_report_keeps_runs_that_are_not_in_the_folder(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(modular_frontier, "DATASETS", ("digits",))
    row = {"dataset": "digits", "way": "none", "phase": "pruned", "layers": "all", "k": 10}
    numbers = dict.fromkeys(
        (
            *("ncut", "canonical_ncut", "effective_clusters", "smallest_share", "accuracy"),
            *("accuracy_cut", "accuracy_folded", "spread_observed", "spread_permuted"),
            *("spread_p_upper", "spread_p_lower"),
        ),
        0.5,
    )
    earlier = {**row, **numbers, "seed": 7}
    path = tmp_path / "report.json"
    command = "python -m clusterability.experiments.modular_frontier --out RUNS --network mlp"
    path.write_text(json.dumps({"command": command, "runs": [earlier]}))
    modular_frontier.main(["--out", str(tmp_path / "runs"), "--json", str(path)])
    report = json.loads(path.read_text())
    assert report["runs"] == [earlier]
    assert report["means"][0]["n_runs"] == 1
    assert "50.00" in capsys.readouterr().out
    of_cnn = ["--out", str(tmp_path / "runs"), "--json", str(path), "--network", "small-cnn"]
    with pytest.raises(InputError, match=r"report\.json' is the report of '.* mlp'; name"):
        modular_frontier.main(of_cnn)
    assert json.loads(path.read_text()) == report


def test_distillation_holds_out_the_last_samples():
    data = load_dataset("digits")
    n = len(data.train.x)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(distilling, "N_HELD_OUT", 400)
        held = distilling.hold_out(data)
    assert (len(held.train.x), len(held.test.x)) == (n - 400, 400)
    assert (held.test.y == data.train.y[-400:]).all()
