"""The penalty in others' loops: what it gives, where gradients flow, and what it refuses."""

import copy
import pickle

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations, prune

from clusterability import EigenvaluePenalty, InputError, neuron_graph, toy
from clusterability.penalties import MeanEigenvalue

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("one_thread")]


def mlp(sizes=(20, 16, 12), seed=0):
    torch.manual_seed(seed)
    pairs = zip(sizes, sizes[1:], strict=False)
    parts = [part for pair in pairs for part in (nn.Linear(*pair), nn.ReLU())]
    return nn.Sequential(*parts[:-1])


def expected(model, wanted=(2, 3, 4), **options):
    """The mean by itself, of the graph that ``neuron_graph`` makes, differentiable."""
    return MeanEigenvalue(wanted)(neuron_graph(model, **options))


def gradients(model):
    return {name: p.grad for name, p in model.named_parameters() if p.grad is not None}


def assert_same_gradients(model, twin, factor=1.0):
    ours, theirs = gradients(model), gradients(twin)
    assert ours.keys() == theirs.keys()
    assert ours
    for name in ours:
        assert torch.allclose(ours[name], factor * theirs[name], atol=1e-6), name


def convolutional():
    torch.manual_seed(0)
    return nn.Sequential(
        *(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 12, 3), nn.ReLU()),
        *(nn.Conv2d(12, 6, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 4)),
    )


def masked():
    model = mlp()
    prune.l1_unstructured(model[0], "weight", 0.5)
    return model


def parametrized():
    model = mlp()
    parametrizations.weight_norm(model[0])
    return model


def frozen():
    model = mlp()
    model[0].weight.requires_grad_(False)
    return model


MODELS = {
    "MLP": (mlp, {}),
    "residual": (toy.ResidualMLP, {}),
    "CNN": (convolutional, {"input_shape": (3, 16, 16)}),
    "masked": (masked, {}),
    "parametrized": (parametrized, {}),
    "frozen": (frozen, {}),
    "double": (lambda: mlp().double(), {}),
}


@pytest.mark.parametrize("name", MODELS)
def test_value_and_gradients(name):
    make, options = MODELS[name]
    model, twin = make(), make()
    wanted = (2,) if name == "residual" else (2, 3, 4)
    (0.5 * EigenvaluePenalty(model, wanted, **options)()).backward()
    mean = expected(twin, wanted, **options)
    mean.backward()
    assert_same_gradients(model, twin, 0.5)
    with torch.no_grad():
        value = EigenvaluePenalty(model, wanted, **options)()
    assert value.item() == pytest.approx(mean.item(), abs=1e-5)
    assert not value.requires_grad


def test_frozen_weights_get_no_gradient():
    model = frozen()
    EigenvaluePenalty(model)().backward()
    assert model[0].weight.grad is None
    model[2].weight.requires_grad_(False)
    assert not EigenvaluePenalty(model)().requires_grad


def test_masked_weights_stay_out():
    model = masked()
    EigenvaluePenalty(model)().backward()
    assert (model[0].weight_orig.grad[model[0].weight_mask == 0] == 0).all()


def test_eigenvalues_fall():
    model = mlp((40, 30, 30, 20))
    penalty = EigenvaluePenalty(model)
    optimizer = torch.optim.Adam(model.parameters(), 3e-3)
    first = penalty().item()
    for _ in range(100):
        optimizer.zero_grad()
        loss = penalty()
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.7 * first
    with torch.no_grad():
        assert penalty().item() == pytest.approx(expected(model).item(), abs=1e-3)


def test_under_autocast_and_scaling():
    """As without: in float32, and the gradients of a scaled loss are scaled."""
    model = mlp()
    twin = copy.deepcopy(model)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        value = EigenvaluePenalty(model)()
        (1024 * value).backward()
    assert value.dtype == torch.float32
    expected(twin).backward()
    assert_same_gradients(model, twin, 1024)


def test_half_precision_is_computed_in_float32():
    model = mlp().to(torch.bfloat16)
    value = EigenvaluePenalty(model)()
    value.backward()
    assert value.dtype == torch.float32
    assert value.item() == pytest.approx(expected(copy.deepcopy(model).float()).item(), abs=1e-5)
    assert model[0].weight.grad.dtype == torch.bfloat16


def test_accumulation_adds_up():
    model = mlp()
    twin = copy.deepcopy(model)
    penalty = EigenvaluePenalty(model)
    for _ in range(2):
        penalty().backward()
    expected(twin).backward()
    assert_same_gradients(model, twin, 2)


def moved(model, scale):
    with torch.no_grad():
        for value in model.parameters():
            value.mul_(torch.linspace(1, scale, len(value)).view(-1, *[1] * (value.ndim - 1)))


@pytest.mark.parametrize("make", [mlp, masked])
def test_the_gradient_comes_at_some_calls_so_many_times_as_large(make):
    model = make()
    always, lazy = EigenvaluePenalty(model), EigenvaluePenalty(model, every=3)
    values = []
    for step in range(4):
        found = []
        for penalty in (always, lazy):
            model.zero_grad()
            value = penalty()
            (2 * value).backward()
            found.append({n: g.clone() for n, g in gradients(model).items()})
        values.append(value.item())
        for name, gradient in found[0].items():
            times = 3 if step % 3 == 0 else 0
            lazily = found[1].get(name, torch.zeros_like(gradient))
            torch.testing.assert_close(lazily, times * gradient, atol=1e-5, rtol=1e-4)
        moved(model, 1.5)
    assert values[0] == values[1] == values[2] != values[3]


@pytest.mark.parametrize("every", [1, 3])
def test_state_goes_on_to_the_same_numbers(every, tmp_path):
    model = mlp((60, 50, 40))
    penalty = EigenvaluePenalty(model, every=every)
    penalty()
    moved(model, 1.1)
    penalty()
    torch.save((model.state_dict(), penalty.state_dict()), tmp_path / "state.pt")
    weights, state = torch.load(tmp_path / "state.pt", weights_only=True)
    other = mlp((60, 50, 40), seed=1)
    resumed = EigenvaluePenalty(other, every=every)
    other.load_state_dict(weights)
    resumed.load_state_dict(state)
    for _ in range(4):
        ours, theirs = resumed(), penalty()
        assert ours.item() == theirs.item()
        for each, value in ((other, ours), (model, theirs)):
            each.zero_grad()
            value.backward()
        assert gradients(other).keys() == gradients(model).keys()
        for name, gradient in gradients(model).items():
            assert torch.equal(gradient, gradients(other)[name])
        for each in (model, other):
            moved(each, 1.1)


def test_wrapped_models_are_the_models_inside():
    model = mlp()
    assert EigenvaluePenalty(nn.DataParallel(model))().item() == EigenvaluePenalty(model)().item()


def change_shape(model):
    model[0].weight = nn.Parameter(torch.randn(16, 21))


def spoil(model):
    with torch.no_grad():
        model[2].weight[1, 1] = torch.nan


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (change_shape, r"'0.weight' has shape \(16, 21\), but had \(16, 20\)"),
        (lambda model: delattr(model[2], "weight"), "the model has lost its parameter '2.weight'"),
        (spoil, "'2.weight' holds 1 NaN or infinite weights"),
    ],
)
def test_a_model_that_has_changed(change, message):
    model = mlp()
    penalty = EigenvaluePenalty(model)
    change(model)
    with pytest.raises(InputError, match=message):
        penalty()


def test_bad_input():
    model = mlp()
    bad = [
        ((model, [1, 2]), {}, "the first eigenvalue is always zero"),
        ((model, [2, 60]), {}, "the graph has 48 neurons; ask for eigenvalues up to 48"),
        ((model.state_dict(),), {}, "expected a torch.nn.Module"),
        ((model,), {"every": 0}, "every is 0, expected a whole number of at least 1"),
        ((model,), {"kernel_norm": "l3"}, "expected one of"),
        ((model,), {"example_inputs": 3}, "expected a tensor"),
        (
            (model,),
            {"input_shape": (20,), "example_inputs": torch.zeros(1, 20)},
            "give one of them",
        ),
        ((nn.ReLU(),), {}, "there is no weight layer"),
    ]
    for arguments, options, message in bad:
        with pytest.raises(InputError, match=message):
            EigenvaluePenalty(*arguments, **options)
    spoil(model)
    with pytest.raises(InputError, match="NaN"):
        EigenvaluePenalty(model)


def test_a_bad_state():
    penalty = EigenvaluePenalty(mlp())
    penalty = EigenvaluePenalty(nn.Sequential(nn.Linear(40, 40), nn.Linear(40, 9)), every=2)
    penalty()
    good = penalty.state_dict()
    start = good["start"]
    starts = [
        *(3, {}, {**start, "half": 7}, {**start, "rows": None}, {**start, "values": None}),
        *({**start, "rows": start["rows"] * torch.nan}, {**start, "values": torch.zeros(3)}),
    ]
    others = [{"value": 1.0}, {"value": torch.zeros(3)}]
    bad = [{**good, "start": start} for start in starts] + [{**good, **other} for other in others]
    for state in (3, {}, {"n_calls": 1}, *bad):
        with pytest.raises(InputError, match="expected the entries"):
            penalty.load_state_dict(state)


@pytest.mark.parametrize("every", [1, 2])
def test_a_plain_chain_is_the_same_by_compiled_loops(every):
    """Held against the same weights where autograd goes through a mask of ones."""
    # So few neurons that the eigenvectors are solved as one matrix, to all digits.
    model, twin = (mlp((30, 16, 12)).double() for _ in range(2))
    for part in twin:
        if isinstance(part, nn.Linear):
            prune.identity(part, "weight")
    ours, theirs = (EigenvaluePenalty(m, range(2, 7), every=every) for m in (model, twin))
    for step in range(3):
        losses = ours(), theirs()
        assert losses[0].item() == pytest.approx(losses[1].item(), abs=1e-9)
        for m, loss in zip((model, twin), losses, strict=True):
            m.zero_grad()
            (0.5 * loss).backward()
        masked = {n.removesuffix("_orig"): g for n, g in gradients(twin).items()}
        assert gradients(model).keys() == masked.keys()
        for name, gradient in gradients(model).items():
            assert torch.allclose(gradient, masked[name], atol=1e-8), (step, name)
        with torch.no_grad():
            for m in (model, twin):
                for name, p in m.named_parameters():
                    if "weight" in name:
                        p += 0.02 * p.square()


def test_a_frozen_kernel_of_a_chain_gets_no_gradient():
    model = mlp((80, 40, 30, 12))
    model[2].weight.requires_grad_(False)
    EigenvaluePenalty(model)().backward()
    assert model[2].weight.grad is None
    assert model[0].weight.grad.abs().sum() > 0


@pytest.mark.parametrize("again", [copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))])
def test_a_copy_or_pickle_of_a_penalty_that_is_in_use_goes_on(again):
    model = mlp((60, 50, 40))
    penalty = EigenvaluePenalty(model)
    value = penalty()
    twin = again(penalty)
    torch.testing.assert_close(twin(), value)
    torch.testing.assert_close(twin(), penalty())
