"""A monitor as a callback of the Trainer of Hugging Face's transformers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from clusterability.errors import InputError
from clusterability.watching.metrics import metrics

if TYPE_CHECKING:
    from clusterability.watching.monitor import ClusterabilityMonitor


def transformers_callback(monitor: ClusterabilityMonitor, trainer: Any) -> Any:
    """Return a callback that measures at due steps; the trainer logs what it finds.

    Raises:
        InputError: if the package transformers is missing.
    """
    base = _callback_class()

    class ClusterabilityCallback(base):  # type: ignore[valid-type, misc]
        def on_train_begin(self, _: Any, state: Any, control: Any, **_given: Any) -> None:
            self._measure(state, control)

        def on_step_end(self, _: Any, state: Any, control: Any, **_given: Any) -> None:
            self._measure(state, control)

        def _measure(self, state: Any, control: Any) -> None:
            result = monitor.step(state.global_step) if state.is_world_process_zero else None
            if result is not None:
                loss_is_due = control.should_log
                trainer.log(metrics(result))  # takes the loss for logged
                control.should_log = loss_is_due

    return ClusterabilityCallback()


def _callback_class() -> Any:
    try:
        from transformers import TrainerCallback
    except ImportError as error:
        raise InputError(
            f"a callback of transformers needs the package transformers ({error}); "
            "pip install 'clusterability[transformers]'"
        ) from None
    return TrainerCallback
