import signal
import threading
import time

import numpy as np
import pytest
import torch
from threadpoolctl import threadpool_info, threadpool_limits

from clusterability.workers import available_workers, parallel_map, single_threaded_libraries


@pytest.mark.parametrize("n_workers", [1, 2, 8])
def test_outcomes_come_in_the_order_of_the_items(n_workers):
    def slower_first(i):
        time.sleep(0.02 * (i == 0))
        return i * i

    assert parallel_map(slower_first, range(20), n_workers) == [i * i for i in range(20)]


def test_no_items_no_outcomes():
    assert parallel_map(str, [], 3) == []


def test_items_run_at_the_same_time():
    meeting = threading.Barrier(3, timeout=10)
    assert sorted(parallel_map(lambda _: meeting.wait(), range(3), 3)) == [0, 1, 2]


def test_one_worker_runs_one_item_at_a_time():
    running, most = [], []

    def item(i):
        running.append(i)
        most.append(len(running))
        time.sleep(0.001)
        running.remove(i)

    parallel_map(item, range(10), 1)
    assert max(most) == 1


@pytest.mark.parametrize("n_workers", [1, 2])
def test_an_error_is_passed_on_and_the_rest_not_begun(n_workers):
    begun = []

    def item(i):
        begun.append(i)
        time.sleep(0.002)
        if i == 3:
            raise KeyError("the fourth")
        return i

    with pytest.raises(KeyError, match="the fourth"):
        parallel_map(item, range(500), n_workers)
    assert len(begun) < 500


def test_no_threads_are_left():
    before = threading.active_count()
    parallel_map(str, range(9), 4)
    assert threading.active_count() == before


def test_a_pipe_sees_no_progress_bar(capsys):
    assert parallel_map(str, range(3), 2, progress="shuffles") == ["0", "1", "2"]
    captured = capsys.readouterr()
    assert captured.out == captured.err == ""


def n_threads():
    return {pool["filepath"]: pool["num_threads"] for pool in threadpool_info()}


@pytest.mark.parametrize("fails", [False, True])
def test_libraries_get_their_threads_back(fails):
    np.linalg.eigh(np.eye(3))
    before_torch = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        with threadpool_limits(limits=2):
            before = n_threads()
            try:
                with single_threaded_libraries():
                    assert torch.get_num_threads() == 1
                    assert set(n_threads().values()) == {1}
                    if fails:
                        raise KeyError
            except KeyError:
                pass
            assert torch.get_num_threads() == 2
            assert n_threads() == before
    finally:
        torch.set_num_threads(before_torch)


def test_workers_keep_torch_to_one_thread():
    with single_threaded_libraries():
        assert parallel_map(lambda _: torch.get_num_threads(), range(4), 2) == [1] * 4


def test_parallel_map_leaves_the_callers_threads_alone():
    before = torch.get_num_threads(), n_threads()
    parallel_map(lambda _: torch.ones(3, 3).matmul(torch.ones(3, 3)), range(4), 2)
    assert (torch.get_num_threads(), n_threads()) == before


def test_available_workers_is_what_the_process_may_use(monkeypatch):
    assert available_workers() >= 1
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {0, 2, 5}, raising=False)
    assert available_workers() == 3
    monkeypatch.delattr("os.sched_getaffinity")
    monkeypatch.setattr("os.cpu_count", lambda: None)
    assert available_workers() == 1


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(signal, "pthread_kill"), reason="sends a signal to a thread")
def test_an_interrupt_that_another_thread_receives_ends_the_wait():
    """The system may choose any thread for it; one that waits for a lock is not woken by that."""
    released, ended = threading.Event(), []

    def interrupted(_):
        released.wait(0.3)  # by then the main thread sleeps
        signal.pthread_kill(threading.get_ident(), signal.SIGINT)
        released.wait(30)
        ended.append(True)

    with pytest.raises(KeyboardInterrupt):
        parallel_map(interrupted, [0], 1)
    assert not ended
    released.set()
