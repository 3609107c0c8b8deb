import os
import subprocess
import sys

import pytest

from clusterability.conventions import CONVENTIONS
from clusterability.errors import InputError
from clusterability.registries import KERNEL_NORMS, NULLS
from clusterability.registry import Registry
from clusterability.training import NETWORKS


@pytest.fixture
def registry():
    return Registry("tests.nothing", {"root": "math:sqrt", "two": 2})


def test_names_come_in_the_order_of_their_making(registry):
    registry["later"] = 3
    assert list(registry) == ["root", "two", "later"]
    assert len(registry) == 3
    assert dict(registry)["two"] == 2
    assert registry["root"](9) == 3


def test_listing_loads_nothing():
    broken = Registry("tests.nothing", {"broken": "no.such.module:thing"})
    assert list(broken) == ["broken"]
    assert "broken" in broken
    assert "other" not in broken
    assert [] not in broken
    with pytest.raises(ModuleNotFoundError):
        broken["broken"]


def test_an_unknown_name_is_a_key_error(registry):
    with pytest.raises(KeyError, match="three"):
        registry["three"]
    assert registry.get("three") is None


def test_things_are_registered_by_a_decorator_or_set(registry):
    @registry.register("twice")
    def twice(x):
        return 2 * x

    assert registry["twice"](twice(1)) == 4
    registry["two"] = "another"
    assert registry["two"] == "another"
    assert list(registry).count("two") == 1
    assert registry.is_local("twice")
    assert not registry.is_local("root")
    del registry["two"]
    assert registry["two"] == 2


@pytest.mark.parametrize("name", ["", "two words", "a\nb", None, 3])
def test_names_that_no_one_could_give_are_refused(registry, name):
    with pytest.raises(InputError, match="expected text without spaces"):
        registry[name] = 1


@pytest.mark.parametrize("shipped", [NULLS, KERNEL_NORMS, NETWORKS, CONVENTIONS])
def test_all_that_is_shipped_can_be_loaded(shipped):
    assert len(shipped) > 1
    assert all(thing is not None for thing in shipped.values())


PACKAGE = """\
import torch
from clusterability.conventions import Conventions
from clusterability.training.networks import Network

def as_it_is(graph, rng):
    return graph

def largest(kernels):
    return kernels.abs().flatten(2).amax(2)

def tiny(shape, n_outputs, dropout):
    return torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, n_outputs))

OURS = Conventions(null="as-it-is", ties="independent")
TINY = Network(tiny, 32, 1, 1, "no hidden layer", is_mlp=True)
"""

ENTRY_POINTS = """\
[clusterability.nulls]
as-it-is = example_plugin:as_it_is
absent = example_plugin:absent
layer = example_plugin:as_it_is

[clusterability.kernel_norms]
largest = example_plugin:largest

[clusterability.conventions]
ours = example_plugin:OURS

[clusterability.networks]
tiny = example_plugin:TINY
"""


@pytest.fixture
def installed(tmp_path):
    """A folder with a package that adds to every registry, as pip would install it."""
    (tmp_path / "example_plugin.py").write_text(PACKAGE)
    folder = tmp_path / "example_plugin-1.0.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: example-plugin\nVersion: 1.0\n")
    (folder / "entry_points.txt").write_text(ENTRY_POINTS)
    return tmp_path


def run(installed, code):
    command = [
        sys.executable,
        "-W",
        "error",
        "-c",
        f"import sys; sys.path.insert(0, {str(installed)!r})\n{code}",
    ]
    wide = {**os.environ, "COLUMNS": "1000"}
    found = subprocess.run(
        command, capture_output=True, text=True, cwd=installed, timeout=120, env=wide
    )
    assert found.stderr == ""
    return found.stdout


@pytest.mark.slow
def test_another_package_is_known_to_the_command_and_not_loaded_for_its_help(installed):
    code = "from clusterability.cli import main\n"
    for verb in ("measure", "train"):
        code += f"try: main(['{verb}', '--help'])\nexcept SystemExit: pass\n"
    code += "print({'torch', 'example_plugin'} & set(sys.modules))"
    out = " ".join(run(installed, code).split())
    for names in (
        "layer, nonzero, absent, as-it-is:",
        "l1, l2, induced-1, induced-2, largest:",
        "default, paper, published, ours:",
        "mlp, mlp-regression, small-mlp, small-cnn, vgg, tiny:",
    ):
        assert names in out
    assert out.endswith("set()")


@pytest.mark.slow
def test_what_another_package_adds_is_used(installed):
    code = """
from clusterability import Settings
from clusterability.registries import NULLS
from clusterability.nulls.shuffles import shuffle_layer
from clusterability.registries import KERNEL_NORMS
from clusterability.training import TrainingSpec
assert Settings(conventions="ours").null == "as-it-is"
assert Settings(conventions="ours", null="layer").null == "layer"
assert TrainingSpec("tiny", "digits").batch_size == 32
assert NULLS["as-it-is"](1, 2) == 1
assert NULLS["layer"] is shuffle_layer
assert KERNEL_NORMS["largest"].__module__ == "example_plugin"
try:
    NULLS["absent"]
except ValueError as error:
    print(error)
"""
    assert run(installed, code) == (
        "'absent' of the installed package example-plugin cannot be loaded (AttributeError: module "
        "'example_plugin' has no attribute 'absent'); update or remove that package\n"
    )
