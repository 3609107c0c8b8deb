import copy
import math
import pickle

import pytest
import torch
from torch import nn

from clusterability.errors import InputError
from clusterability.wiring.scales import BatchNorm, Multiplier, Total

LIKE = torch.zeros(0, 0, dtype=torch.float64)


def test_a_batch_norm_scales_as_the_module_does():
    """The slope of torch's own batch norm in evaluation."""
    module = nn.BatchNorm1d(4, eps=0.3, dtype=torch.float64).eval()
    nn.init.normal_(module.weight)
    nn.init.uniform_(module.running_var, 0.1, 3)
    norm = BatchNorm("bn", "running_var", 0.3, "weight")
    ones = torch.ones(1, 4, dtype=torch.float64)
    slope = (module(ones) - module(0 * ones)).squeeze(0).abs()
    torch.testing.assert_close(norm.values(module.state_dict(), LIKE), slope)


def test_a_batch_norm_without_gamma():
    norm = BatchNorm("bn", "var", 1.0)
    assert norm.parameter_names == ("var",)
    assert norm.values({"var": torch.tensor([0.0, 3.0])}, LIKE).tolist() == [1, 0.5]


def test_names_of_parameters_and_kinds():
    norm = BatchNorm("bn", "var", 1.0, "gamma")
    assert norm.parameter_names == ("gamma", "var")
    assert not norm.is_number
    assert Multiplier("m").parameter_names == ("m",)
    assert not Multiplier("m").is_number


def test_a_multiplier_is_its_absolute_values_flattened():
    values = torch.tensor([[1.0, -2.0], [0.0, 4.0]])
    assert Multiplier("m").values({"m": values}, LIKE).tolist() == [1, 2, 0, 4]
    assert Multiplier("m", divides=True).values({"m": values[1:, 1:]}, LIKE).tolist() == [0.25]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_values_come_in_the_precision_of_the_strengths(dtype):
    like = torch.zeros(0, 0, dtype=dtype)
    parameters = {"var": torch.ones(2, dtype=torch.float16), "m": torch.ones(2)}
    assert BatchNorm("bn", "var", 1e-3).values(parameters, like).dtype == dtype
    assert Multiplier("m").values(parameters, like).dtype == dtype


def test_scales_are_differentiable():
    def of_norm(var, gamma):
        return BatchNorm("bn", "v", 0.1, "g").values({"v": var, "g": gamma}, LIKE)

    def of_multiplier(m):
        return Multiplier("m", divides=True).values({"m": m}, LIKE)

    drawn = [torch.tensor([0.5, -2.0], dtype=torch.float64, requires_grad=True) for _ in "ab"]
    var = torch.tensor([1.0, 2.0], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(of_norm, (var, drawn[0]))
    assert torch.autograd.gradcheck(of_multiplier, (drawn[1],))


@pytest.mark.parametrize(
    ("var", "gamma"),
    [
        (torch.tensor([-1.0, 1.0]), torch.ones(2)),
        (torch.zeros(2), torch.ones(2)),
        (torch.ones(2), torch.tensor([1.0, math.nan])),
        (torch.tensor([math.nan, 1]), torch.ones(2)),
    ],
)
def test_batch_norms_that_are_not_finite_are_refused(var, gamma):
    norm = BatchNorm("bn", "v", 0.0, "g")
    with pytest.raises(InputError, match="batch norm 'bn' has NaN or infinite scales: its running"):
        norm.find_values({"v": var, "g": gamma}, LIKE)


@pytest.mark.parametrize(
    ("divides", "value", "verb"),
    [(False, math.inf, "multiplies"), (False, math.nan, "multiplies"), (True, 0.0, "divides")],
)
def test_multipliers_that_are_not_finite_are_refused(divides, value, verb):
    with pytest.raises(InputError, match=f"'m', which {verb}, gives NaN or infinite scales"):
        Multiplier("m", divides).find_values({"m": torch.tensor([1.0, value])}, LIKE)


def test_a_missing_parameter_is_named():
    for scale in (BatchNorm("bn", "v", 0.1), Multiplier("v")):
        with pytest.raises(InputError, match="no parameter 'v'"):
            scale.find_values({}, LIKE)


M = torch.tensor([2.0, -3.0, 1.0])
TOTAL = Total(((2.0, ((Multiplier("m"), (2, 0)),)), (0.5, ((Multiplier("m"), (1, 1)),) * 2)))


def test_the_ways_of_a_total_add_up():
    """Neuron 0: 2 |m_2| + 0.5 |m_1|^2; neuron 1: 2 |m_0| + 0.5 |m_1|^2."""
    assert TOTAL.values({"m": M}, LIKE).tolist() == [2 * 1 + 4.5, 2 * 2 + 4.5]
    assert TOTAL.find_values({"m": M}, LIKE).tolist() == [6.5, 8.5]


def test_a_total_whose_scale_has_too_few_entries_is_refused():
    with pytest.raises(InputError, match="'m' has 2 channels, expected 3 or more"):
        TOTAL.find_values({"m": M[:2]}, LIKE)
    with pytest.raises(InputError, match="'m', which multiplies, gives NaN"):
        TOTAL.find_values({"m": M * math.nan}, LIKE)


def test_a_total_is_equal_to_its_copies():
    TOTAL.values({"m": M}, LIKE)
    for other in (copy.deepcopy(TOTAL), pickle.loads(pickle.dumps(TOTAL))):
        assert other == TOTAL
        assert hash(other) == hash(TOTAL)
        assert other.values({"m": M}, LIKE).tolist() == [6.5, 8.5]


SCALES = [
    (BatchNorm("bn", "v", 0.1, "g"), {"v": (4,), "g": (4,)}),
    (BatchNorm("bn", "v", 0.1), {"v": (4,)}),
    (Multiplier("m"), {"m": (4, 1, 2)}),
    (Multiplier("m", divides=True), {"m": ()}),
    (Multiplier("m", shape=(2, 3, 2), averaged=(0, 2)), {"m": (2, 3, 2)}),
    (Multiplier("m", shape=(2, 3, 2), averaged=(1,)), {"m": (12,)}),
    (TOTAL, {"m": (3,)}),
]


@pytest.mark.parametrize(("scale", "shapes"), SCALES)
@pytest.mark.parametrize("leading", [(3,), (2, 2)])
def test_stacked_parameters_equal_a_loop(scale, shapes, leading):
    generator = torch.Generator().manual_seed(0)
    stacked = {
        name: torch.rand(*leading, *shape, generator=generator).double() + 0.1
        for name, shape in shapes.items()
    }
    found = scale.values(stacked, torch.zeros(*leading, 0, 0, dtype=torch.float64))
    flat = {name: values.flatten(0, len(leading) - 1) for name, values in stacked.items()}
    for i, values in enumerate(found.flatten(0, len(leading) - 1)):
        one = {name: each[i] for name, each in flat.items()}
        torch.testing.assert_close(values, scale.values(one, LIKE))
