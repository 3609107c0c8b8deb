import io
import pickle

import pytest
import torch

from clusterability.errors import InputError
from clusterability.files.pickles import check_hashing


def nested(levels, kind):
    """A pickle of an object each level of which holds the one below twice, by a reference."""
    if kind == "tuple":
        return b")q\x00" + b"".join(b"h%c\x86q%c" % (i, i + 1) for i in range(levels))
    # An empty frozenset; then ones that hold the one below, and a tuple of it.
    levels_up = b"".join(b"(h%ch%c\x85\x91\x940" % (i, i) for i in range(levels))
    return b"(\x91\x940" + levels_up + b"h%c" % levels


def as_key(content):
    return b"\x80\x04}" + content + b"K\x01s."


@pytest.mark.parametrize("kind", ["tuple", "frozenset"])
def test_keys_that_take_for_ever_to_hash_are_refused(kind):
    assert pickle.loads(as_key(nested(3, kind)))  # a right pickle
    check_hashing(as_key(nested(3, kind)))
    with pytest.raises(InputError, match="take very long to hash"):
        check_hashing(as_key(nested(40, kind)))


def test_keys_that_fill_the_stack_are_refused():
    key = b")" + b"\x85" * 5000
    with pytest.raises(InputError, match="take very long to hash"):
        check_hashing(as_key(key))


def test_the_same_object_as_a_value_is_not_hashed():
    content = b"\x80\x04}K\x01" + nested(40, "tuple") + b"s."
    check_hashing(content)


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize(
    "content",
    [
        {("a", (1, 2)): [1.5, None], "b": {1, 2, 3}, frozenset([1]): {"c": {"d": (1, 2)}}},
        {i: (i, i) for i in range(3000)},
        [set(range(3000)), {"a": {"b": {"c": list(range(100))}}}],
    ],
)
def test_plain_pickles_pass(content, protocol):
    check_hashing(pickle.dumps(content, protocol))


def test_several_pickles_of_one_file_are_read_one_by_one():
    file = io.BytesIO(pickle.dumps({"a": 1}) + as_key(nested(40, "tuple")))
    check_hashing(file)
    with pytest.raises(InputError, match="take very long to hash"):
        check_hashing(file)


@pytest.mark.parametrize("zipped", [True, False])
def test_files_of_torch_pass(zipped):
    file = io.BytesIO()
    state = torch.nn.Linear(3, 2).state_dict()
    torch.save(state, file, _use_new_zipfile_serialization=zipped)
    if not zipped:
        file.seek(0)
        for _ in range(5):
            check_hashing(file)
