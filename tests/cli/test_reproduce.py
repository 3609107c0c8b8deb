"""What the command prints, and how it ends."""

import subprocess
import sys

import pytest

from clusterability.cli import main
from reproduced import use_small


@pytest.fixture(autouse=True)
def small(monkeypatch):
    use_small(monkeypatch)


@pytest.mark.slow
def test_the_list_of_an_empty_place(tmp_path, capsys):
    assert main(["reproduce", "--out", str(tmp_path / "none")]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["name", "shows", "networks", "hours", "left", "data"]
    assert lines[1].startswith("table-1 ")
    assert any(line.startswith("figure-a6") and "0 of 20" in line for line in lines)
    (files,) = (line for line in lines if line.startswith("table-a11 "))
    assert files.endswith("  files of networks, --weights-dir")
    assert not (tmp_path / "none").exists()


@pytest.mark.slow
def test_the_list_says_how_far_networks_are_trained(tmp_path, capsys):
    assert main(["reproduce", "--epochs", "1", "--out", str(tmp_path)]) == 0
    *_, last = capsys.readouterr().out.splitlines()
    assert last.endswith("Networks are trained, and then pruned, for at most 1 epoch.")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["table-a66"], "there is no experiment 'table-a66'"),
        (["\x1b[2J"], r"'\x1b[2J'"),
        (["table-x1", "--runs", "0"], "runs is 0"),
        (["table-x1", "--runs", "x"], "runs is 'x'"),
        (["table-x1", "--epochs", "0"], "epochs is 0"),
        (["--runs", "9" * 30], "runs is 9999"),
        (["table-x1", "--hours", "nan"], "hours is nan"),
        (["table-x1", "--workers", "100000"], "workers is 100000"),
        (["table-x1", "--conventions", "default"], "conventions is 'default'"),
        (["--conventions", "\x1b"], "conventions is"),
    ],
)
def test_mistakes_are_told_in_a_line(tmp_path, capsys, arguments, message):
    assert main(["reproduce", *arguments, "--out", str(tmp_path)]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert message in printed.err
    assert printed.err.count("\n") == 1
    assert printed.err[:-1].isprintable()


def test_what_there_was_no_time_for_is_counted(tmp_path, capsys):
    out = tmp_path / "new\nline"
    assert main(["reproduce", "table-x1", "--hours", "0", "--out", str(out)]) == 0
    printed = capsys.readouterr()
    assert "6 tasks would not have ended in time." in printed.out
    assert r"new\nline/published': table-x1.csv, table-x1.md" in printed.out
    assert printed.err == ""


def test_quiet_prints_nothing(tmp_path, capsys):
    assert main(["reproduce", "table-x1", "--hours", "0", "--out", str(tmp_path), "--quiet"]) == 0
    assert capsys.readouterr() == ("", "")


def imported_after(code, *names):
    """Those of these packages that a new process has imported after a piece of code."""
    code = f"import sys\n{code}\nprint(*{{*{names}}} & {{*sys.modules}}, file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stderr.split()


@pytest.mark.slow
def test_help_list_and_training_do_not_wait_for_what_they_do_not_need(tmp_path):
    command = "from clusterability.cli import main\ntry: main({})\nexcept SystemExit: pass"
    assert imported_after(command.format(["reproduce", "--help"]), "torch") == []
    listed = command.format(["reproduce", "--out", "/nonexistent"])
    listed += "\nassert 'matplotlib' not in sys.modules\n"
    spec = "TrainingSpec('small-mlp', 'digits', epochs=1, pruning_epochs=1, l1=1e-6)"
    trained = "import clusterability.training.worker\n"
    trained += f"from clusterability.training import TrainingSpec, train\ntrain({spec}, {{}})"
    found = imported_after(listed + trained.format(f"out={str(tmp_path)!r}"), "numba", "scipy")
    assert found == []
