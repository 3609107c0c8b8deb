import io
import json
import warnings
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch

import keras_networks
from clusterability.errors import InputError
from clusterability.files import memory
from clusterability.reading.keras.keras_files import read_keras
from clusterability.tracing import exporting
from keras_networks import (
    NETWORKS,
    keras,
    layers,
    outputs,
    quantized,
    random_inputs,
    randomized,
    saved,
)


def rewritten(path, change=None, **members):
    """The archive with its configuration changed in place, and members replaced or added."""
    with zipfile.ZipFile(path) as archive:
        contents = {name: archive.read(name) for name in archive.namelist()}
    config = json.loads(contents["config.json"])
    if change is not None:
        change(config)
    contents["config.json"] = json.dumps(config).encode()
    contents.update({name.replace("__", "."): content for name, content in members.items()})
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in contents.items():
            if content is not None:
                archive.writestr(name, content)
    return path


@pytest.fixture
def archive(tmp_path):
    return saved(keras_networks.mlp(), tmp_path / "net.keras")


def check_same(model, loaded):
    inputs = random_inputs(loaded)
    found = keras.tree.flatten(loaded.module(*inputs))
    for value, wanted in zip(found, outputs(model, inputs), strict=True):
        torch.testing.assert_close(value, wanted)


@pytest.mark.slow
@pytest.mark.parametrize("suffix", [".keras", ".h5"])
@pytest.mark.parametrize("name", [name for name in NETWORKS if name != "operations"])
def test_a_file_gives_the_model_that_was_saved(tmp_path, name, suffix):
    model = randomized(NETWORKS[name]())
    loaded = read_keras(saved(model, tmp_path / f"net{suffix}"))
    check_same(model, loaded)
    if suffix == ".keras":  # of the same modules as the other
        exporting.exported(loaded.module, loaded.example_inputs)


def test_operations_on_tensors_are_read_from_the_newer_format_alone(tmp_path):
    model = randomized(keras_networks.operations())
    check_same(model, read_keras(saved(model, tmp_path / "net.keras")))
    with pytest.raises(InputError, match=r"net\.h5' is not read: .* save the model as \.keras"):
        read_keras(saved(model, tmp_path / "net.h5"))


@pytest.mark.parametrize("suffix", [".keras", ".hdf5"])
def test_a_compiled_model_is_read_without_its_training(tmp_path, suffix):
    model = randomized(keras_networks.mlp())
    model.compile("adam", "mse")
    model.optimizer.build(model.trainable_variables)
    check_same(model, read_keras(saved(model, tmp_path / f"net{suffix}")))


def test_an_open_shape_is_given_or_asked_for(tmp_path):
    image = layers.Input((None, None, 1))
    model = keras.Model(image, layers.Conv2D(2, 3)(image))
    path = saved(model, tmp_path / "net.keras")
    with pytest.raises(InputError, match=r"net\.keras': .* open axes"):
        read_keras(path)
    assert read_keras(path, (5, 6, 1)).example_inputs[0].shape == (1, 5, 6, 1)


def keras_2_file(path, layer_class="Dense"):
    """A Sequential as TensorFlow 2 wrote it: names end in :0, shapes are in the first layer."""
    dense = {"name": "dense", "units": 3, "activation": "relu", "use_bias": True}
    dense |= {"trainable": True, "batch_input_shape": [None, 4], "dtype": "float32"}
    dense["kernel_initializer"] = {"class_name": "GlorotUniform", "config": {"seed": None}}
    stack = [{"class_name": layer_class, "config": dense}]
    config = {"class_name": "Sequential", "config": {"name": "sequential", "layers": stack}}
    weights = {"kernel:0": np.arange(12.0, dtype="f4").reshape(4, 3), "bias:0": np.ones(3, "f4")}
    with h5py.File(path, "w") as file:
        file.attrs["model_config"] = json.dumps(config)
        file.attrs["keras_version"], file.attrs["backend"] = "2.11.0", "tensorflow"
        group = file.create_group("model_weights")
        group.attrs["layer_names"] = [b"dense"]
        group.attrs["keras_version"], group.attrs["backend"] = b"2.11.0", b"tensorflow"
        layer = group.create_group("dense")
        layer.attrs["weight_names"] = [f"dense/{name}".encode() for name in weights]
        for name, value in weights.items():
            layer[f"dense/{name}"] = value
    return path


def test_a_file_of_keras_2_is_read(tmp_path):
    path = keras_2_file(tmp_path / "net.h5")
    before = path.read_bytes()
    loaded = read_keras(path)
    assert path.read_bytes() == before
    assert [tuple(zeros.shape) for zeros in loaded.example_inputs] == [(1, 4)]
    assert [name for name, _ in loaded.module.named_parameters()] == ["dense.kernel", "dense.bias"]
    found = loaded.module(torch.eye(4)[:1])
    assert found.tolist() == [[1.0, 2.0, 3.0]]


def with_groups(path, number):
    """The file with a number of groups in the layers for which Keras 2 writes one."""
    with h5py.File(path, "a") as file:
        config = json.loads(file.attrs["model_config"])
        for layer in config["config"]["layers"]:
            if layer["class_name"] in ("DepthwiseConv2D", "Conv2DTranspose", "Conv2D"):
                layer["config"]["groups"] = number
        file.attrs["model_config"] = json.dumps(config)
    return path


@pytest.mark.parametrize("functional", [False, True])
def test_one_group_of_keras_2_is_no_group(tmp_path, functional):
    stack = [layers.DepthwiseConv2D(3), layers.Conv2DTranspose(3, 2), layers.Conv2D(2, 1)]
    image = layers.Input((5, 5, 2))
    model = keras.Sequential([image, *stack])
    if functional:
        model = keras.Model(image, stack[2](stack[1](stack[0](image))))
    path = with_groups(saved(model, tmp_path / "net.h5"), 1)
    before = path.read_bytes()
    check_same(model, read_keras(path))
    assert path.read_bytes() == before
    with pytest.raises(InputError):
        read_keras(with_groups(path, 2))


def test_a_layer_that_keras_3_does_not_have_is_named(tmp_path):
    with pytest.raises(InputError, match=r"layer 'dense' is of the class 'TFOpLambda'"):
        read_keras(keras_2_file(tmp_path / "net.h5", "TFOpLambda"))


def test_a_lambda_layer_is_never_run(tmp_path):
    ran = tmp_path / "ran"
    marker = str(ran)
    trick = layers.Lambda(lambda x: Path(marker).mkdir(exist_ok=True) or x, name="trick")
    model = keras.Sequential([layers.Input((4,)), trick, layers.Dense(2)])
    ran.rmdir()
    for suffix in (".keras", ".h5"):
        path = saved(model, tmp_path / f"net{suffix}")
        with pytest.raises(InputError, match=r"not read: layer 'trick' is a Lambda layer"):
            read_keras(path)
    assert not ran.exists()


def test_a_custom_layer_is_refused_even_when_this_process_knows_it(tmp_path):
    @keras.saving.register_keras_serializable(package="shop")
    class Rebate(layers.Dense):
        pass

    model = keras.Sequential([layers.Input((4,)), Rebate(2, name="odd")])
    for suffix, reason in (
        (".keras", "custom class 'shop>Rebate'"),
        (".h5", "class 'shop>Rebate'"),
    ):
        with pytest.raises(InputError, match=rf"layer 'odd' is of the {reason}"):
            read_keras(saved(model, tmp_path / f"net{suffix}"))


@pytest.mark.slow
def test_a_quantized_model_is_refused_by_name(tmp_path):
    layer = layers.Dense(2, name="odd")
    model = keras.Sequential([layers.Input((4,)), layer])
    quantized(layer)
    with pytest.raises(InputError, match=r"quantized"):
        read_keras(saved(model, tmp_path / "net.keras"))


def test_weights_alone_are_refused(tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        keras_networks.mlp().save_weights(tmp_path / "net.weights.h5")
    with pytest.raises(InputError, match=r"holds weights alone, .* model\.save\('model\.keras'\)"):
        read_keras(tmp_path / "net.weights.h5")


def test_a_model_saved_before_it_was_built_is_refused(tmp_path):
    path = saved(keras.Sequential([layers.Dense(2)]), tmp_path / "net.keras")
    with pytest.raises(InputError, match=r"net\.keras'"):
        read_keras(path)


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.999])
def test_a_truncated_file_is_refused(tmp_path, suffix, share):
    path = saved(keras_networks.cnn(), tmp_path / f"net{suffix}")
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(InputError, match=r"net\.(keras|h5)'"):
        read_keras(path)


@pytest.mark.parametrize("name", ["net.keras", "net.h5"])
def test_garbage_and_other_content_is_refused(tmp_path, name):
    path = tmp_path / name
    for content in (b"nothing of the kind" * 100, b"PK\x03\x04" + b"x" * 500, b"\x89HDF\r\n\x1a\n"):
        path.write_bytes(content)
        with pytest.raises(InputError, match=r"net\.(keras|h5)'"):
            read_keras(path)
    path.write_bytes(b"")
    with pytest.raises(InputError, match=r"is empty"):
        read_keras(path)
    with pytest.raises(InputError, match=r"there is no file"):
        read_keras(tmp_path / "missing.keras")


def test_a_wrong_suffix_is_named(archive, tmp_path):
    renamed = archive.rename(tmp_path / "net.h5")
    with pytest.raises(InputError, match=r"suffix '\.h5', but its content is that of a \.keras"):
        read_keras(renamed)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("members", "reason"),
    [
        ({"config__json": None}, r"has no config\.json"),
        ({"model__weights__h5": None}, r"has no model\.weights\.h5"),
        ({"odd__py": b"print()"}, r"holds 'odd\.py'"),
        ({"assets/words__txt": b"a"}, r"has assets"),
        ({"config__json": b"{"}, r"truncated, corrupt"),
        ({"config__json": b"[" * 100_000}, r"truncated, corrupt"),
        ({"config__json": b"\xff"}, r"truncated, corrupt"),
        ({"config__json": b"3"}, r"not that of a Keras model"),
        ({"model__weights__h5": b"no weights"}, r"truncated, corrupt"),
        ({"metadata__json": bytes(10**7), "config__json": b" " * 2**27}, r"may take; save"),
    ],
)
def test_an_archive_that_keras_does_not_write_is_refused(archive, members, reason):
    with pytest.raises(InputError, match=reason):
        read_keras(rewritten(archive, **members))


def test_two_members_of_one_name_are_refused(archive):
    with pytest.warns(UserWarning, match="Duplicate"), zipfile.ZipFile(archive, "a") as file:
        file.writestr("config.json", b"{}")
    with pytest.raises(InputError, match=r"it holds 'config\.json'"):
        read_keras(archive)


@pytest.mark.slow
def test_a_bomb_is_refused_before_it_is_unpacked(archive, monkeypatch):
    rewritten(archive, model__weights__h5=bytes(10**8))
    monkeypatch.setattr(memory, "available_memory", lambda: 10**7)
    with pytest.raises(InputError, match=r"holds 0\.1 GB, more than the 0\.0 GB of memory"):
        read_keras(archive)


def test_a_size_that_deflate_cannot_reach_is_refused(archive):
    content = bytearray(archive.read_bytes())
    with zipfile.ZipFile(archive) as file:
        size = file.getinfo("model.weights.h5").file_size
    place = content.rfind(size.to_bytes(4, "little"))
    content[place : place + 4] = (2**31).to_bytes(4, "little")
    archive.write_bytes(content)
    with pytest.raises(InputError, match=r"claims 2147483648 bytes, but is packed into"):
        read_keras(archive)


def test_more_weights_than_the_file_has_are_refused_without_taking_memory(archive):
    def enlarge(config):
        for layer in config["config"]["layers"][1:]:
            if layer["class_name"] == "Dense":
                layer["config"]["units"] = 10**9
            layer.pop("build_config", None)

    with pytest.raises(InputError, match=r"Keras .* cannot rebuild the model|describes a model of"):
        read_keras(rewritten(archive, enlarge))


def test_a_model_that_takes_more_memory_than_there_is_is_refused(archive, monkeypatch):
    with zipfile.ZipFile(archive) as file:
        n_bytes = sum(member.file_size for member in file.infolist())
    read_keras(archive)
    monkeypatch.setattr(memory, "available_memory", lambda: n_bytes - 1)
    with pytest.raises(InputError, match=r"more than"):
        read_keras(archive)


def test_links_out_of_the_weights_are_refused(archive):
    weights = io.BytesIO()
    with h5py.File(weights, "w") as file:
        file["layers"] = h5py.ExternalLink("/etc/passwd", "/")
    with pytest.raises(InputError, match=r"'/layers' in .* is a link to another place"):
        read_keras(rewritten(archive, model__weights__h5=weights.getvalue()))


def test_missing_weights_are_refused(archive):
    weights = io.BytesIO()
    with h5py.File(weights, "w") as file:
        file["vars/0"] = np.zeros(10_000)
    with pytest.raises(InputError, match=r"Keras .* cannot rebuild the model in .*net\.keras'"):
        read_keras(rewritten(archive, model__weights__h5=weights.getvalue()))


def test_what_keras_raises_is_named_with_its_reason(archive):
    def break_config(config):
        config["config"]["layers"][1]["config"]["activation"] = "no_such"

    with pytest.raises(InputError, match=r"cannot rebuild the model .*no_such"):
        read_keras(rewritten(archive, break_config))
