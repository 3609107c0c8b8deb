import math

import pytest
import torch

from clusterability.errors import InputError
from clusterability.wiring.parameters import all_finite, find_parameter, widen


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (torch.float16, torch.float32),
        (torch.bfloat16, torch.float32),
        (torch.float32, torch.float32),
        (torch.float64, torch.float64),
    ],
)
def test_half_precision_is_widened(given, expected):
    found = widen(torch.tensor([1.5, -2], dtype=given))
    assert found.dtype == expected
    assert found.tolist() == [1.5, -2]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_full_precision_is_handed_on_without_a_copy(dtype):
    parameter = torch.ones(2, dtype=dtype)
    assert widen(parameter) is parameter


def test_gradient_passes():
    parameter = torch.ones(2, dtype=torch.bfloat16, requires_grad=True)
    widen(parameter).sum().backward()
    assert parameter.grad.tolist() == [1, 1]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_floats_are_found(dtype):
    parameter = torch.ones(2, dtype=dtype)
    assert find_parameter({"w": parameter}, "w") is parameter


@pytest.mark.parametrize("dtype", [torch.int8, torch.int64, torch.bool])
def test_integers_are_found_where_they_may_be(dtype):
    parameter = torch.ones(2, dtype=dtype)
    assert find_parameter({"w": parameter}, "w", integers=True) is parameter
    with pytest.raises(InputError, match=r"'w' holds torch\.complex64"):
        find_parameter({"w": torch.ones(2, dtype=torch.complex64)}, "w", integers=True)
    with pytest.raises(InputError, match="'w' lies on the meta device"):
        find_parameter({"w": parameter.to("meta")}, "w", integers=True)


@pytest.mark.parametrize(
    ("parameter", "message"),
    [
        (torch.ones(2, dtype=torch.int8), "'w' holds torch.int8, expected float16, .* convert it"),
        (torch.ones(2, dtype=torch.bool), "'w' holds torch.bool"),
        (torch.ones(2, dtype=torch.complex64), "'w' holds torch.complex64"),
        (torch.ones(2).to(torch.float8_e4m3fn), "'w' holds torch.float8_e4m3fn"),
        (torch.ones(2, device="meta"), "'w' lies on the meta device; give a dense tensor"),
        (torch.eye(2).to_sparse(), "'w' has layout torch.sparse_coo; give a dense tensor"),
    ],
)
def test_what_holds_no_usable_numbers_is_refused(parameter, message):
    with pytest.raises(InputError, match=message):
        find_parameter({"w": parameter}, "w")


def test_a_missing_parameter_is_named_and_its_name_escaped():
    with pytest.raises(InputError, match=r"no parameter 'w\\x1b' among those given"):
        find_parameter({"v": torch.ones(2)}, "w\x1b")


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64])
def test_values_whose_sum_overflows_are_finite_and_others_are_not(dtype):
    largest = torch.finfo(dtype).max
    assert all_finite(torch.full((3,), largest, dtype=dtype))
    for bad in (math.nan, math.inf, -math.inf):
        assert not all_finite(torch.tensor([1.0, bad, 2.0], dtype=dtype))
    assert not all_finite(torch.tensor([math.inf, -math.inf], dtype=dtype))
