import pytest

from clusterability.errors import InputError
from clusterability.tracing.chains.batchnorms import place_batch_norms
from clusterability.tracing.chains.chain import Operation
from clusterability.tracing.naming import natural_key


def placed(norms, **operations):
    """Which weight each batch norm follows, by name; sizes are given as values."""
    names = sorted(operations, key=natural_key)
    listed = [Operation(n, f"{n}.weight", "conv", 1, operations[n]) for n in names]
    found = place_batch_norms(norms, listed)
    return {norm: operation and operation.name for norm, operation in found.items()}


@pytest.mark.parametrize(
    ("norms", "operations", "expected"),
    [
        ({"1": 4, "4": 5}, {"0": 4, "3": 5}, ["0", "3"]),
        ({"f.0.1": 4, "f.1.1": 4}, {"f.0.0": 4, "f.1.0": 4}, ["f.0.0", "f.1.0"]),
        ({"f.1": 4}, {"f.0.0": 4, "g.0": 4}, ["f.0.0"]),
        ({"f.10": 4}, {"f.2": 3, "f.9": 4}, ["f.9"]),
        ({"bn1": 4, "bn2": 4}, {"conv1": 4, "conv2": 4}, ["conv1", "conv2"]),
        ({"bn1": 4, "bn2": 8}, {"conv1": 4, "conv2": 8, "fc1": 9}, ["conv1", "conv2"]),
        ({"bn_conv1": 4, "fc1_bn": 4}, {"conv1": 4, "fc1": 4}, ["conv1", "fc1"]),
        ({"norm10": 4}, {"conv1": 4, "conv10": 4}, ["conv10"]),
        ({"b.0.bn": 4, "b.1.bn": 4}, {"b.0.conv": 4, "b.1.conv": 4}, ["b.0.conv", "b.1.conv"]),
        ({"bns.0": 4, "bns.1": 4}, {"convs.0": 4, "convs.1": 4}, ["convs.0", "convs.1"]),
        ({"norms.0": 4, "norms.1": 4}, {"convs.0": 4, "convs.1": 4}, ["convs.0", "convs.1"]),
        ({"bn1": 4, "bn3": 9}, {"conv1": 4, "conv2": 8, "fc1": 9}, ["conv1", "fc1"]),
        ({"batch_norm": 8}, {"l1": 4, "l2": 8}, ["l2"]),
        ({"0": 3, "2": 4}, {"1": 4}, [None, "1"]),
        ({}, {"0": 4}, []),
    ],
)
def test_batch_norms_find_their_weights(norms, operations, expected):
    assert placed(norms, **operations) == dict(zip(norms, expected, strict=True))


@pytest.mark.parametrize(
    ("norms", "operations", "message"),
    [
        ({"1": 5}, {"0": 4}, "'1' of 5 channels cannot be placed: its name and size fit none"),
        ({"norm": 4}, {"l1": 4, "l2": 4}, "'norm' of 4 channels .* fit 2 of the weights"),
        ({"bn1": 4}, {"conv1": 4, "fc1": 4}, "'bn1' .* pass the model"),
        ({"1": 4}, {"0": 5, "2": 4}, "'1' .* fit"),
    ],
)
def test_a_batch_norm_without_a_place_is_refused(norms, operations, message):
    with pytest.raises(InputError, match=message):
        placed(norms, **operations)
