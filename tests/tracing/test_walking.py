import inspect
import sys
from contextlib import contextmanager

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn

from clusterability.errors import InputError
from clusterability.tracing.exporting import exported
from clusterability.tracing.operations import RULES, rule
from clusterability.tracing.walking import walk
from small_modules import Forward, conv, linear, randomized

X = torch.zeros(1, 3)


def walked(model, *inputs):
    program = exported(model, inputs or (X,))
    return walk(program, model.state_dict())


def weight_of(model):
    """The constants of a model, and the name of its one weight among them."""
    found = walked(model)
    (operation,) = found.operations
    return found.computed, operation.weight.name


def names(found):
    return [operation.name for operation in found.operations]


def test_operations_come_in_the_order_in_which_they_run():
    model = Forward(
        lambda self, x: self.c(self.b(self.a(x))),
        **{name: nn.Sequential(linear(3, 3), nn.ReLU()) for name in "cab"},
    )
    found = walked(model)
    assert names(found) == ["a.0", "b.0", "c.0"]
    assert [operation.weight.name for operation in found.operations] == [
        f"{name}.0.weight" for name in "abc"
    ]
    assert all(operation.is_dense and operation.n_outputs == 3 for operation in found.operations)
    assert [value.shape for value in found.outputs] == [(1, 3)]
    assert found.notes == ()


def test_convolutions_tell_their_groups_and_kinds():
    model = nn.Sequential(conv(4, 6, groups=2), nn.ConvTranspose2d(6, 8, 2, groups=2))
    first, second = walked(model, torch.zeros(2, 4, 5, 5)).operations
    assert (first.weight.groups, first.weight.transposed, first.n_outputs) == (2, False, 6)
    assert (second.weight.groups, second.weight.transposed, second.n_outputs) == (2, True, 8)
    assert (first.axis, second.axis, first.is_dense) == (1, 1, False)


@pytest.mark.parametrize(
    ("result", "n_outputs"),
    [
        (lambda y: (y, y + 1), 2),
        (lambda y: {"logits": y, "parts": [y.relu(), [y]]}, 3),
        (lambda y: (y, 3, None, torch.ones(2)), 1),
        (lambda y: (y, y), 2),
    ],
)
def test_all_outputs_that_depend_on_the_input_are_followed(result, n_outputs):
    found = walked(Forward(lambda self, x: result(self.a(x)), a=linear(3, 3)))
    assert [value.shape for value in found.outputs] == [(1, 3)] * n_outputs


def test_notes_are_said_once():
    norms = nn.Sequential(nn.LayerNorm(3), linear(3, 3), nn.LayerNorm(3))
    assert len(walked(norms).notes) == 1


def weights(self, x):
    return F.linear(x, (self.weight * self.mask).T.exp())


def test_what_the_network_computes_from_parameters_is_evaluated_from_them():
    mask = torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
    model = randomized(Forward(weights, weight=nn.Parameter(torch.ones(3, 2)), mask=mask))
    computed, name = weight_of(model)
    assert "weight" in name or "mask" in name
    for weight in (torch.randn(3, 2), torch.zeros(3, 2, requires_grad=True)):
        found = computed.evaluate(computed.nodes[name], {"weight": weight, "mask": mask})
        torch.testing.assert_close(found, (weight * mask).T.exp())
    found.sum().backward()
    assert torch.equal(weight.grad, mask)


def test_constants_in_the_forward_pass_are_evaluated():
    w, factors = torch.arange(1.0, 10).view(3, 3), torch.tensor([2.0, 0, 1])
    model = Forward(lambda self, x: F.linear(x, self.w * factors), w=w)
    computed, name = weight_of(model)
    found = computed.evaluate(computed.nodes[name], model.state_dict())
    assert torch.equal(found, w * factors)


@contextmanager
def frames_left(n):
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(len(inspect.stack(0)) + n)
    try:
        yield
    finally:
        sys.setrecursionlimit(limit)


@pytest.mark.slow
def test_long_computations_are_evaluated_without_recursion():
    def forward(self, x):
        weight = self.w
        for _ in range(300):
            weight = weight + 1
        return F.linear(x, weight)

    model = Forward(forward, w=torch.zeros(2, 3))
    program = exported(model, (X,))
    with frames_left(200):
        found = walk(program, model.state_dict())
        (operation,) = found.operations
        node = found.computed.nodes[operation.weight.name]
        weight = found.computed.evaluate(node, {"w": torch.zeros(2, 3)})
    assert torch.equal(weight, torch.full((2, 3), 300.0))


def test_a_weight_in_another_place_or_type_keeps_its_name():
    def forward(self, x):
        return F.linear(x, self.w.contiguous().detach().to(torch.float32))

    assert weight_of(Forward(forward, w=nn.Parameter(torch.ones(2, 3))))[1] == "w"


def branches(self, x):
    return torch.cond(x.sum() > 0, lambda y: y + 1, lambda y: y - 1, (self.a(x),))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("model", "message"),
    [
        (Forward(branches, a=linear(3, 3)), "cond.* cannot be followed: it is control flow"),
        (
            nn.Sequential(linear(3, 3), Forward(lambda _, x: x.cummax(1)[0])),
            r"aten\.cummax in module '1' cannot be followed: no rule .*RULES\['aten\.cummax'\]",
        ),
        (
            nn.Sequential(linear(3, 3), nn.Sequential(Forward(lambda _, x: x + x.argmax(1, True)))),
            r"aten\.argmax in module '1\.0' cannot be followed: which elements it takes depends",
        ),
        (
            Forward(lambda self, x: self.a(x)[x > 0], a=linear(3, 3)),
            r"aten\.index cannot be followed: (which elements|the size of what)",
        ),
        (
            Forward(lambda self, x: self.a(x)[:, self.m], a=linear(3, 3), m=torch.ones(3) > 0),
            r"aten\.(index|nonzero).* cannot be followed",
        ),
    ],
)
def test_what_cannot_be_followed_is_refused_with_its_place(model, message):
    with pytest.raises(InputError, match=message):
        walked(model)


@pytest.fixture
def rules():
    """Rules registered in a test are gone after it."""
    before = dict(RULES)
    yield RULES
    RULES.clear()
    RULES.update(before)


def test_a_rule_that_returns_no_value_is_refused(rules):
    rules["aten.cumsum"] = lambda call: call.shape
    with pytest.raises(
        InputError, match=r"aten\.cumsum cannot be .*: its rule returned int, expec"
    ):
        walked(Forward(lambda self, x: self.a(x).cumsum(1), a=linear(3, 3)))


def test_a_registered_rule_gets_the_call(rules):
    calls = []

    @rule("aten.cumsum")
    def cumsum(call):
        calls.append(call)
        return call.value("self")

    model = nn.Sequential(linear(3, 3), Forward(lambda _, x: x.cumsum(dim=1)), linear(3, 2))
    assert names(walked(model)) == ["0", "2"]
    (call,) = calls
    assert (call.operation, call.shape, call["dim"], call.module) == ("aten.cumsum", (1, 3), 1, "1")
    assert call["dtype"] is None
    assert [value.shape for value in call.values()] == [(1, 3)]
    assert torch.equal(call.run([torch.ones(1, 3)]), torch.tensor([[1.0, 2, 3]]))
    assert torch.equal(call.run([torch.ones(2, 3)], dim=0)[1], torch.full((3,), 2.0))
    assert rules["aten.cumsum"] is cumsum
