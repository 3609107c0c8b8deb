"""Example inputs of an ONNX graph, by the shapes that it declares."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from clusterability.errors import InputError
from clusterability.reading.loaded import (
    EACH_SHAPE,
    InputShape,
    Shapes,
    check_input_size,
    each_shape,
    shapes_given,
)
from clusterability.reading.onnx.graph import Graph, GraphInput
from clusterability.reading.onnx.tensors import numpy_dtype
from clusterability.shown import listed, quoted

_REMEDY = "give its sizes without the batch axis as input_shape= or --input-shape"


def graph_input(value: Any) -> GraphInput:
    """Return a graph's input as the file declares it.

    Raises:
        InputError: if it is no tensor of numbers.
    """
    subject = f"the input {quoted(value.name)}"
    if value.type.WhichOneof("value") != "tensor_type":
        raise InputError(f"{subject} is no tensor, expected an array of numbers; export it as one")
    tensor = value.type.tensor_type
    shape = None
    if tensor.HasField("shape"):
        # Some exporters write 0 or -1 for an axis that is open.
        sizes = [size.dim_value for size in tensor.shape.dim]
        shape = tuple(size if size > 0 else None for size in sizes)
    return GraphInput(value.name, shape, numpy_dtype(tensor.elem_type, subject))


def example_inputs(
    graph: Graph, float_type: torch.dtype, input_shape: InputShape | None
) -> tuple[Tensor, ...]:
    """Return zeros for each input, with one example in the batch where its size is open.

    Raises:
        InputError: if sizes are missing, or disagree with those that the file declares.
    """
    if not graph.inputs:
        raise InputError(
            "the ONNX graph has no inputs, so that nothing is connected; export the model again"
        )
    given = {} if input_shape is None else _given(graph.inputs, each_shape(input_shape))
    n_batch = 2 if _batch_of_one_vanishes(graph) else 1
    inputs = []
    for value in graph.inputs:
        shape = _sizes(value, given.get(value.name), n_batch)
        check_input_size(f"the input {quoted(value.name)}", shape)
        is_float = np.issubdtype(value.dtype, np.floating)
        dtype = float_type if is_float else torch.from_numpy(np.zeros(0, value.dtype)).dtype
        inputs.append(torch.zeros(shape, dtype=dtype))
    return tuple(inputs)


def _given(inputs: Sequence[GraphInput], shapes: Shapes) -> dict[str, tuple[int, ...]]:
    """Return the sizes that are given of inputs, by their names.

    A single shape is for all inputs with open sizes; if none has, it must agree with the first.
    """
    shapes = tuple(map(_checked, shapes))
    if len(shapes) == 1:
        needing = [value for value in inputs if _open(value)] or inputs[:1]
        return {value.name: shapes[0] for value in needing}
    if len(shapes) != len(inputs):
        own = listed([f"{quoted(value.name)} {_shown(value.shape)}" for value in inputs])
        n_inputs = f"{len(inputs)} input{'s' * (len(inputs) != 1)}"
        raise InputError(
            f"the ONNX file has {n_inputs}, but {shapes_given(shapes)}; {EACH_SHAPE}; its own: "
            f"{own}"
        )
    return {value.name: shape for value, shape in zip(inputs, shapes, strict=True)}


def _checked(input_shape: Sequence[int]) -> tuple[int, ...]:
    sizes = tuple(input_shape)
    if not sizes or any(isinstance(size, bool) or int(size) != size or size < 1 for size in sizes):
        raise InputError(
            f"input_shape is {list(sizes)}, expected whole numbers of at least 1, such as 3,224,224"
        )
    return tuple(int(size) for size in sizes)


def _open(value: GraphInput) -> bool:
    """Whether the file leaves the size of any axis but the batch open."""
    shape = value.shape
    return shape is None or None in shape[1:] or shape == (None,)


def _batch_of_one_vanishes(graph: Graph) -> bool:
    """Whether a Squeeze drops every axis of size 1, as a batch of one example would have."""
    return any(
        node.op_type == "Squeeze" and len(node.inputs) < 2 and "axes" not in node.attributes
        for node in graph.nodes
    )


def _sizes(value: GraphInput, given: tuple[int, ...] | None, n_batch: int) -> tuple[int, ...]:
    subject, shape = f"the input {quoted(value.name)}", value.shape
    if shape is None:
        if given is None:
            raise InputError(f"{subject} of the ONNX file declares no shape; {_REMEDY}")
        return (n_batch, *given)
    if given is not None:
        n_rest = len(shape) - len(given)
        agree = n_rest in (0, 1) and all(
            size is None or size == new for size, new in zip(shape[n_rest:], given, strict=True)
        )
        if not agree:
            raise InputError(
                f"input_shape is {list(given)}, but {subject} of the ONNX file has the shape "
                f"{_shown(shape)}; {_REMEDY} that agree with it"
            )
        shape = (*shape[:n_rest], *given)
    elif _open(value):
        raise InputError(
            f"{subject} of the ONNX file has the open shape {_shown(shape)}; {_REMEDY}"
        )
    return tuple(n_batch if size is None else size for size in shape)


def _shown(shape: Sequence[int | None] | None) -> str:
    if shape is None:
        return "of any shape"
    return "[" + ", ".join("?" if size is None else str(size) for size in shape) + "]"
