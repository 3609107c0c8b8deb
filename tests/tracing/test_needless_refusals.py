"""Networks that are read although something beside their graph is unusual."""

import threading

import pytest
import torch
from torch import nn

from clusterability.errors import InputError
from clusterability.files import memory
from clusterability.sources import trace
from clusterability.sources.names import network_from_name
from small_modules import OLD_TORCH, Forward

X = torch.rand(2, 6)


def parts():
    torch.manual_seed(0)
    return {"a": nn.Linear(6, 5), "b": nn.Linear(5, 3)}


def logits(self, x):
    return self.b(self.a(x).relu())


def adjacency(network, inputs=X):
    return trace(network, example_inputs=inputs).graph.to_scipy().toarray()


EXPECTED = adjacency(nn.Sequential(*parts().values()))


class Holder:
    """Holds what it is given, as an object in a list in a dictionary."""

    def __init__(self):
        self.held = {"all": []}

    def __call__(self, _module, _inputs, output):
        self.held["all"].append((output,))


grown = pytest.param("list", marks=pytest.mark.skipif(OLD_TORCH, reason="torch refuses it"))


@pytest.mark.slow
@pytest.mark.parametrize("how", [grown, "object", "hook", "bound method", "hook with a lock"])
def test_activations_that_are_stored(how):
    holder, network = Holder(), Forward(logits, **parts())
    if how == "list":
        network.function = lambda self, x: self.kept.append(self.a(x)) or logits(self, x)
        network.kept = []
    elif how == "object":
        network.function = lambda self, x: self.holder(self, x, self.a(x)) or logits(self, x)
        network.holder = holder
    else:
        network.a.register_forward_hook(holder.__call__ if how == "bound method" else holder)
        holder.lock = threading.Lock() if how == "hook with a lock" else None
    network(X)
    stored = network.kept[0] if how == "list" else holder.held["all"][0][0]
    assert stored.grad_fn is not None
    assert (adjacency(network) == EXPECTED).all()
    assert len(network.a._forward_hooks) == ("hook" in how or how == "bound method")


@pytest.mark.parametrize(
    "said",
    [
        "Node arity mismatch; expected 1, but got 2.",
        "During torch.export, following attrs were created in the model.forward: {'last'}",
        "The tensor attribute self.last was assigned during export. ",
    ],
)
def test_a_torch_that_refuses_what_is_stored_is_said_to_be_old(said, monkeypatch):
    def refuse(*_, **__):
        raise ValueError(said)

    monkeypatch.setattr(torch.export, "export", refuse)
    with pytest.raises(InputError, match=r"keeps tensors in its attributes .* use a newer torch"):
        adjacency(Forward(logits, **parts()))


@pytest.mark.slow
@pytest.mark.parametrize(
    "end",
    [
        lambda y: y.argmax(1),
        lambda y: y.topk(2),
        lambda y: y.sort(-1)[0],
        lambda y: {"logits": y, "label": y.argmax(-1)},
        lambda y: (y.softmax(-1), (y.argmax(1) + 1).reshape(-1, 1).float()),
        lambda y: torch.tensor([5, 6, 7])[y.argmax(1)],
    ],
)
def test_a_choice_at_the_end_is_among_the_outputs(end):
    network = Forward(lambda self, x: end(logits(self, x)), **parts())
    assert (adjacency(network) == EXPECTED).all()


@pytest.mark.slow
@pytest.mark.parametrize(
    "choose",
    [
        lambda self, h: self.b(h.topk(5)[0]),
        lambda self, h: self.b(h) + h.argmax(1, keepdim=True),
        lambda self, h: self.b(h * h.argmax(1, keepdim=True)),
        lambda self, h: self.b(h.argmax(1, keepdim=True).float().tanh().repeat(1, 5)),
    ],
)
def test_a_choice_within_the_network_is_refused(choose):
    network = Forward(lambda self, x: choose(self, self.a(x)), **parts())
    with pytest.raises(InputError, match="takes depends on the data; leave it out"):
        adjacency(network)


def test_inputs_by_name():
    class Named(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = parts().values()

        def forward(self, *, x, shift=None):
            return logits(self, x) + (0 if shift is None else shift)

    whole = torch.ones(2, 1, dtype=torch.long)
    assert (adjacency(Named(), {"x": X}) == EXPECTED).all()
    assert (adjacency(Named(), {"x": X, "shift": whole}) == EXPECTED).all()
    by_key = Forward(lambda self, batch: logits(self, batch["x"]), **parts())
    assert (adjacency(by_key, ({"x": X},)) == EXPECTED).all()
    with pytest.raises(InputError, match=r"example_inputs is \{1: .*or a dictionary"):
        adjacency(Named(), {1: X})
    with pytest.raises(InputError, match="dictionary of them by the names"):
        adjacency(Named(), {"x": 3})


@pytest.mark.slow
def test_all_operations_that_cannot_be_followed_are_named():
    def forward(self, x):
        h = torch.special.bessel_j0(torch.cummax(self.a(x), 1)[0])
        return self.b(h) + torch.cummax(self.a.bias, 0)[0][:3]

    with pytest.raises(InputError, match=r"aten.cummax cannot.*; nor can aten.special_bessel_j0$"):
        adjacency(Forward(forward, **parts()))
    network = Forward(lambda self, x: torch.cummax(logits(self, x), 1)[0], **parts())
    with pytest.raises(InputError, match=r"extending.md$"):
        adjacency(network)


def test_modules_without_values():
    network = nn.Sequential(*parts().values()).to("meta")
    for inputs in (None, X):
        with pytest.raises(InputError, match=r"'0.weight' lies on the meta device"):
            adjacency(network, inputs)


def test_strengths_that_do_not_fit_into_memory(monkeypatch):
    network = nn.Sequential(*parts().values())
    monkeypatch.setattr(memory, "available_memory", lambda: 4 * (6 * 5 + 5 * 3))
    assert (adjacency(network) == EXPECTED).all()
    monkeypatch.setattr(memory, "available_memory", lambda: 4 * (6 * 5 + 5 * 3) - 1)
    with pytest.raises(
        InputError, match=r"the graph of 14 neurons holds 0\.0 GB, more than the 0.0"
    ):
        adjacency(network)
    with pytest.raises(InputError, match="the graph of 14 neurons"):
        trace({name: value for name, value in network.state_dict().items() if "weight" in name})


def test_an_instance_on_the_command_line(tmp_path, monkeypatch):
    code = "from torch import nn\nnet = nn.Linear(6, 3)\nwrong = 3\n"
    (tmp_path / "with_instance.py").write_text(code)
    monkeypatch.chdir(tmp_path)
    assert network_from_name("with_instance:net").out_features == 3
    with pytest.raises(InputError, match="could not be called: TypeError"):
        network_from_name("with_instance:wrong")
