"""The registry of ONNX operations: a function of torch for each name."""

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
    """The function that computes an ONNX operation, and the form of its arguments.

    Attributes:
        function: takes the :class:`NodeCall`, then the node's inputs (None for one that is left
            out); returns a tensor, or a tuple with one for each output.
        numbers: positions of inputs that are plain numbers, such as a shape: where they are known
            without running the network, the function gets them as NumPy arrays.
        scalars: whether the function gets constants without axes as Python numbers.
    """

    function: Function
    numbers: tuple[int, ...] = ()
    scalars: bool = False


@dataclass(frozen=True)
class NodeCall:
    """A node, and the facts about its inputs that are known before the network runs.

    Attributes:
        node: name, operation, attributes and opset.
        constant: for each input, whether it does not depend on the network's input.
        float_type: the type of all floats.
    """

    node: GraphNode
    constant: tuple[bool, ...]
    float_type: torch.dtype = torch.float32

    @property
    def opset(self) -> int:
        """Version of the operations that the file uses."""
        return self.node.opset

    def get(self, name: str, default: Any = None) -> Any:
        """Return an attribute, or the default where the node does not have it."""
        return self.node.attributes.get(name, default)

    def refusal(self, reason: str) -> InputError:
        """Return an error that names the node."""
        return InputError(f"{self.node.shown} {reason}")

    def axes(self, given: NodeValue, name: str = "axes") -> list[int] | None:
        """Return the integers in an attribute or (later opsets) an input; None without either."""
        values = self.get(name) if given is None else self.array(given, name)
        return None if values is None else [int(value) for value in np.ravel(values)]

    def array(self, value: NodeValue, name: str) -> Array:
        """Return an input that must be plain numbers as an array.

        Raises:
            InputError: if they are known only when the network runs.
        """
        if not isinstance(value, np.ndarray):
            raise self.refusal(
                f"takes its {name} from data, expected numbers that the file fixes; export the "
                "model for one fixed shape"
            )
        return value


ONNX_OPERATIONS: dict[str, OnnxOperation] = {}
"""Operations by type, with the domain and a dot before it if that is not ONNX's own.

Add to it freely.
"""


def operation(
    *names: str, numbers: Sequence[int] = (), scalars: bool = False
) -> Callable[[Function], Function]:
    """Register a function of :class:`NodeCall` and tensors under its names in ONNX."""

    def register(function: Function) -> Function:
        for name in names:
            ONNX_OPERATIONS[name] = OnnxOperation(function, tuple(numbers), scalars)
        return function

    return register


_QUANTIZED = frozenset(
    {"ConvInteger", "MatMulInteger", "QLinearConv", "QLinearMatMul", "DynamicQuantizeLinear"}
)


def find_operation(node: GraphNode) -> OnnxOperation:
    """Return the operation of a node's type.

    Raises:
        InputError: if none is registered under that name.
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
