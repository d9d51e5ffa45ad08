"""Tasks that never end, and what follows when one does.

A task group ends with a task that fails. One that returns, or that something cancelled,
leaves it in silence: its work is not done any more, and nobody hears of it.
"""

import asyncio
from collections.abc import Callable, Iterable
from typing import Any

Record = Callable[[str, dict[str, object]], None]


class TaskEndedError(RuntimeError):
    """A task has ended that has to live as long as the supervisor."""


def check_tasks(tasks: Iterable[asyncio.Task[Any]], record: Record) -> None:
    """Make sure that all of them live.

    Args:
        tasks: which; a failure is left to their group, which has it already.
        record: receives the event.

    Raises:
        TaskEndedError: one has ended without a failure.
    """
    for task in tasks:
        if task.done() and (task.cancelled() or task.exception() is None):
            raise_ended(task.get_name(), record)


def raise_ended(name: str, record: Record) -> None:
    """End the process for a task.

    Raises:
        TaskEndedError: always.
    """
    record("task_ended", {"task": name})
    raise TaskEndedError(f"the task {name} has ended")
