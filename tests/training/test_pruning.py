import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clusterability.training.pruning import PruningSchedule
from training_cases import cubic


@given(
    initial=st.floats(0, 0.5),
    more=st.floats(0, 0.49),
    begin=st.integers(0, 50),
    length=st.integers(1, 300),
    interval=st.integers(1, 40),
)
@settings(max_examples=60, deadline=None)
def test_schedule_is_the_published_one(initial, more, begin, length, interval):
    """Zhu and Gupta's formula, and when TF-MOT's PolynomialDecay updates."""
    final, end = initial + more, begin + length
    schedule = PruningSchedule(initial, final, begin, end, interval)
    updates = [step for step in range(end + 90) if schedule.is_update(step)]
    assert updates == [
        step
        for step in range(end + 90)
        if step >= begin and step <= end and (step - begin) % interval == 0
    ]
    found = [schedule.sparsity(step) for step in updates]
    assert found == pytest.approx([cubic(step, initial, final, begin, end) for step in updates])
    assert found[0] == pytest.approx(initial)
    assert all(a <= b + 1e-12 for a, b in zip(found, found[1:], strict=False))


@given(st.integers(1, 500), st.integers(1, 40))
@settings(max_examples=60, deadline=None)
def test_last_update_within_the_steps_reaches_the_final_sparsity(n_steps, interval):
    schedule = PruningSchedule.over(n_steps, 0.5, 0.9, interval)
    updates = [step for step in range(n_steps) if schedule.is_update(step)]
    assert updates == list(range(0, n_steps, interval))
    assert schedule.sparsity(updates[-1]) == 0.9
    if len(updates) > 1:
        assert schedule.sparsity(0) == 0.5
