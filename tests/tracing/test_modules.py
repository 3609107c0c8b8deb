import copy
import itertools
import warnings

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrize, prune

from clusterability.errors import InputError
from clusterability.sources import neuron_graph, trace
from clusterability.tracing.modules import trace_module, unwrapped
from small_modules import Forward, conv, linear, randomized

ALL = ("input", "dense")
X = torch.zeros(1, 3)


def cnn(**norm):
    return nn.Sequential(
        nn.Sequential(
            nn.Conv2d(3, 4, 3), nn.ReLU(), nn.MaxPool2d(2), nn.BatchNorm2d(4, **norm), nn.Dropout()
        ),
        nn.Sequential(nn.ZeroPad2d(1), nn.Conv2d(4, 6, 3), nn.BatchNorm2d(6, **norm), nn.GELU()),
        nn.AdaptiveAvgPool2d(2),
        nn.Flatten(),
        nn.Linear(24, 5),
        nn.BatchNorm1d(5),
        nn.Tanh(),
        nn.Linear(5, 2),
        nn.LogSoftmax(dim=1),
    )


def layers(graph):
    return [(layer.name, layer.n_neurons) for layer in graph.layers]


def same_blocks(first, second):
    pairs = zip(first.blocks, second.blocks, strict=True)
    return all(torch.equal(a.strengths, b.strengths) for a, b in pairs)


@pytest.mark.parametrize(
    ("outputs", "n_outputs"),
    [
        (lambda y: y, 2),
        (lambda y: (y,), 2),
        (lambda y: (y, y), None),
        (lambda y: (y, None), None),
        (lambda y: (y, y.exp()), None),
        (lambda y: y[..., None], None),
    ],
)
def test_the_width_is_that_of_a_single_output(outputs, n_outputs):
    model = Forward(lambda self, x: outputs(self.b(self.a(x))), a=linear(3, 4), b=linear(4, 2))
    assert trace_module(model, (X,)).n_outputs == n_outputs


def test_an_mlp_is_its_absolute_weights():
    model = nn.Sequential(nn.Flatten(), nn.Linear(6, 4), nn.ReLU(), nn.Linear(4, 3, bias=False))
    graph = neuron_graph(model)
    assert layers(graph) == [("input", 6), ("1", 4), ("3", 3)]
    for block, index in zip(graph.blocks, (1, 3), strict=True):
        weight = model[index].weight
        for source in range(weight.shape[1]):
            for target in range(weight.shape[0]):
                assert block.strengths[source, target] == abs(weight[target, source])


@pytest.mark.slow
def test_a_cnn_is_its_hidden_channels_scaled_by_their_batch_norms():
    model = randomized(cnn(eps=0.1)).train()
    graph = neuron_graph(model)
    assert layers(graph) == [("0.0", 4), ("1.1", 6)]
    kernels, norm = model[1][1].weight, model[1][2]
    for target in range(6):
        scale = norm.weight[target].abs() / (norm.running_var[target] + 0.1).sqrt()
        for source in range(4):
            expected = kernels[target, source].abs().sum() * scale
            torch.testing.assert_close(graph.blocks[0].strengths[source, target], expected)


@pytest.mark.slow
def test_a_cnn_with_everything_included():
    model = randomized(cnn(affine=False))
    graph = neuron_graph(model, include=ALL)
    assert [layer.name for layer in graph.layers] == ["input", "0.0", "1.1", "4", "7"]
    dense = model[4].weight.abs().unflatten(1, (6, 4)).sum(2).T
    scale = model[5].weight.abs() * (model[5].running_var + model[5].eps).rsqrt()
    torch.testing.assert_close(graph.blocks[2].strengths, dense * scale)


def test_the_scale_is_what_the_network_computes():
    """A channel alone, through convolution and batch norm in evaluation, up to the shift."""
    model = randomized(
        nn.Sequential(nn.Conv1d(1, 2, 1), nn.Conv1d(2, 3, 1), nn.BatchNorm1d(3))
    ).eval()
    tail = model[1:]
    ones = torch.eye(2).unsqueeze(2)
    effect = (tail(ones) - tail(torch.zeros_like(ones))).squeeze(2).abs()
    torch.testing.assert_close(neuron_graph(model).blocks[0].strengths, effect)


def test_relabeling_hidden_neurons_permutes_the_blocks():
    model = nn.Sequential(nn.Linear(3, 5), nn.ReLU(), nn.Linear(5, 2))
    before = neuron_graph(model)
    order = torch.randperm(5)
    with torch.no_grad():
        model[0].weight.copy_(model[0].weight[order])
        model[2].weight.copy_(model[2].weight[:, order])
    after = neuron_graph(model)
    assert torch.equal(after.blocks[0].strengths, before.blocks[0].strengths[:, order])
    assert torch.equal(after.blocks[1].strengths, before.blocks[1].strengths[order])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("model", "shape"),
    [
        (nn.Sequential(nn.Conv1d(2, 3, 5), nn.Conv1d(3, 4, 1)), (3, 4)),
        (nn.Sequential(nn.Conv3d(1, 3, 2), nn.Conv3d(3, 2, 2)), (3, 2)),
        (nn.Linear(3, 2), (3, 2)),
        (nn.Sequential(nn.Linear(1, 1)), (1, 1)),
        (nn.Sequential(nn.ConvTranspose2d(2, 3, 2), nn.ConvTranspose2d(3, 5, 1)), (3, 5)),
        (nn.Sequential(nn.Conv2d(4, 6, 1), nn.Conv2d(6, 6, 1, groups=3)), (6, 6)),
    ],
)
def test_shapes(model, shape):
    assert neuron_graph(model).blocks[-1].strengths.shape == shape


@pytest.mark.slow
@pytest.mark.parametrize(
    ("dtype", "expected"),
    [
        (torch.float64, torch.float64),
        (torch.bfloat16, torch.float32),
        (torch.float16, torch.float32),
    ],
)
def test_any_precision(dtype, expected):
    model = randomized(cnn()).to(dtype)
    graph = neuron_graph(model, include=ALL)
    assert {block.strengths.dtype for block in graph.blocks} == {expected}
    same = neuron_graph(copy.deepcopy(model).to(expected), include=ALL)
    assert same_blocks(graph, same)


@pytest.mark.slow
@pytest.mark.parametrize("network", [cnn, lambda: nn.Sequential(linear(3, 4), linear(4, 2))])
@pytest.mark.parametrize("include", [(), ("input",), ("dense",), ALL])
def test_a_sequential_is_its_state_dict_read_as_a_chain(network, include):
    model = randomized(network())
    graph, chain = (neuron_graph(n, include=include) for n in (model, model.state_dict()))
    assert layers(graph) == layers(chain)
    assert [(b.source, b.target) for b in graph.blocks] == [
        (b.source, b.target) for b in chain.blocks
    ]
    for block, other in zip(graph.blocks, chain.blocks, strict=True):
        torch.testing.assert_close(block.strengths, other.strengths)


@pytest.mark.slow
def test_a_sequential_leaves_out_what_its_state_dict_does():
    model = cnn()
    of_module, of_state = trace(model).notes, trace(model.state_dict()).notes
    assert [n for n in of_module if "left out" in n] == [n for n in of_state if "left out" in n]


@pytest.mark.slow
def test_training_and_evaluation_mode_give_the_same():
    model = randomized(cnn())
    assert same_blocks(neuron_graph(model.train()), neuron_graph(model.eval()))


@pytest.mark.slow
def test_only_shapes_of_inputs_matter():
    model = nn.Sequential(nn.BatchNorm1d(3), linear(3, 4), linear(4, 2))
    graphs = [
        neuron_graph(model, example_inputs=x)
        for x in (X, torch.full((5, 3), torch.nan), torch.randn(2, 3))
    ]
    assert all(same_blocks(a, b) for a, b in itertools.pairwise(graphs))


def test_a_pruned_weight_is_the_effective_one():
    model = nn.Sequential(nn.Linear(8, 4), nn.Linear(4, 2))
    prune.l1_unstructured(model[0], "weight", amount=0.5)
    assert (neuron_graph(model).blocks[0].strengths == 0).sum() == 16


def test_a_parametrized_weight_is_the_effective_one():
    class Doubled(nn.Module):
        def forward(self, weight):
            return 2 * weight

    model = nn.Sequential(nn.Linear(3, 2))
    plain = model[0].weight.detach().clone()
    parametrize.register_parametrization(model[0], "weight", Doubled())
    graph = neuron_graph(model)
    torch.testing.assert_close(graph.blocks[0].strengths, 2 * plain.abs().T)
    assert layers(graph) == [("input", 3), ("0", 2)]


def test_a_shared_module_counts_twice():
    shared = nn.Linear(3, 3)
    graph = neuron_graph(nn.Sequential(shared, nn.ReLU(), shared))
    assert layers(graph) == [("input", 3), ("0", 3), ("2", 3)]
    assert torch.equal(graph.blocks[0].strengths, graph.blocks[1].strengths)


@pytest.mark.slow
def test_wrappers_are_looked_through():
    model = nn.Sequential(nn.Linear(3, 2))
    wrapped = nn.Module()
    wrapped._orig_mod = nn.DataParallel(model)
    assert unwrapped(wrapped) is model
    assert same_blocks(neuron_graph(wrapped), neuron_graph(model))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what torch imports here is deprecated in places
        compiled = torch.compile(model)
    assert same_blocks(neuron_graph(compiled), neuron_graph(model))


@pytest.mark.slow
def test_notes_on_a_cnn():
    guessed = "traced with an input of shape (1, 3, 224, 224), guessed from '0.0'"
    first, second = trace(cnn()).notes
    assert first == guessed
    assert "left out" in second
    assert trace(cnn(), include=ALL).notes == (guessed,)
    assert trace(cnn(), include=ALL, example_inputs=torch.zeros(1, 3, 32, 32)).notes == ()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("model", "message"),
    [
        (nn.Sequential(nn.LazyLinear(3)), r"'0\.weight' is lazy"),
        (nn.Sequential(nn.Linear(3, 2), nn.LazyBatchNorm1d()), r"'1\.weight' is lazy"),
        (nn.Sequential(nn.ReLU(), nn.Flatten()), "no weight layer"),
        (nn.Sequential(), "no weight layer"),
        (
            nn.Sequential(nn.Linear(3, 2), nn.Linear(3, 2)),
            r"Sequential could not be traced: .*reduction dim",
        ),
        (
            nn.Sequential(conv(3, 2), nn.BatchNorm2d(2, track_running_stats=False)),
            r"aten\.batch_norm in module '1' cannot be followed: it keeps no running statistics",
        ),
        (nn.Sequential(conv(1, 2), nn.Linear(224, 1)), "'1' joins positions .*nn.Flatten"),
        (
            nn.Sequential(conv(1, 2), nn.Flatten(2), nn.Linear(224 * 224, 1)),
            "'2' joins positions .*nn.Flatten",
        ),
        (nn.ModuleList([nn.Linear(3, 3)]), "ModuleList"),
    ],
)
def test_what_cannot_be_read_is_refused(model, message):
    with pytest.raises(InputError, match=message):
        neuron_graph(model)


def test_bad_weights_are_named_by_their_module():
    model = nn.Sequential(nn.Linear(3, 2))
    nn.init.constant_(model[0].weight, torch.nan)
    with pytest.raises(InputError, match=r"'0\.weight' holds 6 NaN"):
        neuron_graph(model)


@pytest.mark.parametrize("include", ["dense", None, ("head",), 3])
def test_include_is_checked_before_anything_runs(include):
    with pytest.raises(InputError, match="include"):
        trace_module(Forward(lambda *_: pytest.fail("it ran")), (X,), include)
