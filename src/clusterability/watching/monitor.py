"""The clusterability of a model every so many steps of any training loop."""

from __future__ import annotations

import warnings
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from torch import nn

from clusterability.arguments import whole
from clusterability.errors import InputError
from clusterability.measuring import measure
from clusterability.report.frames import Records, frame, numbers
from clusterability.report.series import LAST_STEP, plot_series
from clusterability.result import Clusterability
from clusterability.shown import described
from clusterability.watching.processes import check_unsharded, is_first_process
from clusterability.watching.untouched import untouched

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class ClusterabilityMonitor:
    """Measures a model every so many steps of its training, and keeps the results.

    The training goes on as if nothing had been measured: modes, gradients, hooks and the random
    numbers of torch, NumPy and Python stay as they are. Each measurement is a call of
    :func:`clusterability.measure` with the same options, and takes as long.

    Args:
        model: the module that is trained.
        every: a step is due if it is the first that :meth:`step` is told, or if it reaches or
            passes another multiple of this.
        example_inputs: as of :func:`clusterability.measure`.
        options: the other arguments of :func:`clusterability.measure`, such as ``n_clusters``,
            ``n_shuffles``, ``device`` and ``name``.

    Raises:
        InputError: if the model is no module, ``options`` have a ``network``, or ``every`` is no
            whole number from 1 on.

    >>> from clusterability import toy
    >>> model = toy.planted_cnn()
    >>> monitor = ClusterabilityMonitor(model, every=10, n_clusters=2, n_shuffles=0)
    >>> for step in range(25):
    ...     result = monitor.step(step)  # after each step of the training
    >>> monitor.steps, result, round(monitor.results[0].ncut, 4)
    ((0, 10, 20), None, 0.1818)
    """

    def __init__(
        self, model: nn.Module, every: int, *, example_inputs: Any = None, **options: Any
    ) -> None:
        if not isinstance(model, nn.Module):
            raise InputError(f"model is {described(model)}, expected a torch.nn.Module")
        self.every = whole("every", every, 1)
        if "network" in options:
            raise InputError(
                "network is an option, but the monitor measures its model; leave it out"
            )
        self._model = model
        self._options = {"example_inputs": example_inputs, **options}
        self._steps: list[int] = []
        self._results: list[Clusterability | None] = []

    @property
    def steps(self) -> tuple[int, ...]:
        """The steps that were measured."""
        return tuple(self._steps)

    @property
    def results(self) -> tuple[Clusterability | None, ...]:
        """The result of each step, without its graph, which has the size of the network.

        It is None where the model could not be measured.
        """
        return tuple(self._results)

    def step(self, step: int) -> Clusterability | None:
        """Measure the model if the step is due, and return the result, else None.

        Where several processes train together by ``torch.distributed``, the first one measures.
        If the model cannot be measured, as with infinite weights, this raises until there is a
        first result. Later a warning says so once, and None is kept for that step and any other.

        Args:
            step: the number of the training's step, from 0. It may jump.

        Raises:
            InputError: if the step is no whole number from 0 on; if no step could be measured yet,
                and this one cannot; if parts of the weights lie on other processes.
        """
        step = whole("step", step, 0, LAST_STEP - 1)
        if not self._is_due(step):
            return None
        check_unsharded(self._model)
        if not is_first_process():
            return None
        try:
            with untouched(self._model):
                result = measure(self._model, **self._options)
        except InputError as error:
            if not self._results:
                raise
            self._warn(step, error)
            self._keep(step, None)
            return None
        self._keep(step, replace(result, graph=None))
        return result

    def records(self) -> Records:
        """Return the numbers of each step, with the columns of ``--table`` after ``step``.

        They are None where the model could not be measured.
        """
        found = [{} if result is None else numbers(result) for result in self._results]
        columns = found[0] if found else {}  # the first step is only kept if it was measured
        rows = zip(self._steps, found, strict=True)
        return [{"step": step, **{name: row.get(name) for name in columns}} for step, row in rows]

    def table(self) -> Any:
        """Return :meth:`records` as a pandas frame where pandas is installed, else as they are."""
        return frame(self.records())

    def plot(self, title: str | None = None) -> Figure:
        """Plot n-cut, effect and Z over the steps, as :func:`clusterability.plot_series`.

        Raises:
            InputError: if there are fewer than two results, or the model's layers have changed.
        """
        pairs = zip(self._steps, self._results, strict=True)
        measured = [(step, result) for step, result in pairs if result is not None]
        return plot_series(
            [result for _, result in measured], [step for step, _ in measured], title
        )

    def lightning_callback(self) -> Any:
        """Return a ``lightning.pytorch.Callback`` that measures as the steps go on.

        It measures before the first batch, and then as the trainer's ``global_step`` is due. The
        trainer's loggers get ``clusterability/ncut``, ``/effect``, ``/z_score`` and ``/p_value``.

        Raises:
            InputError: if the package lightning is missing.
        """
        from clusterability.watching.on_lightning import lightning_callback

        return lightning_callback(self)

    def transformers_callback(self, trainer: Any) -> Any:
        """Return a ``transformers.TrainerCallback`` that measures as the steps go on.

        It measures before the first batch, and then as the trainer's ``global_step`` is due. What
        it finds is logged by the trainer, as :meth:`lightning_callback` names it.

        Args:
            trainer: the ``transformers.Trainer`` to which the callback is then added.

        Raises:
            InputError: if the package transformers is missing.
        """
        from clusterability.watching.on_transformers import transformers_callback

        return transformers_callback(self, trainer)

    def __repr__(self) -> str:
        model, n_steps = type(self._model).__name__, len(self._steps)
        return f"ClusterabilityMonitor({model}, every={self.every}, {n_steps} steps measured)"

    def _is_due(self, step: int) -> bool:
        return not self._steps or step // self.every != self._steps[-1] // self.every

    def _keep(self, step: int, result: Clusterability | None) -> None:
        self._steps.append(step)
        self._results.append(result)

    def _warn(self, step: int, error: InputError) -> None:
        if None not in self._results:
            warnings.warn(
                f"the model could not be measured at step {step} ({error}); the training goes on, "
                "and None is kept for this step and, without another warning, for any later one",
                RuntimeWarning,
                stacklevel=3,
            )
