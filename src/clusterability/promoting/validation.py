"""What clusters are worth: the verb that cuts them apart, and takes each out by itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.dropout import _DropoutNd

from clusterability.arguments import whole
from clusterability.errors import InputError
from clusterability.promoting.given_tags import given_tags, most_tags
from clusterability.promoting.lesions import Subject, permuted
from clusterability.promoting.tags import AnyTags
from clusterability.promoting.validated import ClusterValidation, compared
from clusterability.shown import described
from clusterability.tracing.examples import check_example_inputs
from clusterability.tracing.modules import unwrapped


def validate_clusters(
    model: nn.Module,
    clusters: AnyTags,
    inputs: Any,
    targets: Any,
    *,
    n_permutations: int = 29,
    seed: int = 0,
    n_lesioned: int | None = None,
    batch_size: int = 500,
) -> ClusterValidation:
    """Say what a classifier's clusters are worth: apart from each other, and each by itself.

    The cut sets every weight between clusters to 0; folded, the mean of what is cut goes into the
    biases, which is the part of the damage that is a mere shift. A lesion lets everything read of a
    cluster's hidden neurons be its mean over the inputs, and the fall of the accuracy on each class
    is compared with that of partitions in which the labels of the living hidden neurons are
    permuted within each layer. With zeros in place of means, an output without input would keep its
    bias, above the others' values, and everything would seem to depend on everything.

    The model is not touched: a copy in evaluation mode is cut and lesioned.

    Args:
        model: any module that can be traced, with weights in linear layers and convolutions.
        clusters: of :func:`clusterability.measure` or :func:`clusterability.cluster_tags`, or
            labels as ``cluster_tags`` takes them.
        inputs: what the network is asked about, (n, ...), or a tuple of arguments.
        targets: (n,) the right class of each, integers from 0 on.
        n_permutations: 29 give a p-value of 1/30 at the least, in each tail; 0 for none.
        seed: draws the permutations.
        n_lesioned: how many of the inputs, the first ones, lesions are judged on; by default all.
        batch_size: inputs in one forward pass.

    Raises:
        InputError: if clusters, inputs or targets do not fit, outputs are NaN, or the network
            cannot be traced or copied, or uses weights in several places.

    >>> model = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 4), nn.ReLU())
    >>> for layer, bias in ((model[0], 0.0), (model[2], -0.3)):
    ...     _ = nn.init.eye_(layer.weight), nn.init.constant_(layer.bias, bias)
    >>> report = validate_clusters(model, torch.arange(12) % 4, torch.eye(4), torch.arange(4))
    >>> report.accuracy_cut, report.falls[1]
    (1.0, (0.0, 1.0, 0.0, 0.0))
    """
    n_permutations = whole("n_permutations", n_permutations, 0, 10**6)
    seed = whole("seed", seed, 0)
    rng = np.random.default_rng(seed)
    batch_size = whole("batch_size", batch_size, 1)
    n_lesioned = None if n_lesioned is None else whole("n_lesioned", n_lesioned, 1)
    if not isinstance(model, nn.Module):
        raise InputError(f"model is {described(model)}, expected a torch.nn.Module")
    model = unwrapped(model)
    arguments, right = _check_data(model, inputs, targets)
    with torch.random.fork_rng(_cuda_devices(model)):
        first = tuple(x[:n_lesioned] if isinstance(x, Tensor) else x for x in arguments)
        subject = Subject(model, first, batch_size)
        tags = given_tags(clusters, subject.wiring)
        _check_targets(right, subject.n_classes)
        judged = right[:n_lesioned]
        falls, null = _lesion_all(subject, tags, judged, n_permutations, rng)
        accuracies, n_cut = _cut_all(model, subject, tags, arguments, right, batch_size)
    fall, spread = compared(falls, null)
    return ClusterValidation(
        *accuracies,
        n_cut=n_cut,
        fall=fall,
        spread=spread,
        falls=tuple(tuple(row) for row in falls.tolist()),
        classes=tuple(torch.unique(judged).tolist()),
        n_inputs=len(right),
        n_lesioned=len(judged),
        seed=seed,
        notes=tuple(_notes(model)),
    )


def _cut_all(
    model: nn.Module,
    traced: Subject,
    tags: dict[str, Tensor],
    arguments: tuple[Any, ...],
    right: Tensor,
    batch_size: int,
) -> tuple[tuple[float, float, float], int]:
    """Return the accuracies whole, cut and folded, and the number of weights that are cut."""
    found: list[float] = []
    n_cut = 0
    for folded in (False, True):
        subject = Subject(model, arguments, batch_size, traced)
        if not found:
            found.append(_share(subject.predictions() == right))
        n_cut = subject.cut(tags, folded)
        found.append(_share(subject.predictions() == right))
    return (found[0], found[1], found[2]), n_cut


def _lesion_all(
    subject: Subject,
    tags: Mapping[str, Tensor],
    right: Tensor,
    n_permutations: int,
    rng: np.random.Generator,
) -> tuple[NDArray[np.float64], list[NDArray[np.float64]]]:
    """Return the falls (n_clusters, n_classes) of the clusters, and of permuted ones."""
    layers = subject.wiring.layers
    labels = torch.cat(
        [tags.get(layer.name, torch.full((layer.n_neurons,), -1)) for layer in layers]
    ).numpy()
    spans = [(int(subject.offsets[i]), int(subject.offsets[i + 1])) for i in subject.hidden]
    alive, n_clusters = subject.live_neurons().numpy(), most_tags(tags)
    before = _by_class(subject.predictions() == right, right)

    def falls(of: NDArray[np.int64]) -> NDArray[np.float64]:
        rows = []
        for cluster in range(n_clusters):
            with subject.without(torch.from_numpy(of == cluster)):
                rows.append(before - _by_class(subject.predictions() == right, right))
        return np.stack(rows)

    null = [falls(permuted(labels, spans, alive, rng)) for _ in range(n_permutations)]
    return falls(labels), null


def _by_class(is_right: Tensor, right: Tensor) -> NDArray[np.float64]:
    """Return the share of right predictions on each class that there is."""
    _, numbers = torch.unique(right, return_inverse=True)
    counts = torch.bincount(numbers).double()
    found: NDArray[np.float64] = (torch.bincount(numbers, is_right.double()) / counts).numpy()
    return found


def _share(is_right: Tensor) -> float:
    return float(is_right.double().mean())


def _check_data(model: nn.Module, inputs: Any, targets: Any) -> tuple[tuple[Any, ...], Tensor]:
    """Return the arguments of the forward pass on the model's device, and targets on the CPU."""
    if isinstance(inputs, Mapping):
        raise InputError(
            "inputs are a dictionary, expected a tensor, or a tuple of the arguments in their order"
        )
    arguments = check_example_inputs(inputs)
    sizes = {len(x) for x in arguments if isinstance(x, Tensor) and x.ndim}
    try:
        right = targets if isinstance(targets, Tensor) else torch.as_tensor(np.asarray(targets))
    except (TypeError, ValueError, RuntimeError):
        raise InputError(f"targets are {described(targets)}, expected classes") from None
    n_inputs = max(sizes, default=0)
    whole_numbers = not (
        right.is_floating_point() or right.is_complex() or right.dtype == torch.bool
    )
    if sizes != {n_inputs} or n_inputs < 1 or right.shape != (n_inputs,) or not whole_numbers:
        raise InputError(
            f"targets are {right.dtype} of shape {tuple(right.shape)} for {n_inputs} inputs, "
            f"expected the class of each, ({n_inputs},) integers, and one or more inputs"
        )
    tensor = next(iter(model.parameters()), arguments[0])
    moved = tuple(x.to(tensor.device) if isinstance(x, Tensor) else x for x in arguments)
    return moved, right.detach().to("cpu", torch.int64)


def _check_targets(right: Tensor, n_classes: int) -> None:
    lowest, highest = int(right.min()), int(right.max())
    if lowest < 0 or highest >= n_classes:
        wrong = lowest if lowest < 0 else highest
        raise InputError(
            f"targets hold the class {wrong}, but the network has outputs for the classes 0 to "
            f"{n_classes - 1}"
        )


def _cuda_devices(model: nn.Module) -> list[int]:
    found = {p.device for p in model.parameters() if p.device.type == "cuda"}
    return [device.index for device in found if device.index is not None]


def _notes(model: nn.Module) -> list[str]:
    changing = (_DropoutNd, _BatchNorm)
    if any(part.training and isinstance(part, changing) for part in model.modules()):
        return [
            "the model is in training mode; it was judged in evaluation mode, without dropout and "
            "with the running statistics of batch norms"
        ]
    return []
