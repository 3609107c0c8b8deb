import numpy as np
import pytest
import torch

from clusterability.errors import InputError
from clusterability.wiring.kernels import KERNEL_NORMS, find_kernel_norm, l1


def naive_norm(name, kernels):
    """A double loop over the channel pairs, each slice given to NumPy."""
    n_out, n_in = kernels.shape[:2]
    strengths = np.zeros((n_out, n_in))
    for o in range(n_out):
        for i in range(n_in):
            magnitudes = np.abs(kernels[o, i])
            strengths[o, i] = {
                "l1": lambda m: m.sum(),
                "l2": lambda m: np.sqrt((m**2).sum()),
                "induced-1": lambda m: np.linalg.norm(m, 1),
                "induced-2": lambda m: np.linalg.norm(m, 2),
            }[name](magnitudes)
    return strengths


@pytest.mark.parametrize("name", KERNEL_NORMS)
@pytest.mark.parametrize("shape", [(3, 2, 3, 3), (1, 4, 1, 5), (2, 2, 4, 2), (3, 1, 1, 1)])
def test_norm_equals_naive_double_loop(name, shape):
    kernels = torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(
        KERNEL_NORMS[name](kernels), torch.from_numpy(naive_norm(name, kernels.numpy()))
    )


@pytest.mark.parametrize("name", ["l1", "l2"])
@pytest.mark.parametrize("shape", [(3, 2, 5), (2, 3, 2, 3, 4)])
def test_entrywise_norms_take_kernels_of_any_dimension(name, shape):
    kernels = torch.randn(shape, dtype=torch.float64)
    torch.testing.assert_close(
        KERNEL_NORMS[name](kernels), torch.from_numpy(naive_norm(name, kernels.numpy()))
    )


@pytest.mark.parametrize("name", ["induced-1", "induced-2"])
@pytest.mark.parametrize("shape", [(3, 2, 5), (2, 3, 2, 3, 4)])
def test_induced_norms_refuse_other_kernels(name, shape):
    with pytest.raises(InputError, match="needs 2-D kernels"):
        KERNEL_NORMS[name](torch.ones(shape))


@pytest.mark.parametrize("name", KERNEL_NORMS)
def test_gradient_is_that_of_finite_differences(name):
    generator = torch.Generator().manual_seed(1)
    kernels = torch.randn(2, 3, 3, 3, dtype=torch.float64, generator=generator)
    assert torch.autograd.gradcheck(KERNEL_NORMS[name], kernels.requires_grad_())


@pytest.mark.parametrize("name", KERNEL_NORMS)
def test_gradient_is_finite_where_a_slice_is_zero(name):
    kernels = torch.randn(2, 2, 3, 3)
    kernels[0, 1] = 0
    kernels.requires_grad_()
    KERNEL_NORMS[name](kernels).sum().backward()
    assert kernels.grad.isfinite().all()


def test_the_subgradient_of_l1_at_zero_is_zero():
    kernels = torch.tensor([[[3.0, 0.0, -2.0], [0.0, -0.0, 0.0]]], requires_grad=True)
    l1(kernels).sum().backward()
    assert kernels.grad.tolist() == [[[1, 0, -1], [0, 0, 0]]]


@pytest.mark.parametrize("name", ["l1", "l2"])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_entrywise_norms_keep_half_precision(name, dtype):
    kernels = torch.randn(3, 2, 3, 3, generator=torch.Generator().manual_seed(0)).to(dtype)
    norms = KERNEL_NORMS[name](kernels)
    assert norms.dtype == dtype
    expected = torch.from_numpy(naive_norm(name, kernels.double().numpy()))
    torch.testing.assert_close(norms, expected.to(dtype))


@pytest.mark.parametrize("name", KERNEL_NORMS)
@pytest.mark.parametrize("bad", [torch.nan, torch.inf, -torch.inf])
def test_bad_values_come_through(name, bad):
    kernels = torch.ones(2, 2, 3, 3)
    kernels[1, 0, 2, 1] = bad
    norms = KERNEL_NORMS[name](kernels)
    assert not norms[1, 0].isfinite()
    assert norms.isfinite().sum() == 3


def test_published_form_of_the_induced_1_norm():
    kernels = torch.tensor([[[[1.0, -5.0], [-2.0, 0.5]]]])
    assert KERNEL_NORMS["induced-1"](kernels).item() == 5.5


def test_unknown_norm_lists_the_known():
    with pytest.raises(InputError, match=r"'l3'.*l1, l2, induced-1, induced-2"):
        find_kernel_norm("l3")


@pytest.mark.parametrize("name", [[], None, 1, ["l1"], l1])
def test_a_norm_that_is_no_name_is_refused(name):
    with pytest.raises(InputError, match=r"kernel_norm is .*, expected one of l1") as error:
        find_kernel_norm(name)
    assert "0x" not in str(error.value)


@pytest.mark.parametrize("norm", [lambda k: k.sum(), lambda k: k.flatten(2).sum(2), lambda _: 1.0])
def test_a_norm_that_is_none_is_refused_by_name(monkeypatch, norm):
    monkeypatch.setitem(KERNEL_NORMS, "wrong", norm)
    with pytest.raises(InputError, match=r"kernel norm 'wrong' makes .*, expected a tensor"):
        find_kernel_norm("wrong")
