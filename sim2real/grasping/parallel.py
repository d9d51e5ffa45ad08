"""Runs tasks on a few processes, in an order that never shows in the results."""

import multiprocessing
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from contextlib import contextmanager
from typing import TypeVar

_Task = TypeVar("_Task")
_Result = TypeVar("_Result")

_NICENESS = 10
_ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def run_tasks(
    function: Callable[[_Task], _Result], tasks: Sequence[_Task], workers: int
) -> Iterator[_Result]:
    """Yield results as tasks end; the tasks themselves fix what they compute.

    Args:
        function: importable by name, for workers start fresh interpreters.
        tasks: what to do.
        workers: how many processes.
    """
    if not tasks:
        return
    with _single_threaded_children():
        # A forked child would inherit threads' locks; a fresh one does not.
        context = multiprocessing.get_context("spawn")
        executor = ProcessPoolExecutor(
            min(workers, len(tasks)), context, initializer=_lower_priority
        )
        try:
            open_tasks: set[Future[_Result]] = {
                executor.submit(function, task) for task in tasks
            }
            while open_tasks:
                done, open_tasks = wait(open_tasks, return_when=FIRST_COMPLETED)
                for future in done:
                    yield future.result()
        finally:
            executor.shutdown(cancel_futures=True)


def _lower_priority() -> None:
    os.nice(_NICENESS)


@contextmanager
def _single_threaded_children() -> Iterator[None]:
    """Children read these at start; two many-threaded ones on two cores crawl."""
    before = {name: os.environ.get(name) for name in _ONE_THREAD}
    os.environ.update(dict.fromkeys(_ONE_THREAD, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
