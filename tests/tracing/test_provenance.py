import pytest
import torch
import torch.nn.functional as F  # noqa: N812

from clusterability.tracing.multiplying import multiplied, scaled
from clusterability.tracing.origins import INPUT, Value, without_repeats
from clusterability.tracing.provenance import (
    gated,
    joined,
    moved,
    network_input,
    produced,
)
from clusterability.wiring.scales import Multiplier
from term_contents import contents, outputs


def n_bytes(value):
    return sum(term.labels.untyped_storage().nbytes() for term in value.terms)


def test_an_operation_produces_its_channels_and_the_input_its_elements():
    channels = produced(4, (1, 2, 3), 1)
    assert outputs(channels) == [[(4, c)] for c in (0, 0, 0, 1, 1, 1)]
    elements = network_input((1, 2, 2))
    assert outputs(elements) == [[(INPUT, i)] for i in range(4)]


@pytest.mark.parametrize(
    "move",
    [
        lambda x: x.permute(2, 0, 1),
        lambda x: x.reshape(6, 4),
        lambda x: x.flip(1),
        lambda x: x[:, 1:, ::2],
        lambda x: x[:, :, None].expand(2, 3, 5, 4),
        lambda x: F.pad(x, (1, 0, 0, 2)),
        lambda x: x.roll(1, 2),
        lambda x: x.unfold(2, 2, 1),
    ],
)
def test_movement_takes_every_element_along(move):
    value = produced(0, (2, 3, 4), 1)
    dense = torch.arange(3).view(1, 3, 1).expand(2, 3, 4) + 1
    expected = move(dense)
    out = moved([value], [value.shape], move, expected.shape)
    labels = [0 if not terms else terms[0][1] + 1 for terms in outputs(out)]
    assert labels == expected.flatten().tolist()


def test_a_concatenation_joins_values_and_constants():
    first, second = produced(0, (1, 2, 2), 1), produced(1, (1, 1, 2), 1)
    shapes = [first.shape, (1, 1, 2), second.shape]
    out = moved([first, None, second], shapes, lambda *x: torch.cat(x, 1), (1, 4, 2))
    assert outputs(out) == [[(0, 0)]] * 2 + [[(0, 1)]] * 2 + [[]] * 2 + [[(1, 0)]] * 2


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_movement_along_one_axis_is_the_same_for_short_labels(axis):
    a, b = produced(0, (3, 4, 5), 1), produced(1, (3, 4, 5), axis)
    shapes, shape = [a.shape, b.shape], [3, 4, 5]
    shape[axis] *= 2

    def move(*x):
        return torch.cat(x, axis)

    plain = moved([a, b], shapes, move, shape)
    short = moved([a, b], shapes, move, shape, along=axis)
    assert short.shape == plain.shape == tuple(shape)
    assert outputs(short) == outputs(plain)


@pytest.mark.parametrize("along", [None, 1])
def test_terms_that_repeat_alike_are_moved_at_once(along):
    """A sum of two and another value are concatenated, and then cut in the middle of each."""
    a, b, c = (produced(i, (2, 3, 4), 1) for i in range(3))
    values, shapes, runs = [joined([a, b], (2, 3, 4)), c], [(2, 3, 4)] * 2, []

    def move(*x):
        runs.append(x)
        return torch.cat(x, 1)[:, 1:5].flip(1)

    out = moved(values, shapes, move, (2, 4, 4), along=along)
    assert len(runs) == 1
    channels = [[(2, 1)], [(2, 0)], [(0, 2), (1, 2)], [(0, 1), (1, 1)]]
    assert outputs(out) == [sources for sources in channels for _ in range(4)] * 2
    assert all(term.labels.stride()[::2] == (0, 0) for term in out.terms)


def test_a_term_of_which_nothing_is_left_is_dropped():
    value = joined([produced(0, (1, 4), 1), produced(1, (1, 1), 1)], (1, 4))
    assert len(moved([value], [(1, 4)], lambda x: 0 * x, (1, 4)).terms) == 0
    both = moved([produced(0, (1, 2), 1), None], [(1, 2), (1, 2)], lambda _, y: y, (1, 2))
    assert both.terms == ()


@pytest.mark.slow
def test_labels_stay_small():
    image = produced(0, (8, 64, 512, 512), 1)
    assert n_bytes(image) == 64 * 8
    out = moved([image], [image.shape], lambda x: x.permute(0, 2, 3, 1), (8, 512, 512, 64))
    assert n_bytes(out) == 64 * 8
    entries = torch.arange(64).view(64, 1, 1).expand(image.shape)
    wide = scaled(joined([image, image], image.shape), Multiplier("m"), entries, 64)
    assert n_bytes(wide) == 64 * 8  # equal terms are one


def test_a_sum_holds_every_term_and_broadcasts():
    out = joined([produced(0, (2, 3), 1), produced(1, (2, 1), 1)], (2, 3))
    assert outputs(out) == [[(0, i), (1, 0)] for i in (0, 1, 2, 0, 1, 2)]


def test_numbers_multiply_up_without_their_sign():
    value = multiplied(multiplied(produced(0, (2,), 0), -3.0), 0.5)
    assert contents(value) == [[(0, 0, 1.5)], [(0, 1, 1.5)]]


def test_a_gate_counts_equal_terms_once_and_others_each():
    a, b = produced(0, (2,), 0), produced(1, (2,), 0)
    assert outputs(gated([a, a], (2,))) == [[(0, 0)], [(0, 1)]]
    assert outputs(gated([a, b], (2,))) == [[(0, 0), (1, 0)], [(0, 1), (1, 1)]]
    flipped = moved([a], [(2,)], lambda x: x.flip(0), (2,))
    assert outputs(gated([a, flipped], (2,))) == [[(0, 0), (0, 1)], [(0, 1), (0, 0)]]


def test_a_gate_forgets_numbers_before_it_and_after_it():
    a = produced(0, (2,), 0)
    product = gated([multiplied(a, 3.0), multiplied(a, 0.5)], (2,))
    assert contents(multiplied(product, 7.0)) == [[(0, 0, 1.0)], [(0, 1, 1.0)]]
    number = Multiplier("n", is_number=True)
    entry = torch.zeros(1, dtype=torch.int64)
    before = gated([scaled(a, number, entry, 1), a], (2,))
    after = scaled(before, number, entry, 1)
    assert contents(after) == contents(product)


def test_a_gate_keeps_what_scales_each_neuron():
    a = produced(0, (2,), 0)
    once = scaled(a, Multiplier("m"), torch.tensor([0, 1]), 2)
    out = scaled(gated([once, once], (2,)), Multiplier("k"), torch.tensor([0, 0]), 1)
    assert contents(out) == [[(0, c, 1.0, ("m", c), ("k", 0))] for c in (0, 1)]
    assert contents(gated([once, a], (2,))) == [[(0, c, 1.0, ("m", c))] for c in (0, 1)]
    other = scaled(a, Multiplier("n"), torch.tensor([0, 1]), 2)
    assert len(contents(gated([once, other], (2,)))[0]) == 2


@pytest.mark.parametrize(
    "entries",
    [
        torch.tensor([[[0]], [[1]], [[2]]]),  # one an output
        torch.arange(4),  # one a place
        torch.arange(12).view(3, 1, 4),  # one for each
        torch.tensor([5]),
    ],
)
@pytest.mark.parametrize("padded", [False, True])
def test_scaling_gives_each_element_its_entry(entries, padded):
    value = produced(0, (3, 2, 4), 0)
    if padded:
        value = moved([value], [value.shape], lambda x: F.pad(x[..., 1:3], (1, 1)), (3, 2, 4))
    out = scaled(value, Multiplier("m"), entries, 12)
    wanted = entries.expand(3, 2, 4).flatten().tolist()
    for before, after, entry in zip(contents(value), contents(out), wanted, strict=True):
        assert after == [(*term, ("m", entry)) for term in before]
    twice = scaled(out, Multiplier("k"), entries, 12)
    for before, after, entry in zip(contents(out), contents(twice), wanted, strict=True):
        assert after == [(*term, ("k", entry)) for term in before]


def test_the_input_is_not_scaled():
    value = network_input((1, 2))
    assert contents(scaled(value, Multiplier("m"), torch.tensor([0, 1]), 2)) == contents(value)


def test_repeats_are_cut_together():
    a = torch.arange(3).view(3, 1).expand(3, 4)
    b = torch.arange(4).expand(3, 4)
    assert [x.shape for x in without_repeats(a, a)] == [(3, 1), (3, 1)]
    assert [x.shape for x in without_repeats(a, b)] == [(3, 4), (3, 4)]


def test_a_value_may_hold_nothing():
    nothing = Value((2, 2), ())
    assert outputs(joined([nothing], (2, 2))) == [[]] * 4
    assert outputs(gated([nothing, produced(0, (2, 2), 1)], (2, 2))) == [
        [(0, c)] for c in (0, 1, 0, 1)
    ]


@pytest.mark.parametrize("n_pixels", [1, 2])
@pytest.mark.parametrize("order", [[0, 1, 2, 3], [2, 0, 3, 1], [0, 2], [1, 1, 3], []])
def test_each_output_is_scaled_by_the_entry_at_its_place(order, n_pixels):
    """Whether the outputs come in their order, in another, in part or several times."""
    value, shape = produced(0, (1, 4, n_pixels), 1), (1, 5, n_pixels)
    pads = (0, 0, 1, 4 - len(order))
    value = moved([value], [value.shape], lambda x: F.pad(x[:, order], pads), shape)
    n = 5 * n_pixels
    entries = torch.arange(n).view(shape)
    found = scaled(value, Multiplier("s", False, is_number=False), entries, n)
    for term in found.terms:
        origin, labels = term.origin, term.labels.flatten()
        (_, own), places = origin.scales[0], torch.arange(n)[labels > 0]
        assert own[labels[places] - 1].tolist() == places.tolist()
        expected = [order[place // n_pixels - 1] for place in places.tolist()]
        assert origin.channels[labels[places] - 1].tolist() == expected
    assert sum(int((t.labels > 0).sum()) for t in found.terms) == n_pixels * len(order)
