import json

import pytest

import keras_networks
from clusterability.errors import InputError
from clusterability.reading.keras.config import check_config
from keras_networks import NETWORKS, keras, layers, quantized


def config_of(*stack):
    return json.loads(keras.Sequential([layers.Input((4,)), *stack]).to_json())


def dense(**changes):
    """The configuration of a model whose Dense layer, named 'odd', is changed."""
    config = config_of(layers.Dense(2, name="odd"))
    config["config"]["layers"][1].update(changes)
    return config


def dense_with(**changes):
    config = config_of(layers.Dense(2, name="odd"))
    config["config"]["layers"][1]["config"].update(changes)
    return config


@pytest.mark.parametrize("name", NETWORKS)
def test_configurations_of_keras_own_layers_pass(name):
    check_config(json.loads(NETWORKS[name]().to_json()))


def test_initializers_regularizers_constraints_and_policies_pass():
    layer = layers.Dense(
        2,
        kernel_initializer=keras.initializers.Orthogonal(seed=keras.random.SeedGenerator(1)),
        kernel_regularizer=keras.regularizers.L1L2(0.1, 0.2),
        bias_constraint="non_neg",
        activity_regularizer="l2",
        activation=keras.activations.gelu,
        dtype="mixed_bfloat16",
    )
    check_config(config_of(layer, layers.Activation("relu"), layers.LeakyReLU()))


def test_a_lambda_layer_is_refused_by_name():
    config = config_of(layers.Lambda(lambda x: x, name="trick"))
    with pytest.raises(InputError, match=r"layer 'trick' is a Lambda layer: .* never executed"):
        check_config(config)


def test_a_lambda_anywhere_is_refused():
    code = {"class_name": "__lambda__", "config": {"value": "4wA="}}
    with pytest.raises(InputError, match=r"is a Lambda layer"):
        check_config(dense_with(activation=code))


@pytest.mark.parametrize("name", ["TorchModuleWrapper", "TFSMLayer", "JaxLayer", "FlaxLayer"])
def test_layers_that_run_other_libraries_are_refused(name):
    with pytest.raises(InputError, match=rf"layer 'odd' is a {name}, which runs code"):
        check_config(dense(class_name=name))


def test_layers_that_read_tables_are_refused():
    with pytest.raises(InputError, match=r"layer 'odd' is a StringLookup, which looks text"):
        check_config(dense(class_name="StringLookup"))


def test_a_custom_layer_is_refused_by_name():
    @keras.saving.register_keras_serializable(package="shop")
    class Discount(layers.Layer):
        pass

    with pytest.raises(InputError, match=r"custom class 'shop>Discount'; its code is not in"):
        check_config(config_of(Discount()))


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("os", "system"),
        ("builtins", "eval"),
        ("keras.utils", "get_file"),
        ("keras.saving", "load_model"),
        ("keras.src.saving.saving_lib", "zipfile"),
        ("keras.models", "clone_model"),
        ("keras.utils", "PyDataset"),
        ("kerasx.layers", "Dense"),
        ("keras.layers", "__class__"),
        ("keras.layers", "NoSuchLayer"),
    ],
)
def test_what_is_no_class_of_layers_is_refused(module, name):
    with pytest.raises(InputError, match=r"layer 'odd' is of the class '.*', which is none of"):
        check_config(dense(module=module, class_name=name, registered_name=None))


def test_nothing_is_imported_to_look_a_class_up():
    with pytest.raises(InputError, match=r"which Keras .* does not have; save the model as .h5"):
        check_config(dense(module="keras.src.engine.functional"))


def test_without_a_module_the_remedy_is_the_newer_format():
    with pytest.raises(InputError, match=r"'Negative', which is no layer of Keras .*\.keras"):
        check_config(dense(module=None, class_name="Negative", registered_name=None))


@pytest.mark.parametrize("name", ["system", "get", "deserialize", "_private", None, ["relu"]])
def test_functions_are_activations_alone(name):
    function = {"class_name": "function", "module": "builtins", "config": name}
    with pytest.raises(InputError, match=r"uses the function .* none of Keras's activations"):
        check_config(dense_with(activation=function))


def test_an_activation_by_name_passes():
    check_config(dense_with(activation={"class_name": "function", "config": "relu"}))


@pytest.mark.slow
def test_quantized_layers_are_refused_by_name():
    layer = layers.Dense(2, name="odd")
    model = keras.Sequential([layers.Input((4,)), layer])
    quantized(layer)
    with pytest.raises(InputError, match=r"quantized"):
        check_config(json.loads(model.to_json()))
    with pytest.raises(InputError, match=r"layer 'odd' is quantized \('float8_from_float32'\)"):
        check_config(dense_with(dtype="float8_from_float32"))


@pytest.mark.parametrize("config", [None, [], "relu", {}, {"config": {}}, {"class_name": "Model"}])
def test_what_is_no_configuration_is_refused(config):
    with pytest.raises(InputError, match=r"not that of a Keras model"):
        check_config(config)


def test_a_layer_alone_is_refused():
    with pytest.raises(InputError, match=r"holds a 'Dense', expected a whole Keras model"):
        check_config(config_of(layers.Dense(2))["config"]["layers"][1])


@pytest.mark.parametrize("name", [3, None, ["Dense"], {}])
def test_a_class_that_is_no_name_is_refused(name):
    with pytest.raises(InputError, match=r"expected a name"):
        check_config(dense(class_name=name))


def test_how_the_model_was_compiled_does_not_matter():
    config = json.loads(keras_networks.mlp().to_json())
    check_config({**config, "compile_config": {"loss": {"class_name": "mine", "config": {}}}})


def test_deep_nesting_is_followed():
    inner = {"class_name": "Lambda", "config": {}}
    for _ in range(20_000):
        inner = [inner]
    with pytest.raises(InputError, match=r"Lambda"):
        check_config(dense_with(units=inner))
