import torch
from torch.nn.functional import cross_entropy, mse_loss, one_hot

from clusterability.training.objective import loss_and_gradient


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
