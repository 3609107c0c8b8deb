import builtins
import contextlib
import os

import numpy as np
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

import onnx_models
from clusterability.errors import InputError
from clusterability.files import memory
from clusterability.reading.onnx.onnx_files import read_onnx

WEIGHT = np.arange(6, dtype=np.float32).reshape(2, 3)
DATA = WEIGHT.tobytes()


def refused(path, message, **options):
    with pytest.raises(InputError, match=message) as error:
        read_onnx(path, **options)
    assert "\n" not in str(error.value)


def refused_model(proto, folder, message):
    refused(onnx_models.save(proto, folder), message)


@pytest.mark.parametrize("entries", [{}, {"offset": "0", "length": "24"}, {"offset": "0"}])
def test_weights_in_a_file_beside(entries, tmp_path):
    path = onnx_models.external_model(tmp_path, {"location": "net.data", **entries}, data=DATA)
    weight = read_onnx(path).module.get_parameter("fc.weight")
    assert torch.equal(weight, torch.from_numpy(WEIGHT))


def test_weights_in_a_folder_beside_at_an_odd_place(tmp_path):
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "w.bin").write_bytes(b"abc" + DATA + b"more")
    entries = {"location": "sub/w.bin", "offset": "3", "length": "24"}
    path = onnx_models.external_model(tmp_path, entries, data=None)
    module = read_onnx(path).module
    assert torch.equal(module.get_parameter("fc.weight"), torch.from_numpy(WEIGHT))
    assert module(torch.ones(1, 3)).tolist() == [[3.0, 12.0]]


def test_what_is_written_to_weights_does_not_reach_the_file(tmp_path):
    path = onnx_models.external_model(tmp_path, {"location": "net.data"}, data=DATA)
    with torch.no_grad():
        read_onnx(path).module.get_parameter("fc.weight").zero_()
    assert (tmp_path / "net.data").read_bytes() == DATA


def test_external_bfloat16(tmp_path):
    data = torch.from_numpy(WEIGHT).bfloat16().view(torch.int16).numpy().tobytes()
    path = onnx_models.external_model(
        tmp_path, {"location": "net.data"}, data=data, data_type=TensorProto.BFLOAT16
    )
    weight = read_onnx(path).module.get_parameter("fc.weight")
    assert torch.equal(weight, torch.from_numpy(WEIGHT))


@pytest.mark.parametrize("raw", [True, False])
@pytest.mark.parametrize("data_type", ["FLOAT", "FLOAT16", "BFLOAT16", "DOUBLE"])
def test_every_float_type_is_widened_to_one(data_type, raw, tmp_path):
    kind = TensorProto.DataType.Value(data_type)
    if raw:
        dtype = helper.tensor_dtype_to_np_dtype(kind)
        tensor = helper.make_tensor("w", kind, [2, 3], WEIGHT.astype(dtype).tobytes(), raw=True)
    else:
        tensor = helper.make_tensor("w", kind, [2, 3], WEIGHT.ravel().tolist())
    proto = onnx_models.linear_model()
    proto.graph.initializer[0].CopyFrom(tensor)
    proto.graph.initializer[0].name = "fc.weight"
    weight = read_onnx(onnx_models.save(proto, tmp_path)).module.get_parameter("fc.weight")
    assert weight.dtype == torch.float32
    assert torch.equal(weight, torch.from_numpy(WEIGHT))


@pytest.mark.parametrize(
    "location",
    ["/etc/passwd", "../w.bin", "sub/../../w.bin", "..\\w.bin", "\\w.bin", "c:\\w.bin", "", "a\0b"],
)
def test_external_data_outside_of_the_folder(location, tmp_path):
    (tmp_path / "w.bin").write_bytes(DATA)
    (tmp_path / "model").mkdir()
    path = onnx_models.external_model(tmp_path / "model", {"location": location}, data=None)
    refused(path, r"tensor 'fc\.weight' has its data in .*, expected a path inside")


@pytest.mark.parametrize("link", ["file", "folder"])
def test_links_out_of_the_folder(link, tmp_path):
    (tmp_path / "w.bin").write_bytes(DATA)
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "w.bin").symlink_to(tmp_path / "w.bin")
    (folder / "sub").symlink_to(tmp_path)
    location = "w.bin" if link == "file" else "sub/w.bin"
    path = onnx_models.external_model(folder, {"location": location}, data=None)
    refused(path, "a link that leaves the model's own folder")


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ({"location": "other.data"}, r"the file 'other\.data', which is not there"),
        ({"location": "net.data", "offset": "4"}, r"at bytes 4 to 28 of .* which has 24"),
        ({"location": "net.data", "length": "20"}, r"needs 24 bytes, but has 20 in"),
        ({"location": "net.data", "length": "-1"}, r"the length '-1' for its data"),
        ({"location": "net.data", "offset": "1e3"}, r"the offset '1e3' for its data"),
        ({"location": "net.data", "offset": "9" * 5000}, r"the offset '9+\.\.\.9+' for its data"),
        ({"location": "a" * 300}, r"which is not there|cannot be read"),
        ({"location": "."}, r"is a folder"),
    ],
)
def test_external_data_that_do_not_fit(entries, message, tmp_path):
    refused(onnx_models.external_model(tmp_path, entries), message)


def test_external_data_that_are_a_pointer_or_a_pipe(tmp_path):
    pointer = b"version https://git-lfs.github.com/spec/v1"
    path = onnx_models.external_model(tmp_path, {"location": "net.data"}, data=pointer)
    refused(path, "is a Git LFS pointer")
    (tmp_path / "net.data").unlink()
    os.mkfifo(tmp_path / "net.data")
    refused(path, "is no regular file")


def test_a_model_larger_than_memory(tmp_path, monkeypatch):
    path = onnx_models.external_model(tmp_path, {"location": "net.data"}, data=DATA)
    size = path.stat().st_size
    monkeypatch.setattr(memory, "available_memory", lambda: 2 * size)
    read_onnx(path)
    monkeypatch.setattr(memory, "available_memory", lambda: 2 * size - 1)
    refused(path, r"net\.onnx' holds .* more than the .* of memory available")


def test_external_data_larger_than_memory(tmp_path, monkeypatch):
    proto = onnx_models.linear_model(x=(1, 10**6))
    tensor = proto.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.dims[:] = [10**6, 10**6]
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="net.data")
    monkeypatch.setattr(memory, "available_memory", lambda: 10**9)
    refused_model(proto, tmp_path, r"with its external data, holds 4000\.0 GB, more than the 1\.0")


def test_a_truncated_file(tmp_path):
    path = onnx_models.save(onnx_models.linear_model(), tmp_path)
    whole = path.read_bytes()
    messages = r"is empty|is truncated, corrupt|has no nodes|has no outputs|uses version 0 of"
    for n in range(len(whole)):
        path.write_bytes(whole[:n])
        refused(path, messages)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"garbage that is no protobuf", "is truncated, corrupt"),
        (b"\x00" * 50, "is truncated, corrupt"),
        (b"version https://git-lfs.github.com/spec/v1\n", "is a Git LFS pointer"),
        (b"<!DOCTYPE html><html></html>", "is a web page"),
    ],
)
def test_what_is_no_onnx_file(content, message, tmp_path):
    (tmp_path / "net.onnx").write_bytes(content)
    refused(tmp_path / "net.onnx", message)


def test_a_missing_file(tmp_path):
    refused(tmp_path / "net.onnx", "there is no file")


@pytest.mark.slow
def test_changed_bytes_are_never_a_traceback(tmp_path):
    whole = onnx_models.save(onnx_models.linear_model(), tmp_path).read_bytes()
    rng = np.random.default_rng(0)
    for _ in range(300):
        data = bytearray(whole)
        for place in rng.integers(0, len(data), 3):
            data[place] = rng.integers(0, 256)
        (tmp_path / "net.onnx").write_bytes(bytes(data))
        with contextlib.suppress(InputError):
            loaded = read_onnx(tmp_path / "net.onnx")
            loaded.module(*loaded.example_inputs)


@pytest.mark.parametrize(
    ("dims", "message"),
    [
        ([2, 4], r"shape \[2, 4\] needs 32 bytes, but the file has 24"),
        ([2**40, 2**40], r"needs [0-9]+ bytes, but the file has 24"),
        ([-2, -3], r"shape \[-2, -3\], expected no negative size"),
    ],
)
def test_a_tensor_of_another_size_than_its_data(dims, message, tmp_path):
    proto = onnx_models.linear_model()
    proto.graph.initializer[0].dims[:] = dims
    refused_model(proto, tmp_path, message)


def test_a_tensor_with_too_few_typed_numbers(tmp_path):
    proto = onnx_models.linear_model()
    tensor = proto.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.float_data.extend([1.0, 2.0])
    refused_model(proto, tmp_path, r"needs 6 numbers, but the file has 2")


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        (TensorProto.STRING, r"type STRING, which are no plain numbers"),
        (TensorProto.COMPLEX64, r"type COMPLEX64, which are no plain numbers"),
        (TensorProto.INT4, r"type INT4, which are quantized numbers"),
        (TensorProto.FLOAT8E4M3FN, r"type FLOAT8E4M3FN, which are quantized numbers"),
        (TensorProto.UNDEFINED, r"no plain numbers"),
        (999, r"type 999, which are no plain numbers"),
    ],
)
def test_types_that_are_no_weights(kind, message, tmp_path):
    proto = onnx_models.linear_model()
    proto.graph.initializer[0].data_type = kind
    refused_model(proto, tmp_path, r"tensor 'fc\.weight' has elements of .*" + message)


def branch():
    inner = helper.make_graph(
        [helper.make_node("Identity", ["x"], ["z"])],
        "inner",
        [],
        [helper.make_tensor_value_info("z", TensorProto.FLOAT, None)],
    )
    return helper.make_node("If", ["c"], ["y"], name="n", then_branch=inner, else_branch=inner)


def node(op, *inputs, **attributes):
    return helper.make_node(op, ["x", *inputs], ["y"], name="n", **attributes)


GRAPHS = {
    "control flow": ([branch()], r"node 'n' \(If\) is control flow"),
    "recurrent": ([node("LSTM", "w", "w")], r"node 'n' \(LSTM\) is of an operation type that"),
    "quantized": ([node("MatMulInteger", "w")], r"'n' \(MatMulInteger\) .*quantized numbers"),
    "custom": ([node("Fast", domain="a.b")], r"node 'n' \(a\.b\.Fast\) is of an operation type"),
    "ml": ([node("Scaler", domain="ai.onnx.ml")], r"\(ai\.onnx\.ml\.Scaler\) is of an operation"),
    "undefined": ([node("Gemm", "v")], r"'n' \(Gemm\) reads 'v', which no node, input or init"),
    "cyclic": (
        [node("Add", "a"), helper.make_node("Relu", ["y"], ["a"], name="m")],
        r"node 'n' \(Add\) reads 'a', which node 'm' \(Relu\) gives only later.*cyclic",
    ),
    "itself": ([node("Add", "y")], r"reads 'y', which node 'n' \(Add\) gives only later"),
    "twice": ([node("Relu"), node("Relu")], r"gives 'y', which the graph has already"),
    "no output": ([helper.make_node("Relu", ["x"], ["z"])], r"output 'y' .* is given by no node"),
    "no weights": ([node("Relu")], r"no float weights"),
    "empty": ([], r"has no nodes"),
    "no name": ([helper.make_node("Rare", ["x"], ["y"])], r"node that gives 'y' \(Rare\)"),
    "escape": ([helper.make_node("R\x1b[2J", ["x"], ["y"])], r"\(R\\x1b\[2J\)"),
}


@pytest.mark.parametrize("name", GRAPHS)
def test_graphs_that_cannot_be_followed(name, tmp_path):
    nodes, message = GRAPHS[name]
    constants = {"w": np.ones((3, 3), np.float32), "c": np.array(True)}
    proto = onnx_models.model(nodes, constants)
    for domain in {n.domain for n in nodes} - {""}:
        proto.opset_import.add(domain=domain, version=1)
    refused_model(proto, tmp_path, message)


def test_nodes_that_lead_nowhere_are_left_out(tmp_path):
    proto = onnx_models.linear_model()
    proto.graph.node.append(helper.make_node("Unknown", ["x"], ["unused"]))
    assert read_onnx(onnx_models.save(proto, tmp_path)).module(torch.ones(1, 3)).shape == (1, 2)


def test_functions_of_the_file(tmp_path):
    proto = onnx_models.model([node("Own", domain="mine")], {"w": WEIGHT})
    body = [helper.make_node("Relu", ["a"], ["b"])]
    opsets = [helper.make_opsetid("", 18)]
    proto.functions.append(helper.make_function("mine", "Own", ["a"], ["b"], body, opsets))
    refused_model(proto, tmp_path, r"node 'n' \(mine\.Own\) calls a function .*inliner")


def test_training_graphs(tmp_path):
    proto = onnx_models.linear_model()
    proto.training_info.add()
    refused_model(proto, tmp_path, "a training graph")


def test_sparse_initializers(tmp_path):
    proto = onnx_models.linear_model()
    sparse = proto.graph.sparse_initializer.add()
    sparse.values.CopyFrom(numpy_helper.from_array(np.ones(1, np.float32), "s"))
    refused_model(proto, tmp_path, "initializer 's' is sparse")


def test_initializers_of_one_name(tmp_path):
    proto = onnx_models.linear_model()
    proto.graph.initializer.append(proto.graph.initializer[0])
    refused_model(proto, tmp_path, r"two initializers 'fc\.weight'")


@pytest.mark.parametrize("opset", [6, 0])
def test_old_operations(opset, tmp_path):
    refused_model(onnx_models.linear_model(opset=opset), tmp_path, f"version {opset} of the oper")


def test_constant_nodes_are_parameters(tmp_path):
    value = numpy_helper.from_array(WEIGHT)
    nodes = [
        helper.make_node("Constant", [], ["w"], value=value),
        helper.make_node("Constant", [], ["half"], value_float=0.5),
        helper.make_node("Constant", [], ["shape"], value_ints=[-1, 3]),
        helper.make_node("Constant", [], ["bias"], value_floats=[1.0, 2.0]),
        helper.make_node("Reshape", ["x", "shape"], ["flat"]),
        helper.make_node("Mul", ["flat", "half"], ["scaled"]),
        helper.make_node("Gemm", ["scaled", "w", "bias"], ["y"], transB=1),
    ]
    loaded = read_onnx(onnx_models.save(onnx_models.model(nodes), tmp_path))
    assert [name for name, _ in loaded.module.named_parameters()] == ["w", "bias"]
    assert loaded.module(torch.ones(1, 3)).tolist() == [[2.5, 8.0]]


def test_constants_of_text(tmp_path):
    nodes = [helper.make_node("Constant", [], ["w"], name="n", value_string="a"), node("Gemm", "w")]
    refused_model(onnx_models.model(nodes), tmp_path, r"node 'n' \(Constant\) holds 'value_string'")


def test_without_the_onnx_package(tmp_path, monkeypatch):
    path = onnx_models.save(onnx_models.linear_model(), tmp_path)
    real = builtins.__import__

    def without(name, *args, **kwargs):
        if name.partition(".")[0] == "onnx":
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    refused(path, r"needs the package onnx; run pip install 'clusterability\[onnx\]'")
