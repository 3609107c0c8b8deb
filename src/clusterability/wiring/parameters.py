"""Parameters by name, in a precision that strengths are computed in."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from clusterability.errors import InputError
from clusterability.shown import quoted

_WIDENED = {
    torch.float16: torch.float32,
    torch.bfloat16: torch.float32,
    torch.float32: torch.float32,
    torch.float64: torch.float64,
}


def find_parameter(
    parameters: Mapping[str, Tensor], name: str, *, integers: bool = False
) -> Tensor:
    """The parameter, in float32 or float64; where ``integers`` may be, in float32 too.

    Raises:
        InputError: if it is missing, no dense tensor with values, or not floating point.
    """
    try:
        parameter = parameters[name]
    except KeyError:
        raise InputError(f"there is no parameter {quoted(name)} among those given") from None
    if integers and not (parameter.is_floating_point() or parameter.is_complex()):
        parameter = parameter.float()
    if parameter.dtype not in _WIDENED:
        raise InputError(
            f"{quoted(name)} holds {parameter.dtype}, expected float16, bfloat16, float32 or "
            "float64; convert it back to floating point first"
        )
    if parameter.is_meta or parameter.layout != torch.strided:
        kind = "lies on the meta device" if parameter.is_meta else f"has layout {parameter.layout}"
        raise InputError(f"{quoted(name)} {kind}; give a dense tensor that holds values")
    return parameter.to(_WIDENED[parameter.dtype])
