"""Folders of results that hold anything, and what is made of nothing."""

import hashlib
import json
import math
import os
from dataclasses import replace

import matplotlib.figure
import numpy as np
import pytest

from clusterability.errors import InputError
from clusterability.experiments import drawing, imagenet, plan, reproducing
from clusterability.experiments.estimates import Estimates
from clusterability.experiments.imagenet import MeasureFile
from clusterability.experiments.reproducing import overview, reproduce
from clusterability.experiments.running import Queue, run_locally
from clusterability.experiments.store import MEASURES_VERSION, Store, Where
from clusterability.experiments.tasks import Measure, MeasureNew, Train
from clusterability.settings import Settings
from clusterability.training import TrainingSpec
from reproduced import use_small

NOT_AN_OBJECT = ["", "{", "[" * 100_000, "[]", "7", '"text"', "\x00", "9" * 5000]


@pytest.fixture(autouse=True)
def small(monkeypatch):
    use_small(monkeypatch)


@pytest.mark.parametrize("text", NOT_AN_OBJECT)
def test_a_folder_whose_version_cannot_be_read(tmp_path, text):
    (tmp_path / reproducing.ABOUT).write_text(text)
    with pytest.raises(InputError, match=r"cannot be read .* remove it if the results") as found:
        reproduce(["table-x1"], out=tmp_path, hours=0)
    assert str(found.value).isprintable()


def test_names_from_a_folder_are_escaped(tmp_path):
    about = {"numbers_version": 0, "version": "\x1b[2J\n" * 1000}
    (tmp_path / reproducing.ABOUT).write_text(json.dumps(about))
    with pytest.raises(InputError, match="holds results of version") as found:
        reproduce(["table-x1"], out=tmp_path, hours=0)
    assert str(found.value).isprintable()
    assert len(str(found.value)) < 600


def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / reproducing.ABOUT)
    with pytest.raises(InputError, match="no regular file"):
        reproduce(["table-x1"], out=tmp_path, hours=0)


def test_folders_that_cannot_be_made(tmp_path):
    (tmp_path / "published").write_text("")
    with pytest.raises(InputError, match=r"cannot make the folder .*published"):
        reproduce(["table-x1"], out=tmp_path, hours=0)


RECORD = {
    "spec": TrainingSpec("small-mlp", "digits").to_dict(),
    "attempts": [],
    "machine": {"seconds": 20.0},
}


def changed(**fields):
    spec = {name: fields.pop(name) for name in list(fields) if name in RECORD["spec"]}
    return json.dumps({**RECORD, **fields, "spec": {**RECORD["spec"], **spec}})


@pytest.mark.parametrize(
    "text",
    [
        *NOT_AN_OBJECT,
        *(changed(machine={"seconds": s}) for s in (0, -1, math.nan, math.inf, "1", None, 10**400)),
        *(changed(epochs=e, pruning_epochs=0) for e in (0, -5, math.nan, math.inf, "1", None, [])),
        changed(attempts=7),
        changed(network=["mlp"]),
        '{"spec": null}',
    ],
)
def test_damaged_records_do_not_spoil_estimates(tmp_path, text):
    spec = TrainingSpec("small-mlp", "digits")
    folder = tmp_path / "runs" / "any"
    folder.mkdir(parents=True)
    (folder / "run.json").write_text(text)
    assert Estimates(Store(tmp_path)).of(Train(spec)) == Estimates(Store(tmp_path / "no")).of(
        Train(spec)
    )


def test_estimates_are_learned_from_records(tmp_path):
    folder = tmp_path / "runs" / "any"
    folder.mkdir(parents=True)
    (folder / "run.json").write_text(json.dumps(RECORD))
    spec = TrainingSpec("small-mlp", "digits", epochs=3, pruning_epochs=1)
    assert Estimates(Store(tmp_path)).of(Train(spec)) == pytest.approx(4 * 20.0 / 20)


@pytest.mark.parametrize("version", ["", f"-v{MEASURES_VERSION}"])
def test_estimates_are_learned_from_measurements_of_all_versions(tmp_path, version):
    task = Measure(TrainingSpec("small-mlp", "digits"), "pruned", Settings(n_shuffles=4))
    path = Store(tmp_path).measurement_path(task.spec, task.phase, replace(task.settings, seed=1))
    path = path.with_stem(path.stem.removesuffix(f"-v{MEASURES_VERSION}") + version)
    path.parent.mkdir(parents=True)
    path.with_name("run.json").write_text(json.dumps(RECORD))
    path.write_text('{"settings": {"n_shuffles": 9}, "seconds": {"total": 70.0}}')
    assert Estimates(Store(tmp_path)).of(task) == pytest.approx(5 * 70.0 / 10)


@pytest.mark.parametrize(
    "text",
    [
        *NOT_AN_OBJECT,
        '{"ncut": [1, 2]}',
        '{"ncut": [1], "refined_ncut": [1]}',
        '{"ncut": [1, NaN], "refined_ncut": [1, 2]}',
        '{"ncut": [1, "x"], "refined_ncut": [1, 2]}',
    ],
)
def test_damaged_ncuts_of_new_networks_are_named(tmp_path, text):
    task = MeasureNew("mlp", (1, 28, 28), 2, "published")
    task.path(Store(tmp_path)).parent.mkdir()
    task.path(Store(tmp_path)).write_text(text)
    with pytest.raises(InputError, match=r"cannot be read .* remove it to measure again"):
        task.ncuts(Store(tmp_path))


def test_weights_are_told_by_their_content(tmp_path):
    path = tmp_path / "vgg16.pth"
    path.write_bytes(b"0123456789" * 10**5)
    task = MeasureFile("VGG-16", str(path), "published")
    whole = hashlib.sha256(path.read_bytes() + task.settings.digest.encode()).hexdigest()
    assert task.key == f"files/vgg-16-{whole[:12]}"


@pytest.mark.parametrize("make", [os.mkfifo, lambda path: path.write_bytes(b"")])
def test_weights_that_are_no_files(tmp_path, make):
    make(tmp_path / "resnet18.pth")
    with pytest.raises(InputError, match=r"no regular file|is empty"):
        reproduce(["table-a11"], out=tmp_path / "out", weights_dir=str(tmp_path), hours=0)


def test_a_folder_among_weights_is_none_of_them(tmp_path):
    (tmp_path / "resnet18.pth").mkdir()
    with pytest.raises(InputError, match="has no file of"):
        imagenet.find_files(tmp_path)
    (tmp_path / "resnet18_.pth").write_text("1")
    assert imagenet.find_files(tmp_path) == {"ResNet-18": tmp_path / "resnet18_.pth"}


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_folder_of_weights_that_may_not_be_read(tmp_path):
    folder = tmp_path / "weights"
    folder.mkdir(mode=0)
    with pytest.raises(InputError, match="cannot be read"):
        imagenet.find_files(folder)


def test_the_page_has_each_table_as_its_files_have_it(tmp_path):
    reproduce(["table-x1"], out=tmp_path, hours=0, n_runs=7)
    reproduce(["table-a19"], out=tmp_path, hours=0, n_runs=3)
    text = (tmp_path / "published" / "index.html").read_text()
    assert "0 of 7" in text
    assert "0 of 3" in text
    assert "clusterability reproduce table-a19 --conventions published --runs 3" in text
    (tmp_path / "published" / "table-x1.csv").write_text("n_wanted\n0\n")
    reproduce(["table-a19"], out=tmp_path, hours=0)
    text = (tmp_path / "published" / "index.html").read_text()
    assert "0 of 2" in text


@pytest.mark.slow
def test_no_more_processes_than_tasks(tmp_path):
    store = Store(tmp_path)
    task = Train(TrainingSpec("small-mlp", "digits", epochs=1, pruning_epochs=0))
    queue = Queue([task], store, Estimates(store))
    run_locally(queue, Where(), 10**4)
    assert task.is_done(store)
    assert queue.count_waiting() == 0


@pytest.mark.slow
def test_a_task_that_takes_no_time_is_done(tmp_path):
    store = Store(tmp_path)
    task = Train(TrainingSpec("small-mlp", "digits", epochs=1, pruning_epochs=0))
    estimates = Estimates(store)
    estimates.of = lambda _: 0.0
    run_locally(Queue([task], store, estimates), Where(), 1)
    assert task.is_done(store)


def test_the_sheet_of_one_network_needs_one():
    tasks = plan.all_tasks([plan.EXPERIMENTS["figure-1"]], "published", 5)
    assert [task.to_dict()["kind"] for task in tasks] == ["train", "measure"]


@pytest.mark.parametrize("runs", [0, -1, 10**5, 1.5, "3"])
def test_the_list_takes_the_same_numbers_of_runs(tmp_path, runs):
    with pytest.raises(InputError, match="runs is"):
        overview(tmp_path, n_runs=runs)


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("A.6", "did you mean 'table-a6' or 'figure-a6'"),
        ("1", "did you mean 'table-1' or 'figure-1'"),
        ("a15", r"did you mean 'table-a15'\?"),
        ("tabel-a.6", "did you mean 'table-a6'"),
    ],
)
def test_near_names(name, hint):
    with pytest.raises(InputError, match=hint):
        plan.find_experiments([name])


def test_names_in_other_spellings_are_one():
    found = plan.find_experiments(["Table-A6", "table-a.6", "TABLE-A6", "tables"])
    assert [each.name for each in found].count("table-a6") == 1


@pytest.mark.parametrize("spread", [0.0, 1e-15, 1e-12, 1e-3, 1.0])
def test_densities_of_values_that_hardly_differ(spread):
    ax = matplotlib.figure.Figure().subplots()
    drawing._density(ax, 9.0 + spread * np.linspace(0, 1, 50), "red", "label")
    assert ax.get_legend_handles_labels()[1] == ["label"]


def test_the_penalty_of_table_1_has_the_texts_weight_by_the_text():
    line = plan.EXPERIMENTS["table-1"].lines[-1]
    weights = [line.spec_of(r, 0).eigenvalue_penalty for r in ("published", "paper")]
    assert weights == [0.05, 0.1]


def test_variants_of_a_network_are_others(tmp_path):
    others = ("vgg16_bn-6c64b313.pth", "resnet50v2.keras", "resnet50d.pt", "resnet50_v1d.onnx")
    for name in (*others, "vgg16_weights.pth"):
        (tmp_path / name).touch()
    assert imagenet.find_files(tmp_path) == {"VGG-16": tmp_path / "vgg16_weights.pth"}
    (tmp_path / "resnet18_v2.pth").touch()  # with pre-activation, as the paper's
    assert imagenet.find_files(tmp_path)["ResNet-18"] == tmp_path / "resnet18_v2.pth"
