"""Functions element by element: activations, sums, products, constants."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from operation_table.entry import Operation, few, no_image
from step_modules import Register

aten = torch.ops.aten


def activation(function: object) -> Operation:
    return Operation(function, lambda x: 1.1 * x)


def unchanged(function: object) -> Operation:
    return Operation(function, lambda x: x)


_ACTIVATIONS = {
    "relu": torch.relu,
    "relu6": functional.relu6,
    "leaky_relu": functional.leaky_relu,
    "rrelu": functional.rrelu,
    "elu": functional.elu,
    "celu": functional.celu,
    "selu": functional.selu,
    "gelu": functional.gelu,
    "silu": functional.silu,
    "mish": functional.mish,
    "sigmoid": torch.sigmoid,
    "log_sigmoid": functional.logsigmoid,
    "hardsigmoid": functional.hardsigmoid,
    "hardswish": functional.hardswish,
    "hardtanh": functional.hardtanh,
    "hardshrink": functional.hardshrink,
    "softshrink": functional.softshrink,
    "softplus": functional.softplus,
    "tanh": torch.tanh,
    "threshold": lambda x: functional.threshold(x, 0.1, 0.0),
    "softmax": lambda x: functional.softmax(x, 1),
    "_softmax": lambda x: aten._softmax(x, 1, False),
    "log_softmax": lambda x: functional.log_softmax(x, 1),
    "_log_softmax": lambda x: aten._log_softmax(x, 1, False),
    "sin": torch.sin,
    "cos": torch.cos,
    "tan": torch.tan,
    "atan": torch.atan,
    "asinh": torch.asinh,
    "exp": torch.exp,
    "exp2": torch.exp2,
    "expm1": torch.expm1,
    "log": torch.log,
    "log2": torch.log2,
    "log10": torch.log10,
    "log1p": torch.log1p,
    "absolute": torch.absolute,
    "fix": torch.fix,
    "arctan": torch.arctan,
    "arcsinh": torch.arcsinh,
    "asin": torch.asin,
    "arcsin": torch.arcsin,
    "acos": torch.acos,
    "arccos": torch.arccos,
    "sinh": torch.sinh,
    "cosh": torch.cosh,
    "atanh": torch.atanh,
    "arctanh": torch.arctanh,
    "acosh": torch.acosh,
    "arccosh": torch.arccosh,
    "sinc": torch.sinc,
    "erfinv": torch.erfinv,
    "deg2rad": torch.deg2rad,
    "rad2deg": torch.rad2deg,
    "special_expit": torch.special.expit,
    "not_equal": lambda x: x.not_equal(0).to(x.dtype),
    "greater": lambda x: x.greater(0).to(x.dtype),
    "greater_equal": lambda x: x.greater_equal(0).to(x.dtype),
    "less": lambda x: x.less(0).to(x.dtype),
    "less_equal": lambda x: x.less_equal(0).to(x.dtype),
    "arctan2": lambda x: torch.arctan2(x, torch.ones_like(x)),
    "hypot": lambda x: torch.hypot(x, torch.ones_like(x)),
    "fmod": lambda x: x.fmod(0.7),
    "remainder": lambda x: x.remainder(0.7),
    "xlogy": lambda x: torch.xlogy(x, torch.full_like(x, 2.0)),
    "addcmul": lambda x: torch.addcmul(x, x, torch.full_like(x, 0.3), value=0.5),
    "addcdiv": lambda x: torch.addcdiv(torch.ones_like(x), x, torch.full_like(x, 0.3)),
    "lerp": lambda x: torch.lerp(x, torch.ones_like(x), 0.3),
    "sqrt": torch.sqrt,
    "rsqrt": torch.rsqrt,
    "square": torch.square,
    "reciprocal": torch.reciprocal,
    "abs": torch.abs,
    "neg": torch.neg,
    "negative": torch.negative,
    "positive": torch.positive,
    "sign": torch.sign,
    "sgn": torch.sgn,
    "erf": torch.erf,
    "erfc": torch.erfc,
    "logit": torch.logit,
    "pow": lambda x: x**3,
    "clamp": lambda x: x.clamp(-1, 1),
    "clamp_min": lambda x: x.clamp_min(0.0),
    "clamp_max": lambda x: x.clamp_max(0.0),
    "clip": lambda x: x.clip(-1, 1),
    "floor": torch.floor,
    "ceil": torch.ceil,
    "round": torch.round,
    "trunc": torch.trunc,
    "frac": torch.frac,
    "nan_to_num": torch.nan_to_num,
    "logical_not": lambda x: x.logical_not().to(x.dtype),
    "atan2": lambda x: torch.atan2(x, torch.ones_like(x)),
    "maximum": lambda x: torch.maximum(x, torch.zeros_like(x)),
    "minimum": lambda x: torch.minimum(x, torch.zeros_like(x)),
    "fmax": lambda x: torch.fmax(x, torch.zeros_like(x)),
    "fmin": lambda x: torch.fmin(x, torch.zeros_like(x)),
    "logaddexp": lambda x: torch.logaddexp(x, torch.zeros_like(x)),
    "copysign": lambda x: torch.copysign(x, torch.ones_like(x)),
    "eq": lambda x: (x == 0).to(x.dtype),
    "ne": lambda x: (x != 0).to(x.dtype),
    "gt": lambda x: (x > 0).to(x.dtype),
    "ge": lambda x: (x >= 0).to(x.dtype),
    "lt": lambda x: (x < 0).to(x.dtype),
    "le": lambda x: (x <= 0).to(x.dtype),
    "logical_and": lambda x: x.logical_and(torch.ones_like(x)).to(x.dtype),
    "logical_xor": lambda x: x.logical_xor(torch.zeros_like(x)).to(x.dtype),
    "__and__": lambda x: ((x > 0) & (x < 1)).to(x.dtype),
    "__or__": lambda x: ((x > 0) | (x < -1)).to(x.dtype),
    "__xor__": lambda x: ((x > 0) ^ (x > 1)).to(x.dtype),
    "bitwise_and": lambda x: torch.bitwise_and(x > 0, x < 1).to(x.dtype),
    "bitwise_or": lambda x: torch.bitwise_or(x > 0, x < -1).to(x.dtype),
    "bitwise_xor": lambda x: torch.bitwise_xor(x > 0, x > 1).to(x.dtype),
    "logical_or": lambda x: x.logical_or(torch.zeros_like(x)).to(x.dtype),
    "lgamma": torch.lgamma,
    "digamma": torch.digamma,
    "i0": torch.i0,
    "isnan": lambda x: x.isnan().to(x.dtype),
    "isinf": lambda x: x.isinf().to(x.dtype),
    "signbit": lambda x: x.signbit().to(x.dtype),
    "bitwise_not": lambda x: (~(x > 0)).to(x.dtype),
}

_UNCHANGED = {
    "dropout": lambda x: functional.dropout(x, training=False),
    "feature_dropout": lambda x: torch.feature_dropout(x, 0.5, False),
    "alpha_dropout": lambda x: torch.alpha_dropout(x, 0.5, False),
    "feature_alpha_dropout": lambda x: torch.feature_alpha_dropout(x, 0.5, False),
    "native_dropout": lambda x: torch.native_dropout(x, 0.5, False)[0],
    "clone": torch.clone,
    "contiguous": lambda x: x.unsqueeze(1).expand(-1, 2, *x.shape[1:]).contiguous()[:, 0],
    "to": lambda x: x.to(torch.float32).to(x.dtype),
    "_to_copy": lambda x: aten._to_copy(x),
    "type_as": lambda x: x.float().type_as(x),
    "detach": lambda x: x.detach(),
    "alias": lambda x: aten.alias(x),
    "lift_fresh_copy": lambda x: aten.lift_fresh_copy(x),
    "masked_fill": lambda x: x.masked_fill(x.isnan(), 2.0),
    "fake_quantize_per_tensor_affine": lambda x: torch.fake_quantize_per_tensor_affine(
        x, 0.1, 0, -128, 127
    ),
    "fake_quantize_per_channel_affine": lambda x: torch.fake_quantize_per_channel_affine(
        x.float(), torch.ones(x.shape[1]), torch.zeros(x.shape[1]), 1, -128, 127
    ).to(x.dtype),
    "real": torch.real,
    "conj": lambda x: aten.conj(x),
    "conj_physical": torch.conj_physical,
    "resolve_conj": torch.resolve_conj,
    "resolve_neg": torch.resolve_neg,
    "copy": lambda x: aten.copy(2 * x.flip(1), x),
}


def few_hidden(register: Register) -> bool:
    return few(register) and no_image(register)


def half_constant(make: object, value: float | None = None) -> Operation:
    """Channels that are constant whatever comes in, beside those that are not."""
    if value is None:
        return Operation(lambda x: torch.cat([make(x), x], 1), fits=few_hidden, adds_constants=True)
    # Whatever numbers it holds, they are no influence.
    return Operation(
        lambda x: torch.cat([make(x), x], 1),
        lambda x: torch.cat([torch.full_like(x, value), x], 1),
        fits=few_hidden,
        adds_constants=True,
    )


_CONSTANT = {
    "fill": half_constant(lambda x: torch.fill(x, 2.0)),
    "zero": half_constant(lambda x: aten.zero(x)),
}

CONSTANTS_IN_A_FORM = {
    f"concatenate {name}": half_constant(*of)
    for name, of in {
        "zeros_like": (torch.zeros_like,),
        "ones_like": (torch.ones_like,),
        "full_like": (lambda x: torch.full_like(x, 2.0),),
        "empty_like": (torch.empty_like, 0.0),
        "rand_like": (torch.rand_like, 0.5),
        "randn_like": (torch.randn_like, 0.0),
        "new_zeros": (lambda x: x.new_zeros(x.shape),),
        "new_ones": (lambda x: x.new_ones(x.shape),),
        "new_full": (lambda x: x.new_full(x.shape, 2.0),),
        "new_empty": (lambda x: x.new_empty(x.shape), 0.0),
        "expand_as": (lambda x: torch.tensor(2.0, dtype=x.dtype).expand_as(x),),
    }.items()
}
"""Constants that have the shape of a value, and no rule of their own."""


def per_channel(function: object, linear: object = None) -> Operation:
    """With a parameter for each channel or feature."""
    return Operation(function, linear, shapes=lambda register: [(register.shape[0],)])


def along_channels(scale: Tensor, stream: Tensor) -> Tensor:
    return scale.reshape(-1, *[1] * (stream.ndim - 2))


ELEMENTWISE = {
    **{name: activation(function) for name, function in _ACTIVATIONS.items()},
    **{name: unchanged(function) for name, function in _UNCHANGED.items()},
    **_CONSTANT,
    "prelu": per_channel(functional.prelu, lambda x, _: 1.1 * x),
    "add": Operation(lambda x: torch.add(x, 0.3 * x, alpha=2)),
    "sub": Operation(lambda x: x - 0.3 * x),
    "subtract": Operation(lambda x: torch.subtract(x, 0.3 * x, alpha=2)),
    "rsub": Operation(lambda x: torch.rsub(x, 3.0)),
    "where": Operation(lambda x: torch.where(x.isnan(), -x, 2 * x)),
    "glu": Operation(
        lambda x: functional.glu(torch.cat([x, 0.3 * x], 1), 1), lambda x: 1.1 * x, no_image
    ),
    "mul": per_channel(lambda x, scale: x * along_channels(scale, x)),
    "multiply": Operation(lambda x: torch.multiply(x, -2.0)),
    "div": per_channel(lambda x, scale: x / along_channels(scale, x)),
    "divide": Operation(
        lambda x: torch.divide(x, x.sigmoid()), lambda x: x / (1.0 + 0.0 * x.detach())
    ),
    "true_divide": Operation(lambda x: torch.true_divide(2.0, x), lambda x: 2.0 * x),
}
