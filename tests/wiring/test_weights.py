import math
from itertools import product

import pytest
import torch
from torch import nn

from clusterability.errors import InputError
from clusterability.registries import KERNEL_NORMS
from clusterability.wiring.kernels import l1
from clusterability.wiring.weights import Weight, check_weight, support_of_groups, weight_strengths


def drawn(*shape):
    generator = torch.Generator().manual_seed(sum(shape))
    return torch.randn(*shape, dtype=torch.float64, generator=generator)


def strengths(parameter, norm=l1, n_leading=0, **how):
    return weight_strengths(Weight("w", **how), parameter, norm, n_leading)


def check(parameter, **how):
    check_weight(Weight("w", **how), parameter)


def naive(parameter, norm=l1, groups=1, transposed=False):
    """Input by input, output by output, of a kernel as torch has it."""
    if transposed:
        n_in, n_out = parameter.shape[0], parameter.shape[1] * groups
    else:
        n_in, n_out = parameter.shape[1] * groups, parameter.shape[0]
    found = torch.zeros(n_in, n_out, dtype=parameter.dtype)
    for i in range(n_in):
        for o in range(n_out):
            if i // (n_in // groups) != o // (n_out // groups):
                continue
            if transposed:
                kernel = parameter[i, o % (n_out // groups)]
            else:
                kernel = parameter[o, i % (n_in // groups)]
            found[i, o] = norm(kernel[None, None])[0, 0] if kernel.ndim else abs(kernel)
    return found


@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize(
    ("n_in", "n_out", "groups"), [(3, 4, 1), (4, 6, 2), (6, 3, 3), (4, 8, 4), (5, 5, 5), (1, 2, 1)]
)
@pytest.mark.parametrize("kernel", [(3,), (2, 3), (2, 1, 3)])
def test_convolutions_equal_a_double_loop(n_in, n_out, groups, transposed, kernel):
    first, second = (n_in, n_out // groups) if transposed else (n_out, n_in // groups)
    parameter = drawn(first, second, *kernel)
    how = {"groups": groups, "transposed": transposed}
    torch.testing.assert_close(strengths(parameter, **how), naive(parameter, **how))


@pytest.mark.parametrize("norm", KERNEL_NORMS)
def test_every_kernel_norm_goes_through_groups(norm):
    parameter = drawn(4, 3, 2, 3)
    found = strengths(parameter, KERNEL_NORMS[norm], groups=2)
    torch.testing.assert_close(found, naive(parameter, KERNEL_NORMS[norm], groups=2))


def test_a_matrix_of_either_layout():
    parameter = drawn(2, 3)
    torch.testing.assert_close(strengths(parameter), naive(parameter))
    assert torch.equal(strengths(parameter.mT, layout="in-out"), strengths(parameter))


@pytest.mark.parametrize("kernel", [(3,), (2, 3), (2, 1, 3)])
def test_kernels_of_either_layout(kernel):
    parameter = drawn(4, 3, *kernel)
    moved = parameter.movedim((0, 1), (-1, -2))
    torch.testing.assert_close(strengths(moved, layout="in-out"), strengths(parameter))


@pytest.mark.parametrize(
    "module",
    [
        nn.Conv2d(4, 6, 3, groups=2),
        nn.Conv2d(4, 8, 3, groups=4),
        nn.Conv1d(2, 3, 2),
        nn.ConvTranspose2d(4, 6, 3, groups=2),
        nn.ConvTranspose2d(3, 2, 2, stride=2),
        nn.ConvTranspose3d(2, 4, 2, groups=2),
    ],
)
def test_strengths_lie_where_an_input_reaches_an_output(module):
    """What torch itself computes from one channel at a time."""
    n_axes = module.weight.ndim - 2
    groups = module.groups
    transposed = isinstance(module, nn.ConvTranspose2d | nn.ConvTranspose3d)
    images = torch.zeros(module.in_channels, module.in_channels, *[4] * n_axes)
    for channel, image in enumerate(images):
        image[channel] = 1
    nn.init.uniform_(module.weight, 0.5, 1)
    with torch.no_grad():
        effect = (module(images) - module(0 * images)).flatten(2).abs().amax(2)
    weight = Weight("w", groups=groups, transposed=transposed)
    found = weight_strengths(weight, module.weight.detach(), l1)
    assert torch.equal(found > 0, effect > 0)
    support = support_of_groups(groups, *found.shape, found.device)
    assert torch.equal(support, effect > 0)


def test_support_is_that_of_the_groups_even_where_weights_are_zero():
    found = strengths(torch.zeros(4, 1, 1), groups=2)
    assert found.tolist() == [[0] * 4] * 2
    assert support_of_groups(2, *found.shape, found.device).tolist() == [
        [True, True, False, False],
        [False, False, True, True],
    ]


def test_strengths_are_differentiable():
    def block(parameter):
        return strengths(parameter, groups=2, transposed=True)

    assert torch.autograd.gradcheck(block, (drawn(4, 3, 2).requires_grad_(),))


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("kernel", [(), (3,), (3, 3)])
def test_bad_weights_are_counted(bad, kernel):
    parameter = torch.ones(2, 2, *kernel)
    parameter[0, 0] = bad
    n_bad = math.prod(kernel)
    with pytest.raises(InputError, match=rf"'w' holds {n_bad} NaN or infinite weights of"):
        check(parameter)


@pytest.mark.parametrize("shape", [(), (2,), (0, 2), (2, 0), (2, 2, 0)])
def test_shapes_that_are_no_weight_are_refused(shape):
    with pytest.raises(InputError, match=r"'w' has shape .* expected 2 or more axes, none of them"):
        check(torch.ones(shape))


def test_a_kernel_norm_that_does_not_fit_names_the_weight():
    with pytest.raises(InputError, match="'w': kernel norm 'induced-1' needs 2-D kernels"):
        strengths(torch.ones(2, 2, 5), KERNEL_NORMS["induced-1"])


def test_groups_that_do_not_divide_are_refused():
    with pytest.raises(InputError, match="'w' has 3 channels, which 2 groups do not divide"):
        check(torch.ones(3, 1, 1), groups=2)
    check(torch.ones(4, 1, 1), groups=2)


@pytest.mark.parametrize("layout", ["out-in", "in-out"])
@pytest.mark.parametrize(
    ("kernel", "groups", "transposed"),
    [((), 1, False), *product([(3,), (2, 3)], [1, 2], [False, True])],
)
def test_sizes_are_those_of_the_strengths(kernel, groups, transposed, layout):
    shape = (4, 6, *kernel) if layout == "out-in" else (*kernel, 6, 4)
    weight = Weight("w", layout, groups, transposed)
    assert weight_strengths(weight, torch.ones(shape), l1).shape == weight.sizes(shape)


STACKED = [
    ((3, 5), {}),
    ((3, 5), {"layout": "in-out"}),
    ((4, 3, 2), {}),
    ((2, 2, 3, 4), {"layout": "in-out"}),
    ((4, 3, 3, 3), {"groups": 2}),
    ((4, 3, 3, 3), {"groups": 4, "transposed": True}),
]


@pytest.mark.parametrize(("shape", "how"), STACKED)
@pytest.mark.parametrize("leading", [(3,), (2, 2)])
def test_stacked_weights_equal_a_loop(leading, shape, how):
    parameter = drawn(*leading, *shape)
    found = strengths(parameter, n_leading=len(leading), **how)
    one_by_one = [strengths(each, **how) for each in parameter.flatten(0, len(leading) - 1)]
    torch.testing.assert_close(found.flatten(0, len(leading) - 1), torch.stack(one_by_one))


@pytest.mark.parametrize("name", KERNEL_NORMS)
def test_every_kernel_norm_takes_stacked_kernels(name):
    norm, parameter = KERNEL_NORMS[name], drawn(2, 4, 3, 2, 3)
    one_by_one = [strengths(each, norm) for each in parameter]
    torch.testing.assert_close(strengths(parameter, norm, 1), torch.stack(one_by_one))


@pytest.mark.parametrize("shape", [(2, 3), (2, 3, 3)])
def test_half_precision_goes_to_float32(shape):
    parameter = drawn(*shape).half()
    torch.testing.assert_close(strengths(parameter), strengths(parameter.float()), rtol=0, atol=0)
