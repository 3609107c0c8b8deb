"""The same on a GPU as on a CPU, to rounding; skipped where there is none."""

import copy

import pytest
import torch
from torch import nn

from clusterability import (
    EigenvaluePenalty,
    GroupLasso,
    ModularPruning,
    PartitionPenalty,
    balance_,
    cluster_tags,
    clusterable_init_,
    measure,
    normalize_,
    validate_clusters,
)
from clusterability.training import (
    DivergedError,
    TrainingSpec,
    recorded_step,
    train,
    train_many,
)
from training_cases import few_digits, stop_after

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")

EIGENVALUES = range(2, 5)


def mlp(seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(
        *(nn.Linear(20, 32), nn.ReLU(), nn.Linear(32, 32), nn.ReLU(), nn.Linear(32, 10))
    )


def cnn(seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(
        *(nn.Conv2d(1, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU()),
        *(nn.Conv2d(16, 24, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(24, 16, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(16 * 16, 10)),
    )


class Skips(nn.Module):
    """Two blocks whose inputs are added to their outputs."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.stem, self.head = nn.Linear(20, 24), nn.Linear(24, 10)
        self.blocks = nn.ModuleList(nn.Linear(24, 24) for _ in range(2))

    def forward(self, x):
        h = self.stem(x).relu()
        for block in self.blocks:
            h = h + block(h).relu()
        return self.head(h)


NETWORKS = {"mlp": (mlp, (20,)), "cnn": (cnn, (1, 8, 8)), "skips": (Skips, (20,))}


@pytest.fixture(params=NETWORKS)
def network(request):
    """A network on the CPU, and the shape of its inputs."""
    make, shape = NETWORKS[request.param]
    return make(), shape


@pytest.mark.parametrize("choices", [{}, {"conventions": "published"}, {"scaling": "canonical"}])
def test_a_measurement_agrees_with_that_on_the_cpu(network, choices):
    model, shape = network
    if choices.get("scaling") and (isinstance(model, Skips) or shape != (20,)):
        pytest.skip("only MLPs are rescaled as wholes")
    settings = {"n_clusters": 4, "n_shuffles": 30, "seed": 1, "input_shape": shape, **choices}
    found = measure(model.cuda(), device="cuda", **settings)
    expected = measure(model.cpu(), device="cpu", **settings)
    assert found.device == torch.cuda.get_device_name()
    assert found.ncut == pytest.approx(expected.ncut, abs=0.02)
    assert found.refined.ncut == pytest.approx(expected.refined.ncut, abs=0.02)
    assert found.lower_bound == pytest.approx(expected.lower_bound, abs=1e-5)
    assert found.plain.null.mean == pytest.approx(expected.plain.null.mean, abs=0.02)


def test_penalties_and_their_gradients_agree_with_those_on_the_cpu(network):
    model, shape = network
    twin = copy.deepcopy(model).cuda()
    tags = cluster_tags(model, 4, seed=0, input_shape=shape)
    for kind, arguments in (
        (EigenvaluePenalty, (EIGENVALUES,)),
        (GroupLasso, (tags,)),
        (PartitionPenalty, (tags,)),
    ):
        values = []
        for own in (model, twin):
            own.zero_grad()
            value = kind(own, *arguments, input_shape=shape)()
            value.backward()
            values.append(value.item())
        assert values[1] == pytest.approx(values[0], rel=1e-4)
        for ours, theirs in zip(twin.parameters(), model.parameters(), strict=True):
            if theirs.grad is not None:
                assert ours.grad.device.type == "cuda"
                assert torch.allclose(ours.grad.cpu(), theirs.grad, rtol=0.02, atol=1e-4)


@pytest.mark.parametrize("change", [normalize_, balance_])
def test_rescaling_agrees_with_that_on_the_cpu(change):
    for make, shape in (NETWORKS["mlp"], NETWORKS["cnn"]):
        model, twin = make().eval(), make().eval().cuda()
        change(model, input_shape=shape)
        change(twin, input_shape=shape)
        for ours, theirs in zip(twin.parameters(), model.parameters(), strict=True):
            assert ours.device.type == "cuda"
            assert torch.allclose(ours.cpu(), theirs, rtol=1e-4, atol=1e-6)


def test_initialization_agrees_with_that_on_the_cpu(network):
    model, shape = network
    twin = copy.deepcopy(model).cuda()
    tags = clusterable_init_(model, 4, 0.6, seed=0, input_shape=shape)
    again = clusterable_init_(twin, 4, 0.6, seed=0, input_shape=shape)
    assert all(torch.equal(tags[name], again[name].cpu()) for name in tags)
    for ours, theirs in zip(twin.parameters(), model.parameters(), strict=True):
        assert torch.allclose(ours.cpu(), theirs, rtol=1e-5, atol=1e-7)


def test_a_network_is_pruned_into_clusters_and_validated(network):
    model, shape = network
    model = model.cuda()
    tags = cluster_tags(model, 4, seed=0, input_shape=shape)
    pruning = ModularPruning(model, tags, final_sparsity=0.8, input_shape=shape)
    optimizer = torch.optim.Adam(model.parameters())
    x, y = torch.rand(64, *shape, device="cuda"), torch.arange(64, device="cuda") % 10
    for step in range(5):
        pruning.step(step / 4)
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(x), y).backward()
        optimizer.step()
        pruning.apply_()
    found = validate_clusters(model, tags, x, y, n_permutations=3)
    assert found.n_cut == 0
    assert found.accuracy_cut == found.accuracy
    assert next(model.parameters()).device.type == "cuda"


def test_the_penalty_goes_with_autocast_and_a_scaler():
    model = mlp().cuda()
    penalty = EigenvaluePenalty(model, EIGENVALUES, input_shape=(20,))
    optimizer, scaler = torch.optim.Adam(model.parameters()), torch.amp.GradScaler("cuda")
    x, y = torch.rand(64, 20, device="cuda"), torch.arange(64, device="cuda") % 10
    values = []
    for _ in range(40):
        optimizer.zero_grad()
        with torch.autocast("cuda", torch.float16):
            value = penalty()
            loss = nn.functional.cross_entropy(model(x), y) + 10 * value
        scaler.scale(loss).backward()
        scaler.step(optimizer)
        scaler.update()
        values.append(value.item())
    assert values[-1] < 0.99 * values[0]
    assert all(p.isfinite().all() for p in model.parameters())


RUNS = {
    "mlp": {"network": "small-mlp"},
    "penalized": {"network": "small-mlp", "eigenvalue_penalty": 0.05, "normalize": True},
    "modular": {"network": "small-mlp", "modular_pruning": True, "tags": 4},
    "dropout": {"network": "small-mlp", "l2": 1e-4, "l1": 1e-4, "dropout": True, "batch_size": 8},
    "lasso": {"network": "small-mlp", "group_lasso": 1e-3, "tags": 4, "clusterable_init": True},
    "partition": {"network": "small-mlp", "partition_penalty": 0.1, "tags": 4},
    "cnn": {"network": "small-cnn", "dropout": True, "l2": 1e-4, "batch_size": 8},
    "half": {"network": "small-cnn", "precision": "bfloat16", "batch_size": 8},
    "augmented": {"network": "small-cnn", "augment": True, "batch_size": 8},
    "modular-cnn": {"network": "small-cnn", "modular_pruning": True, "tags": 4},
}


@pytest.fixture(params=RUNS)
def spec(request):
    """Two epochs and two of pruning."""
    return TrainingSpec(**RUNS[request.param], dataset="few", epochs=2, pruning_epochs=2)


def test_a_training_agrees_with_that_on_the_cpu(spec, tmp_path):
    found = train(spec, data=few_digits(), out=tmp_path / "gpu", device="cuda")
    expected = train(spec, data=few_digits(), out=tmp_path / "cpu", device="cpu")
    assert found.machine["device"] == torch.cuda.get_device_name()
    for phase, scores in expected.phases.items():
        assert found.phases[phase].sparsity == pytest.approx(scores.sparsity, abs=1e-6)
        tolerance = 0.5 if spec.dropout or spec.precision == "bfloat16" else 0.05
        assert found.phases[phase].train_loss == pytest.approx(scores.train_loss, rel=tolerance)


def test_a_stopped_training_goes_on_as_if_it_was_not(spec, tmp_path):
    whole = train(spec, data=few_digits(), out=tmp_path / "whole", device="cuda")
    stop_after(tmp_path / "parts", spec, 3, device="cuda")
    again = train(spec, data=few_digits(), out=tmp_path / "parts", device="cuda")
    # A GPU adds in no fixed order where images are convolved.
    tolerance = 0.02 if spec.network == "small-cnn" else 1e-4
    for phase, scores in whole.phases.items():
        assert again.phases[phase].train_loss == pytest.approx(scores.train_loss, rel=tolerance)


def test_runs_are_stacked(tmp_path):
    spec = TrainingSpec("small-mlp", "few", epochs=2, pruning_epochs=2, dropout=True)
    runs = train_many(spec, 3, data=few_digits(), out=tmp_path, device="cuda")
    alone = train(spec, data=few_digits(), out=tmp_path, device="cuda")
    assert runs[0].spec.stack == (0, 1, 2)
    assert runs[0].phases["pruned"].train_loss == pytest.approx(
        alone.phases["pruned"].train_loss, rel=1e-3
    )


def test_a_run_that_diverges_is_told(tmp_path):
    spec = TrainingSpec("small-mlp", "few", epochs=1, learning_rate=1e30)
    with pytest.raises(DivergedError):
        train(spec, data=few_digits(), out=tmp_path, device="cuda")


@pytest.mark.parametrize("fields", [{"network": "small-mlp", "l1": 1e-4}, {"network": "small-cnn"}])
def test_recorded_steps_are_those_that_are_not(fields, tmp_path, monkeypatch):
    spec = TrainingSpec(**fields, dataset="few", dropout=True, batch_size=8, epochs=2)
    recorded, made = [], recorded_step.RecordedStep._record

    def record(self, indices):
        recorded.append(made(self, indices))
        return recorded[-1]

    monkeypatch.setattr(recorded_step.RecordedStep, "_record", record)
    ours = train(spec, data=few_digits(), out=tmp_path / "recorded", device="cuda")
    assert len(recorded) > spec.epochs
    assert None not in recorded
    monkeypatch.setattr(recorded_step, "N_BEFORE", 10**9)
    plain = train(spec, data=few_digits(), out=tmp_path / "plain", device="cuda")
    tolerance = 0.02 if spec.network == "small-cnn" else 1e-4
    for phase, scores in plain.phases.items():
        assert ours.phases[phase].train_loss == pytest.approx(scores.train_loss, rel=tolerance)
        assert ours.phases[phase].sparsity == scores.sparsity
