import pytest
import torch
import torch.nn.functional as F  # noqa: N812

from clusterability.errors import InputError
from clusterability.tracing import statistics
from clusterability.tracing.mixing import mixed, reduced
from clusterability.tracing.origins import INPUT, Value
from clusterability.tracing.provenance import joined, moved, network_input, produced
from clusterability.tracing.statistics import expanded
from term_contents import outputs


def test_pooling_leaves_channels_alone():
    image = produced(0, (1, 3, 4, 4), 1)
    out = mixed(image, (2, 3), (1, 3, 2, 5))
    assert out.shape == (1, 3, 2, 5)
    assert outputs(out) == [[(0, c)] for c in range(3) for _ in range(10)]


def test_pooling_fills_what_was_padded():
    image = moved(
        [produced(0, (2, 4), 0)], [(2, 4)], lambda x: torch.stack([x[0], 0 * x[1]]), (2, 4)
    )
    image = moved([image], [(2, 4)], lambda x: F.pad(x, (2, 0)), (2, 6))
    assert outputs(mixed(image, (1,), (2, 3))) == [[(0, 0)]] * 3 + [[]] * 3


def test_averaging_over_neurons_takes_each_of_them():
    out = mixed(produced(0, (2, 3), 1), (1,), (2, 2))
    assert outputs(out) == [[(0, 0), (0, 1), (0, 2)]] * 4
    flat = moved([produced(0, (1, 2, 2), 1)], [(1, 2, 2)], lambda x: x.flatten(1), (1, 4))
    assert {x for terms in outputs(mixed(flat, (1,), (1, 1))) for x in terms} == {(0, 0), (0, 1)}


def test_averaging_over_several_axes_at_once():
    value = moved([produced(0, (6,), 0)], [(6,)], lambda x: x.view(1, 2, 3), (1, 2, 3))
    out = mixed(value, (1, 2), (1, 1, 1))
    assert outputs(out) == [[(0, i) for i in range(6)]]


def test_averaging_over_too_many_neurons_is_refused(monkeypatch):
    monkeypatch.setattr(statistics, "MOST_TERMS", 5)
    assert len(expanded(mixed(produced(0, (5,), 0), (0,), (1,))).terms) == 5
    with pytest.raises(InputError, match="it joins 6 different neurons"):
        expanded(mixed(produced(0, (6,), 0), (0,), (1,)))


def test_a_pooled_input_is_a_new_input():
    image = joined([network_input((1, 4)), produced(0, (1, 1), 1)], (1, 4))
    out = mixed(image, (1,), (1, 2))
    assert sorted(outputs(out)[0]) == [(INPUT, 0), (0, 0)]
    assert sorted(outputs(out)[1]) == [(INPUT, 1), (0, 0)]


def test_only_what_holds_the_input_is_a_new_input():
    image, hidden = network_input((1, 2, 3)), produced(0, (1, 2, 3), 1)
    shapes = [(1, 2, 3)] * 2
    both = moved([image, hidden], shapes, lambda *x: torch.cat(x, 1), (1, 4, 3))
    assert outputs(reduced(both, (2,), keepdim=False)) == [
        *([(INPUT, i)] for i in range(2)),
        *([(0, i)] for i in range(2)),
    ]


@pytest.mark.parametrize("keepdim", [False, True])
@pytest.mark.parametrize("axes", [(1, 2), (-1, -2), (2, 1)])
def test_reducing_whole_axes(axes, keepdim):
    out = reduced(produced(0, (3, 2, 4), 0), axes, keepdim)
    assert out.shape == ((3, 1, 1) if keepdim else (3,))
    assert outputs(out) == [[(0, 0)], [(0, 1)], [(0, 2)]]


def test_a_value_that_holds_nothing():
    assert mixed(Value((2, 2), ()), (1,), (2, 1)).terms == ()
