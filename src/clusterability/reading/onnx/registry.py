"""ONNX operations by name, each a function of torch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from clusterability.errors import InputError
from clusterability.reading.onnx.graph import Array, GraphNode

NodeValue = Tensor | Array | None
Function = Callable[..., Any]


@dataclass(frozen=True)
class OnnxOperation:
    """How to compute what an ONNX operation gives.

    Attributes:
        function: takes the :class:`NodeCall`, then the node's inputs (None where one is left
            out); returns a tensor, or a tuple of one for each output.
        numbers: positions of inputs that are plain numbers, such as a shape: where they are known
            without running the network, the function gets them as NumPy arrays.
        scalars: whether constants of no axes come as Python numbers.
    """

    function: Function
    numbers: tuple[int, ...] = ()
    scalars: bool = False


@dataclass(frozen=True)
class NodeCall:
    """A node and what is known of its inputs before the network runs.

    Attributes:
        node: name, operation, attributes and opset.
        constant: for each input, whether it is the same whatever the network is given.
        float_type: the type of all floats.
    """

    node: GraphNode
    constant: tuple[bool, ...]
    float_type: torch.dtype = torch.float32

    @property
    def opset(self) -> int:
        """Version of the operations that the file asks for."""
        return self.node.opset

    def get(self, name: str, default: Any = None) -> Any:
        """An attribute, or the default where the node does not have it."""
        return self.node.attributes.get(name, default)

    def refusal(self, reason: str) -> InputError:
        """An error that names the node."""
        return InputError(f"{self.node.shown} {reason}")

    def axes(self, given: NodeValue, name: str = "axes") -> list[int] | None:
        """Integers that an attribute or, in later opsets, an input holds; None where neither."""
        values = self.get(name) if given is None else self.array(given, name)
        return None if values is None else [int(value) for value in np.ravel(values)]

    def array(self, value: NodeValue, what: str) -> Array:
        """Plain numbers.

        Raises:
            InputError: if they are known only when the network runs.
        """
        if not isinstance(value, np.ndarray):
            raise self.refusal(
                f"takes its {what} from data, expected numbers that the file fixes; export the "
                "model for one fixed shape"
            )
        return value


ONNX_OPERATIONS: dict[str, OnnxOperation] = {}
"""By operation type, after its domain and a dot where that is not ONNX's own: add to it freely."""


def operation(
    *names: str, numbers: Sequence[int] = (), scalars: bool = False
) -> Callable[[Function], Function]:
    """Register a function of :class:`NodeCall` and tensors under ONNX's names for it."""

    def register(function: Function) -> Function:
        for name in names:
            ONNX_OPERATIONS[name] = OnnxOperation(function, tuple(numbers), scalars)
        return function

    return register


_QUANTIZED = frozenset(
    {"ConvInteger", "MatMulInteger", "QLinearConv", "QLinearMatMul", "DynamicQuantizeLinear"}
)


def find_operation(node: GraphNode) -> OnnxOperation:
    """The operation that a node asks for.

    Raises:
        InputError: if there is none of that name.
    """
    found = ONNX_OPERATIONS.get(node.op_type)
    if found is not None:
        return found
    if node.op_type in _QUANTIZED:
        raise InputError(
            f"{node.shown} computes with quantized numbers, which is not supported; give the "
            "model as it was before quantization"
        )
    raise InputError(
        f"{node.shown} is of an operation type that is not supported; add a function of torch for "
        "it to clusterability.reading.onnx.operations.ONNX_OPERATIONS"
    )
