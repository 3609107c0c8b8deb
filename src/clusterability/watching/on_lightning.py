"""A monitor as a callback of Lightning."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from clusterability.errors import InputError
from clusterability.watching.metrics import metrics

if TYPE_CHECKING:
    from clusterability.watching.monitor import ClusterabilityMonitor


def lightning_callback(monitor: ClusterabilityMonitor) -> Any:
    """Return a callback that measures at due steps, and logs what it finds.

    Loggers get it at once, whatever the trainer's ``log_every_n_steps``; ``callback_metrics`` have
    it for other callbacks.

    Raises:
        InputError: if the package lightning is missing.
    """
    base = _callback_class()

    class ClusterabilityCallback(base):  # type: ignore[valid-type, misc]
        def on_train_start(self, trainer: Any, *_: Any) -> None:
            self._measure(trainer)

        def on_train_batch_end(self, trainer: Any, pl_module: Any, *_: Any) -> None:
            found = self._measure(trainer)
            pl_module.log_dict(found, logger=False, on_step=True, rank_zero_only=True)

        def _measure(self, trainer: Any) -> dict[str, float]:
            result = monitor.step(trainer.global_step) if trainer.is_global_zero else None
            found = {} if result is None else metrics(result)
            for logger in trainer.loggers if found else ():
                logger.log_metrics(found, step=trainer.global_step)
            return found

        def __reduce__(self) -> tuple[Any, ...]:  # processes that are spawned get it as a pickle
            return lightning_callback, (monitor,)

    return ClusterabilityCallback()


def _callback_class() -> Any:
    try:
        from lightning.pytorch import Callback
    except ImportError as error:
        raise InputError(
            f"a callback of Lightning needs the package lightning ({error}); "
            "pip install 'clusterability[lightning]'"
        ) from None
    return Callback
