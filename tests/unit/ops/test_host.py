"""The process host, with processes of its own."""

import json
import math
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cell.mailbox.beats import Beats
from ops.child_signals import ChildSignals
from ops.host import ChildStatus, ProcessHost
from ops.process_table import ProcessSpec
from tests.fakes.child_process import NAME

FOREVER = 1_000_000
PATIENCE_S = 20.0


class Bench:
    """One host with one child, which does what `behave` said."""

    def __init__(self, folder: Path) -> None:
        self.config = folder / "child.json"
        self.beats = Beats.open(folder / "beats")
        self.behave()
        spec = ProcessSpec(NAME, "tests.fakes.child_process", 0.5, stop_grace_s=0.5)
        self.host = ProcessHost(
            specs=[spec],
            config_path=self.config,
            runtime=folder,
            log_directory=folder,
            now_s=time.monotonic,
            restart_limit=2,
        )

    def behave(
        self,
        beats: int = FOREVER,
        exit_code: int | None = None,
        *,
        is_deaf: bool = False,
    ) -> None:
        """Tell the next child what to do."""
        document = {"beats": beats, "exit_code": exit_code, "is_deaf": is_deaf}
        self.config.write_text(json.dumps(document))

    @property
    def child(self) -> ChildStatus:
        return self.host.statuses()[0]

    def is_beating(self) -> bool:
        return math.isfinite(self.beats.age_s(NAME, time.monotonic_ns()))

    def poll_until(self, condition: Callable[[], bool]) -> None:
        deadline_s = time.monotonic() + PATIENCE_S
        while not condition():
            assert time.monotonic() < deadline_s, self.child
            self.host.poll()
            time.sleep(0.005)

    def start(self) -> int:
        """Start the child and return its process id once it beats."""
        self.poll_until(self.is_beating)
        assert self.child.pid is not None
        return self.child.pid


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path)
    yield made
    made.host.stop(time.sleep)
    made.beats.close()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
def test_a_child_that_ends_or_is_stopped_shows_no_life_sign_and_starts_anew(
    bench: Bench, number: signal.Signals
) -> None:
    pid = bench.start()

    os.kill(pid, number)
    bench.poll_until(lambda: not bench.is_beating())
    bench.poll_until(lambda: bench.child.restarts == 1)
    assert bench.child.last_exit == "signal SIGKILL"
    assert bench.start() != pid


def test_a_child_that_falls_silent_is_ended_and_starts_anew(bench: Bench) -> None:
    bench.behave(beats=3)
    bench.start()
    bench.behave()

    bench.poll_until(lambda: bench.child.restarts == 1)

    assert bench.child.last_exit == "signal SIGKILL"
    bench.start()


def test_a_child_that_dies_too_often_stays_down(bench: Bench) -> None:
    bench.behave(beats=1, exit_code=3)

    bench.poll_until(lambda: bench.child.is_down)

    assert bench.child.restarts == 3
    assert bench.child.last_exit == "exit code 3"
    assert bench.child.pid is None


def test_a_child_that_ignores_the_request_to_end_is_killed(bench: Bench) -> None:
    bench.behave(is_deaf=True)
    pid = bench.start()

    bench.host.stop(time.sleep)

    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    bench.host.poll()
    assert bench.child.pid is None


def test_the_end_of_a_child_wakes_the_host(bench: Bench) -> None:
    pid = bench.start()

    with ChildSignals() as children:
        started_s = time.monotonic()
        os.kill(pid, signal.SIGSTOP)
        children.wait(PATIENCE_S)

    assert time.monotonic() - started_s < PATIENCE_S / 2
