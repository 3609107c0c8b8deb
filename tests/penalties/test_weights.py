import pytest
import torch

from clusterability.penalties import L1, L2

TERMS = {L1: torch.abs, L2: torch.square}


@pytest.mark.parametrize("kind", TERMS)
def test_value_and_gradient_are_autograds(kind):
    generator = torch.Generator().manual_seed(0)
    shapes = {"a.weight": (2, 4, 3, 3, 3), "a.bias": (2, 4), "b.weight": (2, 5, 7)}
    parameters = {
        name: torch.randn(shape, dtype=torch.double, generator=generator)
        for name, shape in shapes.items()
    }
    parameters["b.weight"][0, 0] = 0
    weights = {"a.weight": 0.3, "b.weight": 2.0}
    plain = {name: value.clone().requires_grad_() for name, value in parameters.items()}
    terms = {name: c * TERMS[kind](plain[name]) for name, c in weights.items()}
    expected = torch.stack([sum(t[run].sum() for t in terms.values()) for run in range(2)])
    expected.sum().backward()
    gradients = {name: torch.ones_like(value) for name, value in parameters.items()}
    before = {name: value.clone() for name, value in parameters.items()}
    penalty = kind(weights)
    assert torch.allclose(penalty.value(parameters), expected.detach())
    penalty.add_gradient(parameters, gradients)
    for name in weights:
        assert torch.allclose(gradients[name], 1 + plain[name].grad)
    assert torch.equal(gradients["a.bias"], torch.ones(2, 4, dtype=torch.double))
    assert all(torch.equal(parameters[name], before[name]) for name in before)


@pytest.mark.parametrize("penalty", [L1({}), L2({})])
def test_no_weights_no_penalty(penalty):
    assert penalty.value({"fc.weight": torch.ones(1, 2, 3)}).tolist() == [0]
