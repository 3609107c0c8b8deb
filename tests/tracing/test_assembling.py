import pytest
import torch
from torch import nn

from clusterability.errors import InputError
from clusterability.tracing.assembling import Assembly, assemble
from clusterability.tracing.exporting import exported
from clusterability.tracing.walking import walk
from small_modules import Forward, conv, linear

IMAGE = torch.zeros(1, 2, 4, 4)
POINTS = torch.zeros(1, 3)
ALL = ("input", "dense")


def assembled(model, x, include=()):
    return assemble(walk(exported(model, (x,)), model.state_dict()), include)


def described(model, x, include=()):
    """Layers by name and size, blocks by names."""
    wiring, _ = assembled(model, x, include)
    names = [layer.name for layer in wiring.layers]
    joins = [(names[c.source], names[c.target]) for c in wiring.connections]
    return {layer.name: layer.n_neurons for layer in wiring.layers}, joins


def test_a_chain_is_named_by_what_produces_its_layers():
    model = nn.Sequential(linear(3, 5), nn.ReLU(), nn.Sequential(linear(5, 4)), linear(4, 2))
    layers, joins = described(model, POINTS)
    assert layers == {"input": 3, "0": 5, "2.0": 4, "3": 2}
    assert joins == [("input", "0"), ("0", "2.0"), ("2.0", "3")]


def test_one_assembly_gives_the_wiring_of_each_choice_of_parts():
    def forward(self, x):
        h = torch.cat([self.a(x).relu(), x], 1)
        return self.d((self.c(self.b(h) + self.a(x)) * self.b(h)).mean((2, 3)))

    parts = {"a": conv(2, 4), "b": conv(6, 4), "c": conv(4, 4), "d": linear(4, 3)}
    walked = walk(exported(Forward(forward, **parts), (IMAGE,)), {})
    assembly = Assembly(walked)
    for include in ((), ("input",), ("dense",), ALL, ()):
        assert assembly.wiring(include) == assemble(walked, include)


def test_a_weight_at_the_top_has_a_name():
    assert described(linear(3, 2), POINTS)[0] == {"input": 3, "weight": 2}


def test_two_readers_of_one_tensor_are_two_layers():
    model = Forward(
        lambda self, x: (self.b(h := self.a(x)), self.c(h)),
        a=linear(3, 4),
        b=linear(4, 1),
        c=linear(4, 2),
    )
    layers, joins = described(model, POINTS)
    assert layers == {"input": 3, "a -> b": 4, "a -> c": 4, "b": 1, "c": 2}
    assert joins == [
        ("input", "a -> b"),
        ("input", "a -> c"),
        ("a -> b", "b"),
        ("a -> c", "c"),
    ]


def skip(self, x):
    h = self.a(x)
    h = h + self.b(h).relu()
    return self.c(h)


def test_readers_of_one_tensor_share_what_the_wiring_has_at_their_ends():
    def forward(self, x):
        h = self.a(x).relu().repeat(1, 2, 1, 1)
        return self.b(h) + self.c(h) + self.d(h.flip(1)).mean()

    parts = {"a": conv(2, 4), "b": conv(8, 3), "c": conv(8, 3), "d": conv(8, 3)}
    wiring, _ = assembled(Forward(forward, **parts), IMAGE, ALL)
    to_b, to_c, to_d = (c for c in wiring.connections if c.weight.name == "a.weight")
    assert to_b.routes is to_c.routes
    assert to_d.routes != to_b.routes
    assert len({to_b.target, to_c.target, to_d.target}) == 3
    assert to_b.kernel == to_c.kernel != to_d.kernel


def test_a_skip_repeats_a_block():
    model = Forward(skip, a=linear(3, 4), b=linear(4, 4), c=linear(4, 2))
    layers, joins = described(model, POINTS)
    assert layers == {"input": 3, "a -> b": 4, "to c": 4, "c": 2}
    assert joins == [
        ("input", "a -> b"),
        ("input", "to c"),
        ("a -> b", "to c"),
        ("to c", "c"),
    ]


def test_copies_of_a_block_share_a_kernel_and_others_have_none():
    model = Forward(skip, a=linear(3, 4), b=linear(4, 4), c=linear(4, 2))
    wiring, _ = assembled(model, POINTS)
    assert [c.kernel for c in wiring.connections] == ["a.weight #0", "a.weight #0", None, None]


def test_a_weight_that_is_used_twice_makes_no_copies():
    shared = linear(3, 3)
    wiring, _ = assembled(nn.Sequential(shared, nn.ReLU(), shared), POINTS)
    assert [layer.n_neurons for layer in wiring.layers] == [3, 3, 3]
    assert len({layer.name for layer in wiring.layers}) == 3
    assert [c.kernel for c in wiring.connections] == [None, None]
    assert len({c.weight.name for c in wiring.connections}) == 1


def test_differently_scaled_copies_are_copies():
    def forward(self, x):
        h = self.a(x)
        return self.b(self.n(h)), self.c(h)

    model = Forward(forward, a=linear(3, 4), n=nn.BatchNorm1d(4), b=linear(4, 1), c=linear(4, 2))
    wiring, _ = assembled(model, POINTS)
    first, second = wiring.connections[:2]
    assert first.kernel == second.kernel == "a.weight #0"
    assert (len(first.routes[0].scales), len(second.routes[0].scales)) == (1, 0)


def dense_block(self, x):
    a = self.a(x)
    b = self.b(a)
    c = self.c(torch.cat([b, a], 1))
    return self.d(torch.cat([a, b, c], 1))


DENSE_BLOCK = Forward(dense_block, a=conv(2, 3), b=conv(3, 2), c=conv(5, 4), d=conv(9, 1))


def test_a_concatenation_is_split_into_a_layer_a_segment():
    layers, joins = described(DENSE_BLOCK, IMAGE)
    assert layers == {
        "a -> b": 3,
        "b -> c": 2,
        "a -> c": 3,
        "a -> d": 3,
        "b -> d": 2,
        "c": 4,
        "d": 1,
    }
    assert joins == [
        ("a -> b", "b -> c"),
        ("a -> b", "b -> d"),
        ("b -> c", "c"),
        ("a -> c", "c"),
        ("a -> d", "d"),
        ("b -> d", "d"),
        ("c", "d"),
    ]


def test_each_segment_reads_its_own_part_of_the_weight():
    wiring, _ = assembled(DENSE_BLOCK, IMAGE)
    inputs = [c.inputs for c in wiring.connections if c.weight.name == "d.weight"]
    assert inputs == [
        (0, 1, 2, *[-1] * 6),
        (*[-1] * 3, 0, 1, *[-1] * 4),
        (*[-1] * 5, 0, 1, 2, 3),
    ]


def test_groups_join_only_segments_of_the_same_group():
    def forward(self, x):
        return self.c(torch.cat([self.a(x), self.b(x)], 1)).split([1, 1], 1)

    model = Forward(forward, a=conv(2, 3), b=conv(2, 3), c=conv(6, 2, groups=2))
    layers, joins = described(model, IMAGE)
    # The outputs are separate, so each is a layer of its own; a's channels reach the first alone.
    assert joins == [("a", "c -> output"), ("b", "c -> output (2)")]
    assert set(layers.values()) == {1, 3}


HEADED = Forward(
    lambda self, x: self.f(self.e(self.b(self.a(x)).flatten(1))),
    a=conv(2, 3),
    b=conv(3, 2),
    e=linear(32, 5),
    f=linear(5, 4),
)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("include", "layers", "note"),
    [
        (
            (),
            ["a", "b"],
            ("the image and the convolution that reads it (a) and the dense part (e, f)",),
        ),
        (("input",), ["input", "a", "b"], ("the dense part (e, f)",)),
        (("dense",), ["a", "b", "e", "f"], ("the image and the convolution that reads it (a)",)),
        (ALL, ["input", "a", "b", "e", "f"], ()),
    ],
)
def test_what_a_cnn_includes(include, layers, note):
    wiring, notes = assembled(HEADED, IMAGE, include)
    assert [layer.name for layer in wiring.layers] == layers
    assert notes == tuple(f"left out, as in the paper: {text}" for text in note)


def test_dense_layers_that_a_convolution_follows_are_no_head():
    squeeze = Forward(
        lambda self, x: self.d(
            (h := self.a(x)) * self.c(self.b(h.mean((2, 3))).relu()).sigmoid()[:, :, None, None]
        ),
        a=conv(2, 4),
        b=linear(4, 2),
        c=linear(2, 4),
        d=conv(4, 3),
    )
    layers, joins = described(squeeze, IMAGE)
    assert layers == {"a -> b": 4, "b": 2, "to d": 4, "d": 3}
    assert joins == [("a -> b", "b"), ("b", "to d"), ("to d", "d")]


def pointwise(self, x):
    h = self.a(x).permute(0, 2, 3, 1)
    h = (h + self.d(self.c(h).relu())).permute(0, 3, 1, 2)
    return self.f(self.e(h.mean((2, 3))))


def mixer(self, x):
    h = self.a(x).flatten(2).mT
    h = h + self.d(self.c(h).relu())
    return self.f(self.e(h.mean(1)))


def last_squeeze(self, x):
    h = self.a(x)
    h = h * self.d(self.c(h.mean((2, 3))).relu()).sigmoid()[:, :, None, None]
    return self.f(self.e(h.mean((2, 3))))


@pytest.mark.slow
@pytest.mark.parametrize("forward", [pointwise, mixer, last_squeeze])
@pytest.mark.parametrize("n_examples", [1, 2])
def test_linear_layers_on_a_map_are_no_head(forward, n_examples):
    parts = {"c": linear(4, 6), "d": linear(6, 4), "e": linear(4, 5), "f": linear(5, 3)}
    model = Forward(forward, a=conv(2, 4), **parts)
    image = torch.zeros(n_examples, 2, 4, 4)
    _, notes = assembled(model, image, ("input",))
    assert notes == ("left out, as in the paper: the dense part (e, f)",)


@pytest.mark.parametrize(
    "forward",
    [
        lambda self, x: self.f(self.e(self.a(x).flatten(1))),
        lambda self, x: (self.e(self.a(x).flatten(1)).unsqueeze(1) * self.f.weight).sum(-1),
        lambda self, x: (self.f.weight @ self.e(self.a(x).flatten(1)).T).T,
    ],
)
def test_a_head_stays_one_in_any_form(forward):
    model = Forward(forward, a=conv(2, 4), e=linear(64, 5), f=linear(5, 3))
    _, notes = assembled(model, torch.zeros(2, 2, 4, 4), ("input",))
    assert notes == ("left out, as in the paper: the dense part (e, f)",)


def test_all_outputs_but_inputs_and_hidden_layers_are_layers():
    def forward(self, x):
        h = self.a(x)
        return h, self.b(h), self.c(h), x

    parts = {"a": linear(3, 4), "b": linear(4, 2), "c": linear(4, 1)}
    layers, joins = described(Forward(forward, **parts), POINTS)
    assert layers == {"input": 3, "a -> b": 4, "a -> c": 4, "b": 2, "c": 1}
    first = [("input", "a -> b"), ("input", "a -> c")]
    assert joins == [*first, ("a -> b", "b"), ("a -> c", "c")]


@pytest.mark.slow
def test_what_a_buffer_is_given_is_no_output():
    def forward(self, x):
        h = self.a(x)
        self.memory.copy_(h[0, :2])
        return self.b(h.view(3)[None].relu_())

    model = Forward(forward, a=linear(3, 3), b=linear(3, 2), memory=torch.zeros(2))
    assert described(model, POINTS)[0] == {"input": 3, "a": 3, "b": 2}


def test_two_inputs_are_two_segments():
    model = Forward(
        lambda self, x: self.b(torch.cat([self.a(x[:, :2]), x[:, 2:]], 1)),
        a=linear(2, 4),
        b=linear(5, 2),
    )
    layers, joins = described(model, POINTS)
    assert layers == {"input -> a": 2, "a": 4, "input -> b": 1, "b": 2}
    assert joins == [("input -> a", "a"), ("a", "b"), ("input -> b", "b")]


def test_what_leads_nowhere_is_left_out():
    def forward(self, x):
        self.dead(x)
        return self.b(self.a(x))

    model = Forward(forward, a=linear(3, 4), b=linear(4, 2), dead=linear(3, 9))
    assert described(model, POINTS)[0] == {"input": 3, "a": 4, "b": 2}


@pytest.mark.parametrize(
    ("model", "x", "message"),
    [
        (nn.ReLU(), POINTS, "there is no weight layer: expected a dense layer or a convolution"),
        (conv(2, 3), IMAGE, r"no two layers are left to join; left out, .*--include input,dense"),
        (
            nn.Sequential(conv(2, 3), nn.Flatten(), linear(48, 2)),
            IMAGE,
            r"no two layers are left to join; .* \(0\) and the dense part \(2\); pass include=",
        ),
        (
            Forward(lambda self, x: self.a(x) * 0 > x, a=nn.Identity()),
            POINTS,
            "there is no weight layer",
        ),
    ],
)
def test_networks_without_blocks_are_refused(model, x, message):
    with pytest.raises(InputError, match=message):
        assembled(model, x)
