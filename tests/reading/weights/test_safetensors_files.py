import json
import struct

import pytest
import torch
from safetensors.torch import save_file

from clusterability.errors import InputError
from clusterability.reading.weights.weight_files import read_weights

INDEX = "net.safetensors.index.json"


def write_index(folder, weight_map):
    (folder / INDEX).write_text(json.dumps({"weight_map": weight_map}))
    return folder / INDEX


@pytest.fixture
def shards(tmp_path):
    save_file({"a": torch.ones(2, 3), "extra": torch.ones(1)}, tmp_path / "1.safetensors")
    save_file({"b": torch.zeros(4, 2)}, tmp_path / "2.safetensors")
    return tmp_path


def test_shards_are_put_together(shards):
    read = read_weights(write_index(shards, {"a": "1.safetensors", "b": "2.safetensors"}))
    assert {name: tuple(tensor.shape) for name, tensor in read.items()} == {
        "a": (2, 3),
        "b": (4, 2),
    }


def test_bfloat16_is_kept(tmp_path):
    save_file({"w": torch.ones(2, 2, dtype=torch.bfloat16)}, tmp_path / "net.safetensors")
    assert read_weights(tmp_path / "net.safetensors")["w"].dtype == torch.bfloat16


@pytest.mark.parametrize(
    "shard",
    [
        "../1.safetensors",
        "/etc/1.safetensors",
        "sub/1.safetensors",
        "..\\1.safetensors",
        "c:1.safetensors",
        "..",
        "",
        "1.pt",
        "1.safetensors\0",
        7,
        None,
    ],
)
def test_shards_elsewhere_are_refused(shards, shard):
    (shards / "inner").mkdir()
    with pytest.raises(InputError, match=r"names the shard .*, expected the plain name"):
        read_weights(write_index(shards, {"a": shard}))


def test_a_missing_shard(shards):
    with pytest.raises(InputError, match=r"the shard '3\.safetensors', which is not there"):
        read_weights(write_index(shards, {"a": "3.safetensors"}))


def test_a_shard_that_cannot_be_opened(shards):
    with pytest.raises(InputError, match=r"the shard 'aaa.*', which cannot be opened \(.*\);"):
        read_weights(write_index(shards, {"a": "a" * 300 + ".safetensors"}))


def test_a_tensor_that_its_shard_lacks(shards):
    with pytest.raises(InputError, match=r"1\.safetensors' lacks b, which the index"):
        read_weights(write_index(shards, {"b": "1.safetensors"}))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"version https://git-lfs.github.com/spec/v1", r"3\.safetensors' is a Git LFS pointer"),
        (b"", r"3\.safetensors' is empty"),
        (b"12345678901", r"3\.safetensors' is truncated, corrupt"),
    ],
)
def test_a_damaged_shard_is_named(shards, content, message):
    (shards / "3.safetensors").write_bytes(content)
    with pytest.raises(InputError, match=message):
        read_weights(write_index(shards, {"a": "3.safetensors"}))


@pytest.mark.parametrize("weight_map", [None, [], {}, "1.safetensors"])
def test_an_index_without_a_map(shards, weight_map):
    with pytest.raises(InputError, match="has no weight_map"):
        read_weights(write_index(shards, weight_map))


@pytest.mark.parametrize("end", [10**12, 8, 0])
def test_a_header_that_does_not_fit_the_file(tmp_path, end):
    header = json.dumps({"w": {"dtype": "F32", "shape": [1], "data_offsets": [0, end]}}).encode()
    path = tmp_path / "net.safetensors"
    path.write_bytes(struct.pack("<Q", len(header)) + header + bytes(4))
    with pytest.raises(InputError, match=r"net\.safetensors' is truncated, corrupt"):
        read_weights(path)
