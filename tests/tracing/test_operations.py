"""Every registered rule against perturbation, in random networks; those that refuse, by name."""

import re

import numpy as np
import pytest
import torch
from torch import nn

from clusterability.errors import InputError
from clusterability.sources import neuron_graph
from clusterability.tracing.operations import RULES, refused
from naive_twin import naive_twin
from operation_table import COMPOSITIONS, OPERATIONS
from operation_table.refusals import REFUSALS
from perturbation import influences
from random_networks import KINDS, MORE_KINDS, each_drawn
from small_modules import Forward
from step_modules import WEIGHTS

EVERYTHING = ("input", "dense")
GATES = {"gate", "squeeze_excite"}
A_GROUP = 8
"""Operations that one random network must have."""

TABLE = (
    MORE_KINDS
    | {f"aten.{name}": entry.kind(name) for name, entry in OPERATIONS.items()}
    | {name: entry.kind(name) for name, entry in COMPOSITIONS.items()}
)
NO_RULES = {*MORE_KINDS, *COMPOSITIONS}
GROUPS = [tuple(TABLE)[i : i + A_GROUP] for i in range(0, len(TABLE), A_GROUP)]


def assert_strengths_are_influences(network):
    graph = neuron_graph(network, example_inputs=(network.example(),), include=EVERYTHING)
    adjacency = graph.to_scipy().toarray()
    np.testing.assert_array_equal(adjacency > 0, influences(network).pattern, str(network))
    return adjacency


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_there_is_a_strength_exactly_where_there_is_an_influence(kind):
    for network in each_drawn(1, kind):
        assert kind in network.kinds
        adjacency = assert_strengths_are_influences(network)
        if not GATES & set(network.kinds):
            twin = naive_twin(network, network.example(), EVERYTHING)
            np.testing.assert_allclose(adjacency, twin.adjacency, rtol=1e-9)


def read_by_weights(network):
    """Numbers of the tensors that weights read, the input aside."""
    steps = zip(network.reads, network.steps, strict=True)
    return {reads[0] for reads, step in steps if isinstance(step, WEIGHTS)} - {0}


@pytest.mark.slow
def test_hidden_layers_that_are_outputs_too_change_nothing():
    kinds = ("conv2d", "channel_slice", "concatenate", "add", "linear")
    drawn = [network for kind in kinds for network in each_drawn(2, kind)]
    networks = [network for network in drawn if read_by_weights(network)]
    assert len(networks) > 5
    for network in networks:
        expected = influences(network)
        network.also_returned = tuple(read_by_weights(network))
        graph = neuron_graph(network, example_inputs=(network.example(),), include=EVERYTHING)
        adjacency = graph.to_scipy().toarray()
        np.testing.assert_array_equal(adjacency > 0, expected.pattern, str(network))


def refusing():
    return {name for name, rule in RULES.items() if rule.__module__ == refused.__name__}


def rules_followed(group):
    """Names of the rules that ran for networks of a group, each of which is compared."""
    followed = set()

    def recorded(name, rule):
        def run(call):
            followed.add(name)
            return rule(call)

        return run

    networks = each_drawn(1, group, (2, 5), TABLE)
    with pytest.MonkeyPatch.context() as patch:
        for name, rule in RULES.items():
            patch.setitem(RULES, name, recorded(name, rule))
        for network in networks:
            assert set(group) <= set(network.kinds)
            assert_strengths_are_influences(network)
    return followed


@pytest.mark.slow
@pytest.mark.parametrize("group", GROUPS, ids="-".join)
def test_every_operation_joins_what_it_lets_influence(group):
    assert rules_followed(group) >= set(group) - NO_RULES


def test_every_rule_is_drawn():
    """Those of a group are followed, says the test above."""
    rules = {name for name in RULES if name.startswith("aten.")} - refusing()
    assert set(TABLE) - NO_RULES == rules


def test_every_refusal_is_tested():
    assert {f"aten.{name}" for name in REFUSALS} == refusing()


@pytest.mark.slow
@pytest.mark.parametrize("name", REFUSALS)
def test_refused_by_name_with_the_module(name):
    step = REFUSALS[name]
    if not isinstance(step, nn.Module):
        step = Forward(lambda _, x: REFUSALS[name](x))
    model = nn.Sequential(nn.Linear(6, 6), nn.Sequential(nn.ReLU(), step))
    message = rf"^aten\.{re.escape(name)} in module '1\.1' cannot be followed: "
    with pytest.raises(InputError, match=message):
        neuron_graph(model, example_inputs=(torch.zeros(1, 4, 6),))
