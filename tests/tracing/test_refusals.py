"""What is not measured is refused by name, and a rule is the remedy for what is unknown."""

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn

from clusterability.errors import InputError
from clusterability.sources import neuron_graph, trace
from clusterability.tracing.operations import RULES, rule
from small_modules import Forward, conv, linear

POINTS = torch.zeros(1, 3)
IMAGE = torch.zeros(1, 2, 4, 4)


def attending(self, x):
    return self.a(x, x, x)[0]


SEQUENCE = torch.zeros(2, 4, 8)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("model", "x", "message"),
    [
        (
            nn.Sequential(Forward(attending, a=nn.MultiheadAttention(8, 2))),
            SEQUENCE,
            r"in module '0\.a' cannot be followed: it multiplies .* as attention does",
        ),
        (
            nn.TransformerEncoderLayer(8, 2, batch_first=True),
            SEQUENCE,
            r"in module 'self_attn' cannot be followed: .* as attention does",
        ),
        (
            Forward(
                lambda self, x: F.scaled_dot_product_attention(x, self.a(x), x), a=linear(8, 8)
            ),
            SEQUENCE,
            r"aten\.scaled_dot_product_attention cannot be followed: .* as attention does",
        ),
        (
            Forward(lambda self, x: self.a(x) @ x.mT, a=linear(8, 8)),
            SEQUENCE,
            r"aten\.matmul cannot be followed: .* both depend on the input, as attention does",
        ),
        (
            Forward(lambda self, x: F.linear(x[0], self.a(x)[0]), a=linear(8, 8)),
            SEQUENCE,
            r"aten\.linear cannot be followed: .* both depend on the input",
        ),
        (
            Forward(lambda self, x: F.conv1d(x[:1], self.a(x)), a=linear(8, 3)),
            SEQUENCE,
            r"aten\.conv1d cannot be followed: .* both depend on the input",
        ),
        (
            nn.Sequential(linear(8, 8), nn.LSTM(8, 3)),
            SEQUENCE,
            r"aten\.lstm in module '1' cannot be followed: recurrent networks have no feed-forward",
        ),
        (
            nn.Sequential(nn.GRU(8, 3)),
            SEQUENCE,
            r"aten\.gru in module '0' cannot be followed: recurrent",
        ),
        (
            nn.Sequential(nn.Sequential(nn.Embedding(5, 8)), linear(8, 2)),
            torch.zeros(1, 4, dtype=torch.int64),
            r"aten\.embedding in module '0\.0' cannot be followed: it looks up tokens",
        ),
        (
            nn.Sequential(linear(3, 4), Forward(lambda _, h: h + h.argmax(1, True))),
            POINTS,
            r"aten\.argmax in module '1' cannot be followed: which elements .* depends on the data",
        ),
        (
            nn.Sequential(linear(3, 4), Forward(lambda _, h: h[:, :2] + h.topk(2)[0])),
            POINTS,
            r"aten\.topk in module '1' cannot be followed: which elements .* depends on the data",
        ),
        (
            nn.Sequential(conv(2, 3), nn.Flatten(2), linear(16, 2)),
            IMAGE,
            "'2' joins positions instead of neurons",
        ),
    ],
)
def test_what_is_not_measured_is_refused_by_name(model, x, message):
    with pytest.raises(InputError, match=message) as caught:
        trace(model, example_inputs=x)
    assert "\n" not in str(caught.value)


@pytest.fixture
def squash():
    """An operation that nobody knows; rules for it are gone after the test."""
    library = torch.library.Library("toybox", "FRAGMENT")
    library.define("squash(Tensor x, float strength=1.0) -> Tensor")
    library.impl("squash", lambda x, k=1.0: x.tanh() * k, "CompositeExplicitAutograd")
    library.impl("squash", lambda x, *_: torch.empty_like(x), "Meta")
    yield torch.ops.toybox.squash
    RULES.pop("toybox.squash", None)
    library._destroy()


def test_a_rule_makes_an_unknown_operation_work(squash):
    parts = (linear(3, 3), Forward(lambda _, h: squash(h, 2.0)), linear(3, 2))
    model = nn.Sequential(nn.Sequential(*parts))
    remedy = r"register one in clusterability\.tracing\.operations\.RULES\['toybox\.squash'\]"
    with pytest.raises(InputError, match=rf"^toybox\.squash in module '0\.1' .*no rule .*{remedy}"):
        trace(model)

    @rule("toybox.squash")
    def squashing(call):
        assert call["strength"] == 2
        return call.value("x")

    graph = neuron_graph(model)
    assert [layer.name for layer in graph.layers] == ["input", "0.0", "0.2"]
    assert graph.blocks[0].strengths.tolist() == [[1, 1, 1]] * 3
