"""The spectral embedding: leading eigenvectors of the normalized Laplacian, and its solvers."""

from clusterability.spectral.embedding import Embedding, spectral_embedding

__all__ = ["Embedding", "spectral_embedding"]
