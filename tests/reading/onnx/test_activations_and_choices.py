"""Graphs of two layers with an operation of ONNX between or after them, which adds no strength."""

from pathlib import Path

import numpy as np
import pytest
import torch
from onnx import TensorProto, helper

import onnx_models
from clusterability.errors import InputError
from clusterability.reading.onnx.tensors import read_tensor
from clusterability.sources import neuron_graph
from onnx_cases import numbers

W1, W2 = numbers(4, 5, seed=0), numbers(5, 3, seed=1)


def two_layers(folder, *between, outputs=("y",), after=(), **constants):
    nodes = [
        helper.make_node("MatMul", ["x", "w1"], ["h"]),
        *between,
        helper.make_node("MatMul", ["g", "w2"], ["y"]),
        *after,
    ]
    held = {"w1": W1, "w2": W2, **constants}
    proto = onnx_models.model(nodes, held, x=(2, 4), outputs=outputs)
    proto.opset_import.append(helper.make_opsetid("ai.onnx.ml", 3))
    return neuron_graph(onnx_models.save(proto, folder))


def assert_layers(found):
    assert found.layer_sizes == [4, 5, 3]
    for block, weight in zip(found.blocks, (W1, W2), strict=True):
        torch.testing.assert_close(block.strengths, torch.from_numpy(abs(weight)))


def test_a_classifier_with_labels_and_probabilities_by_class(tmp_path):
    """As converters write scikit-learn's MLPClassifier."""
    ml = {"domain": "ai.onnx.ml"}
    after = [
        helper.make_node("Softmax", ["y"], ["p"]),
        helper.make_node("ArgMax", ["p"], ["place"], axis=1),
        helper.make_node("ArrayFeatureExtractor", ["classes", "place"], ["found"], **ml),
        helper.make_node("Cast", ["found"], ["cast"], to=7),
        helper.make_node("Reshape", ["cast", "shape"], ["label"]),
        helper.make_node("ZipMap", ["p"], ["by_class"], classlabels_int64s=[3, 5, 7], **ml),
    ]
    found = two_layers(
        tmp_path,
        helper.make_node("Relu", ["h"], ["g"]),
        outputs=("label", "by_class"),
        after=after,
        classes=np.array([3, 5, 7]),
        shape=np.array([-1]),
    )
    assert_layers(found)


def test_a_classifier_with_classes_of_text(tmp_path):
    ml = {"domain": "ai.onnx.ml"}
    classes = helper.make_tensor("", TensorProto.STRING, [3], [b"setosa", b"versicolor", b"other"])
    after = [
        helper.make_node("Constant", [], ["classes"], value=classes),
        helper.make_node("ArgMax", ["y"], ["place"], axis=1),
        helper.make_node("ArrayFeatureExtractor", ["classes", "place"], ["found"], **ml),
        helper.make_node("Reshape", ["found", "shape"], ["label"]),
    ]
    relu = helper.make_node("Relu", ["h"], ["g"])
    shape = np.array([-1])
    assert_layers(two_layers(tmp_path, relu, outputs=("label",), after=after, shape=shape))


def test_texts_are_no_weights(tmp_path):
    proto = onnx_models.linear_model()
    tensor = proto.graph.initializer[0]
    texts = helper.make_tensor(tensor.name, TensorProto.STRING, tensor.dims, [b"a"] * 6)
    tensor.CopyFrom(texts)
    with pytest.raises(InputError, match="holds 6 NaN or infinite weights of 6"):
        neuron_graph(onnx_models.save(proto, tmp_path))


@pytest.mark.parametrize("dims", [[3], [-1, -2], [2, 0]])
def test_texts_in_another_shape_are_refused(dims):
    texts = helper.make_tensor("classes", TensorProto.STRING, [2], [b"a", b"b"])
    del texts.dims[:]
    texts.dims.extend(dims)
    with pytest.raises(InputError, match=r"'classes' has .*type STRING|no negative size"):
        read_tensor(texts, Path())


@pytest.mark.parametrize("op", ["ArgMax", "TopK"])
def test_a_choice_at_the_end(op, tmp_path):
    after = {
        "ArgMax": helper.make_node("ArgMax", ["y"], ["z"], axis=1),
        "TopK": helper.make_node("TopK", ["y", "k"], ["z", "places"], axis=1),
    }
    relu = helper.make_node("Relu", ["h"], ["g"])
    assert_layers(two_layers(tmp_path, relu, outputs="z", after=[after[op]], k=np.array([2])))


@pytest.mark.slow
@pytest.mark.parametrize("alpha", [0.1, 0.2, 1 / 6, 1.5, -0.4])
def test_a_hard_sigmoid_is_an_activation_whatever_its_slope(alpha, tmp_path):
    assert_layers(two_layers(tmp_path, helper.make_node("HardSigmoid", ["h"], ["g"], alpha=alpha)))


@pytest.mark.parametrize("attributes", [{}, {"bias": 0.2, "lambd": 0.2}])
def test_a_shrinking_activation(attributes, tmp_path):
    assert_layers(two_layers(tmp_path, helper.make_node("Shrink", ["h"], ["g"], **attributes)))
