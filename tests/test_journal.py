"""Finished graphs are kept, and a call that was interrupted goes on with them."""

import dataclasses
import json
import os
import time

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from clusterability import journal, measure, measuring, scan_clusters, toy
from clusterability.cli import main
from clusterability.errors import InputError
from clusterability.settings import Settings
from forked import Forked
from graphs import random_chain

CHOICES = {"n_clusters": 3, "n_shuffles": 6}


def numbers(result):
    """All of a result but the time that it took."""
    return dataclasses.replace(result, seconds={}).to_dict()


def counted(monkeypatch):
    """The draws that are evaluated from now on."""
    draws, evaluate = [], measuring.evaluate_each

    def note(graph, each, draw):
        draws.append(draw)
        return evaluate(graph, each, draw)

    monkeypatch.setattr(measuring, "evaluate_each", note)
    return draws


def interrupted_after(monkeypatch, n, call):
    """Interrupt a call when it has evaluated n graphs."""
    left, evaluate = [n], measuring.evaluate_each

    def stop(graph, each, draw):
        if not left[0]:
            raise KeyboardInterrupt
        left[0] -= 1
        return evaluate(graph, each, draw)

    with monkeypatch.context() as patched:
        patched.setattr(measuring, "evaluate_each", stop)
        with pytest.raises(KeyboardInterrupt):
            call()


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_what_is_finished_is_not_done_again(tmp_path, monkeypatch, workers):
    network = toy.planted_mlp()
    expected = measure(network, **CHOICES)

    def call():
        return measure(network, **CHOICES, resume=tmp_path, workers=workers)

    interrupted_after(monkeypatch, 4, call)
    draws = counted(monkeypatch)
    assert numbers(call()) == numbers(expected)
    # With another worker, one that was not yet written is lost.
    assert 7 - 4 <= len(draws) <= 7 - 4 + (workers - 1)
    del draws[:]
    assert numbers(call()) == numbers(expected)
    assert draws == []


@pytest.mark.slow
def test_more_shuffles_and_other_seeds_find_what_is_there(tmp_path, monkeypatch):
    network = toy.planted_mlp()
    measure(network, **CHOICES, resume=tmp_path)
    draws = counted(monkeypatch)
    more = measure(network, 3, n_shuffles=9, resume=tmp_path)
    assert len(draws) == 3
    assert numbers(more) == numbers(measure(network, 3, n_shuffles=9))
    del draws[:]
    other = measure(network, 3, n_shuffles=6, seed=1, resume=tmp_path)
    assert len(draws) == 7
    assert numbers(other) == numbers(measure(network, 3, n_shuffles=6, seed=1))


@pytest.mark.slow
@pytest.mark.parametrize(
    "choices",
    [
        {"scaling": "canonical"},
        {"scaling": "canonical", "layers": "hidden"},
        {"scaling": "canonical", "layers": "hidden+outputs", "isolated": "drop-first"},
        {"layers": "hidden"},
        {"conventions": "published"},
        {"null": "nonzero", "volume_offset": 0.1},
    ],
)
def test_any_choices_go_on(tmp_path, monkeypatch, choices):
    network = random_chain([8, 10, 9, 5])
    network.blocks[0].strengths[:, 3] = network.blocks[1].strengths[3] = 0  # one is isolated
    expected = measure(network, 3, 4, **choices)
    measure(network, 3, 2, **choices, resume=tmp_path)
    draws = counted(monkeypatch)
    found = measure(network, 3, 4, **choices, resume=tmp_path)
    assert numbers(found) == numbers(expected)
    assert sum(draw.shuffled for draw in draws) == 2


@pytest.mark.slow
def test_other_networks_and_choices_are_kept_apart(tmp_path, monkeypatch):
    network = toy.planted_mlp()
    measure(network, **CHOICES, resume=tmp_path)
    draws = counted(monkeypatch)
    changed = network.with_flat_strengths(network.flat_strengths().clone())
    changed.blocks[0].strengths[0, 0] += 1e-3
    for call in (
        lambda: measure(changed, **CHOICES, resume=tmp_path),
        lambda: measure(network, 2, 6, resume=tmp_path),
        lambda: measure(network, **CHOICES, null="nonzero", resume=tmp_path),
        lambda: measure(network, **CHOICES, volume_offset=0.1, resume=tmp_path),
        lambda: measure(network, **CHOICES, n_init=7, resume=tmp_path),
    ):
        del draws[:]
        call()
        assert len(draws) == 7
    assert len(list(tmp_path.glob("*.jsonl"))) == 6


@pytest.mark.slow
def test_several_numbers_of_clusters_and_seeds(tmp_path, monkeypatch):
    network, options = toy.planted_mlp(), {"clusters": [2, 3], "n_shuffles": 4, "n_seeds": 3}
    expected = scan_clusters(network, **options)
    interrupted_after(
        monkeypatch, 5, lambda: scan_clusters(network, **options, resume=tmp_path, workers=1)
    )
    draws = counted(monkeypatch)
    found = scan_clusters(network, **options, resume=tmp_path)
    assert len(draws) == 1 + 4 + 2 - 5
    assert [numbers(one) for one in found.results] == [numbers(one) for one in expected.results]
    for one, other in zip(found.stability, expected.stability, strict=True):
        assert one.mean == other.mean
        np.testing.assert_array_equal(one.labels, other.labels)


def test_a_line_without_its_end_is_forgotten(tmp_path, monkeypatch):
    network = toy.planted_mlp()
    expected = measure(network, **CHOICES, resume=tmp_path)
    (path,) = tmp_path.glob("*.jsonl")
    whole = path.read_bytes()
    path.write_bytes(whole[:-20])
    draws = counted(monkeypatch)
    assert numbers(measure(network, **CHOICES, resume=tmp_path)) == numbers(expected)
    assert len(draws) == 1
    assert path.read_bytes().splitlines()[:-1] == whole.splitlines()[:-1]


def damaged(path, content):
    """The file with one thing changed in its first line, each in turn."""
    first, *others = content.splitlines()
    line = json.loads(first.partition(b" ")[2])
    one = line["found"][0]
    changes = [
        {**line, "draw": 5},
        {**line, "found": []},
        {**line, "found": [{**one, "ncut": "low"}]},
        {**line, "found": [{**one, "ncut": float("nan")}]},
        {**line, "found": [{**one, "seconds": 3}]},
        [line],
    ]
    if "labels" in one:
        changes += [
            {**line, "found": [{**one, "labels": one["labels"][1:]}]},
            {**line, "found": [{**one, "labels": [7] * len(one["labels"])}]},
            {**line, "found": [{**one, "labels": [0.5] * len(one["labels"])}]},
            {**line, "found": [{**one, "refined_labels": "none"}]},
        ]
    for changed in [*map(json.dumps, changes), "[" * 10**5, "1" * 5000, "\0", ""]:
        yield b"\n".join([journal.signed(path, changed.encode()), *others]) + b"\n"
    for changed in (first[17:], first[:-1] + b" ", first.replace(b"0.", b"1.", 1), b""):
        yield b"\n".join([changed, *others]) + b"\n"


@pytest.mark.slow
def test_damage_is_one_sentence(tmp_path):
    network = toy.planted_mlp()
    measure(network, 3, 1, resume=tmp_path, workers=1)
    (path,) = tmp_path.glob("*.jsonl")
    lines = sorted(path.read_bytes().splitlines(), key=lambda line: b"labels" not in line)
    for content in damaged(path, b"\n".join(lines)):
        path.write_bytes(content)
        with pytest.raises(InputError, match=r"^line 1 of .* is damaged; remove the file, and"):
            measure(network, 3, 1, resume=tmp_path)


def test_a_file_of_another_network_is_damage(tmp_path):
    measure(toy.planted_mlp(), 3, 1, resume=tmp_path)
    (path,) = tmp_path.glob("*.jsonl")
    measure(toy.planted_mlp(between=0.5), 3, 1, resume=tmp_path)
    (other,) = {*tmp_path.glob("*.jsonl")} - {path}
    path.write_bytes(other.read_bytes())
    with pytest.raises(InputError, match=r"^line 1 of .* is damaged; remove the file, and"):
        measure(toy.planted_mlp(), 3, 1, resume=tmp_path)


def test_devices_are_kept_apart(tmp_path):
    given = toy.path(), [Settings(n_clusters=2)]
    for device in ("cpu", "cuda", "cpu"):
        with journal.opened_journal(tmp_path, *given, device, 4):
            pass
    assert len(list(tmp_path.glob("*.jsonl"))) == 2


@pytest.mark.parametrize("folder", [5, True, b"kept", "", "a\0b", "\ud800", ("kept",), object()])
def test_what_is_no_folder(folder):
    with pytest.raises(InputError, match=r"expected the path of a folder|name another folder"):
        measure(toy.path(), 2, 0, resume=folder)


def test_a_folder_that_cannot_be_used(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"cannot keep finished graphs in .* name another folder"):
        measure(toy.planted_mlp(), **CHOICES, resume=tmp_path / "file")
    measure(toy.planted_mlp(), **CHOICES, resume=tmp_path / "a" / "b")
    (path,) = (tmp_path / "a" / "b").glob("*.jsonl")
    path.unlink()
    path.mkdir()
    with pytest.raises(InputError, match="is a folder; name a file"):
        measure(toy.planted_mlp(), **CHOICES, resume=tmp_path / "a" / "b")


def test_a_full_disk(tmp_path, monkeypatch):
    if not os.path.exists("/dev/full"):
        pytest.skip("no device that is full")
    monkeypatch.setattr("clusterability.journal._appended", lambda _: open("/dev/full", "ab"))  # noqa: SIM115
    with pytest.raises(InputError, match=r"cannot keep finished graphs .*No space left"):
        measure(toy.planted_mlp(), **CHOICES, resume=tmp_path)


@pytest.mark.slow
def test_a_killed_command_goes_on_and_another_waits(tmp_path, capsys):
    generator = torch.Generator().manual_seed(0)
    path, folder = tmp_path / "net.safetensors", tmp_path / "kept"
    weights = {f"{i}.weight": torch.randn(150, 150, generator=generator) for i in range(3)}
    save_file(weights, path)
    command = ["measure", str(path), "--shuffles", "400", "--resume", str(folder)]
    process = Forked([*command, "--quiet"])
    deadline = time.monotonic() + 60
    while not any(kept.stat().st_size for kept in folder.glob("*.jsonl")):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert main(command) == 2
    assert "another process measures the same" in capsys.readouterr().err
    process.kill()
    process.communicate()
    n_kept = (next(folder.glob("*.jsonl"))).read_bytes().count(b"\n")
    assert 0 < n_kept < 401
    few = ["measure", str(path), "--shuffles", "4", "--json", "-"]
    assert main([*few, "--resume", str(folder)]) == 0
    found = json.loads(capsys.readouterr().out)
    assert main(few) == 0
    expected = json.loads(capsys.readouterr().out)
    del found["seconds"], expected["seconds"]
    assert found == expected
