"""What functions make of zeros and of very large numbers, by their names.

An operation is named with its namespace, such as ``aten.relu``. Nothing is known of one that is not
listed.
"""

from __future__ import annotations

LIMIT = 1e4
"""What is larger is taken for infinite beside what neurons hold; transformers mask by -10,000."""

_FLAT_AT_BOTH = {
    *("sigmoid", "special_expit", "hardsigmoid", "tanh", "hardtanh", "relu6", "erf", "erfc"),
    *("atan", "arctan", "sign", "sgn", "gt", "ge", "lt", "le", "eq", "ne", "greater", "less"),
    *("greater_equal", "less_equal", "not_equal"),
}
_FLAT_AT_LOW = {
    *("relu", "elu", "celu", "selu", "gelu", "silu", "mish", "hardswish", "softplus", "exp"),
    *("exp2", "expm1", "softmax", "_softmax", "log_softmax", "_log_softmax", "logsumexp"),
    *("amax", "max", "maximum", "fmax", "clamp_min", "threshold", "logaddexp"),
}
_FLAT_AT_HIGH = {"log_sigmoid", "amin", "min", "minimum", "fmin", "clamp_max"}

_ZERO_AT_LOW = {
    *("relu", "relu6", "gelu", "silu", "mish", "hardswish", "softplus", "exp", "exp2", "sigmoid"),
    *("hardsigmoid", "special_expit", "softmax", "_softmax"),
}

_ZERO_AT_ZERO = {
    *("relu", "relu6", "leaky_relu", "prelu", "elu", "celu", "selu", "gelu", "silu", "mish"),
    *("hardswish", "hardtanh", "tanh", "hardshrink", "softshrink", "sin", "tan", "atan", "asinh"),
    *("sqrt", "square", "abs", "sign", "erf", "floor", "ceil", "round", "trunc", "expm1", "log1p"),
}

_KEEPING_SIZE = {
    *("leaky_relu", "prelu", "rrelu", "hardshrink", "softshrink", "nan_to_num"),
    *("floor", "ceil", "round", "trunc", "fix"),
}

_RANGES: dict[str, tuple[float, float]] = {
    **dict.fromkeys(("relu", "exp", "exp2", "softplus", "abs", "square", "sqrt"), (0, LIMIT)),
    **dict.fromkeys(("sigmoid", "hardsigmoid", "softmax", "_softmax"), (0, 1)),
    **dict.fromkeys(("tanh", "erf", "sin", "cos", "sign"), (-1, 1)),
    "relu6": (0, 6),
}


def flat_ends(operation: str) -> tuple[bool, bool]:
    """Return whether a function makes one number of all very small values, and of large ones.

    >>> flat_ends("aten.relu"), flat_ends("aten.sigmoid"), flat_ends("aten.leaky_relu")
    ((True, False), (True, True), (False, False))
    """
    name = _name(operation)
    is_at_both = name in _FLAT_AT_BOTH
    return is_at_both or name in _FLAT_AT_LOW, is_at_both or name in _FLAT_AT_HIGH


def is_zero_at_low(operation: str) -> bool:
    """Whether a function makes 0 of all very small values.

    >>> is_zero_at_low("aten.sigmoid"), is_zero_at_low("aten.tanh")
    (True, False)
    """
    return _name(operation) in _ZERO_AT_LOW


def is_zero_at_zero(operation: str) -> bool:
    """Whether a function makes 0 of 0.

    >>> is_zero_at_zero("aten.tanh"), is_zero_at_zero("aten.sigmoid")
    (True, False)
    """
    return _name(operation) in _ZERO_AT_ZERO


def keeps_size(operation: str) -> bool:
    """Whether a function leaves very large numbers, of either sign, as large as they are.

    >>> keeps_size("aten.leaky_relu"), keeps_size("aten.log")
    (True, False)
    """
    return _name(operation) in _KEEPING_SIZE


def range_of(operation: str) -> tuple[float, float]:
    """Return between which numbers all that a function returns lies.

    >>> range_of("aten.sigmoid")
    (0, 1)
    """
    return _RANGES.get(_name(operation), (-LIMIT, LIMIT))


def _name(operation: str) -> str:
    return operation.removeprefix("aten.")
