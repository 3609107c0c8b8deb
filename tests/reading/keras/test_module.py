import copy

import pytest
import torch

import keras_networks
from clusterability.reading.keras.models import keras_model
from clusterability.reading.keras.module import KerasNetwork
from clusterability.tracing import exporting
from keras_networks import NETWORKS, keras, layers, outputs, random_inputs, randomized


@pytest.mark.slow
@pytest.mark.parametrize("name", NETWORKS)
def test_the_module_and_its_export_give_what_the_model_gives(name):
    model = randomized(NETWORKS[name]())
    loaded = keras_model(model)
    inputs = random_inputs(loaded)
    expected = outputs(model, inputs)
    exported = exporting.exported(loaded.module, loaded.example_inputs)
    for module in (loaded.module, exported.module()):
        for found, wanted in zip(keras.tree.flatten(module(*inputs)), expected, strict=True):
            torch.testing.assert_close(found, wanted)


@pytest.mark.slow
@pytest.mark.parametrize("name", NETWORKS)
def test_every_parameter_is_the_models_own_and_none_is_a_nameless_constant(name):
    model = NETWORKS[name]()
    loaded = keras_model(model)
    of_model = {v.value.data_ptr() for v in model.variables if v.value.is_floating_point()}
    assert {value.data_ptr() for value in loaded.module.parameters()} == of_model
    exported = exporting.exported(loaded.module, loaded.example_inputs)
    lifted = [exported.constants[key] for key in exported.graph_signature.lifted_tensor_constants]
    assert all(constant.numel() == 1 for constant in lifted)


def test_parameters_have_the_paths_of_keras_and_those_in_models_the_models_name():
    names = [name for name, _ in KerasNetwork(keras_networks.nested()).named_parameters()]
    assert names == [
        *("dense.kernel", "dense.bias", "inner.dense.kernel", "inner.dense.bias"),
        *("norm.gamma", "norm.beta", "last.kernel", "last.bias"),
    ]


def test_names_that_torch_does_not_take_are_changed_and_stay_apart():
    named = [layers.Dense(2, name=name) for name in ("forward", "training", "type")]
    model = keras.Sequential([layers.Input((2,)), *named])
    names = [name for name, _ in KerasNetwork(model).named_parameters() if "kernel" in name]
    assert names == ["forward_.kernel", "training_.kernel", "type_.kernel"]


def test_sublayers_and_a_models_own_weights_have_names():
    class Scaled(keras.Model):
        def __init__(self):
            super().__init__()
            self.attention = layers.MultiHeadAttention(1, 2, name="attention")
            self.scale = self.add_weight(shape=(4,), name="scale")

        def call(self, x):
            return self.attention(x, x) * self.scale

    model = Scaled()
    inputs = torch.ones(1, 3, 4)
    model(inputs)
    network = KerasNetwork(randomized(model))
    names = {name for name, _ in network.named_parameters()}
    assert {"attention.query.kernel", "attention.attention_output.bias", "scale"} <= names
    torch.testing.assert_close(network(inputs), model(inputs))


def test_an_operation_knows_its_layer():
    loaded = keras_model(keras_networks.nested())
    exported = exporting.exported(loaded.module, loaded.example_inputs)
    products = [node for node in exported.graph.nodes if "matmul" in str(node.target)]
    places = [list(node.meta["nn_module_stack"].values())[-1] for node in products]
    assert [name for name, _ in places] == ["dense", "inner.dense", "inner.dense", "last"]
    assert {kind for _, kind in places} == {"keras.src.layers.core.dense.Dense"}


def test_the_model_is_left_as_it_is_also_after_an_error():
    model = keras_networks.cnn()
    before = {layer.name: dict(vars(layer)) for layer in model.layers}
    values = [variable.value.detach().clone() for variable in model.variables]
    loaded = keras_model(model)
    loaded.module(*random_inputs(loaded))
    with pytest.raises(ValueError, match="incompatible"):
        loaded.module(torch.ones(1, 5))
    assert all(vars(layer).keys() == before[layer.name].keys() for layer in model.layers)
    assert all(layer.call.__self__ is layer for layer in model.layers)
    after = [variable.value for variable in model.variables]
    assert all((old == new).all() for old, new in zip(values, after, strict=True))


def test_a_copy_runs_with_its_own_parameters():
    model = randomized(keras_networks.mlp())
    loaded = keras_model(model)
    twin = copy.deepcopy(loaded.module)
    inputs = random_inputs(loaded)
    expected = outputs(model, inputs)
    torch.testing.assert_close(twin(*inputs), *expected)
    with torch.no_grad():
        next(twin.parameters()).zero_()
    assert not torch.equal(twin(*inputs), expected[0])
    torch.testing.assert_close(loaded.module(*inputs), *expected)
    exported = exporting.exported(twin, loaded.example_inputs)
    assert not exported.constants


def test_dropout_and_batch_norm_act_as_in_inference_even_after_train():
    model = randomized(keras_networks.cnn())
    loaded = keras_model(model)
    inputs = random_inputs(loaded)
    expected = outputs(model, inputs)
    model.train()
    torch.testing.assert_close(loaded.module.train()(*inputs), *expected)


def test_the_output_is_differentiable_in_keras_own_parameters():
    model = randomized(keras_networks.mlp())
    loaded = keras_model(model)
    loaded.module(*random_inputs(loaded))[0, 0].backward()
    assert model.layers[0].kernel.value.grad.abs().sum() > 0
