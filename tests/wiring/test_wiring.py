import pytest
import torch

from clusterability.errors import InputError
from clusterability.graph import Layer
from clusterability.wiring.connections import Connection, Route
from clusterability.wiring.kernels import l1
from clusterability.wiring.scales import BatchNorm, Multiplier
from clusterability.wiring.weights import Weight, support_of_groups, weight_strengths
from clusterability.wiring.wiring import Wiring
from naive_blocks import drawn, flattened, naive_block, naive_dense, strengths, two_layers


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
    (Route(), Route(channels=(3, 2, 1, 0))),
    (Route(channels=(1, 2), neurons=(0, 1)), Route(channels=(3, 2), neurons=(2, 1), factor=3.0)),
    (Route(scales=((NORM, (0, 1, 2, 0)),)),),
    (Route((2, 2, 1), (0, 3, 1), ((NORM, (2, 0, 1)), (Multiplier("gamma"), (1, 1, 0))), 0.5),),
    (Route((2, 0, 1), (0, 3, 1), ((NORM, None),)), Route((3,), (3,), ((NORM, (2,)),))),
]


@pytest.mark.slow
@pytest.mark.parametrize("groups", [1, 2, 4])
@pytest.mark.parametrize("routes", ROUTES)
@pytest.mark.parametrize(("n_source", "inputs"), [(5, (0, 1, -1, 2, 2, 3, 4, 0)), (8, None)])
def test_routes_equal_a_naive_loop(routes, groups, n_source, inputs):
    parameters = {"w": drawn(4, 8 // groups, 3), **SCALES}
    wiring = two_layers(n_source, 4, Weight("w", groups=groups), inputs=inputs, routes=routes)
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
        support = support_of_groups(weight.groups, *expected.shape, expected.device)
        assert torch.equal(block.support, support)


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
