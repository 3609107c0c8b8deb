"""Products with constant matrices that join no neurons: the graph of the move or of the mask."""

import pytest
import torch
from torch import nn
from torch.nn import functional

from clusterability.sources import neuron_graph
from small_modules import Forward

POINTS = torch.zeros(2, 3)
MASK = torch.tensor([1.0, 0, 1, 0.5, 0])
ORDER = torch.tensor([3, 0, 4, 1, 2])
EYE = torch.eye(5)


def network(step, **parts):
    torch.manual_seed(0)
    return Forward(
        lambda self, x: self.end(step(self, self.start(x))),
        start=nn.Linear(3, 5),
        end=nn.Linear(5, 2),
        **parts,
    )


def assert_same_graph(step, named, **parts):
    found, expected = (
        neuron_graph(network(f, **parts), example_inputs=POINTS) for f in (step, named)
    )
    assert found.layer_sizes == expected.layer_sizes
    for block, other in zip(found.blocks, expected.blocks, strict=True):
        torch.testing.assert_close(block.strengths, other.strengths)


DIAGONAL = {
    "@": lambda h, d: h @ d,
    "matmul on the left": lambda h, d: (d @ h.T).T,
    "linear": functional.linear,
    "linear with a bias": lambda h, d: functional.linear(h, d, torch.ones(5)),
    "addmm": lambda h, d: torch.addmm(torch.ones(5), h, d),
    "einsum": lambda h, d: torch.einsum("bi,io->bo", h, d),
    "tensordot": lambda h, d: torch.tensordot(h, d, 1),
    "inner": torch.inner,
    "bmm": lambda h, d: torch.bmm(h[:, None], d.expand(2, 5, 5))[:, 0],
    "multiply and sum": lambda h, d: (h.unsqueeze(1) * d).sum(-1),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", DIAGONAL)
def test_a_diagonal_matrix_is_a_mask(name):
    product = DIAGONAL[name]
    assert_same_graph(lambda _, h: product(h, torch.diag(MASK)), lambda _, h: h * MASK)


@pytest.mark.slow
@pytest.mark.parametrize("name", DIAGONAL)
def test_the_identity_changes_nothing(name):
    assert_same_graph(lambda _, h: DIAGONAL[name](h, EYE), lambda _, h: h)


MOVES = {
    "an order": (lambda h: h @ EYE[ORDER].T, lambda h: h[:, ORDER]),
    "one-hot rows": (
        lambda h: functional.linear(h, (ORDER[:, None] == torch.arange(5)).float()),
        lambda h: h[:, ORDER],
    ),
    "a part of the neurons": (
        lambda h: torch.cat([h @ EYE[:, :2], h @ EYE[:, 2:]], 1).relu(),
        lambda h: h.relu(),
    ),
    "an order and numbers": (lambda h: h @ (2 * EYE[ORDER].T), lambda h: 2 * h[:, ORDER]),
    "a neuron twice": (lambda h: h @ EYE[:, [0, 0, 1, 2, 3]], lambda h: h[:, [0, 0, 1, 2, 3]]),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", MOVES)
def test_a_matrix_that_takes_neurons_one_by_one_moves_them(name):
    by_matrix, by_index = MOVES[name]
    assert_same_graph(lambda _, h: by_matrix(h), lambda _, h: by_index(h))


@pytest.mark.slow
@pytest.mark.parametrize("name", DIAGONAL)
def test_a_trained_diagonal_is_a_factor(name):
    w = nn.Parameter(torch.tensor([0.5, -2, 0, 1, 3]))
    product = DIAGONAL[name]
    assert_same_graph(
        lambda self, h: product(h, torch.diag(self.w)), lambda self, h: h * self.w, w=w
    )


def layer_sizes(matrix):
    model = network(lambda self, h: h @ self.matrix, matrix=matrix)
    return neuron_graph(model, example_inputs=POINTS).layer_sizes


@pytest.mark.parametrize("kind", [nn.Parameter, torch.Tensor])
def test_a_matrix_that_joins_neurons_is_a_layer(kind):
    """A fixed one too, such as a random projection: its strengths join neurons."""
    assert layer_sizes(kind(torch.full((5, 5), 0.2))) == [3, 5, 5, 2]
    band = (ORDER[:, None] - ORDER).abs() <= 1
    assert layer_sizes(kind(band.float())) == [3, 5, 5, 2]


def test_a_trained_matrix_is_a_layer_whatever_its_numbers():
    """They may have been pruned, or drawn so."""
    assert layer_sizes(nn.Parameter(torch.eye(5))) == [3, 5, 5, 2]
