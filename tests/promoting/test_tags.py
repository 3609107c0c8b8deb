"""Tags that are drawn are balanced; tags that are given fit, or are refused."""

import os

import numpy as np
import pytest
import torch
from torch import nn

from clusterability import (
    EigenvaluePenalty,
    InputError,
    balance_,
    cluster_tags,
    clusterable_init_,
    measure,
    normalize_,
    toy,
)
from clusterability.report.labels import labels_csv
from clusterability.training import build


def mlp(*sizes):
    torch.manual_seed(0)
    parts = [
        p for pair in zip(sizes, sizes[1:], strict=False) for p in (nn.Linear(*pair), nn.ReLU())
    ]
    return nn.Sequential(*parts[:-1])


MODEL = mlp(20, 13, 12, 8)


@pytest.mark.parametrize("layers", ["hidden", "hidden+outputs", "all"])
def test_drawn_tags_are_balanced(layers):
    tags = cluster_tags(MODEL, 5, layers, seed=2)
    expected = {"hidden": ["0", "2"], "hidden+outputs": ["0", "2", "4"]}
    assert list(tags) == expected.get(layers, ["input", "0", "2", "4"])
    for name, found in tags.items():
        counts = np.bincount(found.numpy(), minlength=5)
        assert found.dtype == torch.int64
        assert counts.max() - counts.min() <= 1, name
    if "4" in tags:
        assert tags["4"].tolist() == [0, 1, 2, 3, 4, 0, 1, 2]
    if "input" in tags:
        assert all(sorted(run.tolist()) == [0, 1, 2, 3, 4] for run in tags["input"].split(5))


def test_seeds_and_layers_differ():
    tags = [cluster_tags(MODEL, 3, "all", seed=seed) for seed in (0, 0, 1)]
    for name in ("input", "0", "2"):
        assert torch.equal(tags[0][name], tags[1][name])
        assert not torch.equal(tags[0][name], tags[2][name])
    assert not torch.equal(tags[0]["0"][:12], tags[0]["2"])


def test_hidden_layers_of_a_cnn_and_its_dense_part():
    model = build("small-cnn", (1, 28, 28), 10)
    tags = cluster_tags(model, 12, "hidden+outputs", input_shape=(1, 28, 28))
    assert {name: len(t) for name, t in tags.items()} == {
        **{"conv1": 64, "conv2": 64, "conv3": 64, "fc1": 128, "fc2": 10}
    }
    with pytest.raises(InputError, match=r"12 clusters, but layer 'input' has 1 .*outputs"):
        cluster_tags(model, 12, "all", input_shape=(1, 28, 28))


def test_a_skip_connection_gives_one_tag():
    tags = cluster_tags(toy.ResidualMLP(width=8), 4)
    assert torch.equal(tags["stem -> falls.0"], tags["to falls.1"])
    assert torch.equal(tags["stem -> falls.0"], tags["to head"])
    assert not torch.equal(tags["falls.0"], tags["falls.1"])
    assert all(torch.bincount(found).tolist() == [2] * 4 for found in tags.values())


def test_an_inits_tags_are_kept_and_completed():
    model = mlp(20, 16, 16, 4)
    init = clusterable_init_(model, n_tags=4, seed=5)
    tags = cluster_tags(model, init, "all")
    assert all(torch.equal(tags[name], init[name]) for name in init)
    assert torch.bincount(tags["input"]).tolist() == [5] * 4
    assert list(cluster_tags(model, init)) == ["0", "2"]


@pytest.mark.slow
def test_labels_of_a_result_and_of_its_files(tmp_path):
    model = mlp(20, 40, 40, 8)
    with torch.no_grad():
        model[0].weight[3] = 0
        model[2].weight[:, 3] = 0
    result = measure(model, n_clusters=2, n_shuffles=0, layers="hidden+outputs", n_init=1)
    (tmp_path / "labels.csv").write_text(labels_csv(result))
    (tmp_path / "result.json").write_text(result.to_json())
    found = [
        cluster_tags(model, source, "hidden+outputs")
        for source in (result, tmp_path / "labels.csv", str(tmp_path / "result.json"))
    ]
    labels = torch.from_numpy(result.labels)
    alive = labels >= 0
    for tags in found:
        joined = torch.cat(list(tags.values()))
        assert torch.equal(joined[alive], labels[alive])
        assert (joined >= 0).all()
    whole = cluster_tags(model, torch.arange(108) % 3)
    assert torch.equal(whole["0"], torch.arange(20, 60) % 3)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("clusters", "layers", "message"),
    [
        (1, "hidden", "clusters is 1, expected a whole number of at least 2"),
        (13, "hidden", r"13 clusters, but layer '2' has 12 neurons; pass clusters <= 12"),
        (3, "inputs", "layers is 'inputs', expected one of all, hidden, hidden"),
        ({"fc9": torch.zeros(3)}, "hidden", "tags of a layer 'fc9', but the network's are 'input'"),
        ({"0": torch.zeros(13)}, "hidden", "expected 13 whole numbers"),
        ({"0": torch.arange(12)}, "hidden", "expected 13 whole numbers"),
        ({"0": torch.zeros(13).long() - 2}, "hidden", "expected 13 whole numbers"),
        ({"0": torch.zeros(13).long()}, "hidden", "fewer than two clusters"),
        ({"0": torch.arange(13) % 2 * 2}, "hidden", "cluster 1 of 3 has no neuron in layer '0'"),
        ({}, "hidden", "fewer than two clusters"),
        (np.arange(7), "hidden", "expected 53 whole numbers, one for each neuron"),
        ("labels.txt", "hidden", "is no file of labels"),
        ("nothing.csv", "hidden", "there is no file 'nothing.csv'"),
        ({"0": torch.arange(13) * 10**11}, "hidden", "clusters, but the network has 53 neurons"),
        (None, "hidden", "the labels are None, expected 53 whole numbers"),
    ],
)
def test_bad_input(clusters, layers, message):
    with pytest.raises(InputError, match=message):
        cluster_tags(MODEL, clusters, layers)


def test_what_is_no_file_is_refused(tmp_path):
    os.mkfifo(tmp_path / "labels.json")
    with pytest.raises(InputError, match="is no regular file"):
        cluster_tags(MODEL, tmp_path / "labels.json")


@pytest.mark.parametrize("model", [None, "model.pt", nn.Linear, {}])
@pytest.mark.parametrize(
    "function", [cluster_tags, clusterable_init_, normalize_, balance_, EigenvaluePenalty]
)
def test_what_is_no_module_is_refused(function, model):
    with pytest.raises(InputError, match=r"model is .*, expected a torch\.nn\.Module"):
        function(model)


@pytest.mark.slow
@pytest.mark.parametrize(
    "line", ["fc9,0,1", "0,13,1", "0,-1,1", "0,x,1", "0,0,1.5", "0", '0,0,"1', "0,0,9" + "9" * 30]
)
def test_a_file_of_another_network(line, tmp_path):
    (tmp_path / "labels.csv").write_text(f"layer,neuron,cluster\n0,0,1\n{line}\n")
    with pytest.raises(InputError, match="does not hold the labels of this network"):
        cluster_tags(MODEL, tmp_path / "labels.csv")


def test_of_tied_neurons_with_different_tags_the_first_layers_counts():
    model = toy.ResidualMLP(width=8)
    tags = cluster_tags(model, 4)
    changed = {**tags, "to head": tags["to head"].flip(0)}
    assert not torch.equal(changed["to head"], tags["to head"])
    assert all(
        torch.equal(found, tags[name]) for name, found in cluster_tags(model, changed).items()
    )


def test_no_hidden_layer():
    with pytest.raises(InputError, match="no hidden layer"):
        cluster_tags(nn.Linear(20, 20), 2)
