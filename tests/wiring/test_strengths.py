"""Strengths of a wiring with every kind of index and scale: in batches, steps, devices, copies."""

import copy
import math
import pickle
from collections import Counter

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from clusterability.errors import InputError
from clusterability.graph import Layer, NeuronGraph
from clusterability.wiring.connections import Connection, Route
from clusterability.wiring.index_maps import Index, picks
from clusterability.wiring.kernels import l1
from clusterability.wiring.scales import BatchNorm, Multiplier, Total
from clusterability.wiring.weights import Weight
from clusterability.wiring.wiring import Wiring
from naive_blocks import drawn, naive_block

NORM = BatchNorm("bn", "var", 0.1, "gamma")

EVERYTHING = Wiring(
    (Layer("a", 5), Layer("b", 4), Layer("c", 4), Layer("d", 2)),
    (
        Connection(
            *(0, 1, Weight("w", groups=2)),
            inputs=(0, 1, -1, 2, 2, 3, 4, 0),
            routes=(
                Route((2, 0, 1), (0, 3, 1), ((NORM, None),)),
                Route((3, 3), (3, 0), ((Multiplier("m"), (2, 0)),), 0.5),
            ),
        ),
        Connection(1, 2, Weight("v"), inputs=(0, 1, 2, 3) * 3, kernel="v"),
        Connection(0, 2, Weight("v"), inputs=(-1, 0, 1, 2, 3, 4) * 2, kernel="v"),
        Connection(
            *(2, 3, Weight("u")),
            routes=(Route(scales=((Total(((2.0, ((Multiplier("m"), (2, 0)),)),)), None),)),),
        ),
    ),
)
"""Every kind of index and scale."""

SHAPES = {"w": (4, 4, 3), "v": (4, 12), "u": (2, 4), "var": (3,), "gamma": (3,), "m": (3,)}


def stacked(*leading):
    parameters = {name: drawn(*leading, *shape) for name, shape in SHAPES.items()}
    return {**parameters, "var": parameters["var"].abs()}


def test_strengths_are_those_of_the_checked_graph():
    parameters = stacked()
    found, checked = EVERYTHING.strengths(parameters), EVERYTHING.graph(parameters)
    assert found.layers == checked.layers
    for block, other, connection in zip(
        found.blocks, checked.blocks, EVERYTHING.connections, strict=True
    ):
        expected, support = naive_block(EVERYTHING, connection, parameters)
        torch.testing.assert_close(block.strengths, expected)
        assert torch.equal(block.strengths, other.strengths)
        assert (block.source, block.target) == (connection.source, connection.target)
        assert block.kernel == other.kernel == connection.kernel
        assert block.support is other.support
        assert block.support is None or torch.equal(block.support, support)
    checked.check_strengths()
    torch.testing.assert_close(found.degrees(), NeuronGraph(found.layers, found.blocks).degrees())


@pytest.mark.parametrize("leading", [(3,), (2, 2)])
def test_strengths_of_stacked_parameters_are_a_batch_equal_to_a_loop(leading):
    n_leading = len(leading)
    parameters = {name: p.requires_grad_() for name, p in stacked(*leading).items()}
    batch = EVERYTHING.strengths(parameters, l1, n_leading)
    assert batch.batch_shape == leading
    flat = {name: p.flatten(0, n_leading - 1) for name, p in parameters.items()}
    graphs = [
        EVERYTHING.strengths({name: p[i] for name, p in flat.items()})
        for i in range(math.prod(leading))
    ]
    expected = torch.stack([graph.flat_strengths() for graph in graphs])
    torch.testing.assert_close(batch.flat_strengths().flatten(0, n_leading - 1), expected)
    given = list(parameters.values())
    gradients = torch.autograd.grad((batch.flat_strengths() ** 2).sum(), given)
    looped = torch.autograd.grad((expected**2).sum(), given)
    for gradient, other in zip(gradients, looped, strict=True):
        torch.testing.assert_close(gradient, other)


class Counting(dict):
    """Parameters that count how often each is looked up."""

    def __init__(self, *parameters):
        super().__init__(*parameters)
        self.looks = Counter()

    def __getitem__(self, name):
        self.looks[name] += 1
        return super().__getitem__(name)


def test_copies_share_one_tensor_and_a_scale_is_computed_once():
    scaled, other = (Route(scales=((NORM, entries),)) for entries in ((2, 0, 1), (0, 1, 2)))
    weight = Weight("w", groups=3)
    layers = (Layer("a", 3), *(Layer(name, 3) for name in "bcd"))
    routes = ((scaled,), (Route(scales=((NORM, (2, 0, 1)),)),), (other,))
    wiring = Wiring(layers, tuple(Connection(0, i + 1, weight, None, routes[i]) for i in range(3)))
    parameters = Counting({"w": drawn(3, 1, 2), **{n: drawn(3) ** 2 for n in ("var", "gamma")}})
    first, copy_of_it, differs = wiring.strengths(parameters).blocks
    assert dict(parameters.looks) == {"w": 1, "var": 1, "gamma": 1}
    assert copy_of_it.strengths is first.strengths
    assert copy_of_it.support is first.support
    assert not torch.equal(differs.strengths, first.strengths)
    for block, connection in zip((first, copy_of_it, differs), wiring.connections, strict=True):
        expected, support = naive_block(wiring, connection, parameters)
        torch.testing.assert_close(block.strengths, expected)
        assert torch.equal(block.support, support)
        assert (block.source, block.target) == (0, connection.target)


def test_a_scale_comes_in_the_precision_of_each_weight():
    layers = (Layer("a", 2), Layer("b", 2), Layer("c", 2))
    routes = (Route(scales=((BatchNorm("bn", "var", 0.1), None),)),)
    ends = ((0, 1, Weight("w")), (1, 2, Weight("v")))
    wiring = Wiring(layers, tuple(Connection(*end, None, routes) for end in ends))
    var = torch.tensor([0.3, 0.7], dtype=torch.float64)
    parameters = {"w": drawn(2, 2).float(), "v": drawn(2, 2), "var": var}
    for block, connection in zip(wiring.graph(parameters).blocks, wiring.connections, strict=True):
        expected, _ = naive_block(wiring, connection, parameters)
        assert block.strengths.dtype == torch.float64
        torch.testing.assert_close(block.strengths, expected.double(), rtol=1e-15, atol=0)


def test_a_scale_comes_on_the_device_of_each_weight():
    layers = (Layer("a", 3), Layer("b", 3), Layer("c", 3))
    routes = (Route(scales=((NORM, None),)),)
    ends = ((0, 1, Weight("w")), (1, 2, Weight("v")))
    wiring = Wiring(layers, tuple(Connection(*end, None, routes) for end in ends))
    parameters = {name: drawn(3, 3) for name in "wv"}
    parameters |= {name: drawn(3) ** 2 for name in ("var", "gamma")}
    parameters["v"] = parameters["v"].to("meta")
    devices = [block.strengths.device.type for block in wiring.strengths(parameters).blocks]
    assert devices == ["cpu", "meta"]
    with pytest.raises(InputError, match=r"several devices \(cpu, meta\)"):
        NeuronGraph(layers, wiring.strengths(parameters).blocks)


def test_copies_share_one_tensor_beside_weights_of_more_precision():
    layers = tuple(Layer(name, 3) for name in "abcd")
    ends = ((0, 1, "w"), (0, 2, "w"), (2, 3, "v"))
    wiring = Wiring(layers, tuple(Connection(s, t, Weight(name)) for s, t, name in ends))
    parameters = {"w": drawn(3, 3).float(), "v": drawn(3, 3)}
    first, copy_of_it, other = wiring.strengths(parameters).blocks
    assert copy_of_it.strengths is first.strengths
    assert torch.equal(first.strengths, parameters["w"].double().abs().mT)
    assert torch.equal(other.strengths, parameters["v"].abs().mT)


class Operations(TorchDispatchMode):
    """Names of the operations of torch that run, and how often."""

    def __init__(self):
        super().__init__()
        self.names = Counter()

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        self.names[function.overloadpacket.__name__] += 1
        return function(*args, **(kwargs or {}))


TWO_SCALES = ((Multiplier("m"), (0, 1, 2, 0)), (Multiplier("n"), (2, 1, 0, 2)))


@pytest.mark.parametrize("groups", [1, 2])
def test_steps_that_routes_have_in_common_are_taken_once(groups):
    """Two sources with three routes each, whose scales and factors begin alike."""
    routes = [
        (Route(scales=TWO_SCALES[:n], factor=factor),) for n, factor in ((1, 1), (2, 1), (2, 3))
    ]
    inputs = ((0, 1, -1, -1), (-1, -1, 1, 0))
    layers = tuple(Layer(name, n) for name, n in zip("abcde", (2, 2, 4, 4, 4), strict=True))
    wiring = Wiring(
        layers,
        tuple(
            Connection(source, 2 + i, Weight("w", groups=groups), inputs[source], route)
            for source in range(2)
            for i, route in enumerate(routes)
        ),
    )
    parameters = {"w": drawn(4, 4 // groups, 3), "m": drawn(3), "n": drawn(3)}
    with Operations() as run:
        blocks = wiring.strengths(parameters).blocks
    assert run.names["mul"] == 3
    for block, connection in zip(blocks, wiring.connections, strict=True):
        expected, support = naive_block(wiring, connection, parameters)
        torch.testing.assert_close(block.strengths, expected)
        assert (block.support is None) if groups == 1 else torch.equal(block.support, support)


WAITING = {"_local_scalar_dense", "equal", "is_nonzero", "item", "nonzero"}
"""Operations whose results Python waits for."""

ANEW = {"arange", "eye", "lift_fresh", "ones"}
"""Operations that make a constant tensor."""


def test_a_later_step_waits_for_nothing_and_makes_no_index_anew():
    parameters = stacked()
    EVERYTHING.strengths(parameters)
    with Operations() as later:
        EVERYTHING.strengths(parameters)
    assert (WAITING | ANEW).isdisjoint(later.names), later.names
    assert {"abs", "index_select", "index_add", "sum"} <= later.names.keys()
    with Operations() as checked:
        EVERYTHING.graph(parameters)
    assert "_local_scalar_dense" in checked.names
    fresh = copy.deepcopy(EVERYTHING)
    with Operations() as first:
        fresh.strengths(parameters)
    assert "lift_fresh" in first.names


def test_a_first_step_in_inference_mode_spoils_no_later_one():
    fresh = copy.deepcopy(EVERYTHING)
    with torch.inference_mode():
        fresh.strengths(stacked())
    parameters = {name: p.requires_grad_() for name, p in stacked().items()}
    graph = fresh.strengths(parameters)
    masked = graph.blocks[0].strengths * graph.blocks[0].support
    (masked.sum() + graph.flat_strengths().sum()).backward()
    assert all(p.grad.abs().sum() > 0 for p in parameters.values())


def test_strengths_follow_the_parameters_to_another_device():
    for device in ("cpu", "meta", "cpu"):
        parameters = {name: p.to(device) for name, p in stacked().items()}
        graph = EVERYTHING.strengths(parameters)
        assert {block.strengths.device.type for block in graph.blocks} == {device}
        assert graph.blocks[0].support.device.type == device


def test_copies_and_pickles_hold_no_tensors():
    used = copy.copy(EVERYTHING)
    before = used.strengths(stacked()).flat_strengths()
    content = pickle.dumps(used)
    assert b"torch" not in content
    for other in (pickle.loads(content), copy.deepcopy(used)):
        assert other == used == EVERYTHING
        assert hash(other) == hash(used)
        assert torch.equal(other.strengths(stacked()).flat_strengths(), before)


@pytest.mark.parametrize("default", ["cpu", "meta"])
def test_indices_are_on_the_device_that_is_asked_for(default):
    with torch.device(default):
        assert picks((2, 0), 3).device == picks(None, 3).device == torch.device(default)
        index = Index((2, 0)).on(torch.device("cpu"))
    assert index.tolist() == [2, 0]
