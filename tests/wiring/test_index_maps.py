import pytest
import torch

from clusterability.wiring.index_maps import Index, add_into_columns, add_into_rows, pick_columns

MATRICES = torch.randn(2, 6, 4, generator=torch.Generator().manual_seed(0)).double()


def test_an_index_is_one_tensor_on_each_device():
    index = Index((2, 0, 1))
    here, there = (index.on(torch.device(name)) for name in ("cpu", "meta"))
    assert here.tolist() == [2, 0, 1]
    assert here is index.on(torch.device("cpu"))
    assert there is index.on(torch.device("meta"))
    assert there.device.type == "meta"


@pytest.mark.parametrize(
    ("entries", "n_rows"),
    [
        (None, 6),
        ((0, 1, 2, 3, 4, 5), 6),
        ((5, 4, 3, 2, 1, 0), 6),
        ((0, 0, 1, 1, 2, 2), 3),
        ((0, 1, 0, 1, 0, 1), 2),
        ((0, 0, 0, 0, 0, 1), 2),
        ((2, 0, 0, 1, 2, 2), 3),
        ((-1, 0, 1, 2, 3, -1), 4),
        ((0, -1, -1, 1, -1, -1), 2),
        ((1, -1, 0, -1, 1, 0), 2),
        ((-1, -1, -1, -1, 0, -1), 1),
    ],
)
def test_rows_are_added_one_by_one(entries, n_rows):
    owners = range(6) if entries is None else entries
    expected = torch.zeros(2, n_rows, 4).double()
    for row, owner in enumerate(owners):
        if owner >= 0:
            expected[:, owner] += MATRICES[:, row]
    add = add_into_rows(entries, n_rows)
    torch.testing.assert_close(add(MATRICES), expected)
    torch.testing.assert_close(add(MATRICES.mT.contiguous().mT), expected)
    torch.testing.assert_close(add(MATRICES[1]), expected[1])


@pytest.mark.parametrize("entries", [None, (3, 2, 1, 0), (1, 1), (2,)])
def test_columns_are_picked(entries):
    expected = MATRICES if entries is None else MATRICES[..., list(entries)]
    assert torch.equal(pick_columns(entries)(MATRICES), expected)
    assert torch.equal(pick_columns(entries)(MATRICES[0, 0]), expected[0, 0])


@pytest.mark.parametrize(
    ("entries", "n_columns"), [(None, 4), ((1, 0, 3, 2), 4), ((4, 0, 4, 2), 5), ((0,) * 4, 1)]
)
def test_columns_are_added_one_by_one(entries, n_columns):
    expected = torch.zeros(2, 6, n_columns).double()
    for column, owner in enumerate(range(4) if entries is None else entries):
        expected[..., owner] += MATRICES[..., column]
    torch.testing.assert_close(add_into_columns(entries, n_columns)(MATRICES), expected)
