"""Where several processes train together, the first one measures, and needs whole weights."""

import pytest
import torch
from torch import distributed, nn
from torch.distributed.tensor import distribute_tensor, init_device_mesh
from torch.testing._internal.distributed.fake_pg import FakeStore

from clusterability import ClusterabilityMonitor, InputError


@pytest.fixture
def process(request):
    """This process as one of two, which torch's own stand-in joins without a second."""
    distributed.init_process_group("fake", rank=request.param, world_size=2, store=FakeStore())
    yield request.param
    distributed.destroy_process_group()


def monitor(model):
    return ClusterabilityMonitor(model, 1, n_clusters=2, n_shuffles=0, n_init=1, workers=1)


def chain():
    return nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 2))


@pytest.mark.parametrize("process", [0, 1], indirect=True)
def test_the_first_process_measures(process):
    watched = monitor(nn.parallel.DistributedDataParallel(chain()))
    assert (watched.step(0) is not None) == (process == 0)
    assert watched.steps == ((0,) if process == 0 else ())


@pytest.mark.parametrize("process", [0, 1], indirect=True)
@pytest.mark.usefixtures("process")
def test_every_process_refuses_parts_of_weights():
    model = chain()
    mesh = init_device_mesh("cpu", (2,))
    model[0].weight = nn.Parameter(distribute_tensor(torch.ones(6, 4), mesh))
    with pytest.raises(InputError, match=r"'0\.weight' is sharded among processes, .* checkpoints"):
        monitor(model).step(0)
