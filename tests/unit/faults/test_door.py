"""A door into a process: one of its tasks ends, all else goes on."""

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from sim2real.faults.door import end_task, open_door, read_tasks

SUBJECT = """
import asyncio, pathlib, sys

async def sleep(name):
    try:
        await asyncio.sleep(60.0)
    finally:
        pathlib.Path(sys.argv[-1], name).touch()

async def main():
    tasks = [asyncio.create_task(sleep(n), name=n) for n in ("one", "two")]
    await asyncio.sleep(0)
    pathlib.Path(sys.argv[-1], "ready").touch()
    while not all(task.done() for task in tasks):
        await asyncio.sleep(0.01)

asyncio.run(main())
"""


@pytest.fixture
def subject(tmp_path: Path) -> Iterator["subprocess.Popen[bytes]"]:
    arguments = ["ops.processes.supervisor", str(tmp_path)]
    process = subprocess.Popen(
        [sys.executable, "-c", SUBJECT, *arguments], env=dict(open_door(tmp_path))
    )
    yield process
    process.kill()
    process.wait()


def wait_for(path: Path) -> None:
    deadline_s = time.monotonic() + 30.0
    while not path.exists():
        assert time.monotonic() < deadline_s, f"{path.name} never came"
        time.sleep(0.01)


def test_a_task_is_ended_by_its_name_and_the_others_are_not(
    tmp_path: Path, subject: "subprocess.Popen[bytes]"
) -> None:
    wait_for(tmp_path / "ready")

    end_task(subject.pid, tmp_path, "one")

    wait_for(tmp_path / "one")
    wait_for(tmp_path / "door-tasks")
    assert {"one", "two"} < set(read_tasks(tmp_path))
    assert not (tmp_path / "two").exists()
    assert subject.poll() is None


def test_without_a_name_nothing_ends(
    tmp_path: Path, subject: "subprocess.Popen[bytes]"
) -> None:
    wait_for(tmp_path / "ready")
    assert read_tasks(tmp_path) == ()

    end_task(subject.pid, tmp_path, "")

    wait_for(tmp_path / "door-tasks")
    assert not (tmp_path / "one").exists()
    assert subject.poll() is None
