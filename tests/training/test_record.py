import dataclasses
import json

import pytest
import torch
from safetensors.torch import load_file

from clusterability.errors import InputError
from clusterability.training import TrainedRun, train
from training_cases import few_digits, small_spec


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    spec = small_spec(l1=1e-4, dropout=True)
    return train(spec, data=few_digits(), out=tmp_path_factory.mktemp("runs"), threads=1)


@pytest.mark.slow
def test_round_trip(run):
    text = (run.folder / "run.json").read_text()
    assert TrainedRun.from_json(text, run.folder) == run
    data = json.loads(text)
    assert data["schema_version"] == 1
    assert data["machine"].keys() == {
        *("device", "threads", "seconds", "clusterability", "torch", "numpy", "python"),
    }


@pytest.mark.slow
def test_networks_are_those_of_the_files(run):
    for phase in run.phases:
        network = run.network(phase)
        assert not network.training
        expected = load_file(run.folder / f"{phase}.safetensors")
        state = network.state_dict()
        assert state.keys() == expected.keys()
        assert all(torch.equal(state[name], expected[name]) for name in state)


@pytest.mark.slow
def test_scores_are_those_of_the_networks(run):
    data = few_digits()
    for phase, scores in run.phases.items():
        network = run.network(phase)
        for part, loss, accuracy in (
            (data.train, scores.final_train_loss, scores.final_train_accuracy),
            (data.test, scores.test_loss, scores.test_accuracy),
        ):
            y = torch.from_numpy(part.y)
            with torch.no_grad():
                outputs = network(torch.tensor(part.x) / 255)
            expected = torch.nn.functional.cross_entropy(outputs, y).item()
            assert loss == pytest.approx(expected, rel=1e-5)
            assert accuracy == pytest.approx((outputs.argmax(1) == y).double().mean().item())
        kernels = [v for n, v in network.state_dict().items() if n.endswith("weight")]
        total = sum(k.abs().sum().item() for k in kernels)
        assert scores.penalty == pytest.approx(1e-4 * total, rel=1e-5)
        n_zeros = sum(int((k == 0).sum()) for k in kernels)
        assert scores.sparsity == n_zeros / sum(k.numel() for k in kernels)
    assert run.phases["pruned"].sparsity == pytest.approx(0.9, abs=1e-3)


@pytest.mark.slow
def test_no_such_phase_and_damaged_weights(run, tmp_path):
    with pytest.raises(InputError, match="did you mean 'pruned'"):
        run.network("prunned")
    other = dataclasses.replace(run, folder=tmp_path)
    for content in (
        None,
        b"",
        b"\x00" * 100,
        (run.folder / "pruned.safetensors").read_bytes()[:-9],
    ):
        if content is not None:
            (tmp_path / "pruned.safetensors").write_bytes(content)
        with pytest.raises(InputError, match=r"cannot be read .* train the run again"):
            other.network("pruned")
    other = dataclasses.replace(run, shape=(10**13,))
    with pytest.raises(InputError, match=r"cannot be read .* train the run again"):
        other.network("pruned")


def changed(data, **fields):
    return json.dumps({**data, **fields})


def with_score(data, **fields):
    return {**data["phases"], "pruned": {**data["phases"]["pruned"], **fields}}


@pytest.mark.slow
def test_damaged_records(run):
    data = run.to_dict()
    cut = {name: value for name, value in data.items() if name != "machine"}
    bad = [
        *("", "[]", "3", "{", "null", "[" * 100_000, json.dumps(cut)),
        changed(data, schema_version=2),
        changed(data, spec={"network": "mlp"}),
        changed(data, spec={**data["spec"], "epochs": -1}),
        changed(data, phases={"unpruned": {}}),
        changed(data, phases=[]),
        changed(data, phases={}),
        changed(data, phases={"../pruned": data["phases"]["pruned"]}),
        changed(data, phases=with_score(data, train_loss="0.5")),
        changed(data, phases=with_score(data, sparsity=None)),
        changed(data, phases=with_score(data, test_loss=float("nan"))),
        changed(data, curves=[{**data["curves"][0], "phase": 1}]),
        changed(data, attempts=[{"phase": "pruned", "ncut": "1"}]),
        changed(data, curves=[{"phase": "unpruned"}]),
        changed(data, curves=None),
        changed(data, attempts=[3]),
        changed(data, shape="x"),
        changed(data, n_outputs="10"),
    ]
    for text in bad:
        with pytest.raises(InputError, match=r"no record of a run .* train the run again") as error:
            TrainedRun.from_json(text, run.folder)
        assert "\n" not in str(error.value)
