"""The paper's data sets, downloaded and checked or generated from a seed, and the user's own."""

from clusterability.datasets.dataset import Dataset, Split
from clusterability.datasets.entry import DatasetEntry
from clusterability.datasets.loading import available, fetch, load_dataset
from clusterability.datasets.own_data import dataset_from_arrays
from clusterability.datasets.registry import DATASETS

__all__ = [
    "DATASETS",
    "Dataset",
    "DatasetEntry",
    "Split",
    "available",
    "dataset_from_arrays",
    "fetch",
    "load_dataset",
]
