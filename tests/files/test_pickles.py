import codecs
import io
import pickle
from collections import Counter, OrderedDict

import pytest
import torch
from torch._tensor import _rebuild_from_type_v2 as rebuilt

from clusterability.errors import InputError
from clusterability.files.pickles import check_pickle


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
    check_pickle(as_key(nested(3, kind)))
    with pytest.raises(InputError, match="take very long to hash"):
        check_pickle(as_key(nested(40, kind)))


def test_keys_that_fill_the_stack_are_refused():
    key = b")" + b"\x85" * 5000
    with pytest.raises(InputError, match="take very long to hash"):
        check_pickle(as_key(key))


def test_the_same_object_as_a_value_is_not_hashed():
    content = b"\x80\x04}K\x01" + nested(40, "tuple") + b"s."
    check_pickle(content)


@pytest.mark.slow
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
    check_pickle(pickle.dumps(content, protocol))


def test_several_pickles_of_one_file_are_read_one_by_one():
    file = io.BytesIO(pickle.dumps({"a": 1}) + as_key(nested(40, "tuple")))
    check_pickle(file)
    with pytest.raises(InputError, match="take very long to hash"):
        check_pickle(file)


@pytest.mark.parametrize("zipped", [True, False])
def test_files_of_torch_pass(zipped):
    file = io.BytesIO()
    state = torch.nn.Linear(3, 2).state_dict()
    torch.save(state, file, _use_new_zipfile_serialization=zipped)
    if not zipped:
        file.seek(0)
        for _ in range(5):
            check_pickle(file)


class Called:
    """Is pickled as a call."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


def saved(content, protocol=2):
    file = io.BytesIO()
    torch.save(content, file, _use_new_zipfile_serialization=False, pickle_protocol=protocol)
    file.seek(0)
    return file


def check_all(file):
    for _ in range(5):
        check_pickle(file)


@pytest.mark.parametrize("protocol", [2, 4])
@pytest.mark.parametrize(
    ("call", "words"),
    [
        (Called(bytearray, 2**33), "a bytearray of a size"),
        *(
            (Called(made, torch.zeros(1).expand(2**27)), "of a tensor")
            for made in (set, Counter, OrderedDict, torch.Size, bytearray)
        ),
        (Called(set, torch.zeros(3).untyped_storage()), "of a tensor"),
        (Called(rebuilt, bytearray, bytearray, (2**33,), None), "a bytearray of a size"),
        (Called(codecs.encode, "a" * 9, "punycode"), "expected latin1"),
    ],
)
def test_what_would_be_far_larger_than_the_file_is_refused(call, words, protocol):
    with pytest.raises(InputError, match=words):
        check_all(saved({"a": call}, protocol))


@pytest.mark.parametrize("protocol", [2, 4])
def test_containers_of_what_the_file_has_pass(protocol):
    names = OrderedDict(a=1, b=2)
    content = {
        **{"set": {1, 2}, "counter": Counter("abca"), "bytes": b"a\xff", "array": bytearray(b"ab")},
        **{"empty": bytearray(), "none": set(), "of none": Counter(), "names": names},
        **{"size": torch.Size([3, 4]), "number": 1j, "of names": Counter(names)},
        "tensor": torch.zeros(2, 3),
    }
    check_all(saved(content, protocol))
