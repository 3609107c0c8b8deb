import os

import pytest
import torch

from clusterability import validate_clusters
from clusterability.cli import main
from clusterability.errors import InputError
from clusterability.training import tags_of_run, train
from clusterability.training.judged import validate_runs, validation
from clusterability.training.table import runs_table
from training_cases import few_digits, small_spec

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("no_figures")]


def trained(out, **fields):
    spec = small_spec(epochs=1, pruning_epochs=1, seed=3, **fields)
    return train(spec, data=few_digits(), out=out, threads=1)


def test_clusters_are_judged_on_the_test_part_once(tmp_path):
    run = trained(tmp_path, modular_pruning=True, tags=4)
    assert validation(run, "pruned") is None
    validate_runs([run], data=few_digits())
    found = validation(run, "pruned")
    digits = few_digits().test
    x = torch.from_numpy(digits.x).float() / 255
    assert found == validate_clusters(
        *(run.network("pruned"), tags_of_run(run), x, digits.y), seed=3, n_lesioned=1000
    )
    assert found.n_cut == 0
    assert found.accuracy == found.accuracy_cut == run.phases["pruned"].test_accuracy
    assert validation(run, "unpruned").n_cut > 1000
    path = run.folder / "pruned-clusters.json"
    before = path.stat().st_mtime_ns
    validate_runs([run], data=few_digits())
    assert path.stat().st_mtime_ns == before
    header, _, pruned, *_ = runs_table([run]).splitlines()
    assert header.endswith("cut apart")
    assert pruned.endswith(f"{100 * found.accuracy_cut:.2f} %")
    os.unlink(run.folder / "pruned.safetensors")
    assert validation(trained(tmp_path, modular_pruning=True, tags=4), "pruned") is None


def test_runs_without_clusters_are_not_judged(tmp_path):
    run = trained(tmp_path)
    validate_runs([run])
    assert validation(run, "pruned") is None
    assert "cut apart" not in runs_table([run])


def test_a_damaged_file(tmp_path):
    run = trained(tmp_path, group_lasso=0.1, tags=4)
    (run.folder / "pruned-clusters.json").write_text("{}")
    with pytest.raises(InputError, match="remove it to judge again"):
        validate_runs([run], data=few_digits())
    (run.folder / "pruned-clusters.json").unlink()
    os.mkfifo(run.folder / "pruned-clusters.json")
    with pytest.raises(InputError, match=r"is no regular file; .* remove it to judge again"):
        validation(run, "pruned")


def test_the_command(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    arguments = "train --network small-mlp --dataset digits --epochs 1 --pruning-epochs 1 --quiet"
    more = "--modular-pruning --tags 5 --tag-layers hidden+outputs --group-lasso 1e-3 --measure"
    assert main([*arguments.split(), *more.split(), "--shuffles", "2"]) == 0
    (folder,) = (tmp_path / "runs").iterdir()
    assert folder.name.startswith("small-mlp-digits-lasso-modular-seed0-")
    assert {"unpruned-clusters.json", "pruned-clusters.json"} <= {
        path.name for path in folder.iterdir()
    }
    assert capsys.readouterr().out == ""
    assert main([*arguments.split(), "--tag-layers", "all"]) == 2
    assert "no clusters are asked for" in capsys.readouterr().err
