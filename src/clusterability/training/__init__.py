"""Networks of the paper, trained as the paper trains them.

Names are loaded when first used: what is to be trained can be said without waiting for torch.
"""

from typing import TYPE_CHECKING

from clusterability.lazy import loaded_when_used

if TYPE_CHECKING:
    from clusterability.training.drawing import tags_of_run
    from clusterability.training.networks import NETWORKS, build
    from clusterability.training.record import TrainedRun
    from clusterability.training.running import DivergedError, train, train_many
    from clusterability.training.spec import TrainingSpec

_HOMES = {
    "NETWORKS": "networks",
    "DivergedError": "running",
    "TrainedRun": "record",
    "TrainingSpec": "spec",
    "build": "networks",
    "tags_of_run": "drawing",
    "train": "running",
    "train_many": "running",
}

__all__ = [
    "NETWORKS",
    "DivergedError",
    "TrainedRun",
    "TrainingSpec",
    "build",
    "tags_of_run",
    "train",
    "train_many",
]


__getattr__ = loaded_when_used(__name__, _HOMES)


def __dir__() -> list[str]:
    return __all__
