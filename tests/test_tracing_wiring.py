import math

import pytest
import torch

from clusterability.errors import InputError
from clusterability.graph import Layer
from clusterability.tracing.wiring import BatchNorm, Connection, Wiring


def two_layers(n_source, n_target, **connection):
    layers = (Layer("first", n_source), Layer("second", n_target))
    return Wiring(layers, (Connection(0, 1, "w", **connection),))


def strengths(wiring, **parameters):
    return wiring.graph(parameters).blocks[0].strengths


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


@pytest.mark.parametrize("layout", ["out-in", "in-out"])
@pytest.mark.parametrize(("n_source", "n_target", "n_pixels"), [(3, 2, 1), (4, 3, 6), (1, 5, 4)])
def test_dense_block_equals_naive_loop(layout, n_source, n_target, n_pixels):
    shape = (n_target, n_source * n_pixels)
    weight = torch.randn(shape if layout == "out-in" else shape[::-1], dtype=torch.float64)
    block = strengths(two_layers(n_source, n_target, layout=layout, n_pixels=n_pixels), w=weight)
    torch.testing.assert_close(block, naive_dense(weight, n_source, n_pixels, layout))


def test_flattening_is_that_of_torch():
    """A weight that reads one channel alone connects that channel alone."""
    image = torch.zeros(1, 3, 2, 2)
    image[0, 1] = 1
    weight = image.flatten(1)
    assert strengths(two_layers(3, 1, n_pixels=4), w=weight).flatten().tolist() == [0, 4, 0]
    channels_last = image.permute(0, 2, 3, 1).flatten(1).mT
    wiring = two_layers(3, 1, n_pixels=4, layout="in-out")
    assert strengths(wiring, w=channels_last).flatten().tolist() == [0, 4, 0]


@pytest.mark.parametrize("n_axes", [1, 2, 3])
def test_kernels_of_either_layout_give_the_same_block(n_axes):
    kernels = torch.randn(4, 3, *[2, 3, 4][:n_axes])
    expected = kernels.abs().flatten(2).sum(2).T
    torch.testing.assert_close(strengths(two_layers(3, 4), w=kernels), expected)
    moved = kernels.movedim((0, 1), (-1, -2))
    torch.testing.assert_close(strengths(two_layers(3, 4, layout="in-out"), w=moved), expected)


def test_batch_norm_scales_the_target_side():
    norm = BatchNorm("bn", "var", 0.5, "gamma")
    wiring = two_layers(2, 2, norms=(norm, BatchNorm("plain", "one", 0.0)))
    assert wiring.parameter_names == ("w", "gamma", "var", "one")
    block = strengths(
        wiring,
        w=torch.tensor([[1.0, 2.0], [3.0, -4.0]]),
        gamma=torch.tensor([-3.0, 2.0]),
        var=torch.tensor([3.5, 0.5]),
        one=torch.tensor([1.0, 0.25]),
    )
    torch.testing.assert_close(block, torch.tensor([[1.5, 12.0], [3.0, 16.0]]))


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (torch.float16, torch.float32),
        (torch.bfloat16, torch.float32),
        (torch.float32, torch.float32),
        (torch.float64, torch.float64),
    ],
)
def test_half_precision_is_widened(given, expected):
    assert strengths(two_layers(2, 2), w=torch.eye(2, dtype=given)).dtype == expected


def test_blocks_have_one_dtype():
    layers = tuple(Layer(name, 2) for name in "abc")
    wiring = Wiring(layers, (Connection(0, 1, "v"), Connection(1, 2, "w")))
    graph = wiring.graph({"v": torch.eye(2), "w": torch.eye(2, dtype=torch.float64)})
    assert {block.strengths.dtype for block in graph.blocks} == {torch.float64}
    assert graph.degrees().tolist() == [1, 1, 2, 2, 1, 1]


def test_graph_is_differentiable_in_every_parameter():
    wiring = two_layers(2, 3, n_pixels=2, norms=(BatchNorm("bn", "var", 1e-3, "gamma"),))

    def block(w, gamma, var):
        return strengths(wiring, w=w, gamma=gamma, var=var)

    generator = torch.Generator().manual_seed(0)
    inputs = [
        torch.randn(shape, dtype=torch.float64, generator=generator)
        for shape in [(3, 4), (3,), (3,)]
    ]
    inputs[2] = inputs[2].abs() + 1
    assert torch.autograd.gradcheck(block, [x.requires_grad_() for x in inputs])


def test_weights_are_left_untouched():
    weight = -torch.ones(2, 2)
    strengths(two_layers(2, 2), w=weight).mul_(5)
    assert (weight == -1).all()


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("kernel", [(), (3, 3)])
def test_bad_weights_are_named(bad, kernel):
    weight = torch.ones(2, 2, *kernel)
    weight[0, 0] = bad
    with pytest.raises(InputError, match=r"'w' holds \d NaN or infinite weights"):
        strengths(two_layers(2, 2), w=weight)


@pytest.mark.parametrize(
    ("weight", "message"),
    [
        (torch.zeros(2, 2), "'w' is zero throughout, .*; train or initialize it, prune less"),
        (
            torch.ones(2, 2, 3, 3) * 3e38,
            "'w' is so large that its strengths overflow torch.float32",
        ),
        (torch.ones(2, 2, dtype=torch.int8), "'w' holds torch.int8"),
        (torch.ones(2, 2, dtype=torch.complex64), "'w' holds torch.complex64"),
        (torch.ones(2, 2).to(torch.float8_e4m3fn), "'w' holds torch.float8_e4m3fn"),
        (torch.ones(2, 2, device="meta"), "'w' lies on the meta device"),
        (torch.eye(2).to_sparse(), "'w' has layout torch.sparse_coo"),
        (torch.ones(2, 3), r"'w' of shape \(2, 3\) has 3 inputs, expected 2"),
        (torch.ones(3, 2), "block between 'first' and 'second' has shape"),
        (torch.ones(2), "expected 2 or more axes"),
        (torch.ones(0, 2), "expected 2 or more axes, none of them empty"),
    ],
)
def test_unusable_weights_are_refused(weight, message):
    with pytest.raises(InputError, match=message):
        strengths(two_layers(2, 2), w=weight)


@pytest.mark.parametrize(
    ("var", "gamma", "message"),
    [
        (torch.tensor([-1.0, 1.0]), torch.ones(2), "'bn' has NaN or infinite scales"),
        (torch.ones(2), torch.tensor([1.0, torch.nan]), "'bn' has NaN or infinite scales"),
        (torch.ones(3), torch.ones(3), "'bn' has 3 channels, but scales a layer of 2"),
        (torch.ones(2), torch.zeros(2), "'bn' sets every strength of 'w' to zero"),
    ],
)
def test_unusable_batch_norms_are_refused(var, gamma, message):
    wiring = two_layers(2, 2, norms=(BatchNorm("bn", "var", 0.0, "gamma"),))
    with pytest.raises(InputError, match=message):
        strengths(wiring, w=torch.ones(2, 2), var=var, gamma=gamma)


def test_a_kernel_norm_that_does_not_fit_names_the_weight():
    with pytest.raises(InputError, match="'w': kernel norm 'induced-1' needs 2-D kernels"):
        two_layers(2, 2).graph({"w": torch.ones(2, 2, 5)}, "induced-1")
    with pytest.raises(InputError, match="unknown kernel norm"):
        two_layers(2, 2).graph({"w": torch.ones(2, 2)}, "L1")


def test_a_missing_parameter_is_named():
    with pytest.raises(InputError, match="no parameter 'w'"):
        two_layers(2, 2).graph({})
