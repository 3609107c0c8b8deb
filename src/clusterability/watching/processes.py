"""Trainings that several processes share."""

from __future__ import annotations

from torch import distributed, nn

from clusterability.errors import InputError
from clusterability.shown import quoted


def is_first_process() -> bool:
    """Whether this process is the first, or the only one, that trains the model."""
    together = distributed.is_available() and distributed.is_initialized()
    return not together or distributed.get_rank() == 0


def check_unsharded(model: nn.Module) -> None:
    """Refuse a model of whose weights each process has a part, as with FSDP and DeepSpeed's ZeRO-3.

    The first process alone would measure its own part, or wait for ever for the others.

    Raises:
        InputError: that names the weight or the module.
    """
    parts = [
        name
        for name, parameter in model.named_parameters()
        if hasattr(parameter, "device_mesh") or hasattr(parameter, "ds_id")
    ]
    wrapped = [
        name or "the model"
        for name, module in model.named_modules()
        if type(module).__name__ == "FullyShardedDataParallel"
    ]
    for name in (*parts, *wrapped):
        raise InputError(
            f"{quoted(name)} is sharded among processes, and a monitor needs whole weights; "
            "measure the checkpoints of the training, or train by DistributedDataParallel"
        )
