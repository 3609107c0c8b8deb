import pytest
import torch
from torch.nn.functional import cross_entropy, mse_loss, one_hot

from clusterability.training import TrainingSpec
from clusterability.training.objective import (
    Penalty,
    loss_and_gradient,
    penalties,
    total_penalty,
)


def test_cross_entropy():
    generator = torch.Generator().manual_seed(0)
    outputs = torch.randn(3, 11, 5, dtype=torch.double, generator=generator) * 9
    y = torch.randint(0, 5, (3, 11), generator=generator)
    plain = outputs.clone().requires_grad_()
    losses = torch.stack([cross_entropy(plain[r], y[r]) for r in range(3)])
    losses.sum().backward()
    found, gradient, n_right = loss_and_gradient(outputs, one_hot(y, 5).double(), False)
    assert torch.allclose(found, 11 * losses.detach())
    assert torch.allclose(gradient, plain.grad)
    assert n_right.tolist() == (outputs.argmax(2) == y).sum(1).tolist()


def test_square_error():
    generator = torch.Generator().manual_seed(1)
    outputs, targets = torch.randn(2, 2, 7, 3, dtype=torch.double, generator=generator)
    plain = outputs.clone().requires_grad_()
    losses = torch.stack([mse_loss(plain[r], targets[r]) for r in range(2)])
    losses.sum().backward()
    found, gradient, n_right = loss_and_gradient(outputs.clone(), targets, True)
    assert torch.allclose(found, 7 * losses.detach())
    assert torch.allclose(gradient, plain.grad)
    assert n_right.tolist() == [0, 0]


def test_outputs_and_targets_stay_as_they_are():
    outputs, targets = torch.rand(2, 1, 4, 3)
    before = outputs.clone(), targets.clone()
    for is_regression in (False, True):
        loss_and_gradient(outputs, targets, is_regression)
        assert torch.equal(outputs, before[0])
        assert torch.equal(targets, before[1])


def test_large_outputs_give_finite_losses():
    outputs = torch.tensor([[[1e4, -1e4, 0.0]]])
    loss, gradient, _ = loss_and_gradient(outputs, torch.tensor([[[0.0, 1.0, 0.0]]]), False)
    assert loss.item() == 2e4
    assert gradient.tolist() == [[[1.0, -1.0, 0.0]]]


@pytest.mark.parametrize(("l1", "l2"), [(0.3, 0.0), (0.0, 0.2), (0.3, 0.2), (0.0, 0.0)])
def test_penalty(l1, l2):
    kernels = torch.randn(2, 4, 3, 3, 3, dtype=torch.double)
    kernels[0, 0] = 0
    plain = kernels.clone().requires_grad_()
    value = l1 * plain.abs().sum((1, 2, 3, 4)) + l2 * (plain**2).sum((1, 2, 3, 4))
    gradient = torch.ones_like(kernels)
    penalty = Penalty(l1, l2)
    penalty.add_gradient(kernels, gradient)
    value.sum().backward()
    assert torch.allclose(penalty.value(kernels), value.detach())
    assert torch.allclose(gradient, 1 + plain.grad)


def test_penalties_of_a_spec():
    def of(**fields):
        return penalties(TrainingSpec("small-mlp", "digits", **fields), 3)

    assert of() == [Penalty(0, 0)] * 3
    assert of(l1=0.1, l2=0.2) == [Penalty(0.1, 0.2)] * 3
    assert of(l2=0.2, mixed_l2=True) == [Penalty(0.2, 0), Penalty(0, 0.2), Penalty(0, 0.2)]
    mixed = of(l1=0.5, l2=0.25, mixed_l2=True)
    assert mixed == [Penalty(0.75, 0), Penalty(0.5, 0.25), Penalty(0.5, 0.25)]


def test_total_penalty():
    kernels = [torch.ones(2, 3, 4), torch.full((2, 5, 3), -2.0)]
    found = total_penalty([Penalty(1, 0), Penalty(0.5, 0.25)], kernels)
    assert found.tolist() == [12 + 15 + 15] * 2
