"""A function runs on many items at once, in threads; their number does not change the results."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from functools import lru_cache
from typing import Any, TypeVar

import torch
from threadpoolctl import ThreadpoolController
from tqdm import tqdm

Item = TypeVar("Item")
Outcome = TypeVar("Outcome")


def available_workers() -> int:
    """Return the number of processors that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@contextmanager
def single_threaded_libraries() -> Iterator[None]:
    """Keep BLAS, LAPACK and torch to one thread each.

    The workers are threads already; the libraries' own threads would compete with them. A library
    also splits a product among its threads, which changes the rounding: results would depend on
    the machine's load.
    """
    before = torch.get_num_threads()
    with _loaded_libraries(len(sys.modules)).limit(limits=1):
        torch.set_num_threads(1)
        try:
            yield
        finally:
            torch.set_num_threads(before)


@lru_cache(maxsize=1)
def _loaded_libraries(_n_modules: int) -> ThreadpoolController:
    """Find the libraries that have threads; anew where modules were imported, which load them.

    The search takes 5 ms, as long as the n-cut of a small graph.
    """
    return ThreadpoolController()


def wait_for_any(futures: Iterable[Future[Any]]) -> set[Future[Any]]:
    """Wait until at least one future is done, and return those that are.

    The wait ends every fifth of a second. Where another thread receives an interrupt, the main one
    sleeps on, and answers the interrupt only after its next step.
    """
    done: set[Future[Any]] = set()
    while not done:
        done = wait(futures, timeout=0.2, return_when=FIRST_COMPLETED).done
    return done


def parallel_map(
    function: Callable[[Item], Outcome],
    items: Sequence[Item],
    n_workers: int,
    progress: str | None = None,
) -> list[Outcome]:
    """Return ``[function(item) for item in items]``, computed by ``n_workers`` threads.

    Args:
        function: called once for each item; must release the interpreter's lock while it computes,
            or else threads gain nothing.
        items: arguments of the function, started in this order.
        n_workers: number of threads, at least 1.
        progress: title of a progress bar, shown if standard error is a terminal; None for no bar.
    """
    outcomes: dict[int, Outcome] = {}
    bar = tqdm(
        total=len(items),
        desc=progress,
        disable=True if progress is None or sys.stderr is None else None,
        leave=False,
    )
    pool = ThreadPoolExecutor(n_workers, initializer=torch.set_num_threads, initargs=(1,))
    try:
        pending = {pool.submit(function, item): i for i, item in enumerate(items)}
        while pending:
            done = wait_for_any(pending)
            for future in done:
                outcomes[pending.pop(future)] = future.result()
                bar.update()
    except Exception:
        pool.shutdown(cancel_futures=True)
        raise
    except KeyboardInterrupt:
        # A compiled loop cannot be interrupted; waiting for its end would look like a hang.
        pool.shutdown(wait=False, cancel_futures=True)
        raise
    finally:
        bar.close()
    pool.shutdown()
    return [outcomes[i] for i in range(len(items))]
