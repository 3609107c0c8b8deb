import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations, parametrize, prune

from clusterability.errors import InputError
from clusterability.tracing import neuron_graph, trace
from clusterability.tracing.modules import module_wiring, unwrapped


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


def randomize_statistics(model):
    for module in model.modules():
        if hasattr(module, "running_var"):
            nn.init.uniform_(module.running_var, 0.5, 2)
            if module.affine:
                nn.init.normal_(module.weight)
    return model


def test_an_mlp_is_its_absolute_weights():
    model = nn.Sequential(nn.Flatten(), nn.Linear(6, 4), nn.ReLU(), nn.Linear(4, 3, bias=False))
    graph = neuron_graph(model)
    assert [(x.name, x.n_neurons) for x in graph.layers] == [("input", 6), ("1", 4), ("3", 3)]
    for block, index in zip(graph.blocks, (1, 3), strict=True):
        weight = model[index].weight
        for source in range(weight.shape[1]):
            for target in range(weight.shape[0]):
                assert block.strengths[source, target] == abs(weight[target, source])


def test_a_cnn_is_its_hidden_channels_scaled_by_their_batch_norms():
    model = randomize_statistics(cnn(eps=0.1)).train()
    graph = neuron_graph(model)
    assert [(x.name, x.n_neurons) for x in graph.layers] == [("0.0", 4), ("1.1", 6)]
    kernels, norm = model[1][1].weight, model[1][2]
    for target in range(6):
        scale = norm.weight[target].abs() / (norm.running_var[target] + 0.1).sqrt()
        for source in range(4):
            expected = kernels[target, source].abs().sum() * scale
            torch.testing.assert_close(graph.blocks[0].strengths[source, target], expected)


def test_a_cnn_with_everything_included():
    model = randomize_statistics(cnn(affine=False))
    graph = neuron_graph(model, include=("input", "dense"))
    assert [x.name for x in graph.layers] == ["input", "0.0", "1.1", "4", "7"]
    dense = model[4].weight.abs().unflatten(1, (6, 4)).sum(2).T
    scale = model[5].weight.abs() * (model[5].running_var + model[5].eps).rsqrt()
    torch.testing.assert_close(graph.blocks[2].strengths, dense * scale)


def test_the_scale_is_what_the_network_computes():
    """A channel alone, through convolution and batch norm in evaluation, up to the shift."""
    model = randomize_statistics(
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


@pytest.mark.parametrize(
    ("model", "shape"),
    [
        (nn.Sequential(nn.Conv1d(2, 3, 5), nn.Conv1d(3, 4, 1)), (3, 4)),
        (nn.Sequential(nn.Conv3d(1, 3, 2), nn.Conv3d(3, 2, 2)), (3, 2)),
        (nn.Linear(3, 2), (3, 2)),
        (nn.Sequential(nn.Linear(1, 1)), (1, 1)),
        (nn.Sequential(nn.Linear(3, 2)).double(), (3, 2)),
        (nn.Sequential(nn.Linear(3, 2)).bfloat16(), (3, 2)),
    ],
)
def test_shapes_and_types(model, shape):
    assert neuron_graph(model).blocks[-1].strengths.shape == shape


def test_gradient_reaches_the_weights():
    model = cnn()
    sum(
        b.strengths.sum() for b in neuron_graph(model, include=("input", "dense")).blocks
    ).backward()
    assert torch.equal(model[0][0].weight.grad.sign(), model[0][0].weight.sign())
    assert model[1][2].weight.grad.abs().sum() > 0


def test_the_module_is_left_untouched():
    model = cnn().train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    trace(model)
    assert model.training
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


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
    torch.testing.assert_close(neuron_graph(model).blocks[0].strengths, 2 * plain.abs().T)
    parametrizations.orthogonal(nn.Linear(2, 2))


def test_a_shared_module_counts_twice():
    shared = nn.Linear(3, 3)
    graph = neuron_graph(nn.Sequential(shared, nn.ReLU(), shared))
    assert [x.name for x in graph.layers] == ["input", "0", "2"]


def test_wrappers_are_looked_through():
    model = nn.Sequential(nn.Linear(3, 2))
    compiled = nn.Module()
    compiled._orig_mod = nn.DataParallel(model)
    assert unwrapped(compiled) is model
    assert torch.equal(
        neuron_graph(compiled).blocks[0].strengths, neuron_graph(model).blocks[0].strengths
    )


def test_a_batch_norm_of_the_input_is_ignored_with_a_note():
    _, notes = module_wiring(nn.Sequential(nn.BatchNorm1d(3), nn.Linear(3, 2)))
    assert notes == (
        "batch norm '0' scales the network's input, which is no strength between neurons: ignored",
    )


def test_notes_on_a_cnn():
    assert "left out" in trace(cnn()).notes[0]
    assert trace(cnn(), include=("input", "dense")).notes == ()


class Residual(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(3, 3))

    def forward(self, x):
        return x + self.net(x)


class Skipping(nn.Sequential):
    def forward(self, x):
        return x + super().forward(x)


class Named(nn.Sequential):
    """Adds nothing to a Sequential."""


def test_a_subclass_that_runs_as_a_sequential_is_one():
    assert len(neuron_graph(Named(nn.Linear(3, 2))).layers) == 2


class Masked(nn.Linear):
    def forward(self, x):
        return super().forward(x * 2)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (Residual(), r"Residual is not a torch.nn.Sequential.*\(model.net\) or its state_dict"),
        (Skipping(nn.Linear(3, 3)), "Skipping is not a torch.nn.Sequential"),
        (nn.ModuleList([nn.Linear(3, 3)]), "ModuleList is not a torch.nn.Sequential"),
        (nn.Sequential(nn.Linear(3, 3), Residual()), "'1' is a module of type .*Residual"),
        (nn.Sequential(nn.Linear(3, 3), Masked(3, 3)), "'1' is a module of type .*Masked"),
        (nn.Sequential(nn.LSTM(3, 3)), r"'0' is a module of type torch.nn.modules.rnn.LSTM.*order"),
        (nn.Sequential(nn.Linear(3, 4), nn.GLU(), nn.Linear(2, 1)), "GLU"),
        (nn.Sequential(nn.Linear(3, 4), nn.LayerNorm(4)), "LayerNorm"),
        (nn.Sequential(nn.ConvTranspose2d(1, 1, 1)), "'0' is a transposed convolution"),
        (nn.Sequential(nn.Conv2d(4, 4, 1, groups=2)), "'0' is a convolution of 2 groups"),
        (nn.Sequential(nn.LazyLinear(3)), "'0' is lazy"),
        (nn.Sequential(nn.Linear(3, 2), nn.LazyBatchNorm1d()), "'1' is lazy"),
        (nn.Sequential(nn.ReLU(), nn.Flatten()), "no weight layer"),
        (nn.Sequential(), "no weight layer"),
        (nn.Sequential(nn.Linear(3, 2), nn.Linear(3, 2)), "'0' gives 2 but '1' takes 3; correct"),
        (
            nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2, track_running_stats=False)),
            "'1' keeps no running statistics",
        ),
        (
            nn.Sequential(nn.Conv2d(1, 2, 1), nn.Flatten(), nn.BatchNorm1d(8), nn.Linear(8, 1)),
            "'2' has 8 features, but '0' before it gives 2; put it before the Flatten",
        ),
        (
            nn.Sequential(nn.Conv2d(1, 2, 1), nn.BatchNorm2d(8)),
            "'1' has 8 features, but '0' before it gives 2; expected 2$",
        ),
        (
            nn.Sequential(nn.Flatten(), nn.Linear(3, 2), nn.BatchNorm1d(8)),
            "'2' has 8 features, but '1' before it gives 2; expected 2$",
        ),
        (nn.Sequential(nn.Conv2d(1, 2, 1), nn.Linear(4, 1)), "with no torch.nn.Flatten"),
        (
            nn.Sequential(nn.Conv2d(1, 2, 1), nn.Flatten(2), nn.Linear(4, 1)),
            "with no torch.nn.Flatten",
        ),
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
