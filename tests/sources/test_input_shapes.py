"""Shapes in place of example inputs: one, or one for each of several inputs."""

import json
import re

import pytest
import torch
from torch import nn

from clusterability.cli import main
from clusterability.errors import InputError
from clusterability.promoting.normalization import normalize_
from clusterability.sources import neuron_graph, trace
from small_modules import randomized

SHAPES = [(1, 6, 6), (5,)]
EXAMPLES = tuple(torch.zeros(1, *shape) for shape in SHAPES)


class ImageAndFeatures(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 4, 3)
        self.of_features = nn.Linear(5, 4)
        self.head = nn.Linear(4, 2)
        randomized(self)

    def forward(self, image, features):
        together = self.conv(image).mean((2, 3)) + self.of_features(features)
        return self.head(together.relu())


class ByName(ImageAndFeatures):
    def forward(self, image, *, features):
        return super().forward(image, features)


class WithOption(ImageAndFeatures):
    def forward(self, image, features, scale=1.0):
        return scale * super().forward(image, features)


class ByPlaceAndName(ImageAndFeatures):
    def forward(self, image, /, *, features):
        return super().forward(image, features)


class OptionalByName(ImageAndFeatures):
    def forward(self, image, *, features=None):
        return super().forward(image, torch.zeros(1, 5) if features is None else features)


@pytest.mark.slow
@pytest.mark.parametrize("shapes", [SHAPES, tuple(SHAPES), [list(shape) for shape in SHAPES]])
@pytest.mark.parametrize("network", [ImageAndFeatures, ByName, WithOption])
def test_a_shape_for_each_input_is_as_examples_of_them(network, shapes):
    model = network()
    everything = {"include": ("input", "dense")}
    given = {"image": EXAMPLES[0], "features": EXAMPLES[1]}
    expected = neuron_graph(model, example_inputs=given, **everything)
    found = neuron_graph(model, input_shape=shapes, **everything)
    assert found.layer_sizes == expected.layer_sizes
    assert torch.equal(found.flat_strengths(), expected.flat_strengths())


@pytest.mark.parametrize("network", [ByPlaceAndName, OptionalByName])
def test_inputs_by_name_beside_others_or_optional(network):
    everything = {"include": ("input", "dense"), "input_shape": SHAPES}
    expected = neuron_graph(ImageAndFeatures(), **everything)
    found = neuron_graph(network(), **everything)
    assert found.layer_sizes == expected.layer_sizes
    assert torch.equal(found.flat_strengths(), expected.flat_strengths())


class Alone(nn.Module):
    """Whose one input is taken by its name only."""

    def __init__(self, first):
        super().__init__()
        self.layers = nn.Sequential(first, nn.Flatten(), nn.LazyLinear(3), nn.Linear(3, 2))
        self.layers(torch.zeros(1, 5) if isinstance(first, nn.Linear) else torch.zeros(1, 1, 8, 8))

    def forward(self, *, x):
        return self.layers(x)


@pytest.mark.parametrize("first", [nn.Linear(5, 4), nn.Conv2d(1, 4, 3)])
def test_the_shape_of_an_input_by_name_is_guessed(first):
    found = trace(Alone(first), include=("input", "dense"))
    assert found.graph.layer_sizes[-2:] == [3, 2]
    assert found.notes[0].startswith("traced with an input of shape (1, ")


class NoInput(ImageAndFeatures):
    def forward(self):
        return self.head(self.conv.bias)


def test_a_network_without_inputs_is_refused():
    with pytest.raises(InputError, match=r"^NoInput: the forward pass takes no input, so"):
        trace(NoInput())


@pytest.mark.filterwarnings("ignore:.*torch.jit.script")
def test_shapes_for_a_torch_script_module_do_not_hide_that_it_is_one():
    script = torch.jit.script(nn.Linear(5, 2))
    with pytest.raises(InputError, match=r"^a TorchScript module cannot be traced"):
        trace(script, input_shape=SHAPES)


def test_a_sequence_of_one_shape_is_this_shape():
    model = nn.Sequential(nn.Flatten(), nn.Linear(12, 4), nn.ReLU(), nn.Linear(4, 2))
    assert neuron_graph(model, input_shape=[(3, 4)]).layer_sizes == [12, 4, 2]
    assert neuron_graph(model, input_shape=(3, 4)).layer_sizes == [12, 4, 2]


@pytest.mark.parametrize("shapes", [(5,), [(5,)], [*SHAPES, (2,)], None])
def test_the_inputs_are_named_where_shapes_are_too_few_or_many(shapes):
    message = (
        r"^ImageAndFeatures: the forward pass takes 2 inputs \('image', 'features'\), .* give one "
        r"for each input, .* input_shape=\[\(1, 28, 28\), \(10,\)\], on the command line "
        r"--input-shape 1,28,28 --input-shape 10"
    )
    with pytest.raises(InputError, match=message):
        trace(ImageAndFeatures(), input_shape=shapes)
    with pytest.raises(InputError, match=message):
        normalize_(ImageAndFeatures(), input_shape=shapes)


def test_too_many_shapes_for_a_network_of_one_input():
    message = (
        r"takes 1 input \('input'\), but input_shape gives 2 shapes, \(1, 6, 6\), \(5,\); give"
    )
    with pytest.raises(InputError, match=message):
        trace(nn.Sequential(nn.Linear(5, 2)), input_shape=SHAPES)


@pytest.mark.parametrize(
    ("shapes", "message"),
    [
        ([(3, 4), ()], r"^input_shape is \(\), expected sizes"),
        ([(3, 4), 5], r"^input_shape holds \(3, 4\), expected positive integers"),
        ([(3, 4), (0,)], "^input_shape holds 0, expected positive integers"),
        ([("3",)], "^input_shape holds '3', expected positive integers"),
    ],
)
def test_sequences_of_no_shapes_are_refused(shapes, message):
    with pytest.raises(InputError, match=message):
        trace(ImageAndFeatures(), input_shape=shapes)


MODULE = """
import torch
from torch import nn

class Two(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b, self.c = nn.Linear(36, 8), nn.Linear(5, 8), nn.Linear(8, 6)

    def forward(self, image, features):
        return self.c(torch.relu(self.a(image.flatten(1)) + self.b(features)))

def factory():
    torch.manual_seed(0)
    return Two()

instance = factory()
"""


@pytest.fixture
def two_inputs(tmp_path, monkeypatch):
    (tmp_path / "two_inputs.py").write_text(MODULE)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    return "two_inputs"


FLAGS = ["--clusters", "2", "--shuffles", "1", "--quiet"]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["factory", "instance"])
def test_a_shape_for_each_input_on_the_command_line(name, two_inputs, tmp_path):
    shapes = ["--input-shape", "1,6,6", "--input-shape", "5"]
    path = tmp_path / "result.json"
    assert main(["measure", f"{two_inputs}:{name}", *shapes, *FLAGS, "--json", str(path)]) == 0
    layers = json.loads(path.read_text())["layers"]
    assert [layer["n_neurons"] for layer in layers] == [36, 5, 8, 6]


@pytest.mark.parametrize("shapes", [[], ["1,6,6"], ["1,6,6", "5", "5"]])
def test_the_command_names_the_inputs(shapes, two_inputs, capsys):
    flags = [part for shape in shapes for part in ("--input-shape", shape)]
    assert main(["measure", f"{two_inputs}:factory", *flags, *FLAGS]) != 0
    error = capsys.readouterr().err
    assert re.search(r"takes 2 inputs \('image', 'features'\)", error), error
    assert "--input-shape 1,28,28 --input-shape 10" in error
