"""Products of a value and a constant, element by element."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch

from clusterability.tracing.multiplying import multiplied, scaled
from clusterability.tracing.operations.registry import Constant
from clusterability.tracing.origins import INPUT, Term, Value
from clusterability.tracing.places import are_copies
from clusterability.tracing.provenance import joined
from clusterability.tracing.shifts import has_shifts, shifts_times
from clusterability.wiring.scales import Multiplier


def by_constant(value: Value, constant: Constant, *, averages: bool = False, **how: Any) -> Value:
    """Return the value times, or divided by, a constant that broadcasts to its shape.

    Args:
        value: what is multiplied.
        constant: by which.
        averages: whether copies of an element have one scale, the mean of theirs, as for a sum.
        how: what of the constant multiplies, as :class:`Multiplier` takes it: ``divides``, ...
    """
    shape = aligned(constant.shape, value.shape)
    removes = not how.get("divides") and "kept" not in how and is_fixed_mask(constant)
    terms: list[Term] = []
    for term in value.terms:
        # An axis with repeated labels holds the pixels of one neuron, which has one scale.
        repeating = (a for a, size in enumerate(shape) if size > 1 and not term.labels.stride(a))
        averaged = tuple(axis for axis in repeating if averages or not are_copies(term, axis))
        kept = [1 if axis in averaged else size for axis, size in enumerate(shape)]
        scale = Multiplier(
            constant.name,
            is_number=constant.shape in ((), (1,)),
            shape=shape if averaged else (),
            averaged=averaged,
            is_mask=removes and not averaged,
            **how,
        )
        n_entries = math.prod(kept)
        entries = torch.arange(n_entries).view(kept).expand(value.shape)
        terms += scaled(Value(value.shape, (term,)), scale, entries, n_entries).terms
    return Value(value.shape, tuple(terms))


def with_shifts_times(value: Value, constant: Constant, divides: bool) -> Value:
    """Return a value whose shifts are multiplied, or divided, by the least that it will be."""
    return shifts_times(value, _least(constant, divides)) if has_shifts(value) else value


def _least(constant: Constant, divides: bool) -> float:
    """Return the least of the numbers that multiply, but for zeros; 0 if their signs differ."""
    numbers = constant.evaluate()
    numbers = 1 / numbers if divides else numbers[numbers != 0]
    sizes = numbers.abs()
    if sizes.numel() and bool((numbers == sizes).all()):
        return float(sizes.min())
    return -float(sizes.min()) if sizes.numel() and bool((numbers == -sizes).all()) else 0.0


def exact(whole: Value, value: Value, constant: Constant, **how: Any) -> Value:
    """Return a product, marked if each of several outputs has a factor for each neuron.

    Args:
        whole: the value, broadcast to the product's shape.
        value: as it is multiplied.
        constant: by which.
        how: as :func:`by_constant` takes it.
    """
    product = by_constant(whole, constant, **how)
    by_matrix = is_matrix(value, constant, product.shape) or _has_copies(whole, constant)
    is_image = len(product.shape) > 3 and all(t.origin.operation == INPUT for t in value.terms)
    standardizes = is_image and bool(how.get("divides"))  # a gray image, by deviations of colors
    trained = constant.is_trained and not standardizes
    enlarged = trained and _enlarges(value, constant, product.shape)
    if not (by_matrix or enlarged):
        return product
    terms = []
    for term in product.terms:
        origin = term.origin
        of_neurons = enlarged and origin.statistic is None
        marks = origin.by_matrix or by_matrix, origin.enlarged or of_neurons
        origin = replace(origin, by_matrix=marks[0], enlarged=marks[1])
        terms.append(replace(term, origin=origin))
    return replace(product, terms=tuple(terms))


def _enlarges(value: Value, constant: Constant, shape: Sequence[int]) -> bool:
    """Whether a constant has several numbers for each of some elements."""
    sizes = zip(aligned(value.shape, shape), aligned(constant.shape, shape), strict=True)
    if any(mine == 1 < other for mine, other in sizes):
        return True
    terms = joined([value], shape).terms
    axes = [i for i, size in enumerate(aligned(constant.shape, shape)) if size > 1]
    return bool(terms) and any(all(_repeats(term, axis) for term in terms) for axis in axes)


def _repeats(term: Term, axis: int) -> bool:
    of_input = term.origin.operation == INPUT and not term.labels.stride(axis)
    return of_input or are_copies(term, axis)


def _has_copies(value: Value, constant: Constant) -> bool:
    """Whether a constant differs along copies of elements, and along other axes of them too."""
    axes = [i for i, size in enumerate(aligned(constant.shape, value.shape)) if size > 1]
    return any(
        any(are_copies(term, axis) for axis in axes) and any(term.labels.stride(a) for a in axes)
        for term in value.terms
        if len(axes) > 1
    )


def is_fixed_mask(constant: Constant) -> bool:
    """Whether a constant is a mask of several elements."""
    return torch.Size(constant.shape).numel() > 1 and is_mask(constant)


def is_mask(constant: Constant) -> bool:
    """Whether a constant holds zeros and ones and is no parameter, unless it is frozen with both.

    In ONNX files all constants are such parameters.
    """
    numbers = constant.evaluate()
    zeros, ones = numbers == 0, numbers == 1
    is_varied = bool(zeros.any()) and bool(ones.any())
    if not bool((zeros | ones).all()):
        return False
    return is_varied and not constant.is_learned if constant.is_trained else True


def is_matrix(value: Value, constant: Constant, shape: Sequence[int]) -> bool:
    """Whether a constant has axes that a value has, and others along which it repeats."""
    sizes = aligned(value.shape, shape), aligned(constant.shape, shape)
    pairs = [(mine > 1, other > 1) for mine, other in zip(*sizes, strict=True)]
    return (True, True) in pairs and (False, True) in pairs


def aligned(sizes: Sequence[int], shape: Sequence[int]) -> tuple[int, ...]:
    """Return sizes that broadcast to a shape, with as many axes as it has."""
    return (*[1] * (len(shape) - len(sizes)), *sizes)


def by_number(value: Value, number: float, divides: bool) -> Value:
    """Return a value times or over a number; infinities and NaN are no strengths."""
    if divides:
        number = math.inf if number == 0 else 1 / number
    return multiplied(value, number) if math.isfinite(number) else value
