"""Steps of training on a GPU, recorded once and replayed, so that it need not wait for Python."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from clusterability.training.samples import Samples
from clusterability.training.trainable import Trainable

N_BEFORE = 3
"""Steps that are taken before one is recorded: libraries and Adam prepare themselves in them."""

Step = Callable[[Tensor], tuple[Tensor, Tensor]]
"""Takes the indices of a batch, (n_runs, batch); see :meth:`Trainable.step`."""


def step_of(networks: Trainable, samples: Samples) -> Step:
    """Return what takes the steps of an epoch; on a GPU they are recorded where that is possible.

    Args:
        networks: after :meth:`Trainable.start_epoch`.
        samples: the training part.
    """
    if samples.x.device.type == "cuda" and all(
        getattr(penalty, "is_recordable", False) for penalty in networks.penalties
    ):
        return RecordedStep(networks, samples)
    return partial(networks.step, samples)


class RecordedStep:
    """The steps of one epoch: a few as they are, then a CUDA graph of one, replayed.

    A step of a small network is some hundred operations, each of which takes a GPU less time than
    Python needs to ask for it. The graph asks for all at once. It does the same operations on the
    same memory, and so gives the same numbers; random numbers go on from one replay to the next.
    Networks that cannot be recorded, such as those whose modules wait for the GPU, are trained
    as they are.

    Args:
        networks: after :meth:`Trainable.start_epoch`.
        samples: the training part.
    """

    def __init__(self, networks: Trainable, samples: Samples) -> None:
        self.networks, self.samples = networks, samples
        self._stream = torch.cuda.Stream(samples.x.device)  # type: ignore[no-untyped-call]
        self._recorded: _Recorded | None = None
        self._n_steps, self._is_possible = 0, True

    def __call__(self, indices: Tensor) -> tuple[Tensor, Tensor]:
        """Take one step; the sums that it returns are overwritten by the next one."""
        recorded = self._recorded
        if recorded is None or recorded.is_pruned != self.networks.is_pruned:
            self._n_steps += 1
            if self._is_possible and self._n_steps > N_BEFORE:
                recorded = self._recorded = self._record(indices)
        if recorded is None or recorded.indices.shape != indices.shape:
            return self._take(indices)
        recorded.indices.copy_(indices)
        recorded.graph.replay()
        return recorded.found

    def _take(self, indices: Tensor) -> tuple[Tensor, Tensor]:
        """Take a step as it is, on the stream on which steps are recorded."""
        current = torch.cuda.current_stream()
        self._stream.wait_stream(current)
        with torch.cuda.stream(self._stream):
            found = self.networks.step(self.samples, indices)
        current.wait_stream(self._stream)
        return found

    def _record(self, indices: Tensor) -> _Recorded | None:
        """Record a step, without taking it, or return None where that is not possible."""
        indices, graph = indices.clone(), torch.cuda.CUDAGraph()
        for generator in self.networks.generators:
            graph.register_generator_state(generator)
        try:
            with torch.cuda.graph(graph, stream=self._stream):
                found = self.networks.step(self.samples, indices)
        except torch.OutOfMemoryError:
            raise
        except RuntimeError:
            torch.cuda.synchronize()
            self._is_possible = False
            return None
        return _Recorded(graph, indices, found, self.networks.is_pruned)


@dataclass(frozen=True)
class _Recorded:
    """One step.

    Args:
        graph: takes the step.
        indices: of the batch, read by the graph.
        found: written by the graph.
        is_pruned: whether the networks had masks.
    """

    graph: torch.cuda.CUDAGraph
    indices: Tensor
    found: tuple[Tensor, Tensor]
    is_pruned: bool
