"""Small ONNX models for the tests: built by hand, or exported by torch."""

import io
import warnings
from pathlib import Path

import numpy as np
import torch
from onnx import TensorProto, helper, numpy_helper

FLOAT = TensorProto.FLOAT


def model(nodes, constants=None, x=(1, 3), *, opset=18, outputs=("y",), x_type=FLOAT, inputs=None):
    """A model of one input ``x`` (or of several), with constants as initializers."""
    shapes = {"x": x} if inputs is None else inputs
    graph = helper.make_graph(
        list(nodes),
        "graph",
        [helper.make_tensor_value_info(name, x_type, shape) for name, shape in shapes.items()],
        [helper.make_tensor_value_info(name, FLOAT, None) for name in outputs],
        [numpy_helper.from_array(np.asarray(v), name) for name, v in (constants or {}).items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=10)


def linear_model(**changes):
    """y = x W', with W of shape (2, 3), called ``fc.weight``."""
    weight = np.arange(6, dtype=np.float32).reshape(2, 3)
    node = helper.make_node("Gemm", ["x", "fc.weight"], ["y"], name="fc", transB=1)
    return model([node], {"fc.weight": weight}, **changes)


def save(proto, folder, name="net.onnx"):
    path = Path(folder) / name
    path.write_bytes(proto.SerializeToString())
    return path


def exported(module, x, folder, name="net.onnx", **options):
    """The file that torch's exporter of TorchScript writes for a module."""
    buffer = io.BytesIO()
    args = x if isinstance(x, tuple) else (x,)
    with warnings.catch_warnings():
        # It says that it is the older of two exporters, and tracing warns of sizes read.
        warnings.simplefilter("ignore")
        torch.onnx.export(module.eval(), args, buffer, dynamo=False, **options)
    path = Path(folder) / name
    path.write_bytes(buffer.getvalue())
    return path


def external_model(folder, entries, *, data=bytes(24), data_type=FLOAT):
    """The linear model, its weight in another file as the entries say."""
    proto = linear_model()
    tensor = proto.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_type = data_type
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in entries.items():
        tensor.external_data.add(key=key, value=value)
    if data is not None:
        (Path(folder) / "net.data").write_bytes(data)
    return save(proto, folder)
