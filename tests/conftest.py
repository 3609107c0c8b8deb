"""Fixtures of several folders.

torch is imported by the processes that test, not by the one that hands out the tests: in fixtures.
"""

import gc
import os
import signal

# Of the processes that tests start too: threads that wait for each other burn processors which
# other tests need. Where two are tested, they sleep meanwhile. Read when torch is imported.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import pytest

# A shell that starts the tests in the background lets them ignore interrupts, and so the processes
# that they start and interrupt.
signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_finish():
    """Garbage is looked for more rarely, and not among what the imports made."""
    gc.freeze()
    gc.set_threshold(10_000)


@pytest.fixture(autouse=True)
def one_thread():
    """Of torch: on small tensors more are slower, much so on a busy machine."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def no_figures(monkeypatch):
    """Curves are drawn by tests of their own; the figure takes longer than these runs."""
    from clusterability.training import curves

    monkeypatch.setattr(curves, "curves_png", lambda rows, _title: f"{len(rows)}".encode())


@pytest.fixture
def double():
    """Twins then agree to all digits, which Adam would else not let them."""
    import torch

    torch.set_default_dtype(torch.double)
    yield
    torch.set_default_dtype(torch.float)
