import json
import math
from dataclasses import FrozenInstanceError, replace

import numpy as np
import pytest

from clusterability import measure, toy
from clusterability.errors import InputError
from clusterability.result import SCHEMA_VERSION, Clusterability, NullDistribution
from clusterability.settings import Settings
from results import small_result


def test_json_round_trip():
    result = small_result(
        null=[1.0, 1.5, 1.25], refined_null=[0.5, 1.5, 1.0], warnings=["a warning"]
    )
    again = Clusterability.from_json(result.to_json())
    assert again.to_dict() == result.to_dict()
    assert again.to_json() == result.to_json()
    assert again.settings == result.settings
    assert again.layers == result.layers
    assert again.clusters == result.clusters
    assert again.refined.null == result.refined.null
    assert again.warnings == ("a warning",)
    assert np.array_equal(again.labels, result.labels)
    assert again.labels.dtype == np.int64
    assert again.graph is None


@pytest.mark.parametrize("indent", [None, 4])
def test_bytes_and_other_indents_are_read(indent):
    result = small_result()
    again = Clusterability.from_json(result.to_json(indent).encode())
    assert again.to_dict() == result.to_dict()


def test_what_stands_at_the_top_is_the_plain_clustering():
    result = small_result(null=[1.0, 1.5], shift=-0.25)
    assert result.refined.ncut == result.plain.ncut - 0.25
    for name in ("ncut", "p_value", "z_score", "effective_clusters"):
        assert getattr(result, name) == getattr(result.plain, name)
        assert result.to_dict()[name] == getattr(result.plain, name)
    assert result.labels is result.plain.labels
    assert result.clusters is result.plain.clusters
    assert result.null_distribution.tolist() == [1.0, 1.5]
    assert result.to_dict()["schema_version"] == SCHEMA_VERSION


def test_isolated_neurons_are_null_in_the_json():
    data = json.loads(small_result().to_json())
    assert data["labels"] == [1, 1, 0, 0, 1, 0, None, 1, 0]
    assert Clusterability.from_json(json.dumps(data)).labels.tolist()[6] == -1


def test_without_shuffles_there_is_no_null():
    result = small_result()
    data = json.loads(result.to_json())
    for part in (data, data["refined"]):
        assert part["null"] is part["p_value"] is part["z_score"] is None
    again = Clusterability.from_json(result.to_json())
    assert again.plain.null is again.refined.null is again.p_value is again.z_score is None
    assert again.null_distribution.shape == (0,)


def test_a_null_without_spread_has_a_p_value_and_no_z_score():
    result = small_result(null=[1.5, 1.5])
    data = json.loads(result.to_json())
    assert data["p_value"] is not None
    assert data["z_score"] is None
    assert data["null"]["std"] == 0
    assert Clusterability.from_json(result.to_json()).z_score is None


def test_the_null_says_what_kind_it_is():
    null = small_result(null=[1.0, 2.0]).to_dict()["null"]
    assert null["kind"] == "layer"
    assert null["n_shuffles"] == 2
    assert null["values"] == [1.0, 2.0]
    assert (null["mean"], null["std"]) == (1.5, 0.5)


def test_the_spread_is_that_of_the_population():
    null = NullDistribution((3.0, 5.0, 7.0))
    assert null.mean == 5
    assert null.std == pytest.approx(math.sqrt(8 / 3))


def test_no_nan_reaches_the_json():
    broken = replace(small_result(), lower_bound=math.nan)
    with pytest.raises(ValueError, match="not JSON compliant"):
        broken.to_json()


def test_frozen():
    with pytest.raises(FrozenInstanceError):
        small_result().lower_bound = 0.0


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "not a JSON text"),
        ("{", "not a JSON text"),
        (b"\xff\xfe", "not a JSON text"),
        ("[1]", "got 'list'"),
        ("null", "got 'NoneType'"),
        ("{}", "expected a result of schema_version 1, got None"),
        ('{"schema_version": 2}', "expected a result of schema_version 1, got 2"),
        ('{"schema_version": 1}', "no result of schema_version 1: KeyError"),
    ],
)
def test_other_texts_are_refused(text, message):
    with pytest.raises(InputError, match=message):
        Clusterability.from_json(text)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("refined", None),
        ("refined", {}),
        ("labels", ["one"]),
        ("labels", 3),
        ("labels", [[0, 1], [2]]),
        ("clusters", [{"size": 1}]),
        ("clusters", [{"unknown": 1}]),
        ("layers", [3]),
        ("eigenvalues", 5),
        ("null", 5),
        ("settings", {}),
        ("settings", []),
        ("warnings", None),
    ],
)
def test_fields_of_another_form_are_refused(key, value):
    data = {**small_result(null=[1.0, 2.0]).to_dict(), key: value}
    with pytest.raises(InputError, match="no result of schema_version 1"):
        Clusterability.from_json(json.dumps(data))


@pytest.mark.parametrize(
    "key", sorted(set(small_result().to_dict()) - {"schema_version", "effect", "canonical"})
)
def test_every_field_is_needed(key):
    data = small_result().to_dict()
    del data[key]
    with pytest.raises(InputError, match=f"KeyError.*{key}"):
        Clusterability.from_json(json.dumps(data))


OLD = {
    "n_clusters": 2,
    "n_shuffles": 3,
    "null": "layer",
    "isolated": "drop-first",
    "kernel_norm": "l1",
    "include": [],
    "n_init": 25,
    "n_init_policy": "25 up to 2000 neurons, 100 above",
    "seed": 0,
    "workers": 2,
}
"""As the first results have their settings."""


def test_results_from_before_there_was_a_choice_are_read_as_they_were_made():
    data = {**small_result(null=[1.0, 1.5, 1.25]).to_dict(), "settings": OLD}
    del data["effect"], data["refined"]["effect"]
    result = Clusterability.from_json(json.dumps(data))
    assert result.settings == Settings(
        n_clusters=2, n_shuffles=3, isolated="drop-first", ties="independent"
    )
    assert (result.n_init, result.n_init_policy) == (25, OLD["n_init_policy"])
    assert result.settings.n_init is None
    assert result.effect == pytest.approx(0.94, abs=0.01)
    data["settings"] = {**OLD, "ties": "tied", "n_init": 7, "n_init_policy": "given"}
    result = Clusterability.from_json(json.dumps(data))
    assert (result.settings.ties, result.settings.n_init, result.n_init) == ("tied", 7, 7)


def test_a_result_is_read_without_the_package_that_made_its_null():
    data = small_result().to_dict()
    data["settings"] |= {"null": "theirs", "conventions": "ours", "kernel_norm": "max"}
    result = Clusterability.from_json(json.dumps(data))
    assert (result.settings.null, result.settings.conventions) == ("theirs", "ours")
    assert result.to_dict()["settings"] == data["settings"]


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("null", 5),
        ("volume_offset", -1),
        ("volume_offset", None),
        ("n_clusters", "12"),
        ("n_init", 0),
        ("include", "dense"),
        ("conventions", None),
    ],
)
def test_settings_that_no_measurement_has_are_refused(key, value):
    data = small_result().to_dict()
    data["settings"][key] = value
    with pytest.raises(InputError, match=f"no result of schema_version 1: .*{key} is"):
        Clusterability.from_json(json.dumps(data))


def test_the_effect_is_the_share_by_which_the_null_lies_above():
    result = small_result(null=[0.5, 1.5], refined_null=[0.25])
    assert result.effect == result.plain.effect == pytest.approx(1 - result.ncut)
    assert result.refined.effect == pytest.approx(1 - 4 * result.refined.ncut)
    data = result.to_dict()
    assert (data["effect"], data["refined"]["effect"]) == (result.effect, result.refined.effect)
    bare = small_result()
    assert bare.effect is bare.to_dict()["effect"] is bare.to_dict()["refined"]["effect"] is None


def test_unknown_fields_are_passed_over():
    data = {**small_result().to_dict(), "added_later": 1}
    assert Clusterability.from_json(json.dumps(data)).ncut == small_result().ncut


@pytest.mark.parametrize("field", ["ncut", "lower_bound", "p_value", "effective_clusters"])
def test_a_text_for_a_number_is_refused(field):
    data = json.loads(measure(toy.planted_mlp(), n_clusters=2, n_shuffles=2).to_json())
    data[field] = "x"
    with pytest.raises(InputError, match=f"{field} is 'x', expected float"):
        Clusterability.from_json(json.dumps(data))


@pytest.mark.parametrize(
    ("key", "value"),
    [
        *(("network", 3), ("version", None), ("warnings", [1]), ("n_components", 1.5)),
        *(("lower_bound", math.inf), ("ncut", math.nan), ("ncut", 10**400), ("p_value", True)),
        *(("eigenvalues", ["0"]), ("seconds", {"total": "1"}), ("seconds", [1.0])),
        *(("clusters", []), ("labels", [0.5] * 9), ("labels", [[0]] * 9), ("labels", [True] * 9)),
        ("canonical", {"ncut": 1.0, "refined_ncut": "1", "effective_clusters": 2.0}),
        ("null", {"values": [1e308] * 3}),
    ],
)
def test_values_of_another_type_are_refused(key, value):
    data = {**small_result().to_dict(), key: value}
    with pytest.raises(InputError, match="no result of schema_version 1: "):
        Clusterability.from_json(json.dumps(data))


@pytest.mark.parametrize(
    ("where", "key", "value"),
    [
        *(("layers", "n_neurons", [4]), ("layers", "n_neurons", -1), ("layers", "name", None)),
        *(("layers", "n_isolated", "0"), ("clusters", "size", "3"), ("clusters", "has_path", 1)),
        ("clusters", "neurons_per_layer", ["1", "1", "1"]),
    ],
)
def test_values_of_another_type_in_layers_and_clusters_are_refused(where, key, value):
    data = small_result().to_dict()
    data[where][0][key] = value
    with pytest.raises(InputError, match="no result of schema_version 1: "):
        Clusterability.from_json(json.dumps(data))
