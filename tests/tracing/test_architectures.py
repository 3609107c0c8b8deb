"""Traced networks against counts by hand, strengths by hand, and the naive twin."""

import numpy as np
import pytest
import torch
from torch import nn

from architectures import ARCHITECTURES, BLOCKS
from clusterability.experiments.architectures import randomized
from clusterability.sources import neuron_graph
from clusterability.tracing.assembling import assemble
from clusterability.tracing.exporting import exported
from clusterability.tracing.modules import Effective, walked_program
from clusterability.tracing.walking import walk
from naive_tensor import run
from naive_twin import naive_twin, twin_of_run

EVERYTHING = ("input", "dense")


def counts(wiring):
    """Of layers, neurons, blocks and strengths."""
    sizes = [layer.n_neurons for layer in wiring.layers]
    n_strengths = sum(sizes[c.source] * sizes[c.target] for c in wiring.connections)
    return len(sizes), sum(sizes), len(wiring.connections), n_strengths


@pytest.mark.slow
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_full_size_counts_as_by_hand(name):
    """A wiring holds no weights, and so needs none: the model's are shapes alone."""
    architecture = ARCHITECTURES[name]
    with torch.device("meta"):
        model, image = architecture.make(), torch.zeros(1, *architecture.input_shape)
    program = exported(model, (image,))
    walked = walk(program, dict(model.named_parameters()))
    assert counts(assemble(walked, ())[0]) == architecture.bare
    assert counts(assemble(walked, EVERYTHING)[0]) == architecture.whole


def assert_same(graph, twin):
    assert graph.layer_sizes == [len(layer.neurons) for layer in twin.layers]
    assert sorted((b.source, b.target) for b in graph.blocks) == sorted(twin.blocks)
    np.testing.assert_allclose(graph.to_scipy().toarray(), twin.adjacency, rtol=1e-9)


def assert_same_graph(model, image, include):
    graph = neuron_graph(model, example_inputs=(image,), include=include)
    assert_same(graph, naive_twin(model, image, include))


def graphs_of(model, image):
    """Without image and dense part, and with them; traced once."""
    _, walked = walked_program(model, (image,))
    parameters = Effective(model, walked.computed)
    return [assemble(walked, include)[0].graph(parameters) for include in ((), EVERYTHING)]


BY_HAND = {
    "ResNet-50": [
        # Through bn3, and past two identity skips, to what both readers of the stage's exit see.
        ("layer1.0.conv3", "layer1.0.bn3", "layer2.0.downsample.0", 2, 5, 5),
        ("layer1.0.conv3", "layer1.0.bn3", "layer2.0.conv1", 2, 5, 5),
    ],
    # 64 / 16 channels of the first branch come before: the second branch's channel 1 is number 5.
    "Inception-V3": [
        (
            *("Mixed_5b.branch5x5_2.conv", "Mixed_5b.branch5x5_2.bn", "Mixed_5c.branch_pool.conv"),
            *(2, 1, 5),
        )
    ],
    # Depthwise: from a channel to itself.
    "MobileNetV2": [
        ("features.2.conv.1.0", "features.2.conv.1.1", "features.2.conv.2", 4, 4, 4),
    ],
}
"""By architecture: operation, batch norm on the way, reader, input, output, its number there."""


def assert_strength_by_hand(model, twin, graph, operation, norm, reader, i, o, t):
    weight, norm = model.get_submodule(operation).weight, model.get_submodule(norm)
    kernel = weight[o, 0 if weight.shape[1] == 1 else i]
    scale = norm.weight[o].abs() / (norm.running_var[o] + norm.eps).sqrt()
    expected = float(kernel.abs().sum() * scale)
    source, target = twin.place(operation, i), twin.place(reader, t)
    for adjacency in (twin.adjacency, graph.to_scipy().toarray()):
        assert adjacency[source, target] == pytest.approx(expected, rel=1e-12)


def assert_diagonal(graph, source):
    (block,) = (b for b in graph.blocks if b.source == source)
    strengths = block.strengths
    assert torch.equal(strengths, strengths.diag().diag())
    assert bool((strengths.diag() > 0).all())


@pytest.mark.slow
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_narrow_versions_are_the_twin(name):
    """With image and dense part, some strengths by hand too."""
    architecture = ARCHITECTURES[name]
    model, image = architecture.narrow().requires_grad_(False), architecture.narrow_image()
    (bare, graph), found = graphs_of(model, image), run(model, image)
    assert_same(bare, twin_of_run(*found))
    twin = twin_of_run(*found, EVERYTHING)
    assert_same(graph, twin)
    for row in BY_HAND.get(name, ()):
        assert_strength_by_hand(model, twin, graph, *row)
    if name == "MobileNetV2":
        assert_diagonal(graph, [layer.name for layer in twin.layers].index("features.2.conv.1.0"))


@pytest.mark.slow
@pytest.mark.parametrize("name", BLOCKS)
def test_other_blocks_are_the_twin(name):
    make, shape = BLOCKS[name]
    model, image = randomized(make()), torch.zeros(1, *shape, dtype=torch.float64)
    graphs, found = graphs_of(model, image), run(model, image)
    for graph, include in zip(graphs, ((), EVERYTHING), strict=True):
        assert_same(graph, twin_of_run(*found, include))


def test_padding_is_of_its_channel_when_flattened():
    model = nn.Sequential(
        nn.Conv2d(2, 3, 1), nn.ZeroPad2d(1), nn.Flatten(), nn.Linear(3 * 6 * 6, 2)
    )
    image = torch.zeros(1, 2, 4, 4, dtype=torch.float64)
    assert_same_graph(randomized(model), image, EVERYTHING)
