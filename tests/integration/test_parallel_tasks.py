"""Worker processes of long work: their results, and that none outlives its parent."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from sim2real.grasping.parallel import WorkerLostError, run_tasks
from tests.fakes.parallel_tasks import die, double

pytestmark = pytest.mark.alone


def wait_until(condition: Callable[[], bool], seconds: float = 30.0) -> None:
    deadline_s = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline_s
        time.sleep(0.02)


def is_gone(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
    except (FileNotFoundError, ProcessLookupError):
        return True
    return state.rpartition(")")[2].split()[0] == "Z"


def test_every_task_gives_its_result_once() -> None:
    assert sorted(run_tasks(double, [1, 2, 3], 2)) == [2, 4, 6]


def test_without_tasks_no_process_starts() -> None:
    assert list(run_tasks(double, [], 2)) == []


def test_a_worker_that_is_killed_is_one_sentence() -> None:
    with pytest.raises(WorkerLostError, match="give the command again"):
        list(run_tasks(die, [1], 1))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_workers_end_with_their_parent_and_say_nothing(
    repository: Path, tmp_path: Path, number: signal.Signals
) -> None:
    parent = subprocess.Popen(
        [sys.executable, "-m", "tests.fakes.parallel_tasks", str(tmp_path)],
        cwd=repository,
        env=dict(os.environ, PYTHONPATH=str(repository)),
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    wait_until(lambda: len(list(tmp_path.iterdir())) == 2)
    workers = [int(note.name) for note in tmp_path.iterdir()]

    # A terminal sends Ctrl-C to the whole group.
    if number is signal.SIGINT:
        os.killpg(parent.pid, number)
    else:
        parent.send_signal(number)
    _, complaints = parent.communicate(timeout=30)

    wait_until(lambda: all(is_gone(pid) for pid in workers))
    assert parent.returncode == (130 if number is signal.SIGINT else -number)
    assert b"Traceback" not in complaints
