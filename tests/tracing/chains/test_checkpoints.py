import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.utils import prune

from clusterability.errors import InputError
from clusterability.tracing.chains.checkpoints import plain_parameters, stripped_name

WEIGHT = torch.arange(6.0).reshape(2, 3)


@pytest.mark.parametrize("entry", ["state_dict", "model", "model_state_dict", "net", "params"])
def test_nested_state_dicts_are_found(entry):
    optimizer = {"state": {0: {"exp_avg": WEIGHT}}, "param_groups": [{"lr": 0.1}]}
    parameters, notes = plain_parameters(
        {"epoch": 3, entry: {"fc.weight": WEIGHT}, "optimizer": optimizer}
    )
    assert parameters == {"fc.weight": WEIGHT}
    assert notes == [f"weights taken from the entry '{entry}'"]


def test_nesting_is_followed_to_the_tensors():
    parameters, notes = plain_parameters({"state_dict": {"model": {"fc.weight": WEIGHT}}})
    assert list(parameters) == ["fc.weight"]
    assert notes == ["weights taken from the entry 'state_dict.model'"]


def test_a_mapping_that_holds_itself_ends():
    state = {}
    state["state_dict"] = state
    with pytest.raises(InputError, match="no tensors"):
        plain_parameters(state)


NETWORK, OTHER = {"fc.weight": WEIGHT}, {"fc.weight": 2 * WEIGHT}


@pytest.mark.parametrize("entry", ["model", "mine"])
def test_what_lies_beside_a_state_dict_is_not_the_network(entry):
    beside = {"classes": torch.ones(3), "loss": 0.1}
    if entry == "model":
        beside["confusion"] = torch.eye(10)
    assert plain_parameters({**beside, entry: NETWORK})[0] == NETWORK


def test_weights_beside_a_network_of_no_usual_name_are_asked_about():
    state = {"confusion": torch.eye(10), "mine": NETWORK}
    with pytest.raises(
        InputError, match=r"there are weights, and the entry 'mine' holds .*--entry"
    ):
        plain_parameters(state)
    assert plain_parameters(state, "mine")[0] == NETWORK
    del state["mine"]
    assert list(plain_parameters(state)[0]) == ["confusion"]


@pytest.mark.parametrize(
    "names", [("params", "params_ema"), ("generator", "discriminator"), ("encoder", "decoder")]
)
@pytest.mark.parametrize("inner", [lambda x: x, lambda x: {"state_dict": x, "epoch": 3}])
def test_of_several_networks_one_is_named(names, inner):
    first, second = names
    state = {first: inner(NETWORK), second: inner(OTHER), "step": 3}
    with pytest.raises(InputError, match=rf"\({first}, {second}\); name one: entry=\"{first}\""):
        plain_parameters(state)
    assert plain_parameters(state, second)[0] == OTHER
    assert plain_parameters({"all": state}, f"all.{second}")[0] == OTHER


def test_averaged_networks_beside_the_network_are_left_out():
    state = {"model": NETWORK, "model_ema": OTHER}
    assert plain_parameters(state)[0] == NETWORK
    assert plain_parameters(state, "model_ema")[0] == OTHER


def test_an_entry_that_is_not_there():
    with pytest.raises(InputError, match="there is no entry 'parms', expected one of params"):
        plain_parameters({"params": NETWORK}, "parms")
    with pytest.raises(InputError, match="the entry 'params' is a Tensor, expected a state dict"):
        plain_parameters({"params": WEIGHT}, "params")


def test_mappings_that_hold_themselves_in_many_entries_end():
    state = {str(i): None for i in range(2000)}
    state.update(dict.fromkeys([*state, "model", "net"], state))
    with pytest.raises(InputError):
        plain_parameters(state)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("module.fc.weight", "fc.weight"),
        ("_orig_mod.module._orig_mod.fc.weight", "fc.weight"),
        ("module.module.fc.weight", "fc.weight"),
        ("layers.0._orig_mod.weight", "layers.0.weight"),
        ("modules.0.weight", "modules.0.weight"),
        ("fc.weight", "fc.weight"),
    ],
)
def test_prefixes_are_stripped(name, expected):
    assert stripped_name(name) == expected
    assert list(plain_parameters({name: WEIGHT})[0]) == [expected]


def test_prefixes_stay_where_names_would_collide():
    state = {"module.fc.weight": WEIGHT, "fc.weight": WEIGHT}
    assert list(plain_parameters(state)[0]) == list(state)


def test_other_entries_are_dropped():
    state = {"fc.weight": WEIGHT, "n": 3, "name": "net", "labels": np.array(["a"]), 7: WEIGHT}
    assert list(plain_parameters(state)[0]) == ["fc.weight", "7"]


def test_averaged_copies_are_left_out_with_a_note():
    parameters, notes = plain_parameters({"fc.weight": WEIGHT, "model_ema.fc.weight": WEIGHT})
    assert list(parameters) == ["fc.weight"]
    assert notes == ["averaged copies of weights left out: model_ema.fc.weight"]
    assert list(plain_parameters({"ema.fc.weight": WEIGHT})[0]) == ["ema.fc.weight"]


@pytest.mark.parametrize(
    "array",
    [
        WEIGHT.numpy(),
        WEIGHT.numpy().astype(">f4"),
        np.asfortranarray(WEIGHT.numpy()),
        np.ascontiguousarray(WEIGHT.numpy()[::-1])[::-1],
        np.frombuffer(WEIGHT.numpy().tobytes(), np.float32).reshape(2, 3),
    ],
)
def test_arrays_of_any_layout_are_taken(array):
    assert torch.equal(plain_parameters({"w": array})[0]["w"], WEIGHT)


def test_pruning_masks_are_applied():
    model = nn.Sequential(nn.Linear(4, 3))
    prune.random_unstructured(model[0], "weight", amount=0.5)
    parameters, _ = plain_parameters(model.state_dict())
    assert sorted(parameters) == ["0.bias", "0.weight"]
    assert torch.equal(parameters["0.weight"], model[0].weight)


@pytest.mark.parametrize(
    "model",
    [
        nn.utils.parametrizations.weight_norm(nn.Linear(3, 2)),
        nn.utils.parametrizations.spectral_norm(nn.Linear(3, 2)),
        nn.utils.spectral_norm(nn.Linear(3, 2)),
    ],
)
def test_parametrized_weights_are_refused(model):
    with pytest.raises(InputError, match="part of a parametrized weight"):
        plain_parameters(model.state_dict())


def test_factors_of_the_older_weight_norm_are_refused():
    with pytest.raises(InputError, match="part of a parametrized weight"):
        plain_parameters({"fc.weight_g": torch.ones(2, 1), "fc.weight_v": WEIGHT})


@pytest.mark.parametrize("state", [{}, {"a": 1}, {"a": {"w": WEIGHT}, "b": {"w": WEIGHT}}])
def test_without_tensors_the_entries_are_listed(state):
    with pytest.raises(InputError, match=f"{len(state)} entries"):
        plain_parameters(state)
