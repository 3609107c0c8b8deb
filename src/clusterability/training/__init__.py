"""Networks of the paper, trained as the paper trains them."""

from clusterability.training.networks import NETWORKS, build
from clusterability.training.record import TrainedRun
from clusterability.training.running import DivergedError, train, train_many
from clusterability.training.spec import TrainingSpec

__all__ = [
    "NETWORKS",
    "DivergedError",
    "TrainedRun",
    "TrainingSpec",
    "build",
    "train",
    "train_many",
]
