"""Validation traces a network once, and says why one cannot be traced."""

import pytest
import torch
from torch import nn

from clusterability import validate_clusters
from clusterability.errors import InputError
from clusterability.sources import trace

X, Y = torch.rand(20, 4, generator=torch.Generator().manual_seed(0)), torch.arange(20) % 3


def test_one_trace_for_lesions_and_both_cuts(monkeypatch):
    traced, export = [], torch.export.export

    def counting(*arguments, **options):
        traced.append(arguments)
        return export(*arguments, **options)

    monkeypatch.setattr(torch.export, "export", counting)
    model = nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6), nn.ReLU(), nn.Linear(6, 3))
    found = validate_clusters(model, torch.arange(13) % 2, X, Y, n_permutations=2, n_lesioned=10)
    assert len(traced) == 1
    assert found.n_inputs == 20
    assert found.n_lesioned == 10


class Functional(nn.Module):
    def __init__(self):
        super().__init__()
        self.start, self.end = nn.Linear(4, 6), nn.Linear(6, 3)

    def forward(self, x):
        return self.end(nn.functional.batch_norm(self.start(x), None, None, training=True))


def without_statistics():
    norm = nn.BatchNorm1d(6, track_running_stats=False)
    return nn.Sequential(nn.Linear(4, 6), norm, nn.ReLU(), nn.Linear(6, 3))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("make", "which"),
    [
        (without_statistics, "^batch norm '1' of Sequential"),
        (Functional, r"^a batch norm of Functional at .*test_validation_traced\.py, line \d+"),
    ],
)
def test_batch_norms_without_running_statistics(make, which):
    message = f"{which} keeps no running statistics, .* train it with track_running_stats=True"
    with pytest.raises(InputError, match=message):
        validate_clusters(make(), torch.arange(13) % 2, X, Y)
    for how in ({}, {"example_inputs": X[:1]}, {"input_shape": (4,)}):
        with pytest.raises(InputError, match=message):
            trace(make(), **how)


def test_running_statistics_that_no_forward_pass_needs():
    model = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 3))
    model.unused = nn.BatchNorm1d(6, track_running_stats=False)
    model.forward = lambda x: model[2](model[1](model[0](x)))
    assert trace(model, example_inputs=X[:1]).graph.layer_sizes == [4, 6, 3]
