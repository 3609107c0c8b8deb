"""One network through PyTorch, ONNX and Keras: the same graph."""

import warnings
from functools import cache

import pytest
import torch
from torch import nn

from clusterability.sources import trace
from small_modules import randomized

keras_networks = pytest.importorskip("keras_networks")
onnx_models = pytest.importorskip("onnx_models")

keras, layers = keras_networks.keras, keras_networks.layers
ALL = ("input", "dense")
X = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))

CONVOLUTIONS = {
    # name: in, out, kernel, stride, groups
    "stem": (3, 4, 3, 1, 1),
    "first": (4, 6, 3, 2, 1),
    "second": (6, 6, 3, 1, 1),
    "projection": (4, 6, 1, 2, 1),
    "branch": (6, 2, 1, 1, 1),
    "depthwise": (8, 8, 3, 1, 8),
    "last": (8, 5, 3, 1, 1),
}
NORMALIZED = ("stem", "second", "projection", "depthwise", "last")
DENSE = {"hidden": (20, 7), "logits": (7, 3)}


class Residual(nn.Module):
    """A skip with a projection, a concatenation, a depthwise convolution and a dense head."""

    def __init__(self):
        super().__init__()
        for name, (n_in, n_out, size, stride, groups) in CONVOLUTIONS.items():
            layer = nn.Conv2d(n_in, n_out, size, stride, size // 2, groups=groups)
            self.add_module(name, layer)
        for name in NORMALIZED:
            self.add_module(f"{name}_norm", nn.BatchNorm2d(CONVOLUTIONS[name][1], eps=1e-3))
        for name, sizes in DENSE.items():
            self.add_module(name, nn.Linear(*sizes))
        randomized(self)

    def forward(self, x):
        x = self.stem_norm(self.stem(x)).relu()
        y = self.first(x).relu()
        shortcut = self.projection_norm(self.projection(x))  # in the order that Keras takes too
        x = (self.second_norm(self.second(y)) + shortcut).relu()
        x = torch.cat([self.branch(x).relu(), x], 1)
        x = self.depthwise_norm(self.depthwise(x)).relu()
        x = self.last_norm(nn.functional.max_pool2d(self.last(x), 2)).relu()
        return self.logits(self.hidden(x.flatten(1)).relu())


def keras_convolution(name):
    n_in, n_out, size, stride, groups = CONVOLUTIONS[name]
    padding = layers.ZeroPadding2D(size // 2)
    if groups == n_in == n_out:
        layer = layers.DepthwiseConv2D(size, stride, name=name)
    else:
        layer = layers.Conv2D(n_out, size, stride, groups=groups, name=name)
    return lambda x: layer(padding(x))


def keras_residual(model):
    """The same network, built anew from its definition, with its weights."""
    convolutions = {name: keras_convolution(name) for name in CONVOLUTIONS}
    norms = {n: layers.BatchNormalization(epsilon=1e-3, name=f"{n}_norm") for n in NORMALIZED}
    hidden, logits = (layers.Dense(sizes[1], name=name) for name, sizes in DENSE.items())

    def relu(x):
        return layers.ReLU()(x)

    image = layers.Input((8, 8, 3))
    x = relu(norms["stem"](convolutions["stem"](image)))
    y = norms["second"](convolutions["second"](relu(convolutions["first"](x))))
    x = relu(layers.Add()([y, norms["projection"](convolutions["projection"](x))]))
    x = layers.Concatenate()([relu(convolutions["branch"](x)), x])
    x = relu(norms["depthwise"](convolutions["depthwise"](x)))
    x = relu(norms["last"](layers.MaxPooling2D()(convolutions["last"](x))))
    twin = keras.Model(image, logits(relu(hidden(layers.Flatten()(x)))))
    for layer in twin.layers:
        if layer.name in dict(model.named_modules()) and layer.name:
            layer.set_weights(keras_weights(layer.name, model.get_submodule(layer.name)))
    return twin


def keras_weights(name, module):
    """A module's weights in the order and the layout of a Keras layer's."""
    weight, bias = module.weight.detach(), module.bias.detach()
    if isinstance(module, nn.BatchNorm2d):
        return [t.numpy() for t in (weight, bias, module.running_mean, module.running_var)]
    if name == "depthwise":
        weight = weight.permute(2, 3, 0, 1)
    elif isinstance(module, nn.Conv2d):
        weight = weight.permute(2, 3, 1, 0)
    elif name == "hidden":  # Keras flattens channels last
        weight = weight.unflatten(1, (5, 2, 2)).permute(0, 2, 3, 1).flatten(1).T
    else:
        weight = weight.T
    return [weight.contiguous().numpy(), bias.numpy()]


@pytest.fixture(scope="module")
def model():
    return Residual().eval()


@pytest.fixture(scope="module")
def twin(model):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return keras_residual(model)


@pytest.fixture(scope="module")
def forms(model, twin, tmp_path_factory):
    """The network in every form that can be read."""
    folder = tmp_path_factory.mktemp("forms")
    forms = {"keras": twin}
    for suffix in ("keras", "h5"):
        forms[f"file.{suffix}"] = keras_networks.saved(twin, folder / f"net.{suffix}")
    for folding in (True, False):
        name = f"folding {folding}"
        forms[name] = onnx_models.exported(
            model, X, folder, f"{folding}.onnx", do_constant_folding=folding
        )
    return forms


@pytest.fixture(scope="module")
def graph(model, forms):
    """The graph of a form, or of the module itself, traced once for all tests."""

    @cache
    def traced(form, include):
        if form == "module":
            return trace(model, example_inputs=X, include=include).graph
        return trace(forms[form], include=include).graph

    return traced


FORMS = ("keras", "file.keras", "file.h5", "folding True", "folding False")


def test_the_twin_computes_the_same(model, twin):
    with torch.no_grad():
        expected = model(X)
        found = twin(X.permute(0, 2, 3, 1), training=False)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4 * float(expected.abs().max()))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("form", "include"),
    [
        *((form, include) for form in FORMS for include in ((), ALL)),
        *(("keras", (part,)) for part in ALL),
    ],
)
def test_every_form_gives_the_same_graph(graph, form, include):
    expected, found = graph("module", include), graph(form, include)
    assert found.layer_sizes == expected.layer_sizes
    assert [(b.source, b.target) for b in found.blocks] == [
        (b.source, b.target) for b in expected.blocks
    ]
    for block, other in zip(found.blocks, expected.blocks, strict=True):
        largest = float(other.strengths.detach().max())
        difference = float((block.strengths - other.strengths).detach().abs().max())
        assert difference <= 1e-6 * largest
        assert (block.support is None) == (other.support is None)
        assert other.support is None or torch.equal(block.support, other.support)


@pytest.mark.slow
@pytest.mark.parametrize("form", FORMS)
def test_every_form_has_the_same_copies(graph, form):
    def copies(graph):
        kernels = [block.kernel for block in graph.blocks]
        return [kernel and kernels.index(kernel) for kernel in kernels]

    expected = copies(graph("module", ALL))
    assert copies(graph(form, ALL)) == expected
    assert any(kernel is not None for kernel in expected)


@pytest.mark.slow
@pytest.mark.parametrize("form", [form for form in FORMS if form != "folding True"])
def test_names_of_layers_are_the_same(graph, form):
    """But not where the exporter has folded batch norms into weights, which it then renames."""
    expected = [layer.name for layer in graph("module", ()).layers]
    assert [layer.name for layer in graph(form, ()).layers] == expected


def test_the_graph_counted_by_hand(model, graph):
    graph = graph("module", ALL)
    sizes = {layer.name: layer.n_neurons for layer in graph.layers}
    assert sizes == {
        "input": 3,
        "stem -> first": 4,
        "first": 6,
        "stem -> projection": 4,
        "to branch": 6,
        "branch": 2,
        "to depthwise": 6,
        "depthwise": 8,
        "last": 5,
        "hidden": 7,
        "logits": 3,
    }
    names = list(sizes)
    blocks = {(names[b.source], names[b.target]): b for b in graph.blocks}
    assert len(blocks) == len(graph.blocks) == 13
    norm = model.projection_norm
    for source in range(4):
        for target in range(6):
            scale = norm.weight[target].abs() / (norm.running_var[target] + 1e-3).sqrt()
            expected = model.projection.weight[target, source].abs().sum() * scale
            for reader in ("to branch", "to depthwise"):
                found = blocks["stem -> projection", reader].strengths[source, target]
                torch.testing.assert_close(found, expected)
    norm, depthwise = model.depthwise_norm, model.depthwise.weight.abs().sum((1, 2, 3))
    scale = norm.weight.abs() / (norm.running_var + 1e-3).sqrt()
    torch.testing.assert_close(
        blocks["to depthwise", "depthwise"].strengths[:, 2:],
        torch.diag(depthwise * scale)[2:, 2:],
    )
    pixels = model.hidden.weight.abs().unflatten(1, (5, 4)).sum(2).T
    torch.testing.assert_close(blocks["last", "hidden"].strengths, pixels)


@pytest.mark.slow
@pytest.mark.parametrize(
    "activation",
    [
        *(nn.ReLU6(), nn.LeakyReLU(), nn.PReLU(), nn.ELU(), nn.SELU(), nn.CELU(), nn.Softplus()),
        *(nn.GELU(), nn.GELU("tanh"), nn.SiLU(), nn.Mish(), nn.Hardswish(), nn.Hardsigmoid()),
        *(nn.Softsign(), nn.Hardtanh(), nn.Softmax(1), nn.LogSigmoid(), nn.LayerNorm(4)),
    ],
    ids=repr,
)
def test_an_activation_passes_strengths_on_in_every_form(activation, tmp_path):
    """An ONNX file may write it out as sums and products."""
    model = randomized(nn.Sequential(nn.Linear(3, 4), activation, nn.Linear(4, 2)))
    x = torch.zeros(1, 3)
    expected = trace(model, example_inputs=x).graph.blocks
    found = trace(onnx_models.exported(model, x, tmp_path)).graph.blocks
    assert len(found) == len(expected) == 2
    for block, other in zip(found, expected, strict=True):
        torch.testing.assert_close(block.strengths, other.strengths.detach())
    if not isinstance(activation, nn.LayerNorm):
        torch.testing.assert_close(found[0].strengths, model[0].weight.detach().abs().T)
