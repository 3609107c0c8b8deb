"""What the strengths of a forward pass written by hand are, counted by hand."""

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn

from clusterability.sources import neuron_graph
from small_modules import Forward, conv, linear, randomized

POINTS = torch.zeros(1, 3)
IMAGE = torch.zeros(1, 2, 4, 4)
ALL = ("input", "dense")


def block(graph, source, target):
    names = [layer.name for layer in graph.layers]
    (found,) = [b for b in graph.blocks if (names[b.source], names[b.target]) == (source, target)]
    return found


def first_block(step, **parts):
    """Strengths from the input to what a step makes of three ones."""
    model = Forward(
        lambda self, x: self.end(step(self, self.start(x))),
        start=linear(3, 3),
        end=linear(3, 2),
        **parts,
    )
    graph = neuron_graph(model, example_inputs=POINTS)
    assert len(graph.blocks) == 2
    return graph.blocks[0].strengths.tolist()


def alike(*strengths):
    return [list(strengths)] * 3


@pytest.mark.slow
@pytest.mark.parametrize(
    ("step", "factor"),
    [
        (lambda _, h: h + 1, 1),
        (lambda _, h: h + h, 2),
        (lambda _, h: h - 2 * h, 3),
        (lambda _, h: 3 - h / 4, 0.25),
        (lambda _, h: torch.add(h, h.relu(), alpha=3), 1),
        (lambda _, h: torch.add(h, h, alpha=3), 4),
        (lambda _, h: torch.rsub(h * 5, h, alpha=0.1), 1.5),
        (lambda _, h: -0.5 * (h * 4) * -1.0, 2),
        (lambda _, h: (h / 8).softmax(1), 0.125),
        (lambda _, h: h.clamp(0, 6) / 6, 1 / 6),
        (lambda _, h: h * h, 1),
        (lambda _, h: h**2, 1),
        (lambda _, h: h * torch.sigmoid(h), 1),
        (lambda _, h: h * torch.sigmoid(1.702 * h), 1),
        (lambda _, h: 3 * (h * torch.sigmoid(h)), 1),
        (lambda _, h: 0.5 * h * (1 + torch.erf(h / 2**0.5)), 1),
        (lambda _, h: 0.5 * h * (1 + torch.tanh(0.8 * (h + 0.04 * h**3))), 1),
        (lambda _, h: h * (h > 0), 1),
        (lambda _, h: h * F.relu6(h + 3) / 6, 1),
        (lambda _, h: h / (1 + h.abs()), 1),
        (lambda _, h: F.dropout(h, 0.5, training=True), 1),
        (lambda _, h: torch.zeros_like(h) + h, 1),
        (lambda _, h: h + torch.randn_like(h), 1),
    ],
)
def test_numbers_multiply_sums_add_and_gates_count_once(step, factor):
    found = torch.tensor(first_block(step))
    torch.testing.assert_close(found, torch.full((3, 3), float(factor)))


G = torch.tensor([1.0, -2.0, 0.0])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("step", "expected"),
    [
        (lambda self, h: h * self.g, (1, 2, 0)),
        (lambda self, h: self.g[None] * h.relu(), (1, 2, 0)),
        (lambda self, h: h + self.g * h, (2, 3, 1)),
        (lambda self, h: h / (self.g + 4), (0.2, 0.5, 0.25)),
        (lambda self, h: h * self.g.exp().log(), (1, 2, 0)),
        (lambda self, h: h * self.g[1], (2, 2, 2)),
        (lambda self, h: (h * self.g).flip(1) * 3, (0, 6, 3)),
        (lambda self, h: h * self.g * self.g, (1, 4, 0)),
        (lambda _, h: h * torch.tensor([0.5, 1, 2]), (0.5, 1, 2)),
        (lambda self, h: F.pad(h[:, 1:], (1, 0)) + h * self.g, (1, 3, 1)),
        (lambda self, h: F.layer_norm(h, (3,), self.g), (1, 2, 0)),
        (lambda self, h: F.prelu(h, self.g), (1, 1, 1)),
    ],
)
@pytest.mark.parametrize("parameter", [True, False])
def test_constants_scale_element_by_element(step, expected, parameter):
    g = nn.Parameter(G) if parameter else G
    found = torch.tensor(first_block(step, g=g))
    torch.testing.assert_close(found, torch.tensor(alike(*map(float, expected))))


@pytest.mark.slow
@pytest.mark.parametrize(
    "step",
    [
        lambda _, h: h.clone().relu_(),
        lambda _, h: (h[:, :2].relu_(), h)[1],
        lambda _, h: ([part.add_(1) for part in h.split(1, 1)], h)[1],
        lambda _, h: (h.view(3).sigmoid_(), h)[1],
        lambda _, h: torch.stack([part.neg_() for part in h.unbind(1)], 1),
    ],
)
def test_operations_in_place_leave_strengths_alone(step):
    assert first_block(step) == alike(1, 1, 1)


@pytest.mark.slow
def test_scaling_a_view_in_place_scales_its_part():
    assert first_block(lambda _, h: (h[:, :2].mul_(2), h)[1]) == alike(2, 2, 1)
    assert first_block(lambda self, h: (h[:, 1:].mul_(self.g), h)[1], g=G[:2]) == alike(1, 1, 2)


@pytest.mark.slow
def test_a_part_that_is_overwritten_is_gone():
    def forward(self, x):
        h = self.start(x)
        h[:, 0] = 0
        return self.end(h)

    graph = neuron_graph(Forward(forward, start=linear(3, 4), end=linear(4, 2)))
    assert block(graph, "input", "start").strengths.shape == (3, 3)
    # What is written there is a neuron without inputs.
    assert [layer.n_neurons for layer in graph.layers] == [3, 1, 3, 2]


@pytest.mark.slow
def test_an_old_value_is_not_changed_by_what_comes_after():
    def forward(self, x):
        h = self.start(x)
        kept = h.clone()
        h += self.other(x)
        return self.end(kept)

    parts = {"start": linear(3, 3), "other": linear(3, 3), "end": linear(3, 2)}
    graph = neuron_graph(Forward(forward, **parts), example_inputs=POINTS)
    assert [layer.name for layer in graph.layers] == ["input", "start", "end"]


def weighted(self, x):
    return F.linear(x, self.weight * self.mask)


def test_a_computed_weight():
    weight, mask = nn.Parameter(torch.randn(4, 3)), (torch.rand(4, 3) > 0.5).float()
    mask[0] = 1
    model = nn.Sequential(Forward(weighted, weight=weight, mask=mask), nn.ReLU(), linear(4, 2))
    graph = neuron_graph(model, example_inputs=POINTS)
    assert [layer.name for layer in graph.layers] == ["input", "0", "2"]
    torch.testing.assert_close(graph.blocks[0].strengths, (weight * mask).abs().T)


@pytest.mark.slow
@pytest.mark.parametrize(
    "product",
    [
        lambda self, x: x @ self.w,
        lambda self, x: torch.mm(x, self.w),
        lambda self, x: torch.addmm(self.b, x, self.w),
        lambda self, x: F.linear(x, self.w.T, self.b),
        lambda self, x: (self.w.T @ x.T).T,
        lambda self, x: self.w.T @ x[0],
        lambda self, x: torch.matmul(x[None], self.w),
    ],
)
def test_products_with_a_matrix(product):
    model = Forward(product, w=nn.Parameter(torch.randn(3, 4)), b=nn.Parameter(torch.ones(4)))
    graph = neuron_graph(model, example_inputs=POINTS)
    torch.testing.assert_close(graph.blocks[0].strengths, model.w.abs())


def test_a_squeeze_and_excitation_block():
    def forward(self, x):
        h = self.a(x)
        s = self.c(self.b(h.mean((2, 3), keepdim=True)).relu()).sigmoid()
        return self.d(h * s)

    sizes = {"a": (2, 4), "b": (4, 2), "c": (2, 4), "d": (4, 3)}
    model = randomized(Forward(forward, **{n: conv(*size) for n, size in sizes.items()}))
    graph = neuron_graph(model, include=ALL, example_inputs=IMAGE)
    ends = {"a -> b": ("input", "a"), "b": ("a -> b", "b"), "d": ("to d", "d")}
    for target, (source, name) in ends.items():
        weight = getattr(model, name).weight.flatten(1).abs().T
        torch.testing.assert_close(block(graph, source, target).strengths, weight)
    # The gate and what it gates both reach the last convolution, each at its own weight.
    for source, name in (("input", "a"), ("b", "c")):
        weight = getattr(model, name).weight.flatten(1).abs().T
        torch.testing.assert_close(block(graph, source, "to d").strengths, weight)
    assert len(graph.blocks) == 5
    assert len({b.kernel for b in graph.blocks if b.kernel}) == 1


def residual(self, x):
    x = self.stem(x)
    h = self.bn(self.conv(x).relu())
    return self.head(h + self.projection(x))


def test_a_residual_block_with_a_projection():
    parts = {"stem": conv(2, 3), "conv": conv(3, 5), "bn": nn.BatchNorm2d(5)}
    parts |= {"projection": conv(3, 5), "head": conv(5, 2)}
    model = randomized(Forward(residual, **parts))
    graph = neuron_graph(model, example_inputs=IMAGE)
    assert [(layer.name, layer.n_neurons) for layer in graph.layers] == [
        ("stem -> conv", 3),
        ("stem -> projection", 3),
        ("to head", 5),
        ("head", 2),
    ]
    scale = model.bn.weight.abs() / (model.bn.running_var + model.bn.eps).sqrt()
    expected = model.conv.weight.flatten(1).abs().T * scale
    torch.testing.assert_close(block(graph, "stem -> conv", "to head").strengths, expected)
    expected = model.projection.weight.flatten(1).abs().T
    found = block(graph, "stem -> projection", "to head").strengths
    torch.testing.assert_close(found, expected)


def test_a_shortcut_that_pads_channels_with_zeros():
    def forward(self, x):
        h = self.a(x)
        short = torch.cat([h, torch.zeros_like(h)], 1)[:, :, ::2, ::2]
        return self.c(self.b(h)[:, :, ::2, ::2] + short)

    model = randomized(Forward(forward, a=conv(2, 3), b=conv(3, 6), c=conv(6, 1)))
    graph = neuron_graph(model, include=ALL, example_inputs=IMAGE)
    sizes = {layer.name: layer.n_neurons for layer in graph.layers}
    assert sizes == {"input": 2, "a -> b": 3, "to c": 3, "b -> c": 3, "c": 1}
    weights = model.b.weight.flatten(1).abs().T
    torch.testing.assert_close(block(graph, "a -> b", "to c").strengths, weights[:, :3])
    torch.testing.assert_close(block(graph, "a -> b", "b -> c").strengths, weights[:, 3:])
    expected = model.a.weight.flatten(1).abs().T
    torch.testing.assert_close(block(graph, "input", "to c").strengths, expected)


@pytest.mark.slow
@pytest.mark.parametrize(
    "shuffle",
    [
        lambda x: x.view(1, 2, 3, 4, 4).transpose(1, 2).reshape(1, 6, 4, 4),
        nn.ChannelShuffle(2),
        lambda x: x[:, [0, 3, 1, 4, 2, 5]],
        lambda x: torch.stack(x.chunk(2, 1), 2).flatten(1, 2),
        lambda x: x.index_select(1, torch.tensor([0, 3, 1, 4, 2, 5])),
    ],
)
def test_a_channel_shuffle_permutes_the_block(shuffle):
    model = Forward(
        lambda self, x: self.b(shuffle(self.a(x))), a=conv(2, 6, groups=2), b=conv(6, 4, groups=2)
    )
    randomized(model)
    graph = neuron_graph(model, include=("input",), example_inputs=IMAGE)
    support = torch.zeros(2, 6, dtype=torch.bool)
    support[0, :3] = support[1, 3:] = True
    weights = torch.zeros(2, 6).masked_scatter(support, model.a.weight.flatten().abs())
    order = [0, 3, 1, 4, 2, 5]
    first, second = graph.blocks
    torch.testing.assert_close(first.strengths, weights[:, order])
    assert torch.equal(first.support, support[:, order])
    kernels = model.b.weight.flatten(1).abs()
    expected = torch.zeros(6, 4)
    expected[:3, :2], expected[3:, 2:] = kernels[:2].T, kernels[2:].T
    torch.testing.assert_close(second.strengths, expected)


def test_split_halves_go_their_own_ways():
    def forward(self, x):
        first, second = self.a(x).chunk(2, 1)
        return torch.cat([self.b(first), second], 1)

    model = randomized(Forward(forward, a=linear(3, 4), b=linear(2, 5)))
    graph = neuron_graph(model, example_inputs=POINTS)
    sizes = {layer.name: layer.n_neurons for layer in graph.layers}
    assert sizes == {"input": 3, "a -> b": 2, "b": 5, "a -> output": 2}
    weights = model.a.weight.abs().T
    torch.testing.assert_close(block(graph, "input", "a -> b").strengths, weights[:, :2])
    torch.testing.assert_close(block(graph, "input", "a -> output").strengths, weights[:, 2:])


def test_depthwise_and_transposed_convolutions():
    model = nn.Sequential(
        nn.Conv2d(2, 4, 3, padding=1),
        nn.Conv2d(4, 8, 3, padding=1, groups=4),
        nn.ConvTranspose2d(8, 6, 2, 2, groups=2),
        nn.ConvTranspose2d(6, 3, 2),
    )
    graph = neuron_graph(model, example_inputs=IMAGE)
    depthwise, grouped, plain = graph.blocks
    for i in range(4):
        for o in range(8):
            expected = model[1].weight[o, 0].abs().sum() if o // 2 == i else torch.zeros(())
            torch.testing.assert_close(depthwise.strengths[i, o], expected)
    for i in range(8):
        for o in range(6):
            same = i // 4 == o // 3
            expected = model[2].weight[i, o % 3].abs().sum() if same else torch.zeros(())
            torch.testing.assert_close(grouped.strengths[i, o], expected)
    torch.testing.assert_close(plain.strengths, model[3].weight.abs().sum((2, 3)))
    assert (depthwise.support.sum(), grouped.support.sum(), plain.support) == (8, 24, None)


def test_a_dense_layer_reads_a_decoders_image_and_makes_one():
    model = nn.Sequential(linear(3, 8), nn.Unflatten(1, (2, 2, 2)), conv(2, 3))
    graph = neuron_graph(model, include=ALL, example_inputs=POINTS)
    assert [layer.n_neurons for layer in graph.layers] == [3, 2, 3]
    # Four features are the pixels of one channel, and their strengths add up.
    assert graph.blocks[0].strengths.tolist() == [[4, 4]] * 3


def test_an_mlp_reads_a_flattened_image():
    model = Forward(lambda self, x: self.b(self.a(x.flatten(1))), a=linear(32, 4), b=linear(4, 2))
    graph = neuron_graph(model, example_inputs=IMAGE)
    assert [layer.n_neurons for layer in graph.layers] == [32, 4, 2]


def test_patches_are_read_channel_by_channel():
    def forward(self, x):
        return self.b(self.a(x).flatten(2).transpose(1, 2))

    model = randomized(Forward(forward, a=nn.Conv2d(2, 5, 2, 2), b=linear(5, 3)))
    graph = neuron_graph(model, include=ALL, example_inputs=IMAGE)
    assert [layer.n_neurons for layer in graph.layers] == [2, 5, 3]
    torch.testing.assert_close(graph.blocks[1].strengths, model.b.weight.abs().T)
