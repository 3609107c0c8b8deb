import json
import os

import pytest

from clusterability import measure
from clusterability.errors import InputError
from clusterability.training import measured, train
from clusterability.training.measured import measure_runs, measurement
from clusterability.training.table import runs_table
from training_cases import few_digits, no_figures, one_thread, small_spec  # noqa: F401


@pytest.fixture
def run(tmp_path):
    spec = small_spec(epochs=1, pruning_epochs=1, seed=3)
    return train(spec, data=few_digits(), out=tmp_path, threads=1)


@pytest.mark.slow
def test_measurements_are_those_of_measure_and_are_kept(run, monkeypatch):
    assert measurement(run, "pruned") is None
    measure_runs([run], n_shuffles=4, workers=1)
    for phase in run.phases:
        found = measurement(run, phase)
        expected = measure(run.network(phase), n_shuffles=4, seed=3, workers=1)
        assert (found.ncut, found.p_value) == (expected.ncut, expected.p_value)
        text = (run.folder / f"{phase}-clusterability.json").read_text()
        assert json.loads(text)["network"] == f"{run.spec.name}/{phase}"
    os.unlink(run.folder / "unpruned-clusterability.json")
    networks = []
    monkeypatch.setattr(measured, "measure", lambda network, **_: networks.append(network) or found)
    measure_runs([run], n_shuffles=4, workers=1)
    assert len(networks) == 1
    table = runs_table([run])
    assert table.splitlines()[0].endswith("Z")
    assert f"{found.plain.ncut:.3f}" in table.splitlines()[2]


@pytest.mark.parametrize("content", [b"", b"{}", b"\xff\xfe"])
def test_damaged_measurement(run, content):
    path = run.folder / "pruned-clusterability.json"
    path.write_bytes(content)
    with pytest.raises(InputError, match="remove it to measure again") as error:
        measure_runs([run], n_shuffles=2, workers=1)
    assert "\n" not in str(error.value)


def test_a_measurement_of_weights_that_are_gone_goes_too(run, tmp_path):
    measure_runs([run], n_shuffles=2, workers=1)
    (run.folder / "pruned.safetensors").unlink()
    again = train(run.spec, data=few_digits(), out=tmp_path, threads=1)
    assert measurement(again, "pruned") is None
