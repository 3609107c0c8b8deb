"""Do the graphs of 14 unusual models equal those found without this package's tracing?

    python benchmarks/zoo_adjacency.py [--only WORD] [--json PATH]

Needs the packages of benchmarks/zoo-requirements.txt. The other graph is found by running the
model: the outputs of all weight operations are held at 0, those of one are raised by 1, one channel
after the other, and what then arrives at each neuron is read off. On the way activations pass their
input, maxima are means, and where two values multiply each other they are added, so that the rest
of the network is linear and the difference is its derivative. Strengths are products of this and of
the L1 norms of kernels. Exit status 1 if any strength differs by more than 1e-6 of the largest.
"""

import argparse
import json
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from clusterability.experiments.environment import environment
from clusterability.sources import trace
from zoo_models import Specimen, specimens

TOLERANCE = 1e-6
NOTHING = 1e-9
ROWS = 64
"""Channels that are raised in one batch."""

SIDES = {
    "timm/ghostnet_050": 32,
    "timm/hrnet_w18_small": 32,
    "timm/repvgg_a0": 32,
    "timm/res2net50_14w_8s": 64,
    "timm/resnest14d": 64,
    "torchvision/convnext_tiny": 32,
    "torchvision/densenet121": 32,
    "torchvision/efficientnet_b0": 32,
    "torchvision/googlenet": 96,
    "torchvision/inception_v3": 160,
    "torchvision/mnasnet0_5": 32,
    "torchvision/regnet_y_400mf": 32,
    "torchvision/shufflenet_v2_x0_5": 32,
    "torchvision/squeezenet1_1": 96,
}
"""Sides of the images: small, and such that no mean over a map's middle reaches beyond it."""

WEIGHTS = (nn.Conv2d, nn.Linear, nn.Conv1d)

ACTIVATIONS = {
    *("relu", "relu_", "relu6", "silu", "silu_", "hardswish", "hardswish_", "hardsigmoid"),
    *("hardsigmoid_", "gelu", "sigmoid", "sigmoid_", "hardtanh", "hardtanh_", "softmax", "clamp"),
    *("clamp_", "tanh", "mish", "leaky_relu"),
}
PRODUCTS = {"mul", "mul_", "__mul__", "__rmul__", "__imul__", "multiply"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--only", default="", metavar="WORD", help="models with it in their name")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    torch.set_num_threads(1)
    found = {
        specimen.key: compared(specimen)
        for specimen in specimens()
        if specimen.key in SIDES and args.only in specimen.key
    }
    report = {
        "question": "Do the graphs equal those found without this package's tracing?",
        "models": found,
        "environment": environment(("torchvision", "timm")),
    }
    if args.json:
        args.json.write_text(json.dumps(report, indent=1) + "\n")
    sys.exit(any(model["largest_difference"] > TOLERANCE for model in found.values()))


def compared(specimen: Specimen) -> dict[str, Any]:
    started = time.process_time()
    torch.manual_seed(0)
    model = randomized(specimen.build()[0])
    side = SIDES[specimen.key]
    image = torch.randn(1, 3, side, side, dtype=torch.float64)
    graph = trace(model, example_inputs=(image,), include=("input", "dense")).graph
    ours, theirs = sp.csr_array(graph.to_scipy()), Derivatives(model, image).adjacency()
    same = ours.shape == theirs.shape
    apart = float(abs(ours - theirs).max() / theirs.max()) if same else float("inf")
    result = {
        "neurons": ours.shape[0],
        "neurons_by_derivatives": theirs.shape[0],
        "strengths": int(theirs.nnz // 2),
        "largest_difference": apart,
        "seconds": round(time.process_time() - started, 1),
    }
    print(specimen.key, result, flush=True)
    return result


def randomized(model: nn.Module) -> nn.Module:
    """Give a model, in double precision, statistics and factors that are positive and all differ.

    Several ways from one neuron to another then add up, as their sizes do.
    """
    model = model.double().eval()
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, WEIGHTS):
                continue
            for name, tensor in (
                *module.named_parameters(recurse=False),
                *module.named_buffers(recurse=False),
            ):
                if tensor.is_floating_point() and name != "bias":
                    tensor.uniform_(0.5, 1.5)
    return model


class Linearized(TorchFunctionMode):
    """Runs functions as they are, but for those that are not linear."""

    def __init__(self, model: nn.Module) -> None:
        tensors = (*model.parameters(), *model.buffers())
        self.constants = {tensor.untyped_storage().data_ptr() for tensor in tensors}

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        name = getattr(func, "__name__", "")
        if name in ACTIVATIONS:
            return args[0]
        if name.startswith(("max_pool2d", "_max_pool2d", "boolean_dispatch")):
            return self.mean_pool(*args, **kwargs)
        if name in ("layer_norm", "group_norm"):
            return func(*args, **kwargs) if name == "group_norm" else self.factors(*args, **kwargs)
        if name in PRODUCTS and all(self.varies(x) for x in args[:2]):
            return args[0] + args[1]
        return func(*args, **kwargs)

    def varies(self, x: Any) -> bool:
        return isinstance(x, Tensor) and x.untyped_storage().data_ptr() not in self.constants

    @staticmethod
    def mean_pool(
        x: Tensor,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        _dilation: Any = 1,
        ceil_mode: bool = False,
        **_: Any,
    ) -> Tensor:
        return F.avg_pool2d(x, kernel_size, stride, padding, ceil_mode, count_include_pad=False)

    @staticmethod
    def factors(x: Tensor, _shape: Any, weight: Any = None, *_: Any, **__: Any) -> Tensor:
        return x if weight is None else x * weight


class Derivatives:
    """What each output of each weight operation contributes to what the next ones read."""

    def __init__(self, model: nn.Module, image: Tensor) -> None:
        self.model, self.image, self.mode = model, image, Linearized(model)
        self.held: list[Tensor] = []
        self.order: list[nn.Module] = []
        self.operations = [m for m in model.modules() if isinstance(m, WEIGHTS)]
        self.run(image)
        self.readers = list(self.order)
        # A derivative is the same around 0, where no large value takes its digits away.
        self.held = [torch.zeros_like(output) for output in self.outputs]
        self.inputs = self.run(image)

    def run(self, image: Tensor) -> list[Tensor]:
        """Return what each operation reads, in the order of their runs, and the output."""
        inputs: list[Tensor] = []
        self.outputs: list[Tensor] = []
        self.order.clear()

        def hook(module: nn.Module, arguments: Any, output: Tensor) -> Tensor:
            inputs.append(arguments[0])
            self.order.append(module)
            held = self.held[len(self.outputs)] if self.held else output
            self.outputs.append(held.clone())
            return self.outputs[-1].clone()  # the network may change it in place

        forwards = {}
        handles = [m.register_forward_hook(hook) for m in self.operations]
        if self.held:  # what an operation would compute is not used
            for module in self.operations:
                forwards[module] = module.forward
                module.forward = lambda x, *_: x
        try:
            with torch.no_grad(), self.mode:
                inputs.append(self.model(image))
        finally:
            for handle in handles:
                handle.remove()
            for module in forwards:
                del module.forward
        return inputs

    def middles(self, reader: int, inputs: list[Tensor]) -> Tensor:
        """Return (batch, neurons): what arrives at the middle pixel of each neuron."""
        read = inputs[reader]
        if reader < len(self.readers) and isinstance(self.readers[reader], nn.Linear):
            return read.reshape(len(read), -1, read.shape[-1])[:, read[0, ..., 0].numel() // 2]
        for _ in range(read.ndim - 2):
            read = read.select(2, read.shape[2] // 2)
        return read

    def channels(self, operation: int) -> int:
        return int(self.readers[operation].weight.shape[0])

    def scales(self, operation: int) -> dict[int, Tensor]:
        """Return (outputs, neurons) for each reader that the operation's outputs reach."""
        found: dict[int, list[Tensor]] = defaultdict(list)
        for rows in torch.eye(self.channels(operation), dtype=torch.float64).split(ROWS):
            for reader, apart in enumerate(self.differences(operation, rows), operation + 1):
                found[reader].append(apart)
        scales = {reader: torch.cat(parts) for reader, parts in found.items()}
        return {reader: scale for reader, scale in scales.items() if scale.max() > NOTHING}

    def differences(self, operation: int, raised: Tensor) -> Iterator[Tensor]:
        """Return what arrives at each later reader when (rows, outputs) is added."""
        held, n = self.held, len(raised)
        ones = [1] * (held[operation].ndim - 2)
        is_linear = isinstance(self.readers[operation], nn.Linear)
        shape = (n, *ones, -1) if is_linear else (n, -1, *ones)
        self.held = [output.expand(n, *output.shape[1:]) for output in held]
        self.held[operation] = held[operation] + raised.reshape(shape)
        inputs = self.run(self.image.expand(n, -1, -1, -1))
        self.held = held
        for reader in range(operation + 1, len(inputs)):
            yield (self.middles(reader, inputs) - self.middles(reader, self.inputs)).abs()

    def adjacency(self) -> sp.csr_array:
        """Return the graph: readers in order, their segments by first neuron, what is joined."""
        n_operations = len(self.readers)
        sizes = [self.middles(r, self.inputs).shape[1] for r in range(n_operations + 1)]
        blocks: dict[tuple[int, int], np.ndarray] = {}
        sources: dict[tuple[int, int], set[int]] = defaultdict(set)
        for operation in range(n_operations):
            norms = kernel_norms(self.readers[operation], sizes[operation])
            for reader, scales in self.scales(operation).items():
                blocks[operation, reader] = (norms.T @ scales).numpy()
                for neuron in (scales.max(0).values > NOTHING).nonzero().flatten().tolist():
                    sources[reader, neuron].add(operation)
        grid: list[list[Any]] = [[None] * (n_operations + 1) for _ in sizes]
        for i, size in enumerate(sizes):
            grid[i][i] = sp.csr_array((size, size))
        for (source, target), strengths in blocks.items():
            grid[source][target] = sp.csr_array(strengths)
            grid[target][source] = sp.csr_array(strengths.T)
        whole = sp.csr_array(sp.block_array(grid, format="csr"))
        order = self.in_order(sizes, sources, np.diff(whole.indptr) > 0)
        return sp.csr_array(whole[order][:, order])

    @staticmethod
    def in_order(
        sizes: list[int], sources: dict[tuple[int, int], set[int]], joined: np.ndarray
    ) -> list[int]:
        order: list[int] = []
        start = 0
        for reader, size in enumerate(sizes):
            segments: dict[frozenset[int], list[int]] = defaultdict(list)
            for neuron in range(size):
                segments[frozenset(sources[reader, neuron])].append(start + neuron)
            for segment in segments.values():
                order += segment if joined[segment].any() else []
            start += size
        return order


def kernel_norms(module: nn.Module, n_inputs: int) -> Tensor:
    """Return (outputs, inputs): L1 norms of kernels, 0 between groups."""
    weight = module.weight.detach().abs()
    sizes = weight.reshape(*weight.shape[:2], -1).sum(2)
    groups = getattr(module, "groups", 1)
    norms = torch.zeros(len(sizes), n_inputs, dtype=torch.float64)
    n_out, n_in = len(sizes) // groups, n_inputs // groups
    for group in range(groups):
        rows = slice(group * n_out, (group + 1) * n_out)
        norms[rows, group * n_in : (group + 1) * n_in] = sizes[rows]
    return norms


if __name__ == "__main__":
    main()
