"""The supervisor process ends with any of its tasks, and in order when told to."""

import asyncio

import pytest

from cell.supervisor.task_watch import TaskEndedError
from ops.wiring import wait_for_end


class Subject:
    """A run and two tasks beside it, which end when their events are set."""

    def __init__(self) -> None:
        self.is_stopped = False
        self.events: list[tuple[str, dict[str, object]]] = []
        self.ends = {name: asyncio.Event() for name in ("supervisor", "stop", "client")}

    async def wait(self) -> None:
        """Wait as the process does."""
        async with asyncio.TaskGroup() as group:
            run, *beside = (
                group.create_task(self._live(name), name=name) for name in self.ends
            )
            self.run = run
            await wait_for_end(
                run,
                beside,
                lambda: self.is_stopped,
                lambda event, fields: self.events.append((event, fields)),
            )
            for task in beside:
                task.cancel()

    async def _live(self, name: str) -> None:
        await self.ends[name].wait()


async def test_the_end_of_the_supervisor_is_the_end() -> None:
    subject = Subject()
    subject.ends["supervisor"].set()

    await subject.wait()

    assert subject.events == []


@pytest.mark.parametrize("name", ["stop", "client"])
async def test_a_task_beside_it_that_returns_ends_the_process(name: str) -> None:
    subject = Subject()
    subject.ends[name].set()

    with pytest.raises(ExceptionGroup) as caught:
        await subject.wait()

    assert caught.group_contains(TaskEndedError)
    assert subject.events == [("task_ended", {"task": name})]


async def test_whoever_waits_for_the_order_to_stop_may_end_after_it() -> None:
    subject = Subject()
    subject.is_stopped = True
    subject.ends["stop"].set()

    async with asyncio.TaskGroup() as group:
        waiting = group.create_task(subject.wait())
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        subject.ends["supervisor"].set()
        await waiting

    assert subject.events == []


async def test_a_supervisor_that_is_cancelled_ends_the_process() -> None:
    subject = Subject()

    async def cancel() -> None:
        await asyncio.sleep(0.01)
        subject.run.cancel()

    async with asyncio.TaskGroup() as group:
        group.create_task(cancel())
        with pytest.raises(ExceptionGroup) as caught:
            await subject.wait()

    assert caught.group_contains(TaskEndedError)
    assert subject.events == [("task_ended", {"task": "supervisor"})]
