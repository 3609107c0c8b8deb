import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clusterability.significance import effect, p_value, z_score

NULL = st.lists(st.floats(0, 12), min_size=1, max_size=60)


@pytest.mark.slow
@given(st.floats(0, 12), NULL)
def test_p_value_by_its_definition(observed, null):
    p = p_value(observed, null)
    at_or_below = sum(value <= observed + 1e-9 for value in null)
    assert p == pytest.approx((at_or_below + 1) / (len(null) + 1))
    assert 1 / (len(null) + 1) <= p <= 1


@pytest.mark.slow
@given(st.floats(0, 12), st.floats(0, 12), NULL)
def test_p_value_rises_with_the_observed(first, second, null):
    low, high = sorted((first, second))
    assert p_value(low, null) <= p_value(high, null)


@pytest.mark.parametrize(
    ("observed", "null", "expected"),
    [
        (1.0, [2.0] * 50, 1 / 51),
        (3.0, [2.0] * 50, 1.0),
        (2.0, [2.0, 3.0, 4.0], 0.5),  # a tie counts
        (2.0, [2.0 + 1e-12, 3.0, 4.0], 0.5),  # and so does one summed in another order
        (2.0, [2.0 + 1e-6, 3.0, 4.0], 0.25),
    ],
)
def test_p_values(observed, null, expected):
    assert p_value(observed, null) == expected


def test_nothing_can_be_said_without_a_null():
    assert p_value(1.0, []) is None
    assert z_score(1.0, []) is None


@pytest.mark.parametrize("null", [[2.0], [2.0, 2.0, 2.0], [2.0, 2.0 + 1e-12]])
def test_there_is_no_z_without_spread(null):
    assert z_score(1.0, null) is None
    assert p_value(1.0, null) == 1 / (len(null) + 1)


def test_z_counts_standard_deviations_of_the_population():
    null = [3.0, 5.0, 7.0]
    assert z_score(1.0, null) == pytest.approx(-4 / np.sqrt(8 / 3))
    assert z_score(9.0, np.array(null)) == pytest.approx(4 / np.sqrt(8 / 3))
    assert isinstance(z_score(1.0, np.array(null)), float)


def test_the_effect_does_not_depend_on_the_spread():
    assert effect(9.0, [10.0]) == effect(9.0, [9.99, 10.01]) == pytest.approx(0.1)
    assert effect(9.0, [5.0, 15.0]) == pytest.approx(0.1)
    assert effect(11.0, np.array([10.0, 10.0])) == pytest.approx(-0.1)


def test_there_is_no_effect_beside_nothing():
    assert effect(1.0, []) is None
    assert effect(0.0, [0.0, 0.0]) is None
