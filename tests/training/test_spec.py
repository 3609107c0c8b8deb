import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from clusterability.errors import InputError
from clusterability.training import NETWORKS, TrainingSpec

PAPER = {
    "mlp": (20, 20, 128),
    "mlp-regression": (20, 20, 128),
    "small-mlp": (10, 10, 128),
    "small-cnn": (10, 10, 64),
    "vgg": (200, 50, 128),
}
OTHERS = {
    "network": "small-mlp",
    "dataset": "fashion-mnist",
    "dropout": True,
    "l1": 1e-5,
    "l2": 1e-5,
    "eigenvalue_penalty": 0.1,
    "normalize": True,
    "modular_pruning": True,
    "group_lasso": 1e-4,
    "partition_penalty": 1.0,
    "epochs": 21,
    "pruning_epochs": 0,
    "initial_sparsity": 0.0,
    "final_sparsity": 0.95,
    "pruning_interval": 100,
    "pruning_order": "loose",
    "epoch_steps": 390,
    "batch_size": 64,
    "learning_rate": 0.01,
    "retrain_below": 2.0,
    "seed": 1,
    "data_seed": 1,
}


@pytest.mark.parametrize("network", NETWORKS)
def test_the_papers_choices_are_filled_in_and_change_no_name(network):
    spec = TrainingSpec(network, "mnist")
    epochs, pruning_epochs, batch_size = PAPER[network]
    assert (spec.epochs, spec.pruning_epochs, spec.batch_size) == PAPER[network]
    assert spec.choices() == {"network": network, "dataset": "mnist"}
    written_out = TrainingSpec(
        network,
        "mnist",
        epochs=epochs,
        pruning_epochs=np.int64(pruning_epochs),
        batch_size=batch_size,
        l1=0,
        l2=0.0,
        augment=False,
        learning_rate=np.float64(0.001),
        stack=[],
    )
    assert written_out == spec
    assert written_out.name == spec.name


def test_other_fields_change_the_name_each_in_its_own_way():
    plain = TrainingSpec("mlp", "mnist")
    specs = [dataclasses.replace(plain, **{name: value}) for name, value in OTHERS.items()]
    specs += [
        TrainingSpec("mlp", "mnist", dropout=True, dropout_rate=0.2),
        TrainingSpec("mlp", "mnist", l2=1e-5, mixed_l2=True),
        TrainingSpec("mlp", "mnist", eigenvalue_penalty=0.1, eigenvalues=range(2, 8)),
        TrainingSpec("mlp", "mnist", eigenvalue_penalty=0.1, eigenvalue_every=4),
        TrainingSpec("mlp", "mnist", normalize=True, pruned_norm="threshold"),
        TrainingSpec("mlp", "mnist", clusterable_init=True),
        TrainingSpec("mlp", "mnist", clusterable_init=True, tags=8),
        TrainingSpec("mlp", "mnist", clusterable_init=True, beta=0.8),
        TrainingSpec("mlp", "mnist", modular_pruning=True, tags=12),
        TrainingSpec("mlp", "mnist", modular_pruning=True, tag_layers="all"),
        TrainingSpec("mlp", "mnist", stack=(0, 1)),
        TrainingSpec("mlp", "mnist", stack=(1, 0)),
        TrainingSpec("small-cnn", "mnist", augment=True),
        TrainingSpec("small-cnn", "mnist", precision="bfloat16"),
    ]
    names = [spec.name for spec in [plain, *specs]]
    assert len({name.rsplit("-", 1)[1] for name in names}) == len(names)
    for (field, value), spec in zip(OTHERS.items(), specs, strict=False):
        assert spec.choices()[field] == value
    untested = {f.name for f in dataclasses.fields(plain)} - OTHERS.keys()
    assert untested == {
        *("mixed_l2", "eigenvalues", "eigenvalue_every", "pruned_norm", "clusterable_init"),
        *("tags", "tag_layers", "beta", "augment", "stack", "precision", "dropout_rate"),
    }


def test_names_tell_what_it_is():
    assert TrainingSpec("mlp", "Data/My set_2.npz", l2=1e-4, seed=7).name.startswith(
        "mlp-my-set-2-npz-l2-seed7-"
    )
    assert TrainingSpec("small-cnn", "mnist", dropout=True, l1=0.1).name.startswith(
        "small-cnn-mnist-dropout-l1-seed0-"
    )
    assert "/" not in TrainingSpec("mlp", "../../etc/passwd").name


def test_a_hash_that_must_not_change():
    # Folders that people have are found by it.
    assert (
        TrainingSpec("mlp", "mnist").name
        == "mlp-mnist-seed0-" + TrainingSpec("mlp", "mnist").digest
    )
    assert TrainingSpec("mlp", "mnist", dropout=True).digest == "7dce2e2f"


def test_images_are_augmented_by_default_where_the_paper_did():
    assert TrainingSpec("vgg", "cifar-10").augment is True
    assert TrainingSpec("vgg", "cifar-10", augment=False).augment is False
    assert TrainingSpec("mlp", "cifar-10").augment is False
    assert (
        TrainingSpec("vgg", "cifar-10", augment=True).name == TrainingSpec("vgg", "cifar-10").name
    )


def test_phases():
    spec = TrainingSpec("mlp", "mnist", epochs=3, pruning_epochs=2)
    assert spec.phases == ("unpruned", "pruned")
    assert [spec.phase_epochs(phase) for phase in (0, 1)] == [3, 2]
    assert dataclasses.replace(spec, pruning_epochs=0).phases == ("unpruned",)


@pytest.mark.parametrize(
    "spec",
    [
        TrainingSpec("mlp", "mnist"),
        TrainingSpec("vgg", "cifar-10", dropout=True, augment=False, seed=2**70),
        TrainingSpec("mlp", "mnist", l2=0.1, mixed_l2=True, seed=4, stack=(3, 4)),
    ],
)
def test_round_trip_through_json(spec):
    back = TrainingSpec.from_dict(json.loads(json.dumps(spec.to_dict())))
    assert back == spec
    assert back.name == spec.name


def test_a_path_may_be_a_path():
    assert TrainingSpec("mlp", Path("a") / "b.npz") == TrainingSpec("mlp", "a/b.npz")


BAD = [
    ("network", "small-mpl", "did you mean 'small-mlp'"),
    ("network", 3, "expected one of"),
    ("dataset", "", "a name such as mnist"),
    ("dataset", None, "a name such as mnist"),
    ("dropout", 1, "True or False"),
    ("mixed_l2", "yes", "True or False"),
    ("mixed_l2", True, "without l2"),
    ("eigenvalues", (1, 2), "always zero"),
    ("eigenvalues", (2, 3), "without eigenvalue_penalty"),
    ("eigenvalues", "2-x", "expected indices"),
    ("eigenvalue_every", 4, "without eigenvalue_penalty"),
    ("eigenvalue_every", 0, "at least 1"),
    ("normalize", 1, "True or False"),
    ("pruned_norm", "mask", "expected one of weights, threshold"),
    ("pruned_norm", "threshold", "normalize is not asked for"),
    ("augment", 0, "True or False"),
    ("augment", True, "takes images flattened"),
    ("l1", -1e-9, "at least 0"),
    *(
        (name, 1e300, r"expected a weight of at least 0 and below 1e\+30")
        for name in ("l1", "l2", "eigenvalue_penalty", "group_lasso", "partition_penalty")
    ),
    ("l1", float("nan"), "at least 0"),
    ("l1", True, "at least 0"),
    ("l2", "0.1", "at least 0"),
    ("l2", float("inf"), "at least 0"),
    ("l2", 10**400, "at least 0"),
    ("retrain_below", None, "at least 0"),
    ("learning_rate", 0, "above 0"),
    ("epochs", 0, "at least 1"),
    ("epochs", 2.0, "whole number"),
    ("epochs", True, "whole number"),
    ("epochs", 10**7, "at most 1000000"),
    ("pruning_epochs", -1, "at least 0"),
    ("batch_size", 0, "at least 1"),
    ("pruning_interval", 0, "at least 1"),
    ("seed", -1, "at least 0"),
    ("seed", None, "whole number"),
    ("data_seed", "a", "whole number"),
    ("final_sparsity", 1, "below 1"),
    ("initial_sparsity", -0.1, "at least 0"),
    ("initial_sparsity", 0.95, "above the final_sparsity"),
    ("stack", 5, "expected seeds"),
    ("stack", None, None),
    ("stack", (1, 2), "the run's own"),
    ("stack", (0, 0), "different seeds"),
    ("stack", (0, -1), "at least 0"),
    ("stack", "01", "whole number"),
]


@pytest.mark.parametrize(("field", "value", "words"), BAD)
def test_every_bad_field_is_named(field, value, words):
    fields = {"network": "mlp", "dataset": "mnist", field: value}
    if words is None:
        assert TrainingSpec(**fields) == TrainingSpec("mlp", "mnist")
        return
    with pytest.raises(InputError, match=words) as error:
        TrainingSpec(**fields)
    message = str(error.value)
    assert message.startswith(field)
    assert "\n" not in message


def test_no_stacks_of_what_cannot_be_stacked():
    for network, below in (("small-cnn", 0), ("mlp", 1.0)):
        with pytest.raises(InputError, match="only MLPs without retrain_below"):
            TrainingSpec(network, "mnist", stack=(0, 1), retrain_below=below)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (
            {"network": "mlp", "dataset": "mnist", "epoch": 3},
            "spec is 'epoch', .*did you mean 'epochs'",
        ),
        ({"network": "mlp"}, "dataset"),
        (5, "cannot be read"),
        ([], "cannot be read"),
        ("no spec", "a field of the spec is 'n'"),
        ({3: 4}, "a field of the spec is 3, expected one of network"),
        ({"network": "mlp", "dataset": "mnist", "l1": "x"}, "l1 is 'x'"),
    ],
)
def test_bad_records(data, words):
    with pytest.raises(InputError, match=words) as error:
        TrainingSpec.from_dict(data)
    assert "\n" not in str(error.value)


def test_the_published_slip_is_of_mlps():
    with pytest.raises(InputError, match="network 'vgg' is no MLP"):
        TrainingSpec("vgg", "cifar-10", normalize=True, pruned_norm="threshold")


def test_the_eigenvalue_penalty_is_of_mlps():
    with pytest.raises(InputError, match="'small-cnn' is no MLP"):
        TrainingSpec("small-cnn", "mnist", eigenvalue_penalty=0.1)
