import warnings

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations, parametrize, prune, spectral_norm, weight_norm

from clusterability.sources import neuron_graph, trace
from clusterability.tracing.effective import effective_parameter, hook_made_parameters
from small_modules import Forward


def normalized(module):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # torch deprecates it; networks have it
        return weight_norm(module)


def pruned(module):
    return prune.identity(module, "weight")


def pruned_twice(module):
    return prune.l1_unstructured(prune.random_unstructured(module, "weight", 0.2), "weight", 0.3)


HOOKED = [pruned, pruned_twice, normalized, spectral_norm]


def snapshot(module):
    """Everything that reading must not change, bit for bit."""
    state = {name: value.clone() for name, value in module.state_dict().items()}
    modes = [part.training for part in module.modules()]
    return state, modes, {name: id(value) for name, value in vars(module).items()}


@pytest.mark.parametrize("hook", HOOKED)
def test_a_loaded_weight_is_the_one_of_the_next_forward_pass(hook):
    first, second = hook(nn.Linear(6, 5)), hook(nn.Linear(6, 5))
    second.load_state_dict(first.state_dict())
    attribute = second.weight
    found = neuron_graph(nn.Sequential(second)).blocks[0].strengths
    assert second.weight is attribute
    second.eval()(torch.ones(1, 6))
    torch.testing.assert_close(found, second.weight.abs().T)
    assert not torch.equal(found, attribute.abs().T)


def test_a_pruning_mask_is_loaded_too():
    first, second = nn.Linear(8, 4), pruned(nn.Linear(8, 4))
    second.load_state_dict(prune.l1_unstructured(first, "weight", 0.5).state_dict())
    assert (neuron_graph(nn.Sequential(second)).blocks[0].strengths == 0).sum() == 16


@pytest.mark.slow
@pytest.mark.parametrize(
    "hook", [*HOOKED, parametrizations.spectral_norm, parametrizations.weight_norm]
)
def test_the_module_is_left_bit_for_bit_as_it_was(hook):
    module = hook(nn.Linear(6, 5)).train()
    if parametrize.is_parametrized(module):
        module.parametrizations.weight[0].train(mode=hook is parametrizations.spectral_norm)
    state, *others = snapshot(module)
    trace(nn.Sequential(module))
    after, *others_after = snapshot(module)
    assert others_after == others
    assert state.keys() == after.keys()
    assert all(torch.equal(state[name], after[name]) for name in state)


def test_modes_are_restored_after_an_error():
    class Failing(nn.Module):
        def forward(self, weight):
            if not self.training:
                raise RuntimeError("no evaluation")
            return weight

    module = nn.Linear(2, 2)
    parametrize.register_parametrization(module, "weight", Failing())
    with pytest.raises(RuntimeError, match="no evaluation"):
        effective_parameter(module, "weight")
    assert all(part.training for part in module.modules())


def test_a_cached_parametrization_keeps_nothing_of_ours():
    module = parametrizations.spectral_norm(nn.Linear(6, 5), n_power_iterations=3).train()
    with torch.no_grad():
        module.parametrizations.weight[0]._u.copy_(nn.functional.normalize(torch.ones(5), dim=0))
        with parametrize.cached():
            ours = effective_parameter(module, "weight")
            assert not torch.equal(module.weight, ours)


@pytest.mark.slow
@pytest.mark.parametrize("hook", HOOKED)
def test_gradient_reaches_what_the_weight_is_made_of(hook):
    module = hook(nn.Linear(6, 5))
    for _ in range(2):  # the attribute's own graph could be gone through only once
        neuron_graph(nn.Sequential(module)).blocks[0].strengths.square().sum().backward()
    assert all(p.grad is not None for name, p in module.named_parameters() if name != "bias")


@pytest.mark.slow
@pytest.mark.parametrize("method", ["register_forward_hook", "register_forward_pre_hook"])
def test_other_hooks_are_noted(method):
    model = nn.Sequential(nn.Linear(3, 3), pruned(nn.Linear(3, 3)), nn.ReLU(), nn.Linear(3, 2))
    prune.identity(model[0], "bias")
    x = torch.zeros(1, 3)
    assert trace(model, example_inputs=x).notes == ()
    for module in (model, model[1], model[3]):
        getattr(module, method)(lambda *_: None)
    assert trace(model, example_inputs=x).notes == (
        "forward hooks are not taken into account: those of the network, 1, 3",
    )


def test_parameters_that_hooks_make_are_listed():
    module = pruned(nn.Linear(4, 4))
    assert hook_made_parameters(module) == ["weight"]
    prune.identity(module, "bias")
    prune.l1_unstructured(module, "weight", 0.5)
    assert sorted(hook_made_parameters(module)) == ["bias", "weight"]
    module.register_forward_pre_hook(lambda *_: None)
    assert sorted(hook_made_parameters(module)) == ["bias", "weight"]
    assert hook_made_parameters(nn.Linear(2, 2)) == []


@pytest.mark.parametrize("hook", HOOKED)
def test_a_hooked_weight_in_a_forward_pass_of_ones_own(hook):
    """Read as an attribute and computed with, not by the module that has it."""
    inner = hook(nn.Linear(6, 5, bias=False))
    model = Forward(lambda self, x: nn.functional.linear(x, 2 * self.inner.weight), inner=inner)
    found = neuron_graph(model, example_inputs=torch.zeros(1, 6)).blocks[0].strengths
    torch.testing.assert_close(found, 2 * effective_parameter(inner, "weight").abs().T)
