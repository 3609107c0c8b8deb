"""Rules for contractions: sums over axes that a value and a constant share, as in ``einsum``."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import torch

from clusterability.tracing.operations.factors import by_constant
from clusterability.tracing.operations.pooling import over_axes
from clusterability.tracing.operations.registry import Call, Constant, rule
from clusterability.tracing.operations.stacks import weighed
from clusterability.tracing.origins import Value
from clusterability.tracing.provenance import joined, moved

_REMEDY = "write it as torch.nn.Linear or torch.matmul with a constant matrix"


@rule("aten.inner")
def inner(call: Call) -> Value:
    first, second = list(call.tensors())[:2]
    if isinstance(first, Value):
        return _contracted(call, first, second, -1, 1, -1)
    assert isinstance(second, Value)
    return _contracted(call, second, first, -1, 1, 0)


@rule("aten.tensordot")
def tensordot(call: Call) -> Value:
    first, second = list(call.tensors())[:2]
    of_first, of_second = list(call["dims_self"]), list(call["dims_other"])
    if len(of_first) != 1 or any(len(tensor.shape) > 2 for tensor in (first, second)):
        return _of_tensors(call, first, second, of_first, of_second)
    if isinstance(first, Value):
        return _contracted(call, first, second, of_first[0], of_second[0], -1)
    assert isinstance(second, Value)
    return _contracted(call, second, first, of_second[0], of_first[0], 0)


@rule("aten.einsum")
def einsum(call: Call) -> Value:
    """Follow a sum over one axis that a value and a matrix share."""
    tensors = list(call.tensors())
    if len(tensors) == 1:
        return _of_one(call)
    value = next(tensor for tensor in tensors if isinstance(tensor, Value))
    terms, out = _letters(str(call["equation"]), [len(tensor.shape) for tensor in tensors])
    if len(tensors) != 2 or any(len({*term}) < len(term) for term in terms):
        raise call.refusal(_REMEDY)
    first = tensors[0] is value
    other, (mine, theirs) = tensors[first], terms if first else terms[::-1]
    summed = {*mine} - {*out}
    if isinstance(other, Value):
        return _contracted(call, value, other, -1, 1, -1)
    other, mine, theirs = _once(other, mine, theirs, out)
    if {*mine} & {*theirs} != summed or len(summed) != 1 or len(theirs) != 2:
        return _by_letters(call, value, other, mine, theirs, out)
    (letter,) = summed
    place = theirs.index(letter)
    return _contracted(call, value, other, mine.index(letter), place, out.index(theirs[1 - place]))


def _of_one(call: Call) -> Value:
    """Follow ``einsum`` of one value: diagonals, sums over axes, and another order of them."""
    (value,) = call.values()
    (term,), out = _letters(str(call["equation"]), [len(value.shape)])
    kept = sorted({*term}, key=term.index)
    names = {letter: chr(ord("a") + kept.index(letter)) for letter in kept}
    equation = "".join(names[x] for x in term) + "->" + "".join(names[x] for x in kept)
    sizes = dict(zip(term, value.shape, strict=True))
    shape = [sizes[letter] for letter in kept]
    value = moved([value], [value.shape], partial(torch.einsum, equation), shape)
    summed = [axis for axis, letter in enumerate(kept) if letter not in out]
    rest = [letter for letter in kept if letter in out]
    if summed:
        arguments = {"self": value, "dim": summed, "keepdim": False}
        of_rest = tuple(sizes[letter] for letter in rest)
        found = over_axes(
            replace(
                call, operation="aten.sum", arguments=arguments, shape=of_rest, shapes=(of_rest,)
            )
        )
        assert isinstance(found, Value)
        value = found
    return _arranged(value, "".join(rest), list(out), call.shape)


def _of_tensors(
    call: Call,
    first: Value | Constant,
    second: Value | Constant,
    of_first: Sequence[int],
    of_second: Sequence[int],
) -> Value:
    """Follow ``tensordot``, whose axes get letters."""
    letters = [chr(ord("a") + i) for i in range(len(first.shape))]
    others = [chr(ord("A") + i) for i in range(len(second.shape))]
    for axis, place in zip(of_first, of_second, strict=True):
        others[place] = letters[axis]
    out = "".join(x for x in (*letters, *others) if x not in {*letters} & {*others})
    if isinstance(first, Value) and isinstance(second, Constant):
        return _by_letters(call, first, second, "".join(letters), "".join(others), out)
    if isinstance(first, Constant) and isinstance(second, Value):
        return _by_letters(call, second, first, "".join(others), "".join(letters), out)
    assert isinstance(first, Value)
    return _contracted(call, first, second, -1, 1, -1)


def of_batches(call: Call, value: Value, constant: Constant, is_first: bool) -> Value:
    """Follow ``matmul`` with a stack of matrices, whose axes broadcast to those of the value.

    Args:
        call: of ``matmul``, ``bmm`` or ``baddbmm``.
        value: what is multiplied.
        constant: (..., rows, columns).
        is_first: whether the value stands first; a vector has one axis.
    """
    is_vector = len(value.shape) == 1
    mine = "s" if is_vector else "rs" if is_first else "sc"
    theirs = "sc" if is_first else "rs"
    out = "".join(letter for letter in "rc" if letter in mine + theirs)
    batch = [chr(ord("A") + i) for i in range(len(call.shape) - len(out))]
    mine, theirs = (
        "".join(batch[len(batch) + len(end) - len(tensor.shape) :]) + end
        for tensor, end in ((value, mine), (constant, theirs))
    )
    # An axis of size 1 broadcasts: where the matrices have more, the value is left without it.
    sizes = dict(zip(theirs, constant.shape, strict=True))
    kept = [i for i, x in enumerate(mine) if value.shape[i] > 1 or sizes.get(x, 1) == 1 or x == "s"]
    shape = [value.shape[i] for i in kept]
    value = moved([value], [value.shape], lambda x: x.reshape(shape), shape)
    mine, out = "".join(mine[i] for i in kept), "".join(batch) + out
    return _by_letters(call, value, *_once(constant, mine, theirs, out), out)


def _once(constant: Constant, mine: str, theirs: str, out: str) -> tuple[Constant, str, str]:
    """Return a constant without axes that a value has too and along which it is the same."""
    shared = [i for i, x in enumerate(theirs) if x in mine and x in out]
    spare = [i for i, x in enumerate(theirs) if x not in mine and x not in out]
    dropped = [i for i in spare if constant.shape[i] == 1]
    if shared:
        values = constant.evaluate()
        dropped += [i for i in shared if bool((values == values.narrow(i, 0, 1)).all())]
    kept = [i for i in range(len(theirs)) if i not in dropped]
    shape = tuple(constant.shape[i] for i in kept)
    once = constant.reshaped(shape, None, tuple(dropped)) if dropped else constant
    return once, mine, "".join(theirs[i] for i in kept)


def _by_letters(
    call: Call, value: Value, constant: Constant, mine: str, theirs: str, out: str
) -> Value:
    """Follow a sum over several axes; without any, a product element by element.

    Raises:
        InputError: if an axis is summed or repeated in another way.
    """
    summed = [letter for letter in theirs if letter in mine and letter not in out]
    new = [letter for letter in theirs if letter not in mine]
    rest = [letter for letter in mine if letter not in summed]
    sizes = dict(zip(mine, value.shape, strict=True)) | dict(
        zip(theirs, constant.shape, strict=True)
    )
    if sorted((*rest, *new)) != sorted(out):
        raise call.refusal(_REMEDY)
    if not summed and not new:
        return _product(call, value, constant, mine, theirs, out)
    if not summed:
        raise call.refusal(
            f"each of several neurons has a matrix of its own; {_REMEDY}, or as a convolution with "
            "groups"
        )
    if {*rest} & {*theirs}:
        return _in_groups(call, value, constant, mine, theirs, out)
    kept = [sizes[letter] for letter in rest]
    n_inputs, n_outputs = (math.prod(sizes[x] for x in letters) for letters in (summed, new))
    reads = _arranged(value, mine, [*rest, *summed], [*kept, n_inputs])
    order = [theirs.index(letter) for letter in (*summed, *new)]
    matrix = constant.reshaped((n_inputs, n_outputs), order)
    shape = (*kept, n_outputs)
    flat = weighed(
        replace(call, shape=shape),
        *(reads, matrix, -1),
        n_outputs=n_outputs,
        out_axis=-1,
        layout="in-out",
    )
    together = [*rest, *new]
    apart = moved(
        [flat],
        [shape],
        lambda x: x.reshape([sizes[a] for a in together]),
        [sizes[a] for a in together],
    )
    return _arranged(apart, "".join(together), list(out), call.shape)


def _in_groups(
    call: Call, value: Value, constant: Constant, mine: str, theirs: str, out: str
) -> Value:
    """Follow products with a matrix for each place along some axes, as a convolution's groups."""
    sizes = dict(zip((*mine, *theirs), (*value.shape, *constant.shape), strict=True))
    groups = [letter for letter in mine if letter in theirs and letter in out]
    summed = [letter for letter in mine if letter in theirs and letter not in out]
    new = [letter for letter in theirs if letter not in mine]
    rest = [letter for letter in mine if letter not in theirs]
    kept = [sizes[letter] for letter in rest]
    n_groups, n_inputs, n_outputs = (
        math.prod(sizes[x] for x in letters) for letters in (groups, summed, new)
    )
    reads = _arranged(value, mine, [*rest, *groups, *summed], [*kept, n_groups * n_inputs])
    order = [theirs.index(letter) for letter in (*groups, *new, *summed)]
    kernels = constant.reshaped((n_groups * n_outputs, n_inputs, 1, 1), order)
    shape = (*kept, n_groups * n_outputs)
    flat = replace(call, shape=shape).weigh(
        *(reads, kernels, -1),
        n_outputs=n_groups * n_outputs,
        out_axis=-1,
        is_dense=True,
        groups=n_groups,
    )
    together = [*rest, *groups, *new]
    apart = [sizes[letter] for letter in together]
    split = moved([flat], [shape], lambda x: x.reshape(apart), apart)
    return _arranged(split, "".join(together), list(out), call.shape)


def _product(
    call: Call, value: Value, constant: Constant, mine: str, theirs: str, out: str
) -> Value:
    whole = joined([_arranged(value, mine, list(out), call.shape)], call.shape)
    order = sorted(range(len(theirs)), key=lambda axis: out.index(theirs[axis]))
    shape = tuple(
        size if letter in theirs else 1 for letter, size in zip(out, call.shape, strict=True)
    )
    return by_constant(whole, constant.reshaped(shape, order))


def _arranged(value: Value, letters: str, order: Sequence[str], shape: Sequence[int]) -> Value:
    """Return a value with its axes in an order, then in a shape."""
    axes = [letters.index(letter) for letter in order]
    return moved([value], [value.shape], lambda x: x.permute(axes).reshape(shape), shape)


def by_vector(call: Call, value: Value, vector: Constant, axis: int) -> Value:
    """Return the sum over an axis of a value and a vector."""
    row = vector.reshaped((1, *vector.shape))
    return weighed(call, value, row, axis, n_outputs=1, out_axis=None)


def _letters(equation: str, n_axes: Sequence[int]) -> tuple[list[str], str]:
    """Return the letters of each operand's axes, and of the result's; digits for an ellipsis."""
    before, arrow, out = equation.replace(" ", "").partition("->")
    given = before.split(",")
    missing = [n - len(t.replace("...", "")) for t, n in zip(given, n_axes, strict=True)]
    digits = [chr(ord("0") + i) for i in range(max(missing))]
    terms = [
        term.replace("...", "".join(digits[len(digits) - n :]))
        for term, n in zip(given, missing, strict=True)
    ]
    if not arrow:
        together = "".join(terms)
        out = "..." + "".join(sorted(c for c in {*together} - {*digits} if together.count(c) == 1))
    return terms, out.replace("...", "".join(digits))


def _contracted(
    call: Call, value: Value, constant: Value | Constant, axis: int, place: int, out_axis: int
) -> Value:
    """Return the sum over an axis of a value and an axis, ``place``, of a matrix."""
    if isinstance(constant, Constant) and len(constant.shape) == 1:
        return by_vector(call, value, constant, axis)
    if isinstance(constant, Constant) and len(constant.shape) != 2:
        raise call.refusal(f"its matrix has shape {constant.shape}, expected 2 axes")
    place = place % 2
    return weighed(
        call,
        value,
        constant,
        axis,
        n_outputs=constant.shape[1 - place],
        out_axis=out_axis,
        layout="out-in" if place else "in-out",
    )
