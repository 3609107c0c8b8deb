import os
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn

import onnx_models
from clusterability.reading.onnx.onnx_files import read_onnx
from clusterability.tracing import exporting


class Residual(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 4, 3, padding=1, bias=False)
        self.bn = nn.BatchNorm2d(4)
        self.conv = nn.Conv2d(4, 6, 3, stride=2, padding=1)
        self.down = nn.Conv2d(4, 6, 1, stride=2, bias=False)
        self.last = nn.Conv2d(6, 6, 3, padding=1)
        self.head = nn.Linear(6, 5)

    def forward(self, x):
        x = F.relu(self.bn(self.stem(x)))
        x = F.relu(self.conv(x) + self.down(x))
        x = x + self.last(x)
        return self.head(F.adaptive_avg_pool2d(x, 1).flatten(1))


class Concatenated(nn.Module):
    def __init__(self):
        super().__init__()
        self.depthwise = nn.Conv2d(4, 4, 3, padding=1, groups=4)
        self.grouped = nn.Conv2d(4, 6, 1, groups=2)
        self.up = nn.ConvTranspose2d(6, 3, 3, stride=2, padding=1, output_padding=1)
        self.last = nn.Conv2d(7, 2, 3)

    def forward(self, x):
        y = F.hardswish(self.depthwise(F.max_pool2d(x, 2)))
        y = self.up(F.leaky_relu(self.grouped(y)))
        return self.last(torch.cat([x, y], 1))


class Reshaped(nn.Module):
    """Sizes read from tensors, a channel shuffle, chunks and an upsampling."""

    def __init__(self):
        super().__init__()
        self.first = nn.Conv2d(4, 8, 1)
        self.dense = nn.Linear(8 * 16, 12)

    def forward(self, x):
        n, _, height, width = x.shape
        y = self.first(x).view(n, 2, 4, height, width).transpose(1, 2).reshape(n, 8, height, width)
        a, b = y.chunk(2, 1)
        y = torch.cat([F.silu(a), F.gelu(b)], 1)
        y = F.interpolate(y, scale_factor=2, mode="nearest")
        y = F.adaptive_avg_pool2d(y, 4)
        return F.softmax(self.dense(y.view(y.size(0), -1)), dim=1)


def mlp():
    return nn.Sequential(
        nn.Flatten(), nn.Linear(12, 8), nn.ReLU(), nn.BatchNorm1d(8), nn.Linear(8, 5), nn.Tanh()
    )


def normalized():
    return nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.GroupNorm(2, 4), nn.PReLU(4), nn.InstanceNorm2d(4, affine=True),
        nn.AvgPool2d(2), nn.ELU(), nn.Dropout(), nn.Flatten(), nn.Linear(36, 6), nn.LayerNorm(6),
        nn.GELU(), nn.Linear(6, 4), nn.Mish(), nn.LogSoftmax(-1),
    )  # fmt: skip


NETWORKS = {
    "mlp": (mlp, (2, 3, 4)),
    "residual": (Residual, (2, 3, 8, 8)),
    "concatenated": (Concatenated, (2, 4, 8, 8)),
    "reshaped": (Reshaped, (2, 4, 6, 6)),
    "normalized": (normalized, (2, 3, 8, 8)),
}


def randomized(module):
    """The module with other running statistics and scales than at the start of training."""
    torch.manual_seed(0)
    for part in module.modules():
        for name, tensor in [
            *part.named_parameters(recurse=False),
            *part.named_buffers(recurse=False),
        ]:
            if tensor.is_floating_point():
                with torch.no_grad():
                    tensor.copy_(torch.rand_like(tensor) - (0.4 if "weight" in name else 0.0))
    return module.eval()


def targets(loaded):
    program = exporting.exported(loaded.module, loaded.example_inputs)
    return [n.target.__name__.split(".")[0] for n in program.graph.nodes if n.op == "call_function"]


@pytest.mark.slow
@pytest.mark.parametrize("opset", [11, 13, 17, 20])
@pytest.mark.parametrize("name", NETWORKS)
def test_an_exported_network_computes_the_same(name, opset, tmp_path):
    make, shape = NETWORKS[name]
    module, x = randomized(make()), torch.rand(shape) - 0.5
    loaded = read_onnx(onnx_models.exported(module, x, tmp_path, opset_version=opset))
    torch.testing.assert_close(loaded.module(x), module(x), rtol=1e-4, atol=1e-5)
    assert [tuple(e.shape) for e in loaded.example_inputs] == [shape]
    ours = dict(loaded.module.named_parameters())
    assert {n for n in ours if n.endswith(".weight")} <= {n for n, _ in module.named_parameters()}
    assert targets(loaded)


@pytest.mark.slow
@pytest.mark.parametrize("opset", [11, 17])
def test_the_operations_that_the_tracer_sees(opset, tmp_path):
    module = randomized(Residual())
    path = onnx_models.exported(
        module, torch.zeros(1, 3, 8, 8), tmp_path, opset_version=opset,
        training=torch.onnx.TrainingMode.PRESERVE,
    )  # fmt: skip
    assert targets(read_onnx(path)) == [
        *("conv2d", "batch_norm", "relu", "conv2d", "conv2d", "add", "relu", "conv2d", "add"),
        *("mean", "flatten", "linear"),
    ]


@pytest.mark.slow
@pytest.mark.parametrize("opset", [9, 11, 14, 17, 20])
@pytest.mark.parametrize(
    ("activation", "expected"),
    [
        (nn.GELU(), "gelu"),
        (nn.GELU(approximate="tanh"), "gelu"),
        (nn.SiLU(), "silu"),
        (nn.Mish(), "mish"),
        (nn.Hardswish(), "hardswish_"),
        (nn.Hardsigmoid(), "hardsigmoid"),
        (nn.LayerNorm(8), "layer_norm"),
        (nn.LayerNorm(8, elementwise_affine=False), "layer_norm"),
    ],
    ids=str,
)
def test_what_exporters_take_apart_is_one_operation(activation, expected, opset, tmp_path):
    module = nn.Sequential(nn.Linear(8, 8), activation)
    x = torch.randn(3, 8)
    loaded = read_onnx(onnx_models.exported(module, x, tmp_path, opset_version=opset))
    torch.testing.assert_close(loaded.module(x), module(x), rtol=1e-5, atol=1e-5)
    assert targets(loaded) == ["linear", expected.strip("_")]


def test_parameters_keep_their_names(tmp_path):
    module = randomized(Residual())
    x = torch.zeros(1, 3, 8, 8)
    path = onnx_models.exported(
        module, x, tmp_path, training=torch.onnx.TrainingMode.PRESERVE, do_constant_folding=False
    )
    loaded = read_onnx(path)
    expected = {name: t for name, t in module.state_dict().items() if "num_batches" not in name}
    state = loaded.module.state_dict()
    assert set(state) == set(expected)
    for name, tensor in expected.items():
        assert torch.equal(state[name], tensor)
    assert {name for name, _ in loaded.module.named_buffers()} == {
        "bn.running_mean",
        "bn.running_var",
    }


def test_errors_and_traces_name_the_node(tmp_path):
    loaded = read_onnx(onnx_models.save(onnx_models.linear_model(), tmp_path))
    program = exporting.exported(loaded.module, loaded.example_inputs)
    (linear,) = [node for node in program.graph.nodes if "linear" in str(node.target)]
    path, _ = list(linear.meta["nn_module_stack"].values())[-1]
    assert path == "nodes.fc_Gemm"
    assert repr(loaded.module.get_submodule(path)) == "OnnxNode(node 'fc' (Gemm))"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a.b.weight", "a.b.weight"),
        ("onnx::MatMul_7", "onnx::MatMul_7"),
        ("/conv/weight", "/conv/weight"),
        ("half", "half_"),
        ("forward.training", "forward_.training_"),
        (".w.", "_.w._"),
        ("nodes.weight", "nodes.weight"),
        ("a." * 50 + "w", "a_" * 50 + "w"),
    ],
)
def test_names_that_torch_does_not_allow(name, expected, tmp_path):
    proto = onnx_models.linear_model()
    proto.graph.initializer[0].name = name
    proto.graph.node[0].input[1] = name
    loaded = read_onnx(onnx_models.save(proto, tmp_path))
    assert [name for name, _ in loaded.module.named_parameters()] == [expected]
    assert targets(loaded) == ["linear"]


def test_a_file_of_halves_is_widened(tmp_path):
    module = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2)).half()
    x = torch.rand(2, 3).half()
    loaded = read_onnx(onnx_models.exported(module, x, tmp_path))
    assert {p.dtype for p in loaded.module.parameters()} == {torch.float32}
    torch.testing.assert_close(
        loaded.module(x.float()), module.float()(x.float()), rtol=1e-3, atol=1e-3
    )


def test_a_file_of_doubles_stays(tmp_path):
    module = nn.Sequential(nn.Linear(3, 4), nn.GELU(), nn.Linear(4, 2)).double()
    x = torch.rand(2, 3).double()
    loaded = read_onnx(onnx_models.exported(module, x, tmp_path))
    assert loaded.example_inputs[0].dtype == torch.float64
    torch.testing.assert_close(loaded.module(x), module(x), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("file", ["mnist-net_256x4", "Convnet_maxpool", "resnet_2b"])
def test_published_networks(file):
    folder = os.environ.get("CLUSTERABILITY_NETWORKS")
    if not folder:
        pytest.skip("CLUSTERABILITY_NETWORKS names no folder")
    loaded = read_onnx(Path(folder) / f"{file}.onnx")
    assert loaded.module(*loaded.example_inputs).shape == (1, 10)
    allowed = {"conv2d", "linear", "relu", "add", "flatten", "max_pool2d"}
    assert set(targets(loaded)) <= allowed


def test_the_module_is_left_in_evaluation_mode(tmp_path):
    loaded = read_onnx(onnx_models.save(onnx_models.linear_model(), tmp_path))
    assert not any(part.training for part in loaded.module.modules())
