import json
import os
import re
from dataclasses import replace

import pytest

from clusterability import Settings, measure
from clusterability.errors import InputError
from clusterability.training import measured, train
from clusterability.training.measured import measure_runs, measurement
from clusterability.training.table import runs_table
from training_cases import few_digits, small_spec

pytestmark = pytest.mark.usefixtures("no_figures")

PUBLISHED = Settings(n_shuffles=2, n_init=1, conventions="published")


@pytest.fixture
def run(tmp_path):
    spec = small_spec(epochs=1, pruning_epochs=1, seed=3)
    return train(spec, data=few_digits(), out=tmp_path, threads=1)


@pytest.mark.slow
def test_measurements_are_those_of_measure_and_are_kept(run, monkeypatch):
    assert measurement(run, "pruned") is None
    four = Settings(n_shuffles=4)
    measure_runs([run], four, workers=1)
    for phase in run.phases:
        found = measurement(run, phase)
        expected = measure(run.network(phase), n_shuffles=4, seed=3, workers=1)
        assert (found.ncut, found.p_value) == (expected.ncut, expected.p_value)
        text = (run.folder / f"{phase}-clusterability.json").read_text()
        assert json.loads(text)["network"] == f"{run.spec.name}/{phase}"
    os.unlink(run.folder / "unpruned-clusterability.json")
    networks = []
    monkeypatch.setattr(measured, "measure", lambda network, **_: networks.append(network) or found)
    measure_runs([run], four, workers=1)
    assert len(networks) == 1
    table = runs_table([run])
    assert table.splitlines()[0].endswith("Z")
    assert f"{found.plain.ncut:.3f}" in table.splitlines()[2]


@pytest.mark.slow
@pytest.mark.parametrize("content", [b"", b"{}", b"\xff\xfe"])
def test_damaged_measurement(run, content):
    path = run.folder / "pruned-clusterability.json"
    path.write_bytes(content)
    with pytest.raises(InputError, match="remove it to measure again") as error:
        measure_runs([run], Settings(n_shuffles=2), workers=1)
    assert "\n" not in str(error.value)


def test_a_pipe_is_no_measurement(run):
    os.mkfifo(run.folder / "pruned-clusterability.json")
    with pytest.raises(InputError, match=r"is no regular file; .* remove it to measure again"):
        measurement(run, "pruned")


@pytest.mark.slow
def test_a_measurement_of_weights_that_are_gone_goes_too(run, tmp_path):
    measure_runs([run], Settings(n_shuffles=2), workers=1)
    (run.folder / "pruned.safetensors").unlink()
    again = train(run.spec, data=few_digits(), out=tmp_path, threads=1)
    assert measurement(again, "pruned") is None


@pytest.mark.slow
def test_measured_anew_where_the_settings_differ(run):
    def found():
        return [measurement(run, phase).settings for phase in run.phases]

    few = Settings(n_shuffles=2, n_init=1, seed=7)
    measure_runs([run], few, workers=1)
    assert found() == [replace(few, seed=3)] * 2
    path = run.folder / "pruned-clusterability.json"
    before = path.stat().st_mtime_ns
    measure_runs([run], replace(few, seed=8), workers=1)  # the seed is the run's own
    assert path.stat().st_mtime_ns == before
    measure_runs([run], PUBLISHED, workers=1)
    assert found() == [replace(PUBLISHED, seed=3)] * 2


@pytest.mark.slow
def test_one_from_before_there_was_a_choice_is_made_anew(run):
    few = Settings(n_shuffles=2, n_init=1)
    measure_runs([run], few, workers=1)
    path = run.folder / "pruned-clusterability.json"
    data = json.loads(path.read_text())
    for name in ("conventions", "ties", "volume_offset"):
        del data["settings"][name]
    data["settings"] |= {"workers": 1, "isolated": "drop-first"}
    path.write_text(json.dumps(data))
    assert measurement(run, "pruned").settings.ties == "independent"
    measure_runs([run], few, workers=1)
    assert measurement(run, "pruned").settings == replace(few, seed=3)


@pytest.mark.slow
def test_the_table_says_where_conventions_differ(run):
    few = Settings(n_shuffles=2, n_init=1)
    measure_runs([run], few, workers=1)
    header, unpruned, pruned, *_ = runs_table([run]).splitlines()
    assert "conventions" not in header
    (run.folder / "pruned-clusterability.json").unlink()
    measure_runs([replace(run, phases={"pruned": run.phases["pruned"]})], PUBLISHED, workers=1)
    header, unpruned, pruned, *_ = runs_table([run]).splitlines()
    assert re.search(r"conventions +n-cut +shuffles +effect +p +Z$", header)
    assert " default, n_init 1 " in unpruned
    assert " published, n_init 1 " in pruned
