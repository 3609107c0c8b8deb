"""Algorithm 2 on chains against a naive twin, neuron by neuron."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from clusterability import balance_, normalize_
from clusterability.compiling import can_compile
from clusterability.errors import InputError
from clusterability.promoting import HiddenScales
from clusterability.promoting.chain import Chain

WIDTHS = (7, 6, 5, 4)


def drawn(dtype, n_runs=3, with_biases=True):
    """Kernels and biases; a neuron of each run has no weights, and one has neither."""
    generator = torch.Generator().manual_seed(0)
    kernels, biases = [], []
    for n_in, n_out in zip(WIDTHS, WIDTHS[1:], strict=False):
        kernels.append(torch.randn(n_runs, n_out, n_in, generator=generator).to(dtype))
        biases.append(torch.randn(n_runs, n_out, generator=generator).to(dtype))
    for kernel, bias in zip(kernels[:-1], biases[:-1], strict=True):
        kernel[:, :2] = 0
        bias[:, 0] = 0
    return kernels, biases if with_biases else [None] * len(kernels)


def naive(kernels, biases, target, with_bias, thresholds):
    """As the paper prints it, with what the published runs made of it while they pruned."""
    kernels = [k.double().numpy().copy() for k in kernels]
    biases = [None if b is None else b.double().numpy().copy() for b in biases]
    for run in range(len(kernels[0])):
        for layer in range(len(kernels) - 1):
            for j in range(kernels[layer].shape[1]):
                factor = 1.0 if thresholds is None else thresholds[run][layer]
                counted = [factor * w for w in kernels[layer][run, j]]
                if biases[layer] is not None and with_bias:
                    counted.append(biases[layer][run, j])
                size = math.hypot(*counted) / target
                if size > 0:
                    kernels[layer][run, j] /= size
                    if biases[layer] is not None:
                        biases[layer][run, j] /= size
                if size > 0 or thresholds is not None:
                    kernels[layer + 1][run, :, j] *= size
    return kernels, biases


def laid(tensors, is_contiguous):
    """The same numbers; not contiguous, they keep the compiled loop out."""
    if is_contiguous:
        return tensors
    return [None if t is None else t.mT.contiguous().mT for t in tensors]


@pytest.mark.parametrize("is_slip", [False, True])
@pytest.mark.parametrize(("with_biases", "with_bias"), [(True, True), (True, False), (False, True)])
@pytest.mark.parametrize("is_compiled", [True, False])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_naive_twin(dtype, is_compiled, with_biases, with_bias, is_slip):
    kernels, biases = drawn(dtype, with_biases=with_biases)
    thresholds = None
    if is_slip:
        thresholds = torch.tensor([[0, 0, 0], [0.5, 1.5, 2], [1, 0.25, 0.1]]).to(dtype)
    expected = naive(kernels, biases, 1.5, with_bias, thresholds)
    kernels = laid(kernels, is_compiled)
    assert can_compile(*kernels) == is_compiled
    Chain(kernels, biases).normalize_(1.5, with_bias=with_bias, thresholds=thresholds)
    tolerance = 1e-5 if dtype == torch.float32 else 1e-13
    for mine, twins in zip((kernels, biases), expected, strict=True):
        for tensor, twin in zip(mine, twins, strict=True):
            if twin is not None:
                np.testing.assert_allclose(tensor, twin, rtol=tolerance, atol=tolerance)


def mlp():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(7, 6), nn.ReLU(), nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 4))


def test_a_module_that_is_a_chain_keeps_its_function():
    model, x = mlp(), torch.randn(9, 7)
    expected = model(x)
    scales = HiddenScales(model)
    scales.normalize_()
    torch.testing.assert_close(model(x), expected)
    norms = torch.cat([model[2].weight, model[2].bias[:, None]], 1).norm(dim=1)
    torch.testing.assert_close(norms, torch.full((5,), math.sqrt(2)))
    with torch.no_grad():  # the module's tensors are others from now on
        for parameter in model.parameters():
            parameter.data = 3 * parameter.data
    expected = model(x)
    scales.normalize_()
    torch.testing.assert_close(model(x), expected)
    torch.testing.assert_close(model[0].weight.norm(dim=1) < math.sqrt(2), torch.ones(6) > 0)


def test_autograd_sees_the_change():
    model = mlp()
    scales, loss = HiddenScales(model), model(torch.randn(9, 7)).square().sum()
    scales.normalize_()
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()


@pytest.mark.parametrize("is_chain", [True, False])
def test_squares_that_overflow(is_chain):
    model = mlp() if is_chain else nn.Sequential(*mlp(), nn.BatchNorm1d(4)).eval()
    with torch.no_grad():
        model[2].weight.mul_(1e20)
        model[2].bias.mul_(1e20)
    scales, x = HiddenScales(model), torch.randn(9, 7)
    before = [parameter.clone() for parameter in model.parameters()]
    if is_chain:
        expected = model(x)
        scales.normalize_()
        # An output where large terms cancel is rounded as these are.
        atol = 1e-6 * float(expected.detach().abs().max())
        torch.testing.assert_close(model(x), expected, rtol=1.3e-6, atol=atol)
        return
    with pytest.raises(InputError, match="norms overflow"):
        scales.normalize_()
    assert all(map(torch.equal, before, model.parameters()))


def test_arguments_by_name():
    model, x = mlp(), torch.randn(9, 7)
    expected = model(x)
    normalize_(model, example_inputs={"input": x})
    balance_(model, example_inputs={"input": x})
    torch.testing.assert_close(model(x), expected)
