"""Keras models and files as PyTorch modules, which are then traced like any other."""

from clusterability.reading.keras.keras_files import read_keras
from clusterability.reading.keras.models import is_keras_model, keras_model

__all__ = ["is_keras_model", "keras_model", "read_keras"]
