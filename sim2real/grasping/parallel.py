"""Runs tasks on a few processes, in an order that never shows in the results."""

import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from typing import TypeVar

from cell.contracts.errors import CellError
from ops.processes.bond import bind_to_host

_Task = TypeVar("_Task")
_Result = TypeVar("_Result")

_NICENESS = 10
_ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


class WorkerLostError(CellError):
    """A process that worked on a task ended by itself."""


def run_tasks(
    function: Callable[[_Task], _Result], tasks: Sequence[_Task], workers: int
) -> Iterator[_Result]:
    """Yield results as tasks end; the tasks themselves fix what they compute.

    Whoever stops listening, for Ctrl-C or an error, ends the workers at once: a task
    leaves its result whole or not at all.

    Args:
        function: importable by name, for workers start fresh interpreters.
        tasks: what to do.
        workers: how many processes.

    Raises:
        WorkerLostError: a worker was killed, for lack of memory for one.
    """
    if not tasks:
        return
    with _single_threaded_children():
        # A forked child would inherit threads' locks; a fresh one does not.
        context = multiprocessing.get_context("spawn")
        executor = ProcessPoolExecutor(
            min(workers, len(tasks)),
            context,
            initializer=_prepare_worker,
            initargs=(os.getpid(),),
        )
        open_tasks: set[Future[_Result]] = set()
        try:
            for task in tasks:
                open_tasks.add(executor.submit(function, task))
            while open_tasks:
                done, open_tasks = wait(open_tasks, return_when=FIRST_COMPLETED)
                for future in done:
                    yield future.result()
        except BrokenProcessPool as error:
            raise WorkerLostError(
                "a worker process was ended from outside, perhaps for lack of memory; "
                "give the command again, with fewer --workers"
            ) from error
        finally:
            if open_tasks:
                _end_workers(context)
            executor.shutdown(cancel_futures=True)


def _prepare_worker(parent_pid: int) -> None:
    """Step back behind the work of others, and end with the parent."""
    # The terminal sends Ctrl-C to every process; what it means, the parent decides.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # A worker waits for tasks on a pipe that it holds open itself, so without this it
    # would wait for ever when the parent is killed.
    bind_to_host(parent_pid, signal.SIGKILL)
    os.nice(_NICENESS)


def _end_workers(context: multiprocessing.context.SpawnContext) -> None:
    for child in context.active_children():
        child.kill()


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
