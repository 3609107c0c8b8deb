import numpy as np
import pytest

from clusterability.tracing.numbering import distinct, distinct_rows, numbered

RNG = np.random.default_rng(0)
ROWS = [
    np.zeros((0, 2), np.int64),
    np.zeros((3, 0), np.int64),
    np.array([[7]]),
    RNG.integers(0, 3, (50, 1)),
    RNG.integers(-4, 4, (60, 2)),
    RNG.integers(0, 2, (40, 9)),
    RNG.integers(-(2**62), 2**62, (10, 3))[RNG.integers(0, 10, 30)],
    RNG.integers(0, 2, (4, 9)),
    np.repeat(np.arange(6) * 2**40, 3)[:, None],
]


@pytest.mark.parametrize("rows", ROWS)
def test_distinct_rows_are_those_of_numpy(rows):
    first, numbers = distinct_rows(rows)
    seen = {}
    for i, row in enumerate(map(tuple, rows.tolist())):
        seen.setdefault(row, i)
    assert first.tolist() == [seen[row] for row in sorted(seen)]
    np.testing.assert_array_equal(rows[first][numbers], rows)
    order = {row: i for i, row in enumerate(seen)}
    assert numbered(rows).tolist() == [order[row] for row in map(tuple, rows.tolist())]


@pytest.mark.parametrize(
    "numbers", [[], [5], [0, 2, 2, 1], [0, 2, 2, 7], [1, 4, 9], [0, 2**60], [2**60, 3, 2**60]]
)
def test_distinct_numbers_are_those_of_numpy(numbers):
    numbers = np.array(numbers, np.int64)
    np.testing.assert_array_equal(distinct(numbers), np.unique(numbers))
