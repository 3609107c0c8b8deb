import copy
import math
import pickle

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from clusterability.errors import InputError
from clusterability.graph import Layer, NeuronGraph
from clusterability.wiring.connections import Connection, Route
from clusterability.wiring.kernels import l1
from clusterability.wiring.scales import BatchNorm, Multiplier, Total
from clusterability.wiring.weights import Weight, support_of, weight_strengths
from clusterability.wiring.wiring import Wiring


def two_layers(n_source, n_target, weight=None, **connection):
    layers = (Layer("first", n_source), Layer("second", n_target))
    return Wiring(layers, (Connection(0, 1, weight or Weight("w"), **connection),))


def strengths(wiring, **parameters):
    return wiring.graph(parameters).blocks[0].strengths


def drawn(*shape):
    generator = torch.Generator().manual_seed(sum(shape))
    return torch.randn(*shape, dtype=torch.float64, generator=generator)


def flattened(n_channels, n_pixels, layout="out-in"):
    """The channel of each input of a dense weight that reads an image."""
    channels = list(range(n_channels))
    if layout == "in-out":
        return tuple(channels * n_pixels)
    return tuple(channel for channel in channels for _ in range(n_pixels))


def naive_dense(weight, n_source, n_pixels, layout):
    """A double loop over neurons, with an inner one over a channel's pixels."""
    n_target = weight.shape[0] if layout == "out-in" else weight.shape[1]
    block = torch.zeros(n_source, n_target, dtype=weight.dtype)
    for source in range(n_source):
        for target in range(n_target):
            for pixel in range(n_pixels):
                if layout == "out-in":
                    entry = weight[target, source * n_pixels + pixel]
                else:
                    entry = weight[pixel * n_source + source, target]
                block[source, target] += abs(entry)
    return block


def naive_block(wiring, connection, parameters):
    """Every input, every arrival of every route, one at a time; and where there is a connection."""
    weight = connection.weight
    norms = parameters[weight.name].abs()
    norms = norms.flatten(2).sum(2) if norms.ndim > 2 else norms
    n_out, per_group = norms.shape
    n_in = per_group * weight.groups
    shape = [wiring.layers[end].n_neurons for end in (connection.source, connection.target)]
    block, support = torch.zeros(shape, dtype=norms.dtype), torch.zeros(shape, dtype=torch.bool)
    inputs = range(n_in) if connection.inputs is None else connection.inputs
    for i, source in enumerate(inputs):
        for route in connection.routes:
            channels = range(n_out) if route.channels is None else route.channels
            for arrival, channel in enumerate(channels):
                same_group = i // per_group == channel // (n_out // weight.groups)
                if source < 0 or not same_group:
                    continue
                target = arrival if route.neurons is None else route.neurons[arrival]
                strength = norms[channel, i % per_group] * route.factor
                for scale, entries in route.scales:
                    values = scale.values(parameters, norms)
                    strength = strength * values[arrival if entries is None else entries[arrival]]
                block[source, target] += strength
                support[source, target] = True
    return block, support


@pytest.mark.parametrize("layout", ["out-in", "in-out"])
@pytest.mark.parametrize(("n_source", "n_target", "n_pixels"), [(3, 2, 1), (4, 3, 6), (1, 5, 4)])
def test_a_dense_block_equals_a_naive_loop(layout, n_source, n_target, n_pixels):
    shape = (n_target, n_source * n_pixels)
    weight = drawn(*(shape if layout == "out-in" else shape[::-1]))
    inputs = flattened(n_source, n_pixels, layout)
    wiring = two_layers(n_source, n_target, Weight("w", layout), inputs=inputs)
    torch.testing.assert_close(
        strengths(wiring, w=weight), naive_dense(weight, n_source, n_pixels, layout)
    )


def test_flattening_is_that_of_torch():
    """A weight that reads one channel alone connects that channel alone."""
    image = torch.zeros(1, 3, 2, 2)
    image[0, 1] = 1
    wiring = two_layers(3, 1, inputs=flattened(3, 4))
    assert strengths(wiring, w=image.flatten(1)).flatten().tolist() == [0, 4, 0]
    channels_last = image.permute(0, 2, 3, 1).flatten(1).mT
    wiring = two_layers(3, 1, Weight("w", "in-out"), inputs=flattened(3, 4, "in-out"))
    assert strengths(wiring, w=channels_last).flatten().tolist() == [0, 4, 0]


@pytest.mark.parametrize(
    ("n_source", "inputs"),
    [
        (6, None),
        (6, (0, 1, 2, 3, 4, 5)),
        (6, (5, 4, 3, 2, 1, 0)),
        (3, (0, 0, 1, 1, 2, 2)),
        (2, (0, 1, 0, 1, 0, 1)),
        (2, (0, 0, 0, 0, 0, 1)),
        (3, (2, 0, 0, 1, 2, 2)),
        (4, (-1, 0, 1, 2, 3, -1)),
        (2, (0, -1, -1, 1, -1, -1)),
        (2, (-1, 0, 0, 1, 1, -1)),
        (2, (1, -1, 0, -1, 1, 0)),
        (1, (-1, -1, -1, -1, 0, -1)),
    ],
)
def test_inputs_of_one_neuron_add_up_and_those_of_others_are_left_out(n_source, inputs):
    parameters = {"w": drawn(4, 6)}
    wiring = two_layers(n_source, 4, inputs=inputs)
    expected, _ = naive_block(wiring, wiring.connections[0], parameters)
    torch.testing.assert_close(strengths(wiring, **parameters), expected)


SCALES = {"var": torch.tensor([0.5, 2.0, 3.0]), "gamma": torch.tensor([-1.0, 2.0, 0.5])}
NORM = BatchNorm("bn", "var", 0.1, "gamma")

ROUTES = [
    (Route(),),
    (Route(factor=0.25),),
    (Route(channels=(3, 2, 1, 0)),),
    (Route(neurons=(1, 0, 3, 2)),),
    (Route(channels=(0, 2), neurons=(3, 0)),),
    (Route(channels=(0, 0, 3, 1), neurons=(1, 2, 1, 1)),),
    (Route(), Route()),
    (Route(channels=(1, 2), neurons=(0, 1)), Route(channels=(3, 2), neurons=(2, 1), factor=3.0)),
    (Route(scales=((NORM, (0, 1, 2, 0)),)),),
    (Route((2, 2, 1), (0, 3, 1), ((NORM, (2, 0, 1)), (Multiplier("gamma"), (1, 1, 0))), 0.5),),
    (Route((2, 0, 1), (0, 3, 1), ((NORM, None),)), Route((3,), (3,), ((NORM, (2,)),))),
]


@pytest.mark.parametrize("groups", [1, 2, 4])
@pytest.mark.parametrize("routes", ROUTES)
def test_routes_equal_a_naive_loop(routes, groups):
    parameters = {"w": drawn(4, 8 // groups, 3), **SCALES}
    inputs = (0, 1, -1, 2, 2, 3, 4, 0)
    wiring = two_layers(5, 4, Weight("w", groups=groups), inputs=inputs, routes=routes)
    expected, support = naive_block(wiring, wiring.connections[0], parameters)
    block = wiring.graph(parameters).blocks[0]
    torch.testing.assert_close(block.strengths, expected)
    if groups == 1:
        assert block.support is None
    else:
        assert torch.equal(block.support, support)


def test_a_chain_of_depthwise_and_transposed_convolutions():
    depthwise, transposed = Weight("d", groups=4), Weight("t", groups=2, transposed=True)
    layers = (Layer("a", 4), Layer("b", 8), Layer("c", 6))
    wiring = Wiring(layers, (Connection(0, 1, depthwise), Connection(1, 2, transposed)))
    parameters = {"d": drawn(8, 1, 3), "t": drawn(8, 3, 2)}
    for block, weight in zip(wiring.graph(parameters).blocks, (depthwise, transposed), strict=True):
        expected = weight_strengths(weight, parameters[weight.name], l1)
        torch.testing.assert_close(block.strengths, expected)
        assert torch.equal(block.support, support_of(weight, *expected.shape, expected.device))


def test_batch_norms_scale_the_target_side():
    norms = ((BatchNorm("bn", "var", 0.5, "gamma"), None), (BatchNorm("plain", "one", 0.0), None))
    wiring = two_layers(2, 2, routes=(Route(scales=norms),))
    assert wiring.parameter_names == ("w", "gamma", "var", "one")
    block = strengths(
        wiring,
        w=torch.tensor([[1.0, 2.0], [3.0, -4.0]]),
        gamma=torch.tensor([-3.0, 2.0]),
        var=torch.tensor([3.5, 0.5]),
        one=torch.tensor([1.0, 0.25]),
    )
    torch.testing.assert_close(block, torch.tensor([[1.5, 12.0], [3.0, 16.0]]))


def test_names_of_kernels_and_of_parameters_are_handed_on_once():
    routes = (Route(scales=((Multiplier("m"), None),)),)
    layers = tuple(Layer(name, 2) for name in "abc")
    copies = tuple(
        Connection(0, target, Weight("w"), routes=routes, kernel="w #0") for target in (1, 2)
    )
    wiring = Wiring(layers, (*copies, Connection(1, 2, Weight("w"), routes=routes)))
    assert wiring.parameter_names == ("w", "m")
    graph = wiring.graph({"w": torch.eye(2), "m": torch.ones(2)})
    assert [block.kernel for block in graph.blocks] == ["w #0", "w #0", None]


def test_blocks_have_one_dtype():
    layers = tuple(Layer(name, 2) for name in "abc")
    wiring = Wiring(layers, (Connection(0, 1, Weight("v")), Connection(1, 2, Weight("w"))))
    graph = wiring.graph({"v": torch.eye(2), "w": torch.eye(2, dtype=torch.float64)})
    assert {block.strengths.dtype for block in graph.blocks} == {torch.float64}
    assert graph.degrees().tolist() == [1, 1, 2, 2, 1, 1]
    half = wiring.graph({name: torch.eye(2, dtype=torch.float16) for name in "vw"})
    assert {block.strengths.dtype for block in half.blocks} == {torch.float32}


def test_the_graph_is_differentiable_in_every_parameter():
    route = Route((2, 0, 1, 2), (0, 1, 1, 2), ((NORM, (2, 0, 1, 1)), (Multiplier("m"), None)), 2.0)
    wiring = two_layers(2, 3, inputs=(0, 0, -1, 1), routes=(route, Route()))

    def block(w, gamma, var, m):
        return strengths(wiring, w=w, gamma=gamma, var=var, m=m)

    inputs = [drawn(3, 4), drawn(3), drawn(3).abs() + 1, drawn(4)]
    assert torch.autograd.gradcheck(block, [x.requires_grad_() for x in inputs])


def test_weights_are_left_untouched():
    weight = -torch.ones(2, 2)
    strengths(two_layers(2, 2), w=weight).mul_(5)
    assert (weight == -1).all()


def test_a_weight_of_several_connections_is_looked_up_once_in_a_row():
    class Counting(dict):
        looked_up = 0

        def __getitem__(self, name):
            self.looked_up += 1
            return super().__getitem__(name)

    layers = tuple(Layer(name, 2) for name in "abc")
    weight = Weight("w")
    wiring = Wiring(layers, (Connection(0, 1, weight), Connection(0, 2, weight)))
    parameters = Counting(w=torch.eye(2))
    assert len(wiring.strengths(parameters).blocks) == 2
    assert parameters.looked_up == 1


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


class Operations(TorchDispatchMode):
    """Names of the operations of torch that run."""

    def __init__(self):
        super().__init__()
        self.names = set()

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        self.names.add(function.overloadpacket.__name__)
        return function(*args, **(kwargs or {}))


WAITING = {"_local_scalar_dense", "equal", "is_nonzero", "item", "nonzero"}
"""Operations whose results Python waits for."""

ANEW = {"arange", "eye", "lift_fresh", "ones"}
"""Operations that make a constant tensor."""


def test_a_later_step_waits_for_nothing_and_makes_no_index_anew():
    parameters = stacked()
    EVERYTHING.strengths(parameters)
    with Operations() as later:
        EVERYTHING.strengths(parameters)
    assert later.names.isdisjoint(WAITING | ANEW), later.names
    assert {"abs", "index_select", "index_add", "sum"} <= later.names
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


@pytest.mark.parametrize(
    ("weight", "message"),
    [
        (torch.zeros(2, 2), r"'w' is zero throughout, .*; train or initialize it, prune less"),
        (torch.ones(2, 2, dtype=torch.int8), "'w' holds torch.int8"),
        (torch.ones(2, 3), "'w' has 3 inputs, expected 2"),
        (torch.ones(3, 2), "'w' gives 3 outputs, expected 2"),
        (torch.ones(2), "expected 2 or more axes"),
        (torch.full((2, 2), torch.nan), "'w' holds 4 NaN"),
        (
            torch.full((2, 2, 3, 3), 3e38),
            "'w' is so large that its strengths overflow torch.float32",
        ),
    ],
)
def test_unusable_weights_are_refused(weight, message):
    with pytest.raises(InputError, match=message):
        strengths(two_layers(2, 2), w=weight)


def test_a_weight_that_has_too_few_outputs_for_a_path():
    wiring = two_layers(2, 2, routes=(Route(channels=(0, 4)),))
    with pytest.raises(InputError, match="'w' has 3 outputs, expected 5 or more"):
        strengths(wiring, w=torch.ones(3, 2))


def test_outputs_that_do_not_all_arrive_are_counted():
    wiring = two_layers(2, 3, routes=(Route(neurons=(2, 0)),))
    with pytest.raises(InputError, match="'w' gives 3 outputs, expected 2"):
        strengths(wiring, w=torch.ones(3, 2))


def test_a_layer_that_nothing_reaches_is_refused_but_one_that_something_reaches_is_not():
    layers = tuple(Layer(name, 2) for name in "abc")
    wiring = Wiring(
        layers,
        (
            Connection(0, 1, Weight("v")),
            Connection(0, 2, Weight("v")),
            Connection(1, 2, Weight("w")),
        ),
    )
    graph = wiring.graph({"v": torch.eye(2), "w": torch.zeros(2, 2)})
    assert [float(block.strengths.sum()) for block in graph.blocks] == [2, 2, 0]
    with pytest.raises(InputError, match="'v' is zero throughout"):
        wiring.graph({"v": torch.zeros(2, 2), "w": torch.eye(2)})


@pytest.mark.parametrize(
    ("var", "gamma", "message"),
    [
        (torch.tensor([-1.0, 1.0]), torch.ones(2), "'bn' has NaN or infinite scales"),
        (torch.ones(2), torch.tensor([1.0, torch.nan]), "'bn' has NaN or infinite scales"),
        (torch.ones(3), torch.ones(3), "'bn' has 3 channels, but scales a layer of 2 neurons"),
        (torch.ones(2), torch.zeros(2), r"'w' and what scales it \('bn'\) give strengths of zero"),
    ],
)
def test_unusable_batch_norms_are_refused(var, gamma, message):
    norm = BatchNorm("bn", "var", 0.0, "gamma")
    wiring = two_layers(2, 2, routes=(Route(scales=((norm, None),)),))
    with pytest.raises(InputError, match=message):
        strengths(wiring, w=torch.ones(2, 2), var=var, gamma=gamma)


def test_a_kernel_norm_that_does_not_fit_names_the_weight():
    with pytest.raises(InputError, match="'w': kernel norm 'induced-1' needs 2-D kernels"):
        two_layers(2, 2).graph({"w": torch.ones(2, 2, 5)}, "induced-1")
    with pytest.raises(InputError, match="kernel_norm is 'L1'"):
        two_layers(2, 2).graph({"w": torch.ones(2, 2)}, "L1")


def test_a_missing_parameter_is_named():
    with pytest.raises(InputError, match="no parameter 'w'"):
        two_layers(2, 2).graph({})
    wiring = two_layers(2, 2, routes=(Route(scales=((Multiplier("m"), None),)),))
    with pytest.raises(InputError, match="no parameter 'm'"):
        wiring.graph({"w": torch.eye(2)})
