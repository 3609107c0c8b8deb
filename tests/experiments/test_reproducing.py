"""A small table on the digits, from nothing to its files."""

import csv
import json
import os
import signal
import time

import pytest
import torch

from clusterability import measure
from clusterability.errors import InputError
from clusterability.experiments import imagenet, plan, reproducing, tables
from clusterability.experiments.architectures import randomized, resnet18
from clusterability.experiments.records import Condition, Figure, Line, Table
from clusterability.experiments.reproducing import overview, reproduce
from clusterability.experiments.store import MEASURES_VERSION
from clusterability.training import TrainingSpec
from forked import Forked
from reproduced import small_figure, small_table, use_small


@pytest.fixture(autouse=True)
def small(monkeypatch):
    use_small(monkeypatch)


def contents(folder):
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir()) if path.is_file()}


@pytest.mark.slow
def test_a_table_and_a_figure_from_nothing_to_their_files(tmp_path):
    found = reproduce(["table-x1", "figure-x1"], out=tmp_path, workers=1)
    assert not found.failed
    names = [path.name for path in found.written]
    assert names[:4] == ["table-x1.csv", "table-x1.md", "table-x1.tex", "table-x1-networks.csv"]
    assert {"figure-x1.png", "figure-x1.svg", "figure-x1.pdf", "index.html"} <= set(names)
    rows = list(csv.DictReader((tmp_path / "published" / "table-x1.csv").read_text().splitlines()))
    assert [row["phase"] for row in rows] == ["unpruned", "pruned"]
    networks = list(
        csv.DictReader((tmp_path / "published" / "table-x1-networks.csv").read_text().splitlines())
    )
    ncuts = [float(row["ncut"]) for row in networks if row["phase"] == "pruned"]
    assert len(ncuts) == 2
    assert float(rows[1]["ncut"]) == pytest.approx(sum(ncuts) / 2, abs=1e-12)
    # ddof 1: half the squared difference of two.
    assert float(rows[1]["ncut_std"]) ** 2 == pytest.approx((ncuts[0] - ncuts[1]) ** 2 / 2)
    assert float(rows[1]["ncut_published"]) == 8.880

    before = contents(tmp_path / "published")
    again = reproduce(["table-x1", "figure-x1"], out=tmp_path, workers=2)
    after = contents(tmp_path / "published")
    assert not again.failed
    del before["index.html"], after["index.html"]  # it has the minutes
    assert before == after


@pytest.mark.slow
def test_numbers_do_not_depend_on_workers_or_kills(tmp_path):
    alone = tmp_path / "alone"
    reproduce(["table-x1"], out=alone, workers=1)
    out = tmp_path / "killed"
    process = Forked(["reproduce", "table-x1", "--workers", "1", "--out", out])
    deadline = time.monotonic() + 120
    while not list(out.glob("runs/*/checkpoint*")) and time.monotonic() < deadline:
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    assert not (out / "published").exists()
    reproduce(["table-x1"], out=out, workers=2)
    names = ("table-x1.csv", "table-x1-networks.csv", "table-x1.md", "table-x1.tex")
    for name in names:
        assert (alone / "published" / name).read_bytes() == (out / "published" / name).read_bytes()


@pytest.mark.slow
def test_the_other_reading_is_kept_apart(tmp_path):
    reproduce(["table-x1"], out=tmp_path, n_runs=1, workers=1)
    reproduce(["table-x1"], out=tmp_path, n_runs=1, workers=1, conventions="paper")
    texts = [(tmp_path / r / "table-x1.csv").read_text() for r in ("published", "paper")]
    assert texts[0] != texts[1]
    # Both are of one network, measured twice.
    assert len(list((tmp_path / "runs").iterdir())) == 1
    assert len(list((tmp_path / "runs").glob("*/pruned-*.json"))) == 2
    rows = list(csv.DictReader(texts[0].splitlines()))
    assert {row["ncut_std"] for row in rows} == {""}  # of one network there is none


@pytest.mark.slow
def test_shorter_trainings_say_so_and_lie_apart(tmp_path):
    found = reproduce(["table-x1", "figure-x1"], out=tmp_path, n_runs=1, workers=1, max_epochs=3)
    assert found.folder == tmp_path / "published-epochs-3"
    (record,) = (tmp_path / "runs").glob("*/run.json")
    spec = json.loads(record.read_text())["spec"]
    assert (spec["epochs"], spec["pruning_epochs"]) == (3, 2)  # the table has 8 and 2
    heading = "digits, after at most 3 epochs of training and 3 of pruning"
    for name in ("table-x1.md", "table-x1.tex", "index.html", "figure-x1.svg"):
        assert heading in (found.folder / name).read_text(), name
    (row, _) = csv.DictReader((found.folder / "table-x1.csv").read_text().splitlines())
    assert row["max_epochs"] == "3"
    assert "--epochs 3" in (found.folder / "index.html").read_text()
    assert not (tmp_path / "published").exists()
    whole = {each.experiment.name: each for each in overview(tmp_path)}
    short = {each.experiment.name: each for each in overview(tmp_path, max_epochs=3)}
    assert (whole["table-x1"].n_finished, short["table-x1"].n_finished) == (0, 1)
    assert short["table-a10"].seconds < whole["table-a10"].seconds / 30
    assert short["table-a11"].experiment is whole["table-a11"].experiment  # nothing is trained


def test_no_time_is_no_work(tmp_path):
    found = reproduce(["table-x1"], out=tmp_path, workers=1, hours=1e-9)
    assert found.n_left_out == 6  # two trainings, and two measurements of each
    assert not list((tmp_path / "runs").glob("*"))
    assert "0 of 2" in (tmp_path / "published" / "table-x1.md").read_text()
    (names,) = (tmp_path / "published" / "table-x1-networks.csv").read_text().splitlines()
    assert names.startswith("table,dataset,")
    assert names.endswith(",n_trainings,device")


@pytest.mark.slow
def test_the_list_says_what_is_there_and_what_is_missing(tmp_path, monkeypatch):
    reproduce(["table-x1"], out=tmp_path, n_runs=1, workers=1)
    monkeypatch.delenv("CLUSTERABILITY_DATA", raising=False)
    each = {o.experiment.name: o for o in overview(tmp_path, data_dir=str(tmp_path))}
    assert (each["table-x1"].n_finished, each["table-x1"].n_wanted) == (1, 2)
    assert each["table-x1"].seconds > 0
    assert each["table-x1"].missing == []
    assert list(each["table-a10"].datasets) == ["cifar-10"]


@pytest.mark.parametrize(
    ("names", "options", "message"),
    [
        (["table-a66"], {}, "there is no experiment 'table-a66', .* did you mean 'table-a6'"),
        (["table-x1"], {"n_runs": 0}, "runs is 0, expected"),
        (["table-x1"], {"max_epochs": 0}, "epochs is 0, expected"),
        (["table-x1"], {"max_epochs": 1.5}, "epochs is 1.5, expected"),
        (["table-x1"], {"conventions": "default"}, "conventions is 'default', .*published"),
        (["table-x1"], {"workers": 0}, "workers is 0"),
        (["table-x1"], {"hours": -1}, "hours is -1"),
        (["table-x1"], {"device": "gpu"}, "device is 'gpu', .* did you mean"),
        (["table-x1"], {"device": "gpu", "ray": "auto"}, "device is 'gpu', .* did you mean"),
        (["figure-10"], {}, "figure-10 needs files of networks .* --weights-dir"),
    ],
)
def test_bad_requests(tmp_path, names, options, message):
    with pytest.raises(InputError, match=message):
        reproduce(names, out=tmp_path / "out", **options)
    assert not (tmp_path / "out").exists()


@pytest.mark.skipif(torch.cuda.is_available(), reason="here is a GPU")
def test_a_missing_gpu_is_told_before_anything_is_begun(tmp_path):
    with pytest.raises(InputError, match="torch finds no GPU here"):
        reproduce(["table-x1"], out=tmp_path / "out", device="cuda")
    assert not (tmp_path / "out").exists()


def test_missing_data_are_told_before_anything_is_trained(tmp_path, monkeypatch):
    monkeypatch.setattr(plan, "available", lambda name, _: None if name == "cifar-10" else 1)
    with pytest.raises(InputError, match=r"table-a15 needs the data set 'cifar-10', .*--download"):
        reproduce(["table-x1", "table-a15"], out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_all_missing_data_are_told_at_once_by_their_files(tmp_path, monkeypatch):
    missing = ("mnist", "mnist-7x7", "cifar-10")
    monkeypatch.setattr(plan, "available", lambda name, _: None if name in missing else 1)
    sentence = (
        "table-1 needs the data set 'mnist', which is not here, nor is 'cifar-10', which table-a10 "
        "needs; run clusterability datasets mnist --download and so on, or name the folder"
    )
    with pytest.raises(InputError, match=sentence):
        reproduce(["tables"], out=tmp_path / "out")


def test_another_versions_results_are_kept_apart(tmp_path):
    about = tmp_path / reproducing.ABOUT
    about.write_text(json.dumps({"numbers_version": 0, "version": "0.0.1"}))
    with pytest.raises(InputError, match=r"holds results of version 0\.0\.1 .* give another --out"):
        reproduce(["table-x1"], out=tmp_path)
    about.write_text("[")
    with pytest.raises(InputError, match=r"cannot be read .* remove it"):
        reproduce(["table-x1"], out=tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot make the folder"):
        reproduce(["table-x1"], out=tmp_path / "file")


@pytest.mark.slow
def test_what_fails_is_named_and_the_rest_is_done(tmp_path, monkeypatch):
    spec = TrainingSpec("small-mlp", "digits", epochs=1, pruning_epochs=1, l1=1e3)
    line = Line("MNIST", "L1", "pruned", Condition(spec))
    table = Table("X.2", "dead", (line, *small_table().lines), n_runs=1, n_shuffles=2)
    monkeypatch.setitem(plan.EXPERIMENTS, "table-x2", table)
    found = reproduce(["table-x2"], out=tmp_path, workers=1)
    assert len(found.failed) <= 1
    text = (tmp_path / "published" / "table-x2.md").read_text()
    assert "1 of 1" in text


@pytest.mark.slow
def test_a_damaged_measurement_is_named(tmp_path):
    reproduce(["table-x1"], out=tmp_path, n_runs=1, workers=1)
    (path,) = (tmp_path / "runs").glob("*/pruned-*.json")
    path.write_text("{")
    with pytest.raises(InputError, match=r"cannot be read .* remove it to measure again"):
        reproduce(["table-x1"], out=tmp_path, n_runs=1, workers=1)


@pytest.mark.slow
def test_an_earlier_versions_measurement_is_made_anew_and_the_network_kept(tmp_path):
    reproduce(["table-x1"], out=tmp_path, n_runs=1, workers=1)
    (network,) = (tmp_path / "runs").glob("*/pruned.safetensors")
    before = network.stat().st_mtime_ns
    (path,) = (tmp_path / "runs").glob("*/pruned-*.json")
    content = path.read_text()
    path.rename(path.with_stem(path.stem.removesuffix(f"-v{MEASURES_VERSION}")))
    reproduce(["table-x1"], out=tmp_path, n_runs=1, workers=1)
    assert len(list((tmp_path / "runs").glob("*/pruned-*.json"))) == 2
    assert json.loads(path.read_text())["ncut"] == json.loads(content)["ncut"]
    assert network.stat().st_mtime_ns == before


def test_every_line_of_the_paper_has_its_condition():
    assert sum(len(table.lines) for table in tables.TABLES.values()) == 120
    for table in tables.TABLES.values():
        for line in table.lines:
            assert table.published(line), (table.number, str(line))
            if table.number != "A.11":
                assert line.phase in line.spec_of("published", 0).phases
    assert len(plan.EXPERIMENTS) == 2 + 22 + 22


def test_shared_networks_are_trained_once():
    wanted = [plan.EXPERIMENTS[name] for name in ("table-a1", "table-a5", "table-a6", "figure-3")]
    tasks = plan.all_tasks(wanted, "published", None)
    trained = [task for task in tasks if task.to_dict()["kind"] == "train"]
    # Ten seeds without and with dropout on both sets, and five of L1 and L2.
    assert len(trained) == 10 * 4 + 5 * 4
    assert len({task.key for task in tasks}) == len(tasks)


def test_the_small_ones_are_what_the_tests_think():
    assert isinstance(plan.EXPERIMENTS["figure-x1"], Figure)
    assert small_figure().needs[0][0] == small_table()


def small_architecture():
    def build():
        torch.manual_seed(0)
        return randomized(resnet18(divisor=8, n_classes=10)).float()

    return imagenet.Architecture("ResNet-18", ("resnet18",), (build,), 32)


@pytest.mark.slow
def test_networks_by_others_from_a_folder(tmp_path, monkeypatch):
    weights, out = tmp_path / "weights", tmp_path / "out"
    weights.mkdir()
    with pytest.raises(InputError, match=r"resnet18-f37072fd\.pth.* --weights-dir"):
        reproduce(["table-a11"], out=out)
    with pytest.raises(InputError, match=r"has no file of VGG-16, .* https://download"):
        reproduce(["table-a11"], out=out, weights_dir=str(weights))
    monkeypatch.setattr(imagenet, "ARCHITECTURES", (small_architecture(),))
    monkeypatch.setattr(imagenet, "N_SHUFFLES", 2)
    network = small_architecture().builders[0]()
    torch.save({"no": torch.zeros(3, 3)}, weights / "resnet18-f37072fd.pth")
    found = reproduce(["table-a11"], out=out, weights_dir=str(weights), workers=1)
    assert "does not hold the weights of ResNet-18" in next(iter(found.failed.values()))
    torch.save(network.state_dict(), weights / "resnet18-f37072fd.pth")
    found = reproduce(["table-a11", "figure-10"], out=out, weights_dir=str(weights), workers=1)
    assert not found.failed
    rows = csv.DictReader((out / "published" / "table-a11.csv").read_text().splitlines())
    ours = {row["treatment"]: row for row in rows}
    expected = measure(
        network, n_shuffles=2, conventions="published", isolated="drop-after", n_clusters=12
    )
    assert float(ours["ResNet-18"]["ncut"]) == pytest.approx(expected.ncut, abs=1e-9)
    assert ours["VGG-16"]["n_networks"] == "0"
    assert f"--weights-dir {weights}" in (out / "published" / "index.html").read_text()
    assert (out / "published" / "figure-10.png").exists()


def test_every_architecture_of_the_table_has_a_builder():
    names = [line.treatment for line in tables.TABLES["A.11"].lines]
    assert names == [architecture.name for architecture in imagenet.ARCHITECTURES]
