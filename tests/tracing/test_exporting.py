import logging
import threading
import warnings
from dataclasses import dataclass

import pytest
import torch
from torch import nn
from torch.nn.functional import dropout
from torch.nn.utils import parametrizations, prune

from clusterability.errors import InputError
from clusterability.sources import neuron_graph
from clusterability.tracing.exporting import evaluating_copy, exported, only_to_walk, quiet
from small_modules import OLD_TORCH, Forward, linear

X = torch.zeros(1, 3)


def operations(model, *inputs):
    """Names of the operations, without namespaces and overloads."""
    graph = exported(model, inputs or (X,)).graph
    return [n.target._opname for n in graph.nodes if isinstance(n.target, torch._ops.OpOverload)]


def test_the_forward_pass_as_operations():
    assert operations(nn.Sequential(linear(3, 2), nn.ReLU())) == ["linear", "relu"]


def test_it_runs_in_evaluation_and_the_module_stays_in_training():
    model = nn.Sequential(linear(3, 3), nn.Dropout(), nn.BatchNorm1d(3)).train()
    program = exported(model, (X,))
    assert all(part.training for part in model.modules())
    (norm,) = [n for n in program.graph.nodes if "batch_norm" in n.name and n.op == "call_function"]
    assert norm.args[5] is False


def test_a_module_whose_mode_cannot_be_set_is_evaluated_too():
    class Stubborn(nn.Linear):
        def train(self, mode=True):
            raise RuntimeError(f"no {mode}")

    class Deaf(nn.Dropout):
        def train(self, mode=True):
            del mode
            return self

    assert operations(nn.Sequential(Stubborn(3, 3), Deaf())) == ["linear", "dropout"]
    copy = evaluating_copy(nn.Sequential(Deaf()))
    assert not copy[0].training


def test_the_copy_shares_every_tensor():
    model = nn.Sequential(linear(3, 3), nn.BatchNorm1d(3))
    model[0].plain = torch.ones(2)
    twin = evaluating_copy(model)
    assert twin is not model
    for name, tensor in (*model.named_parameters(), *model.named_buffers()):
        assert tensor is dict((*twin.named_parameters(), *twin.named_buffers()))[name]
    assert twin[0].plain is model[0].plain


def test_the_copy_has_no_hooks_but_the_weights_they_make():
    model = nn.Sequential(prune.l1_unstructured(linear(4, 2), "weight", 3), nn.ReLU())
    model.register_forward_hook(lambda *_: 1 / 0)
    model[1].register_forward_pre_hook(lambda *_: 1 / 0)
    twin = evaluating_copy(model)
    assert torch.equal(
        twin(torch.ones(1, 4)), (model[0].weight_orig * model[0].weight_mask).sum(1)[None]
    )
    assert len(model._forward_hooks) == len(model[1]._forward_pre_hooks) == 1
    assert "weight" in vars(model[0])
    assert "weight" not in model[0]._parameters


@pytest.mark.parametrize(
    "mutate",
    [
        lambda h: h.mul_(2),
        lambda h: h.relu_(),
        lambda h: h.add_(1),
        lambda h: h.view(3).relu_(),
        lambda h: dropout(h.flatten(), 0.5, training=False).mul_(2),
        lambda h: h.mul_(2)[:, :2].unsqueeze(1).add_(1),
    ],
)
def test_operations_in_place_stay_where_nothing_else_sees_them(mutate):
    model = Forward(lambda self, x: mutate(self.a(x)), a=linear(3, 3))
    assert operations(model)[0] == "linear"
    assert any(name.endswith("_") for name in operations(model))


@pytest.mark.slow
@pytest.mark.parametrize(
    "mutate",
    [
        lambda h: (h[:, :2].mul_(2), h)[1],
        lambda h: (h.view(3).relu_(), h)[1],
        lambda h: h * 2 + h.add_(1),
        lambda h: ([part.relu_() for part in h.split(1, 1)], h)[1],
        lambda h: (torch.relu_(h.unsqueeze(0)[0]), h)[1],
        lambda h: (h.flatten()[:2].unsqueeze(1).mul_(2), h)[1],
        lambda h: (h.mul_(2)[:, :2].add_(1), h)[1],
        lambda h: (h.flatten().view(3, 1).mul_(2), h.flatten())[1],
    ],
)
def test_operations_in_place_that_others_see_become_functions(mutate):
    model = Forward(lambda self, x: mutate(self.a(x)), a=linear(3, 3))
    assert not any(name.endswith("_") for name in operations(model))


def counting(self, x):
    self.calls.add_(1)
    self.last = self.a(x)
    self.mean.mul_(0.9).add_(0.1 * self.last.mean(0))
    return self.last


@pytest.mark.slow
@pytest.mark.skipif(OLD_TORCH, reason="torch refuses it")
def test_what_the_forward_pass_writes_down_stays_as_it_was():
    model = Forward(counting, a=linear(3, 3), calls=torch.zeros(()), mean=torch.zeros(3))
    exported(model, (X,))
    assert (model.calls, model.mean.tolist()) == (0, [0, 0, 0])
    assert not hasattr(model, "last")


@pytest.mark.skipif(
    not hasattr(torch.fx.config, "do_not_emit_stack_traces"), reason="this torch notes them always"
)
@pytest.mark.parametrize("fails", [False, True])
def test_lines_of_code_are_not_noted_and_torch_notes_them_again_afterwards(monkeypatch, fails):
    monkeypatch.setattr(torch.fx.config, "do_not_emit_stack_traces", False)
    if fails:
        with pytest.raises(InputError, match="could not be traced"):
            exported(linear(4, 2), (X,))
    else:
        nodes = exported(nn.Sequential(linear(3, 2), nn.ReLU()), (X,)).graph.nodes
        assert [node.stack_trace for node in nodes] == [None] * len(nodes)
    assert torch.fx.config.do_not_emit_stack_traces is False


def test_a_torch_that_must_note_lines_of_code_does(monkeypatch):
    monkeypatch.delattr(torch.fx.config, "do_not_emit_stack_traces", raising=False)
    with only_to_walk():
        assert not hasattr(torch.fx.config, "do_not_emit_stack_traces")


def test_code_is_written_when_it_is_asked_for(monkeypatch):
    lazy = torch.fx._lazy_graph_module
    written = []
    monkeypatch.setattr(lazy._LazyGraphModule, "real_recompile", lambda self: written.append(self))
    exported(linear(3, 2), (X,))
    assert not written
    monkeypatch.undo()
    assert lazy._use_lazy_graph_module_flag is False
    model = linear(3, 2)
    assert torch.equal(exported(model, (X,)).module()(X), model(X))


def test_a_torch_that_must_write_code_does(monkeypatch):
    monkeypatch.delattr(torch.fx._lazy_graph_module, "_use_lazy_graph_module")
    model = linear(3, 2)
    assert torch.equal(exported(model, (X,)).module()(X), model(X))


def branch(self, x):
    return self.a(x) if x.sum() > 0 else x


@pytest.fixture
def records():
    """What is logged meanwhile, by those too who do not hand it on to the root."""
    loggers = [logging.getLogger(), *map(logging.getLogger, logging.root.manager.loggerDict)]
    heard = [x for x in loggers if x is logging.root or not x.propagate]
    handler, records = logging.Handler(), []
    handler.emit = records.append
    for logger in heard:
        logger.addHandler(handler)
    yield records
    for logger in heard:
        logger.removeHandler(handler)


@pytest.mark.parametrize("parts", [(Forward(branch, a=linear(3, 3)),), (linear(3, 3), nn.ReLU())])
def test_torch_says_nothing_of_its_own(parts, capfd, records, recwarn):
    try:
        exported(nn.Sequential(*parts), (X,))
    except InputError:
        assert len(parts) == 1
    assert capfd.readouterr() == ("", "")
    assert not [r for r in records if r.levelno >= logging.INFO]
    assert not recwarn.list


def fail_quietly():
    with quiet():
        assert logging.root.manager.disable >= logging.CRITICAL
        warnings.warn("nothing", stacklevel=1)
        raise ZeroDivisionError


def test_quiet_restores_logs_and_warnings_after_an_error():
    level = logging.root.manager.disable
    with pytest.raises(ZeroDivisionError):
        fail_quietly()
    assert logging.root.manager.disable == level
    with pytest.raises(UserWarning, match="something"):
        warnings.warn("something", stacklevel=1)


def test_a_branch_on_the_data_is_refused_with_its_line():
    line = branch.__code__.co_firstlineno + 1
    place = rf"{__name__}\.py, line {line}"
    with pytest.raises(
        InputError, match=rf"Forward branches on its data at .*{place}, .*torch\.wh"
    ):
        exported(Forward(branch, a=linear(3, 3)), (X,))


def test_a_detector_is_told_of_its_backbone():
    detector = Forward(branch, a=linear(3, 3), backbone=linear(3, 3))
    with pytest.raises(InputError, match=r"branches on .*measure its part 'backbone' by itself"):
        exported(detector, (X,))


class Cache:
    """An object that is no tensor."""


def test_what_is_no_tensor_is_named():
    model = Forward(lambda self, x: {"logits": self.a(x), "cache": Cache()}, a=linear(3, 3))
    with pytest.raises(InputError, match=r"returns an object of type Cache.*use_cache = False"):
        exported(model, (X,))


@dataclass
class Out:
    """What a network returns, in a class that torch does not know."""

    value: object
    kind: str = "logits"
    loss: object = None


def test_dataclasses_that_are_returned_are_taken_apart():
    def forward(self, x):
        h = self.a(x).relu()
        return Out((Out(self.b(h)), {"hidden": Out([h])}))

    model = Forward(forward, a=linear(3, 4), b=linear(4, 2))
    program = exported(model, (X,))
    names = [name for name in program.graph_signature.user_outputs if isinstance(name, str)]
    shapes = {n.name: tuple(n.meta["val"].shape) for n in program.graph.nodes if n.name in names}
    assert [shapes[name] for name in names if name in shapes] == [(1, 2), (1, 4)]
    assert "forward" not in vars(model)
    assert isinstance(model(X), Out)
    plain = Forward(lambda self, x: self.b(self.a(x).relu()), a=model.a, b=model.b)
    found, expected = neuron_graph(model, example_inputs=X), neuron_graph(plain, example_inputs=X)
    assert torch.equal(found.blocks[1].strengths, expected.blocks[1].strengths)


def test_branches_on_shapes_and_on_mode_are_no_branches_on_data():
    def forward(self, x):
        x = x.flatten(1) if x.ndim > 2 else x
        return self.a(x) if x.shape[1] == 3 and not self.training else x

    assert operations(Forward(forward, a=linear(3, 3)).train()) == ["linear"]


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        (
            (torch.zeros(1, 4),),
            r"Sequential could not be traced.*: RuntimeError: .*check that exam",
        ),
        ((torch.zeros(3, 2, 4),), "could not be traced"),
        ((X, X), "Sequential could not be traced.*check that example_inputs .*--input-shape"),
        ((), "Sequential could not be traced"),
    ],
)
def test_inputs_that_do_not_fit_are_refused(inputs, message):
    with pytest.raises(InputError, match=message) as caught:
        exported(nn.Sequential(linear(3, 2)), inputs)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 600


def test_keyword_only_inputs_are_refused():
    def forward(self, x, *, y):
        return self.a(x) + y

    with pytest.raises(InputError, match=r"Forward could not be traced.*missing .* 'y'"):
        exported(Forward(forward, a=linear(3, 3)), (X,))


def test_errors_of_the_network_itself_keep_their_reason():
    def forward(*_):
        raise KeyError("no such head")

    with pytest.raises(InputError, match=r"could not be traced at .*KeyError: 'no such head'; che"):
        exported(Forward(forward), (X,))


def test_a_torchscript_module_is_refused():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch deprecates it; networks are saved so
        scripted = torch.jit.script(linear(3, 2))
    with pytest.raises(
        InputError, match=r"a TorchScript module cannot be traced; pass the torch\."
    ):
        exported(scripted, (X,))


@pytest.mark.parametrize(
    ("model", "name"),
    [
        (nn.Sequential(nn.LazyLinear(3)), r"0\.weight"),
        (nn.Sequential(linear(3, 3), nn.LazyBatchNorm1d()), r"1\.weight"),
    ],
)
def test_a_lazy_module_is_refused(model, name):
    with pytest.raises(
        InputError, match=f"'{name}' is lazy and has no values yet; run the network"
    ):
        exported(model, (X,))


def test_a_module_that_cannot_be_copied_is_refused():
    model = nn.Sequential(linear(3, 2))
    model.lock = threading.Lock()
    with pytest.raises(
        InputError, match=r"Sequential cannot be copied to be traced \(TypeError: c"
    ):
        exported(model, (X,))


def test_a_tensor_that_is_no_leaf_does_not_stop_the_copy():
    model = nn.Sequential(linear(3, 2))
    model.last_activation = model(X)
    assert operations(model) == ["linear"]


@pytest.mark.parametrize(
    "wrap",
    [parametrizations.weight_norm, parametrizations.spectral_norm, parametrizations.orthogonal],
)
def test_parametrized_modules_are_copied(wrap):
    model = nn.Sequential(wrap(linear(3, 3)))
    assert operations(model)[-1] == "linear"
    assert model[0].parametrizations.weight[0].training
