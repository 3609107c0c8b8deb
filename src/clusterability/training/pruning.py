"""The schedule of a pruning."""

from __future__ import annotations

from dataclasses import dataclass

from clusterability.promoting.masks import cubic, emptied


@dataclass(frozen=True)
class PruningSchedule:
    r"""The polynomial schedule of Zhu and Gupta (2017), equation 1.

    .. math:: s_t = s_f + (s_i - s_f) \left(1 - \frac{t - t_0}{t_1 - t_0}\right)^3

    Args:
        initial_sparsity: share of zeros s_i at the first update, in [0, 1).
        final_sparsity: share of zeros s_f from the last update on, in [0, 1).
        begin_step: step t_0 of the first update.
        end_step: step t_1 of the last update.
        interval: steps between updates.
        exponent: 3, as published.

    >>> schedule = PruningSchedule(0.5, 0.9, begin_step=0, end_step=100)
    >>> [round(schedule.sparsity(step), 4) for step in (0, 50, 100, 200)]
    [0.5, 0.85, 0.9, 0.9]
    """

    initial_sparsity: float = 0.5
    final_sparsity: float = 0.9
    begin_step: int = 0
    end_step: int = 0
    interval: int = 10
    exponent: float = 3.0

    @classmethod
    def over(
        cls, n_steps: int, initial_sparsity: float, final_sparsity: float, interval: int
    ) -> PruningSchedule:
        """Return the schedule over ``n_steps`` training steps, with steps counted from 0.

        It ends with the last update. The published runs ended it with the last step, between two
        updates, and so stopped a hair short of the final sparsity; here it is met to one weight.
        """
        end_step = (n_steps - 1) // interval * interval
        return cls(initial_sparsity, final_sparsity, 0, end_step, interval)

    def is_update(self, step: int) -> bool:
        """Return whether the mask is made anew before this step."""
        return (
            self.begin_step <= step <= self.end_step
            and (step - self.begin_step) % self.interval == 0
        )

    def sparsity(self, step: int) -> float:
        """Return the share of zeros from the update at this step on."""
        return cubic(self.progress(step), self.initial_sparsity, self.final_sparsity, self.exponent)

    def emptied(self, step: int) -> float:
        """Return the share of the weights that go first which is gone from this step on."""
        return emptied(self.progress(step))

    def progress(self, step: int) -> float:
        """Return the share of the schedule that has passed at a step, from 0 to 1."""
        length = self.end_step - self.begin_step
        return min(1.0, max(0.0, (step - self.begin_step) / length)) if length > 0 else 1.0
