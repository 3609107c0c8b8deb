from clusterability.penalties import L1, L2
from clusterability.training import TrainingSpec
from clusterability.training.penalty import penalties_of


def of(**fields):
    return penalties_of(TrainingSpec("small-mlp", "digits", **fields), ("a", "b", "c"))


def test_none_where_the_spec_asks_for_none():
    assert of() == []


def test_l1_and_l2_are_on_all_kernels():
    assert of(l1=0.1) == [L1({"a": 0.1, "b": 0.1, "c": 0.1})]
    assert of(l1=0.1, l2=0.2) == [
        L1({"a": 0.1, "b": 0.1, "c": 0.1}),
        L2({"a": 0.2, "b": 0.2, "c": 0.2}),
    ]


def test_mixed_l2_is_l1_on_the_first_kernel_and_l2_on_the_others():
    assert of(l2=0.2, mixed_l2=True) == [L1({"a": 0.2}), L2({"b": 0.2, "c": 0.2})]
    assert of(l1=0.5, l2=0.25, mixed_l2=True) == [
        L1({"a": 0.75, "b": 0.5, "c": 0.5}),
        L2({"b": 0.25, "c": 0.25}),
    ]


def test_the_eigenvalue_penalty_is_on_all_kernels():
    (penalty,) = of(eigenvalue_penalty=0.1, eigenvalues=(2, 5))
    assert (penalty.kernel_names, penalty.weight) == (("a", "b", "c"), 0.1)
    assert penalty.mean.eigenvalues == (2, 5)
