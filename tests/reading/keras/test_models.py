import os
import sys
import types

import pytest
import torch

import keras_networks
from clusterability.errors import InputError
from clusterability.files import memory
from clusterability.reading.keras import models
from clusterability.reading.keras.models import import_keras, is_keras_model, keras_model
from clusterability.sources import neuron_graph
from keras_networks import keras, layers, outputs, quantized, random_inputs, randomized


def test_a_keras_model_is_known_from_others():
    assert is_keras_model(keras_networks.mlp())
    assert not is_keras_model(layers.Dense(2))
    assert not is_keras_model(torch.nn.Linear(2, 2))
    assert not is_keras_model(keras.Model)


def test_it_runs_on_torch_whatever_the_environment_says():
    assert keras.config.backend() == "torch"
    assert os.environ["KERAS_BACKEND"] == "tensorflow"
    assert "tensorflow" not in sys.modules


def test_another_backend_is_refused_with_the_remedy(monkeypatch):
    monkeypatch.setattr(keras.config, "backend", lambda: "tensorflow")
    with pytest.raises(InputError, match=r"'tensorflow' in this process, expected 'torch'; save"):
        keras_model(keras_networks.mlp())


def test_the_environment_is_left_as_it_was(monkeypatch):
    seen = []
    monkeypatch.delitem(sys.modules, "keras")
    monkeypatch.setattr(
        models.importlib,
        "import_module",
        lambda name: (
            seen.append((name, os.environ["KERAS_BACKEND"]))
            or sys.modules.setdefault("keras", keras)
        ),
    )
    for before in ("jax", None):
        monkeypatch.delitem(sys.modules, "keras", raising=False)
        monkeypatch.delenv("KERAS_BACKEND", raising=False)
        if before:
            monkeypatch.setenv("KERAS_BACKEND", before)
        assert import_keras() is keras
        assert os.environ.get("KERAS_BACKEND") == before
    assert seen == [("keras", "torch"), ("h5py", "torch")] * 2


def test_missing_packages_are_named_with_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "keras", None)
    with pytest.raises(InputError, match=r"pip install 'clusterability\[keras\]'"):
        import_keras()


def test_keras_2_is_refused(monkeypatch):
    monkeypatch.setitem(sys.modules, "keras", types.SimpleNamespace(__version__="2.15.0"))
    with pytest.raises(InputError, match=r"uses Keras 2\.15\.0, expected 3 or newer"):
        import_keras()


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float64", "mixed_float16"])
def test_other_dtypes_work(dtype):
    stack = [layers.Input((4, 4, 2)), layers.Conv2D(3, 2, dtype=dtype)]
    stack += [layers.BatchNormalization(dtype=dtype), layers.Flatten(), layers.Dense(2)]
    model = randomized(keras.Sequential(stack))
    loaded = keras_model(model)
    inputs = random_inputs(loaded)
    torch.testing.assert_close(loaded.module(*inputs), *outputs(model, inputs))
    torch.export.export(loaded.module, loaded.example_inputs, strict=False)


def test_a_given_shape_fills_open_axes():
    image = layers.Input((None, None, 3))
    model = keras.Model(image, layers.GlobalAveragePooling2D()(layers.Conv2D(2, 3)(image)))
    loaded = keras_model(model, input_shape=(8, 9, 3))
    assert [tuple(zeros.shape) for zeros in loaded.example_inputs] == [(1, 8, 9, 3)]
    loaded.module(*loaded.example_inputs)
    with pytest.raises(InputError, match=r"has open axes: \(None, None, 3\).*224,224,3"):
        keras_model(model)
    with pytest.raises(InputError, match=r"\(3, 8, 9\), but .* is \(None, None, 3\)"):
        keras_model(model, input_shape=(3, 8, 9))


@pytest.mark.parametrize("shape", [(0,), (-1,), (2.0,), ("8",), (True,)])
def test_a_shape_that_is_none_is_refused(shape):
    with pytest.raises(InputError, match=r"expected positive whole numbers"):
        keras_model(keras_networks.mlp(), input_shape=shape)


def test_a_fixed_batch_is_kept():
    model = keras.Sequential([layers.Input(batch_shape=(4, 8)), layers.Dense(2)])
    assert keras_model(model).example_inputs[0].shape == (4, 8)


def test_each_of_several_inputs_has_a_shape():
    first, second = layers.Input((None, 3), name="first"), layers.Input((4,), name="second")
    both = layers.Concatenate()([layers.GlobalAveragePooling1D()(first), second])
    model = keras.Model([first, second], layers.Dense(2)(both))
    loaded = keras_model(model, input_shape=[(5, 3), (4,)])
    assert [tuple(x.shape) for x in loaded.example_inputs] == [(1, 5, 3), (1, 4)]
    with pytest.raises(
        InputError, match=r"^input_shape is \(5, 4\), but the model's input 'first'"
    ):
        keras_model(model, input_shape=[(5, 4), (4,)])
    for shapes in ((4,), [(4,)], [(5, 3), (4,), (4,)]):
        message = r"has 2 inputs, but input_shape gives \d shapes?, .* its own: 'first', 'second'$"
        with pytest.raises(InputError, match=message):
            keras_model(model, input_shape=shapes)


def test_inputs_have_the_models_types():
    (words,) = keras_model(keras_networks.sequence()).example_inputs
    assert (words.dtype, tuple(words.shape)) == (torch.int64, (1, 7))


def test_an_example_larger_than_memory_is_refused(monkeypatch):
    monkeypatch.setattr(memory, "available_memory", lambda: 10**6)
    image = layers.Input((None, None, 3))
    model = keras.Model(image, layers.Conv2D(2, 3)(image))
    with pytest.raises(InputError, match=r"an example input of shape .* more than"):
        keras_model(model, input_shape=(1000, 1000, 3))


def test_a_model_that_was_never_built_is_refused():
    with pytest.raises(InputError, match=r"has no weights .*; give it an Input layer"):
        keras_model(keras.Sequential([layers.Dense(2)]))


def test_a_model_without_weights_is_refused():
    with pytest.raises(InputError, match=r"has no weights"):
        keras_model(keras.Sequential([layers.Input((4,)), layers.ReLU()]))


def test_a_model_built_by_a_call_works():
    model = keras.Sequential([layers.Dense(3), layers.Dense(2)])
    model(torch.ones(5, 4))
    loaded = keras_model(model)
    inputs = random_inputs(loaded)
    torch.testing.assert_close(loaded.module(*inputs), *outputs(model, inputs))


def test_a_subclass_needs_the_shape():
    class Network(keras.Model):
        def __init__(self):
            super().__init__()
            self.dense = layers.Dense(3, name="dense")

        def call(self, x):
            return self.dense(x)

    model = Network()
    model(torch.ones(2, 4))
    with pytest.raises(InputError, match=r"does not say the shape of its input; give it"):
        keras_model(model)
    loaded = keras_model(model, input_shape=(4,))
    torch.export.export(loaded.module, loaded.example_inputs, strict=False)
    assert loaded.module(torch.ones(1, 4)).shape == (1, 3)


@pytest.mark.slow
def test_a_quantized_layer_is_refused_by_name():
    model = keras.Sequential([layers.Input((4,)), layers.Dense(3, name="head")])
    quantized(model.layers[0])
    with pytest.raises(InputError, match=r"layer 'head' is quantized \('int8'\)"):
        keras_model(model)


@pytest.mark.parametrize("kind", ["LSTM", "GRU", "SimpleRNN"])
def test_a_recurrent_layer_is_refused_by_name(kind):
    recurrent = getattr(layers, kind)(3, name="memory")
    model = keras.Sequential([layers.Input((4, 2)), recurrent, layers.Dense(2)])
    with pytest.raises(InputError, match=rf"layer 'memory' is recurrent \({kind}\)"):
        keras_model(model)


def test_example_inputs_tell_open_axes():
    layers = keras_networks.layers
    x = layers.Input((None, None, 3))
    model = keras_networks.keras.Model(x, layers.Conv2D(8, 3)(layers.Conv2D(6, 3)(x)))
    graphs = [
        neuron_graph(model, **how)
        for how in ({"example_inputs": torch.ones(1, 9, 9, 3)}, {"input_shape": (9, 9, 3)})
    ]
    assert torch.equal(*(graph.blocks[0].strengths for graph in graphs))


@pytest.mark.parametrize("groups", [1, 3])
def test_a_group_normalization_joins_each_neuron_with_itself(groups):
    x = keras.Input((4,))
    first, last = layers.Dense(6), layers.Dense(2)
    found = neuron_graph(keras.Model(x, last(layers.GroupNormalization(groups)(first(x)))))
    assert found.layer_sizes == [4, 6, 2]
    for block, layer in zip(found.blocks, (first, last), strict=True):
        torch.testing.assert_close(block.strengths.detach(), layer.kernel.value.detach().abs())
