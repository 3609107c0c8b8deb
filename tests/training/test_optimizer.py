import numpy as np
import torch
from torch import nn

from clusterability.training.optimizer import EPSILON, Adam, adam


def gradients(n_steps, n=50):
    rng = np.random.default_rng(0)
    # Of very different sizes, with some that are always zero.
    scale = np.concatenate([np.zeros(5), np.logspace(-9, 2, n - 5)])
    return (rng.standard_normal((n_steps, n)) * scale).astype(np.float32)


def test_one_tensor_is_torchs_optimizer():
    parameter, module = torch.linspace(-1, 1, 50), nn.Parameter(torch.linspace(-1, 1, 50))
    ours, plain = Adam(0.01), torch.optim.Adam([module], lr=0.01, eps=1e-7)
    ours_on_modules = nn.Parameter(torch.linspace(-1, 1, 50))
    several = adam([ours_on_modules], 0.01)
    for gradient in map(torch.from_numpy, gradients(40)):
        ours.step(parameter, gradient)
        for optimizer, held in ((plain, module), (several, ours_on_modules)):
            held.grad = gradient.clone()
            optimizer.step()
    assert torch.allclose(parameter, module.detach(), rtol=0, atol=1e-6)
    assert torch.equal(parameter, ours_on_modules.detach())


def test_one_tensor_is_adam_by_hand():
    parameter = torch.linspace(-1, 1, 50)
    ours = Adam(0.01)
    x, m, v = parameter.double().numpy(), np.zeros(50), np.zeros(50)
    for t, g in enumerate(gradients(40), 1):
        ours.step(parameter, torch.from_numpy(g))
        g = g.astype(np.float64)
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g**2
        corrected = np.sqrt(v / (1 - 0.999**t)) + 1e-7
        x = x - 0.01 * (m / (1 - 0.9**t)) / corrected
    assert np.abs(parameter.numpy() - x).max() < 2e-6
    assert (parameter[:5] == torch.linspace(-1, 1, 50)[:5]).all()
    assert EPSILON == 1e-7


def test_the_first_step_is_the_learning_rate():
    parameter = torch.zeros(3)
    Adam(0.25).step(parameter, torch.tensor([3.0, -0.01, 200.0]))
    assert torch.allclose(parameter, torch.tensor([-0.25, 0.25, -0.25]), rtol=1e-4)
