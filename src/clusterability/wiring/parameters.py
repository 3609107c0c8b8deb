"""Parameters by name, and the precision that strengths are computed in."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from clusterability.errors import InputError
from clusterability.shown import quoted

_KEPT = (torch.float32, torch.float64)
_FLOATS = (torch.float16, torch.bfloat16, *_KEPT)


def widen(parameter: Tensor) -> Tensor:
    """Return the parameter in float32 or float64: half precision in float32."""
    return parameter if parameter.dtype in _KEPT else parameter.to(torch.float32)


def all_finite(values: Tensor) -> bool:
    """Whether no value is NaN or infinite.

    >>> all_finite(torch.tensor([3e38, 3e38])), all_finite(torch.tensor([1.0, torch.nan]))
    (True, False)
    """
    # NaN and infinity come through every sum, which is far sooner there than torch.isfinite is; but
    # a sum of finite values may overflow.
    return math.isfinite(float(values.sum())) or bool(torch.isfinite(values).all())


def find_parameter(
    parameters: Mapping[str, Tensor], name: str, *, integers: bool = False
) -> Tensor:
    """Return the parameter of that name, which holds floats, or where ``integers`` may be, these.

    Raises:
        InputError: if it is missing, no dense tensor with values, or of another type.
    """
    try:
        parameter = parameters[name]
    except KeyError:
        raise InputError(f"there is no parameter {quoted(name)} among those given") from None
    is_integer = not (parameter.is_floating_point() or parameter.is_complex())
    if parameter.dtype not in _FLOATS and not (integers and is_integer):
        raise InputError(
            f"{quoted(name)} holds {parameter.dtype}, expected float16, bfloat16, float32 or "
            "float64; convert it back to floating point first"
        )
    if parameter.is_meta or parameter.layout != torch.strided:
        kind = "lies on the meta device" if parameter.is_meta else f"has layout {parameter.layout}"
        raise InputError(f"{quoted(name)} {kind}; give a dense tensor that holds values")
    return parameter
