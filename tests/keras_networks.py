"""Keras models for the tests, with weights that no initializer leaves at 0 or 1."""

import os
import warnings

import torch

from clusterability.reading.keras.models import import_keras

os.environ["KERAS_BACKEND"] = "tensorflow"  # which is not what Keras is imported on
keras = import_keras()
layers = keras.layers


def randomized(model, seed=0):
    generator = torch.Generator().manual_seed(seed)
    for variable in model.variables:
        if variable.value.is_floating_point():
            drawn = torch.rand(tuple(variable.shape), generator=generator)
            variable.assign(drawn - 0.5 * ("variance" not in variable.name) + 0.1)
    return model


def saved(model, path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.save(path)
    return path


def quantized(layer):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        layer.quantize("int8")


def random_inputs(loaded, seed=1):
    generator = torch.Generator().manual_seed(seed)
    return tuple(
        torch.randn(zeros.shape, generator=generator, dtype=zeros.dtype)
        if zeros.is_floating_point()
        else torch.randint(0, 5, zeros.shape, generator=generator)
        for zeros in loaded.example_inputs
    )


def outputs(model, inputs):
    """What the model itself gives in inference, as a list."""
    several = len(inputs) > 1
    given = keras.tree.pack_sequence_as(model.input, list(inputs)) if several else inputs[0]
    return keras.tree.flatten(model(given, training=False))


def mlp():
    return keras.Sequential(
        [
            layers.Input((8,)),
            layers.Dense(6, activation="relu"),
            layers.Dropout(0.5),
            layers.Dense(5, activation="gelu"),
            layers.Dense(3, activation="softmax"),
        ],
        name="mlp",
    )


def cnn():
    return keras.Sequential(
        [
            layers.Input((10, 10, 3)),
            layers.Rescaling(1 / 255),
            layers.Conv2D(4, 3, padding="same", strides=2, use_bias=False, name="conv"),
            layers.BatchNormalization(name="norm"),
            layers.ReLU(6.0),
            layers.Conv2D(6, 3, dilation_rate=2, padding="same", groups=2, activation="tanh"),
            layers.MaxPooling2D(2),
            layers.Flatten(),
            layers.Dense(3, name="head"),
        ],
        name="cnn",
    )


def residual():
    image = layers.Input((8, 8, 3), name="image")
    x = layers.Conv2D(4, 3, padding="same", name="stem")(image)
    y = layers.Conv2D(4, 3, padding="same", activation="swish", name="a")(x)
    x = layers.Add()([x, layers.BatchNormalization(scale=False, name="a_norm")(y)])
    y = layers.Conv2D(6, 3, strides=2, padding="same", name="b")(layers.LeakyReLU()(x))
    z = layers.Conv2D(6, 1, strides=2, name="projection")(x)
    x = layers.PReLU(shared_axes=[1, 2], name="prelu")(layers.Add()([y, z]))
    return keras.Model(image, layers.Dense(2)(layers.GlobalAveragePooling2D()(x)), name="residual")


def mobile():
    image = layers.Input((9, 9, 3))
    x = layers.ZeroPadding2D(((0, 1), (1, 0)))(image)
    x = layers.SeparableConv2D(4, 3, depth_multiplier=2, name="separable")(x)
    x = layers.DepthwiseConv2D(3, depth_multiplier=2, activation="elu", name="depthwise")(x)
    x = layers.Cropping2D(1)(layers.AveragePooling2D(2, padding="same")(x))
    return keras.Model(image, layers.GlobalMaxPooling2D()(x))


def u_net():
    image = layers.Input((8, 8, 2))
    a = layers.Conv2D(4, 3, padding="same", name="down")(image)
    b = layers.Conv2D(5, 3, padding="same", name="bottom")(layers.MaxPooling2D()(a))
    c = layers.Conv2DTranspose(3, 3, strides=2, padding="same", name="up")(b)
    d = layers.UpSampling2D(2, interpolation="bilinear")(b)
    x = layers.Concatenate(name="join")([a, c, d])
    return keras.Model(image, layers.Conv2D(1, 1, activation="sigmoid", name="out")(x))


def nested():
    inner = keras.Sequential([layers.Input((6,)), layers.Dense(6, name="dense")], name="inner")
    points = layers.Input((6,))
    x = layers.Dense(6, name="dense")(points)
    x = layers.LayerNormalization(name="norm")(inner(inner(x)))
    return keras.Model(points, layers.Dense(2, name="last")(x), name="outer")


def several_inputs():
    inputs = {"b": layers.Input((4,), name="b"), "a": layers.Input((3,), name="a")}
    x = layers.Concatenate()([layers.Dense(2)(inputs["b"]), layers.Dense(3)(inputs["a"])])
    return keras.Model(inputs, {"sum": layers.Dense(1)(x), "all": layers.Softmax()(x)})


def sequence():
    words = layers.Input((7,), dtype="int32")
    x = layers.Conv1D(5, 3, padding="causal")(layers.Embedding(10, 4)(words))
    return keras.Model(words, layers.Dense(2)(layers.GlobalMaxPooling1D()(x)))


def volume():
    voxels = layers.Input((4, 6, 6, 2))
    x = layers.Conv3D(3, 2)(layers.Permute((1, 3, 2, 4))(voxels))
    x = layers.Reshape((3, 75))(x)
    return keras.Model(voxels, layers.Dense(2)(layers.SpatialDropout1D(0.1)(x)))


def operations():
    points = layers.Input((5,))
    x = layers.Dense(5, activation="relu")(points) + points
    return keras.Model(points, keras.ops.concatenate([x * 2.0, -x], axis=-1))


NETWORKS = {
    network.__name__: network
    for network in (
        mlp,
        cnn,
        residual,
        mobile,
        u_net,
        nested,
        several_inputs,
        sequence,
        volume,
        operations,
    )
}
