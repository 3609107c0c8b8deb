import csv
import json
import os
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from clusterability import Clusterability, measure, measuring
from clusterability.arguments import DEVICES
from clusterability.cli import command_parser, main
from clusterability.conventions import CONVENTIONS
from clusterability.records import choice_of
from clusterability.registries import INCLUDABLE, ISOLATED, KERNEL_NORMS, NULLS, TIES
from clusterability.settings import Settings

FAST = ("--clusters", "3", "--shuffles", "4", "--starts", "2")


@pytest.fixture
def network(tmp_path):
    generator = torch.Generator().manual_seed(0)
    weights = {
        "fc1.weight": torch.randn(12, 20, generator=generator),
        "fc2.weight": torch.randn(8, 12, generator=generator),
    }
    path = tmp_path / "network.safetensors"
    save_file(weights, path)
    return path


def run(*arguments, **options):
    command = [sys.executable, "-m", "clusterability", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, **options)


@pytest.mark.slow
@pytest.mark.parametrize(
    "arguments",
    [
        ["measure", "--help"],
        ["train", "--help"],
        ["measure", "x.pt", "--conventions", "publish"],
        ["measure", "x.pt", "--volume-offset", "-1"],
        ["train", "--network", "mpl", "--dataset", "mnist"],
        ["train", "--network", "mlp", "--dataset", "mnist", "--measure", "--null", "laier"],
    ],
    ids=" ".join,
)
def test_help_and_wrong_choices_leave_heavy_libraries_alone(arguments):
    code = f"import sys; from clusterability.cli import main\ntry: main({arguments})\n"
    code += "except SystemExit: pass\n"
    code += "print(sorted({'torch', 'numpy', 'numba', 'scipy', 'matplotlib'} & set(sys.modules)))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.splitlines()[-1] == "[]"


@pytest.mark.slow
def test_help_is_quick():
    """In processor time, which a busy machine does not lengthen."""
    seconds = []
    for _ in range(3):
        before = os.times()
        assert run("--help").returncode == 0
        after = os.times()
        seconds.append(
            after.children_user
            + after.children_system
            - before.children_user
            - before.children_system
        )
    assert min(seconds) < 0.5


def options_of(verb):
    return command_parser()._subparsers._group_actions[0].choices[verb]._actions


def test_help_names_all_that_exists():
    texts = {action.dest: action.help for action in options_of("measure")}
    for field, names in {
        "conventions": CONVENTIONS,
        "null": NULLS,
        "isolated": ISOLATED,
        "ties": TIES,
        "kernel_norm": KERNEL_NORMS,
        "device": DEVICES,
    }.items():
        assert ", ".join(names) in texts[field]
    assert all(name in texts["include"] for name in INCLUDABLE)


def test_every_choice_has_a_flag():
    flags = {action.dest: action.option_strings for action in options_of("measure")}
    assert {f.name: [choice_of(f).flag] for f in fields(Settings)}.items() <= flags.items()


@pytest.mark.slow
def test_what_is_registered_is_known_to_the_command(monkeypatch, network, capsys):
    assert main(["measure", str(network), *FAST, "--null", "mine"]) == 2
    assert "null is 'mine', expected one of layer, nonzero" in capsys.readouterr().err
    monkeypatch.setitem(NULLS, "mine", NULLS["layer"])
    assert main(["measure", str(network), *FAST, "--null", "mine", "--json", "-"]) == 0
    assert json.loads(capsys.readouterr().out)["null"]["kind"] == "mine"
    monkeypatch.setenv("COLUMNS", "200")
    with pytest.raises(SystemExit):
        main(["measure", "--help"])
    assert "layer, nonzero, mine: " in capsys.readouterr().out


@pytest.mark.slow
def test_conventions_on_the_command_line(network, capsys):
    arguments = ["--conventions", "published", "--ties", "tied", "--kernel-norm", "l2"]
    assert main(["measure", str(network), *FAST, *arguments, "--json", "-"]) == 0
    settings = json.loads(capsys.readouterr().out)["settings"]
    assert (settings["conventions"], settings["isolated"]) == ("published", "drop-first")
    assert (settings["ties"], settings["kernel_norm"]) == ("tied", "l2")
    assert settings["volume_offset"] == 1e-8


@pytest.mark.slow
def test_json_on_standard_output_is_the_python_result(network, capsys):
    assert main(["measure", str(network), *FAST, "--json", "-", "--seed", "7"]) == 0
    data = json.loads(capsys.readouterr().out)
    result = measure(network, 3, 4, 7, n_init=2, name=str(network))
    expected = json.loads(result.to_json())
    for record in (data, expected):
        record.pop("seconds")
    assert data == expected


@pytest.mark.slow
def test_files_are_written(network, tmp_path, capsys):
    names = {kind: tmp_path / f"out.{kind}" for kind in ("json", "csv", "svg")}
    arguments = ["--json", names["json"], "--csv", names["csv"], "--figure", names["svg"]]
    assert main(["measure", str(network), *FAST, *map(str, arguments)]) == 0
    result = Clusterability.from_json(names["json"].read_text())
    rows = list(csv.DictReader(names["csv"].read_text().splitlines()))
    assert [int(row["cluster"]) for row in rows] == result.labels.tolist()
    assert names["svg"].read_text().lstrip().startswith("<?xml")
    assert f"{result.ncut:.3f}" in capsys.readouterr().out
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(
        ["network.safetensors", "out.json", "out.csv", "out.svg"]
    )


@pytest.mark.slow
def test_several_networks_give_a_list_and_one_table(network, capsys):
    assert main(["measure", str(network), str(network), *FAST]) == 0
    assert capsys.readouterr().out.splitlines()[0].split()[:2] == ["network", "n-cut"]
    assert main(["measure", str(network), str(network), *FAST, "--json", "-"]) == 0
    assert len(json.loads(capsys.readouterr().out)) == 2


@pytest.mark.slow
def test_several_networks_as_tables_and_labels(network, tmp_path):
    other = tmp_path / "=other.safetensors"
    other.write_bytes(network.read_bytes())
    names = [str(tmp_path / name) for name in ("out.json", "out.csv", "out.md", "labels.csv")]
    for table in names[1:3]:
        arguments = [str(network), str(other), *FAST, "--table", table]
        assert main(["measure", *arguments, "--json", names[0], "--csv", names[3]]) == 0
    results = json.loads(Path(names[0]).read_text())
    rows = list(csv.DictReader(Path(names[1]).read_text().splitlines()))
    assert [float(row["ncut"]) for row in rows] == [result["ncut"] for result in results]
    assert [int(row["n_shuffles"]) for row in rows] == [4, 4]
    assert Path(names[2]).read_text().startswith("| network | n-cut |")
    labels = list(csv.DictReader(Path(names[3]).read_text().splitlines()))
    assert {row["network"] for row in labels} == {str(network), str(other)}
    found = [int(row["cluster"]) for row in labels]
    assert found == results[0]["labels"] + results[1]["labels"]


@pytest.mark.slow
def test_several_numbers_of_clusters(network, tmp_path, capsys):
    outputs = {"json": "out.json", "csv": "out.csv", "figure": "out.svg", "table": "table.csv"}
    paths = {kind: tmp_path / name for kind, name in outputs.items()}
    options = [text for kind, path in paths.items() for text in (f"--{kind}", str(path))]
    arguments = [str(network), "--shuffles", "4", "--clusters", "2-3,5", "--seeds", "3"]
    assert main(["measure", *arguments, *options]) == 0
    assert "k is recommended" in capsys.readouterr().out
    data = json.loads(paths["json"].read_text())
    results = [Clusterability.from_json(json.dumps(each)) for each in data]
    assert [result.settings.n_clusters for result in results] == [2, 3, 5]
    rows = list(csv.DictReader(paths["table"].read_text().splitlines()))
    assert [float(row["ncut"]) for row in rows] == [result.ncut for result in results]
    assert all(-1 <= float(row["stability"]) <= 1 for row in rows)
    labels = list(csv.DictReader(paths["csv"].read_text().splitlines()))
    for result in results:
        of_k = [row for row in labels if int(row["clusters"]) == result.settings.n_clusters]
        assert [int(row["cluster"]) for row in of_k] == result.labels.tolist()
        assert {row["share"] for row in of_k} <= {"1", "0.666667", "0.333333"}
    assert paths["figure"].stat().st_size > 1000
    assert main(["measure", str(network), "--seeds", "2", "--shuffles", "0"]) == 0
    assert capsys.readouterr().out.splitlines()[3].split()[0] == "12"


@pytest.mark.slow
def test_quiet_prints_nothing(network, capsys):
    assert main(["measure", str(network), *FAST, "--quiet"]) == 0
    assert capsys.readouterr() == ("", "")


@pytest.mark.slow
def test_ascii_only_output_and_no_progress_bar_in_a_pipe(network):
    renamed = network.with_name("réseau.safetensors")
    network.rename(renamed)
    found = run("measure", renamed, *FAST, env={**os.environ, "PYTHONIOENCODING": "ascii"})
    assert (found.returncode, found.stderr) == (0, "")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["missing.pt"], "missing.pt"),
        (["example:nothing"], "fashion-mnist-mlp"),
        (["hf:some/model"], "reserved"),
        (["nomodule:build"], "nomodule"),
        (["NETWORK", "--clusters", "1"], "n_clusters is 1"),
        (["NETWORK", "--clusters", "41"], "40 neurons"),
        (["NETWORK", "--shuffles", "-1"], "n_shuffles is -1"),
        (["NETWORK", "--workers", "0"], "workers is 0"),
        (["NETWORK", "--starts", "0"], "n_init is 0"),
        (["NETWORK", "--seed", "-1"], "seed is -1"),
        (
            ["NETWORK", "--clusters", "twelve"],
            "clusters is 'twelve', expected whole numbers",
        ),
        (["NETWORK", "--clusters", "3.0"], "n_clusters is 3.0"),
        (["NETWORK", "--workers", "all"], "workers is 'all'"),
        (["NETWORK", "--null", "layers"], "did you mean 'layer'"),
        (["NETWORK", "--isolated", "drop"], "expected one of drop-first, drop-after"),
        (["NETWORK", "--ties", "tie"], "did you mean 'tied'"),
        (["NETWORK", "--kernel-norm", "l3"], "expected one of l1, l2"),
        (["NETWORK", "--conventions", "papers"], "did you mean 'paper'"),
        (["NETWORK", "--volume-offset", "-1"], "volume_offset is -1"),
        (["NETWORK", "--volume-offset", "nan"], "volume_offset is nan"),
        (["NETWORK", "--volume-offset", "inf"], "volume_offset is inf"),
        (["NETWORK", "--volume-offset", "1,5"], "volume_offset is '1,5', expected a number"),
        (["NETWORK", "--device", "gpu"], "device is 'gpu', expected one of auto, cpu, cuda"),
        (["NETWORK", "--order", "fc1,fc9"], "fc9"),
        (["NETWORK", "--include", "everything"], "everything"),
        (["NETWORK", "--figure", "out.bmp"], ".png"),
        (["NETWORK", "--json", "no/such/folder/out.json"], "no/such/folder"),
        (["NETWORK", "--csv", "."], "folder"),
        (["NETWORK", "--table", "out.xls"], ".tex"),
        (["NETWORK", "--clusters", "1-3"], "a number of clusters is 1, expected"),
        (["NETWORK", "--clusters", "2-9000"], "at most 200, or 'auto'"),
        (["NETWORK", "--clusters", "5,60"], "40 neurons with non-zero weights, fewer than n_cl"),
        (["NETWORK", "--clusters", "4-2"], "clusters is '4-2', expected"),
        (["NETWORK", "--seeds", "0"], "n_seeds is 0"),
        (["NETWORK", "NETWORK", "--clusters", "2-3", "--series", "o.pdf"], "takes one number of"),
        (["NETWORK", "NETWORK", "--series", "out.csv"], ".pdf"),
        (["NETWORK", "NETWORK", "--figure", "out.png"], "--figure takes one network"),
    ],
)
def test_mistakes_get_one_sentence(network, arguments, words, capsys, monkeypatch, tmp_path):
    folder = tmp_path / "empty"
    folder.mkdir()
    monkeypatch.chdir(folder)
    filled = [str(network) if argument == "NETWORK" else argument for argument in arguments]
    assert main(["measure", *filled]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("clusterability: ")
    assert err.count("\n") == 1
    assert words in err
    assert list(folder.iterdir()) == []


def test_outputs_are_files_apart(network, tmp_path, capsys):
    same, content = str(tmp_path / "same"), network.read_bytes()
    folder = str(tmp_path / "kept")
    for outputs in (
        ["--json", same, "--csv", same],
        ["--json", str(network)],
        ["--resume", folder, "--json", folder],
    ):
        assert main(["measure", str(network), *FAST, *outputs]) == 2
        assert "named twice" in capsys.readouterr().err
    assert network.read_bytes() == content


def test_names_that_no_file_can_have(capsys):
    for name in ("x" * 300, "x" * 300 + ":foo"):
        assert main(["measure", name]) == 2
        assert capsys.readouterr().err.count("\n") == 1


def test_a_gpu_that_is_not_there(network, capsys):
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    assert main(["measure", str(network), *FAST, "--device", "cuda"]) == 2
    assert "no GPU" in capsys.readouterr().err


def test_an_output_path_is_checked_before_the_network_is_read(tmp_path, capsys):
    missing = str(tmp_path / "missing.pt")
    assert main(["measure", missing, "--json", str(tmp_path / "no" / "out.json")]) == 2
    assert "missing.pt" not in capsys.readouterr().err


@pytest.mark.slow
def test_module_and_callable(tmp_path, monkeypatch, capsys):
    (tmp_path / "my_networks.py").write_text(
        "import torch\n"
        "def build():\n    torch.manual_seed(0)\n    return torch.nn.Sequential("
        "torch.nn.Linear(9, 8), torch.nn.ReLU(), torch.nn.Linear(8, 7))\n"
        "def fail():\n    raise RuntimeError('no weights\\nhere')\n"
        "def number():\n    return 3\n"
    )
    monkeypatch.chdir(tmp_path)
    assert main(["measure", "my_networks:build", *FAST, "--json", "-"]) == 0
    assert json.loads(capsys.readouterr().out)["network"] == "my_networks:build"
    for name, words in [("fail", "no weights"), ("number", "int"), ("absent", "absent")]:
        assert main(["measure", f"my_networks:{name}", *FAST]) == 2
        err = capsys.readouterr().err
        assert words in err
        assert err.count("\n") == 1
    assert str(tmp_path) not in sys.path


def test_an_existing_file_wins(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    np.savez("example:odd.npz", **{"a.weight": np.random.default_rng(0).random((6, 5))})
    assert main(["measure", "example:odd.npz", *FAST, "--json", "-"]) == 0
    assert json.loads(capsys.readouterr().out)["layers"][0]["n_neurons"] == 5


def test_a_missing_network_is_found_before_the_first_is_measured(tmp_path, monkeypatch, capsys):
    def measured(*_arguments, **_options):
        raise AssertionError

    monkeypatch.setattr(measuring, "measure", measured)
    assert main(["measure", "example:fashion-mnist-mlp", str(tmp_path / "no.npz")]) == 2
    assert "there is no file" in capsys.readouterr().err


@pytest.mark.parametrize("option", ["csv", "table", "figure", "series"])
def test_files_have_a_path(option, capsys):
    assert main(["measure", "example:fashion-mnist-mlp", f"--{option}", "-"]) == 2
    assert f"--{option} is '-', expected a path" in capsys.readouterr().err


def test_a_model_that_prints_leaves_the_json_alone(tmp_path, monkeypatch, capsys):
    (tmp_path / "loud_model.py").write_text(
        "import torch\nfrom torch import nn\n\n"
        "class Loud(nn.Module):\n"
        "    def __deepcopy__(self, memo):\n        print('copy')\n        return Loud()\n"
        "    def forward(self, x):\n        print('forward')\n        return x.abs()\n\n"
        "def make():\n    print('make')\n"
        "    torch.manual_seed(0)\n    net = nn.Sequential(nn.Linear(6, 5), nn.Linear(5, 4))\n"
        "    nn.utils.parametrize.register_parametrization(net[0], 'weight', Loud())\n"
        "    return net\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.path", list(sys.path))
    assert main(["measure", "loud_model:make", "--json", "-", "--quiet", *FAST]) == 0
    out, err = capsys.readouterr()
    assert json.loads(out)["network"] == "loud_model:make"
    assert {"make", "forward", "copy"} <= set(err.split())
