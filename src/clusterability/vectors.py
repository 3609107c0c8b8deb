"""Short vectors for compiled loops: WIDTH numbers that one instruction, or a few, handle at once.

Numba leaves it to the compiler to find out which loops may use vector registers. In loops over a
few coordinates or columns, or where arrays might overlap, it finds less than there is. Here the
loops themselves name the vectors; every processor has instructions for a part of one at least.

These functions can be called in compiled functions only. Arrays are flat and contiguous, and an
index is not checked: the caller makes sure that WIDTH numbers lie behind it. Where numba is told to
compile nothing (NUMBA_DISABLE_JIT), as under a debugger, vectors are NumPy arrays.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir
from numba import config, types
from numba.extending import intrinsic, models, overload, register_model
from numpy.typing import NDArray

WIDTH = 16
"""Numbers in a vector: as many float32 as the widest registers hold."""

WORD = 64
"""Bits in an integer that says something of as many numbers."""

_NUMBERS = {"float32": ir.FloatType(), "float64": ir.DoubleType(), "int32": ir.IntType(32)}

_FUSED = ("contract",)
"""A product and the sum that follows may be rounded once."""

# As numba writes its type, callers would have to pass the typing context.
_intrinsic: Any = intrinsic


def _instruction(in_numpy: Callable[..., Any]) -> Any:
    """Return a decorator: compiled functions call what it decorates, others ``in_numpy``."""

    def choose(build: Callable[..., Any]) -> Any:
        return in_numpy if config.DISABLE_JIT else _intrinsic(build)  # type: ignore[attr-defined]

    return choose


def _set(array: NDArray[Any], index: int, vector: NDArray[Any]) -> None:
    array[index : index + WIDTH] = vector


def _total(vector: NDArray[Any]) -> Any:
    while vector.size > 1:
        vector = vector[: vector.size // 2] + vector[vector.size // 2 :]
    return vector[0]


def _bits(flags: NDArray[np.bool_]) -> np.uint64:
    return np.uint64(sum(1 << int(place) for place in np.flatnonzero(flags)))


class Vector(types.Type):
    """Numba's type of a vector of WIDTH numbers."""

    def __init__(self, number: str) -> None:
        self.number = number
        super().__init__(name=f"Vector({number})")

    @property
    def in_llvm(self) -> ir.VectorType:
        return ir.VectorType(_NUMBERS[self.number], WIDTH)


@register_model(Vector)
class _VectorModel(models.PrimitiveModel):
    def __init__(self, manager: Any, vector: Vector) -> None:
        super().__init__(manager, vector, vector.in_llvm)  # type: ignore[no-untyped-call]


def _pointer(context: Any, builder: Any, array_type: Any, array: Any, index: Any) -> Any:
    """Return a pointer to the vector of numbers behind an index of an array."""
    data = context.make_array(array_type)(context, builder, array).data
    vector = Vector(str(array_type.dtype)).in_llvm
    return builder.bitcast(builder.gep(data, [index]), vector.as_pointer())


def _alignment(array_type: Any) -> int:
    return int(array_type.dtype.bitwidth // 8)


@_instruction(lambda array, index: array[index : index + WIDTH].copy())
def load(typing_context, array, index):  # type: ignore[no-untyped-def]  # noqa: ARG001
    """Return the numbers array[index : index + WIDTH]."""

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        pointer = _pointer(context, builder, signature.args[0], *arguments)
        return builder.load(pointer, align=_alignment(signature.args[0]))

    return Vector(str(array.dtype))(array, types.int64), generate


@_instruction(_set)
def store(typing_context, array, index, vector):  # type: ignore[no-untyped-def]  # noqa: ARG001
    """Set array[index : index + WIDTH]."""

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        pointer = _pointer(context, builder, signature.args[0], *arguments[:2])
        builder.store(arguments[2], pointer, align=_alignment(signature.args[0]))
        return context.get_dummy_value()

    return types.void(array, types.int64, vector), generate


@_instruction(lambda number: np.full(WIDTH, number))
def spread(typing_context, number):  # type: ignore[no-untyped-def]  # noqa: ARG001
    """Return the vector of WIDTH times the same number."""

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]  # noqa: ARG001
        return _spread(builder, arguments[0])

    return Vector(str(number))(number), generate


@_instruction(lambda array, index: np.full(WIDTH, array[index]))
def load_spread(typing_context, array, index):  # type: ignore[no-untyped-def]  # noqa: ARG001
    """Return the vector of WIDTH times the number array[index]."""

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        data = context.make_array(signature.args[0])(context, builder, arguments[0]).data
        return _spread(builder, builder.load(builder.gep(data, [arguments[1]])))

    return Vector(str(array.dtype))(array, types.int64), generate


def _spread(builder: Any, number: Any) -> Any:
    """Build the vector of WIDTH times the same number."""
    vector, index = ir.VectorType(number.type, WIDTH), ir.IntType(32)
    nothing = ir.Constant(vector, ir.Undefined)
    single = builder.insert_element(nothing, number, ir.Constant(index, 0))
    first = ir.Constant(ir.VectorType(index, WIDTH), [0] * WIDTH)
    return builder.shuffle_vector(single, nothing, first)


def _binary(instruction: str) -> Any:
    @_intrinsic
    def compute(typing_context, one, other):  # type: ignore[no-untyped-def]  # noqa: ARG001
        def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]  # noqa: ARG001
            return getattr(builder, instruction)(*arguments, flags=_FUSED)

        return one(one, other), generate

    return compute


_add, _subtract, _multiply = _binary("fadd"), _binary("fsub"), _binary("fmul")


@overload(operator.add)
def _plus(one, other):  # type: ignore[no-untyped-def]
    if isinstance(one, Vector) and one == other:
        return lambda one, other: _add(one, other)
    return None


@overload(operator.sub)
def _minus(one, other):  # type: ignore[no-untyped-def]
    if isinstance(one, Vector) and one == other:
        return lambda one, other: _subtract(one, other)
    return None


@overload(operator.mul)
def _times(one, other):  # type: ignore[no-untyped-def]
    if isinstance(one, Vector) and one == other:
        return lambda one, other: _multiply(one, other)
    return None


@_instruction(lambda one, other, if_lower, if_not: np.where(one < other, if_lower, if_not))
def where_lower(typing_context, one, other, if_lower, if_not):  # type: ignore[no-untyped-def]  # noqa: ARG001
    """Return, number by number, ``if_lower`` where one < other and else ``if_not``."""

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]  # noqa: ARG001
        lower = builder.fcmp_ordered("<", arguments[0], arguments[1])
        return builder.select(lower, arguments[2], arguments[3])

    return if_lower(one, other, if_lower, if_not), generate


@_instruction(lambda array, index: _bits(array[index : index + WORD] != 0))
def not_zero(typing_context, array, index):  # type: ignore[no-untyped-def]  # noqa: ARG001
    """Return which of the numbers array[index : index + WORD] are not 0; the first is bit 0."""

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        word = ir.VectorType(_NUMBERS[str(array.dtype)], WORD)
        data = context.make_array(signature.args[0])(context, builder, arguments[0]).data
        pointer = builder.bitcast(builder.gep(data, [arguments[1]]), word.as_pointer())
        numbers = builder.load(pointer, align=_alignment(signature.args[0]))
        differ = builder.fcmp_unordered("!=", numbers, ir.Constant(word, [0.0] * WORD))
        return builder.bitcast(differ, ir.IntType(WORD))

    return types.uint64(array, types.int64), generate


@_instruction(lambda bits: np.uint64(int(bits).bit_count()))
def count_bits(typing_context, bits):  # type: ignore[no-untyped-def]  # noqa: ARG001
    """Return the number of bits that are 1."""

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]  # noqa: ARG001
        return builder.ctpop(arguments[0])

    return types.uint64(types.uint64), generate


@_instruction(lambda bits: np.uint64((int(bits) & -int(bits)).bit_length() - 1))
def lowest_bit(typing_context, bits):  # type: ignore[no-untyped-def]  # noqa: ARG001
    """Return the place of the lowest bit that is 1; there must be one."""

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]  # noqa: ARG001
        return builder.cttz(arguments[0], ir.Constant(ir.IntType(1), 1))

    return types.uint64(types.uint64), generate


@_instruction(lambda vector: vector.astype(np.float64))
def in_float64(typing_context, vector):  # type: ignore[no-untyped-def]  # noqa: ARG001
    """Return the numbers of a vector of float32 in float64."""
    wide = Vector("float64")

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]  # noqa: ARG001
        return builder.fpext(arguments[0], wide.in_llvm)

    return wide(vector), generate


@_instruction(_total)
def total(typing_context, vector):  # type: ignore[no-untyped-def]  # noqa: ARG001
    """Return the sum of the numbers of a vector, added in halves."""

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]  # noqa: ARG001
        (rest,), index = arguments, ir.IntType(32)
        width = WIDTH
        while width > 1:
            width //= 2
            places = ir.VectorType(index, width)
            low, high = (
                builder.shuffle_vector(
                    rest,
                    ir.Constant(rest.type, ir.Undefined),
                    ir.Constant(places, list(range(first, first + width))),
                )
                for first in (0, width)
            )
            rest = builder.fadd(low, high)
        return builder.extract_element(rest, ir.Constant(index, 0))

    return getattr(types, vector.number)(vector), generate
