from dataclasses import replace

import pytest
import torch

from clusterability.errors import InputError
from clusterability.graph.blocks import Block, Layer, above_diagonal, check_block, check_values

LAYERS = (Layer("a", 2), Layer("b", 3))
BETWEEN = Block(0, 1, torch.ones(2, 3))
WITHIN = Block(1, 1, torch.ones(3, 3).triu(1), above_diagonal(3, torch.device("cpu")))


def test_above_the_diagonal_is_each_pair_once():
    support = above_diagonal(4, torch.device("cpu"))
    assert support.dtype == torch.bool
    assert support.nonzero().tolist() == [[i, j] for i in range(4) for j in range(i + 1, 4)]


@pytest.mark.parametrize(
    ("support", "found"),
    [
        (torch.ones(2, 3), r"torch.float32 of shape \(2, 3\)"),
        (torch.ones(3, 2, dtype=torch.bool), r"torch.bool of shape \(3, 2\)"),
        (torch.ones(1, 2, 3, dtype=torch.bool), r"torch.bool of shape \(1, 2, 3\)"),
        ([[True] * 3] * 2, "list"),
    ],
)
def test_supports_of_another_kind_are_refused(support, found):
    with pytest.raises(InputError, match=f"support of the block between 'a' and 'b' is {found}"):
        check_block(replace(BETWEEN, support=support), LAYERS)


def test_a_batch_has_one_support():
    support = torch.ones(2, 3, dtype=torch.bool)
    check_block(Block(0, 1, torch.ones(5, 2, 3), support), LAYERS)


def test_strengths_outside_the_support_are_refused():
    support = torch.tensor([[True, True, False], [False, True, True]])
    inside = BETWEEN.strengths * support
    check_values(replace(BETWEEN, strengths=inside, support=support), LAYERS)
    with pytest.raises(InputError, match="strength at row 0, column 2, outside its support"):
        check_values(replace(BETWEEN, support=support), LAYERS)


@pytest.mark.parametrize(("row", "column"), [(0, 0), (2, 1), (2, 2)])
def test_strengths_on_or_below_the_diagonal_are_refused(row, column):
    check_values(WITHIN, LAYERS)
    strengths = WITHIN.strengths.clone()
    strengths[row, column] = 1
    with pytest.raises(InputError) as caught:
        check_values(replace(WITHIN, strengths=strengths), LAYERS)
    message = str(caught.value)
    assert message.startswith(
        f"the block within 'b' holds a strength at row {row}, column {column}"
    )
    assert "on or below the diagonal" in message
    assert "triu(1)" in message


def test_a_support_within_a_layer_lies_above_the_diagonal():
    everywhere = torch.ones(3, 3, dtype=torch.bool)
    with pytest.raises(InputError, match=r"on or below the diagonal.*support\.triu\(1\)"):
        check_values(replace(WITHIN, support=everywhere), LAYERS)
    narrow = WITHIN.support.clone()
    narrow[0, 1] = False
    with pytest.raises(InputError, match="row 0, column 1, outside its support"):
        check_values(replace(WITHIN, support=narrow), LAYERS)
