"""Functions that are set on single modules: the graph of the network, in evaluation."""

import functools
import types

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations, prune

from clusterability.sources import neuron_graph
from clusterability.tracing.exporting import evaluating_copy
from small_modules import Forward, linear

POINTS = torch.zeros(4, 3)
VARIANCES = torch.tensor([1.0, 4, 9, 16, 25])


def network():
    """In training, as modules are made."""
    model = Forward(lambda self, x: self.end(self.drop(self.norm(self.start(x)))))
    model.start, model.norm, model.end = linear(3, 5), nn.BatchNorm1d(5), linear(5, 2)
    model.drop = nn.Dropout(0.5)
    model.norm.running_var.copy_(VARIANCES)
    return model


def by_lambda(module):
    inner = module.forward
    module.forward = lambda *given: inner(*given)


def by_decorator(module):
    inner = module.forward

    @functools.wraps(inner)
    def forward(*given, **named):
        return inner(*given, **named)

    module.forward = forward


def by_method(module):
    inner = module.forward
    module.forward = types.MethodType(lambda _, *given: inner(*given), module)


def by_partial(module):
    def forward(own, *given):
        return type(own).forward(own, *given)

    module.forward = functools.update_wrapper(functools.partial(forward, module), module.forward)


def by_default(module):
    def forward(x, inner=module.forward):
        return inner(x)

    module.forward = forward


def by_list(module):
    parts = [module.forward, {"again": module}]

    def forward(x):
        assert "again" in parts[1]
        return parts[0](x)

    module.forward = forward


def twice(module):
    by_lambda(module)
    by_decorator(module)


WAYS = (by_lambda, by_decorator, by_method, by_partial, by_default, by_list, twice)


@pytest.mark.slow
@pytest.mark.parametrize("place", ["", "norm", "start"])
@pytest.mark.parametrize("way", WAYS)
def test_a_forward_that_is_set_runs_on_the_copy(way, place):
    """It ran on the module itself, in training, which counts its batches there."""
    model = network()
    expected = neuron_graph(model, example_inputs=POINTS)
    way(model.get_submodule(place))
    found = neuron_graph(model, example_inputs=POINTS)
    assert found.layer_sizes == [3, 5, 2]
    for block, other in zip(found.blocks, expected.blocks, strict=True):
        torch.testing.assert_close(block.strengths, other.strengths)
    assert model.training
    assert model.norm.num_batches_tracked == 0


MODEL = network()


def test_a_module_that_is_global_to_the_function():
    by_lambda(MODEL)
    MODEL.norm.forward = lambda x: MODEL.drop(x) * VARIANCES
    found = neuron_graph(MODEL, example_inputs=POINTS)
    torch.testing.assert_close(found.blocks[0].strengths, VARIANCES.expand(3, 5))


@pytest.mark.slow
@pytest.mark.parametrize("weight", ["pruned", "normalized"])
def test_weights_that_hooks_or_parametrizations_make(weight):
    model = network()
    if weight == "pruned":
        prune.ln_structured(model.start, "weight", 2, 1, 0)
    else:
        parametrizations.weight_norm(model.start)
    expected = neuron_graph(model, example_inputs=POINTS)
    by_lambda(model)
    by_lambda(model.start)
    found = neuron_graph(model, example_inputs=POINTS)
    torch.testing.assert_close(found.blocks[0].strengths, expected.blocks[0].strengths)


def test_functions_that_reach_no_module_stay_as_they_are():
    model = network()
    model.activation = lambda x: x.relu()
    assert evaluating_copy(model).activation is model.activation


def test_a_function_that_holds_itself():
    model = network()

    def forward(x, again=True):
        return forward(x, again=False) if again else type(model).forward(model, x)

    model.forward = forward
    assert neuron_graph(model, example_inputs=POINTS).layer_sizes == [3, 5, 2]
