from itertools import pairwise, permutations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clusterability.errors import InputError
from clusterability.tracing.chains import ordering
from clusterability.tracing.chains.ordering import NamedShape, as_operations, chain_operations


def weights(**shapes):
    return [NamedShape(f"{name}.weight", shape) for name, shape in shapes.items()]


def sizes(operations):
    return [operations[0].n_in, *(operation.n_out for operation in operations)]


@given(st.lists(st.integers(1, 9), min_size=2, max_size=7), st.booleans())
def test_a_dense_chain_is_read_in_either_orientation(widths, swapped):
    shapes = [pair if swapped else pair[::-1] for pair in pairwise(widths)]
    operations, notes = chain_operations([NamedShape(str(i), s) for i, s in enumerate(shapes)])
    torch_chains = all(first[0] == second[1] for first, second in pairwise(shapes))
    expected = [shapes[0][1], *(s[0] for s in shapes)] if torch_chains else widths
    assert sizes(operations) == expected
    assert any("read as (in, out)" in note for note in notes) == (not torch_chains)


def test_the_note_names_weights_and_sizes():
    operations, notes = chain_operations(weights(l1=(128, 784), l2=(10, 128)))
    assert [operation.name for operation in operations] == ["l1", "l2"]
    assert notes == ["read as a chain of layers in the order of their names: l1 -> l2 (784-128-10)"]


def test_long_chains_are_cut_in_the_note():
    _, notes = chain_operations([NamedShape(f"l{i}", (4, 4)) for i in range(500)])
    assert "l0 -> l1 -> l2 -> l3 -> l4 -> l5 -> ... -> l499" in notes[0]


@pytest.mark.parametrize(
    ("shapes", "expected"),
    [
        ({"a": (8, 8), "b": (8, 8)}, True),
        ({"a": (8, 4), "b": (4, 8)}, True),
        ({"a": (8, 4), "b": (2, 8)}, False),
        ({"a": (8, 3, 3, 3), "b": (9, 8, 3, 3), "c": (5, 9 * 4)}, False),
    ],
)
def test_an_equally_valid_order_is_noted(shapes, expected):
    _, notes = chain_operations(weights(**shapes))
    assert any("other orders" in note for note in notes) == expected


def test_an_equally_valid_orientation_is_noted():
    _, notes = chain_operations(weights(a=(8, 4), b=(4, 8)))
    assert "the weights would also chain if their two axes were swapped" in notes


def test_an_order_that_was_given_is_not_questioned():
    _, notes = chain_operations(weights(b=(8, 8), a=(8, 8)), given=True)
    assert notes[0] == "read as a chain of layers in the order given: b -> a (8-8-8)"
    assert not any("other orders" in note for note in notes)


@pytest.mark.parametrize(
    ("shapes", "layout"),
    [
        ([(8, 3, 3, 3), (16, 8, 3, 3)], "out-in"),
        ([(3, 3, 1, 8), (3, 3, 8, 16)], "in-out"),
        ([(3, 3, 1, 8), (3, 3, 8, 16), (16 * 4, 10)], "in-out"),
        ([(5, 1, 8), (5, 8, 16), (32, 10)], "in-out"),
        ([(8, 1, 5), (16, 8, 5), (10, 32)], "out-in"),
        ([(2, 2, 2, 1, 8), (2, 2, 2, 8, 4)], "in-out"),
    ],
)
def test_orientation_of_kernels(shapes, layout):
    operations, _ = chain_operations([NamedShape(f"{i}.weight", s) for i, s in enumerate(shapes)])
    assert {operation.layout for operation in operations} == {layout}


def test_weights_named_kernel_are_read_as_in_out():
    operations, _ = chain_operations(
        [NamedShape("a.kernel", (4, 8)), NamedShape("b.kernel", (8, 4))]
    )
    assert sizes(operations) == [4, 8, 4]
    assert [operation.name for operation in operations] == ["a", "b"]


def test_the_first_pair_that_does_not_chain_is_named():
    with pytest.raises(InputError) as error:
        chain_operations(weights(a=(4, 3), b=(7, 5), c=(9, 7)))
    message = str(error.value)
    assert "'a.weight' (4, 3) and 'b.weight' (7, 5), 'a' gives 4 but 'b' takes 5" in message
    assert "weights alone do not say how a network with skips or attention" in message
    assert 'order=["fc1", "fc2"] in Python, --order fc1,fc2 on the command line' in message


@given(st.permutations(["a", "b", "c", "d"]))
@settings(max_examples=24)
def test_the_one_order_that_chains_is_told(names):
    shapes = dict(zip(names, [(4, 3), (5, 4), (6, 5), (2, 6)], strict=True))
    given_weights = weights(**{name: shapes[name] for name in "abcd"})
    if names == list("abcd"):
        assert sizes(chain_operations(given_weights)[0]) == [3, 4, 5, 6, 2]
        return
    if names == list("dcba"):
        assert chain_operations(given_weights)[0][0].layout == "in-out"
        return
    entries = ", ".join(f'"{name}"' for name in names)
    with pytest.raises(InputError) as error:
        chain_operations(given_weights)
    assert f"order=[{entries}] in Python, --order {','.join(names)} on" in str(error.value)


def test_a_classifier_that_sorts_before_its_features():
    shapes = {
        "classifier.0": (20, 8 * 9),
        "classifier.3": (10, 20),
        "features.0": (8, 3, 3, 3),
        "features.2": (8, 8, 3, 3),
        "features.4": (8, 8, 3, 3),
    }
    with pytest.raises(
        InputError, match=r"--order features.0,features.2,features.4,classifier.0,cl"
    ):
        chain_operations(weights(**shapes))


@pytest.mark.parametrize(
    ("shape", "kind"), [((8, 1, 3, 3), "depthwise"), ((16, 4, 3, 3), "grouped")]
)
def test_grouped_convolutions_are_refused_with_the_truth(shape, kind):
    chain = weights(c1=(8, 3, 1, 1), c2=shape, c3=(5, shape[0], 1, 1))
    with pytest.raises(
        InputError,
        match=f"'c2' takes {shape[1]} of the 8 channels that 'c1' gives: a {kind} convolution",
    ):
        chain_operations(chain)


@pytest.mark.slow
@given(st.lists(st.tuples(st.integers(1, 3), st.integers(1, 3)), min_size=1, max_size=5))
def test_orders_are_those_of_a_naive_search(shapes):
    operations = as_operations([NamedShape(str(i), s) for i, s in enumerate(shapes)], "out-in")
    naive = {
        tuple(shapes[i] for i in order)
        for order in permutations(range(len(shapes)))
        if all(shapes[i][0] == shapes[j][1] for i, j in pairwise(order))
    }
    found, complete = ordering.find_orders(operations)
    assert complete
    assert len(found) == min(2, len(naive))
    assert {tuple((o.n_out, o.n_in) for o in order) for order in found} <= naive


def test_the_search_gives_up_in_time():
    many = [NamedShape(f"{i}.weight", (2 + i % 2, 2 + (i // 2) % 2)) for i in range(60)]
    with pytest.raises(InputError, match="do not chain"):
        chain_operations([*many, NamedShape("z.weight", (9, 9))])
