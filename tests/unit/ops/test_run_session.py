"""A run ends in order, whoever stops looking at it."""

import fcntl
import json
import os
import pty
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
SCRIPT = """
import signal, sys, time
from pathlib import Path
from ops.child_start import ChildStart
from ops.host import ProcessHost
from ops.last_status import LastStatus, StatusKeeper
from ops.run_session import RunRequest, Session
from ops.telemetry import TelemetryReader

folder, duration_s = Path(sys.argv[1]), float(sys.argv[2])
# Whatever the suite itself was started with.
is_ignored = sys.argv[4] == "nohup"
signal.signal(signal.SIGHUP, signal.SIG_IGN if is_ignored else signal.SIG_DFL)
runtime = folder / "runtime"
runtime.mkdir()


class Host(ProcessHost):
    polls = 0

    def poll(self):
        self.polls += 1
        (folder / "polls").write_text(f"{self.polls}")


host = Host((), ChildStart(folder, "", runtime, folder), time.monotonic)
report = folder / "report.json"
request = RunRequest(folder, duration_s, 0, report, is_live=sys.argv[3] == "live")
keeper = StatusKeeper(folder, time.monotonic)
session = Session(host, TelemetryReader(runtime), request, folder)
code = session.run(keeper, LastStatus({}), ["a notice [of note]"])
keeper.close()
sys.exit(int(code))
"""


def start(
    folder: Path, duration_s: float, *words: str, stdout: int
) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-c", SCRIPT, str(folder), str(duration_s), *words],
        cwd=ROOT,
        env=dict(os.environ, PYTHONPATH=str(ROOT)),
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
    )


def read_run_s(folder: Path) -> float:
    return float(json.loads((folder / "report.json").read_text())["run_s"])


def test_lines_are_neither_wrapped_nor_read_as_markup(tmp_path: Path) -> None:
    run = start(tmp_path, 0.2, "plain", "", stdout=subprocess.PIPE)

    said, _ = run.communicate(timeout=30)

    assert run.returncode == 0
    assert said.splitlines()[:2] == ["a notice [of note]", f"logs: {tmp_path}"]
    assert said.splitlines()[-1] == f"report: {tmp_path / 'report.json'}"


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_is_an_orderly_end(tmp_path: Path, ending: signal.Signals) -> None:
    run = start(tmp_path, 60.0, "plain", "", stdout=subprocess.PIPE)
    assert run.stdout is not None
    run.stdout.readline()

    run.send_signal(ending)

    assert run.communicate(timeout=30)[1] == ""
    assert run.returncode == 0
    assert read_run_s(tmp_path) < 60.0


def test_under_nohup_a_closed_terminal_ends_nothing(tmp_path: Path) -> None:
    run = start(tmp_path, 1.0, "plain", "nohup", stdout=subprocess.PIPE)
    assert run.stdout is not None
    run.stdout.readline()

    run.send_signal(signal.SIGHUP)
    run.communicate(timeout=30)

    assert run.returncode == 0
    assert read_run_s(tmp_path) >= 1.0


def test_a_reader_that_goes_away_stops_no_run(tmp_path: Path) -> None:
    run = start(tmp_path, 1.0, "plain", "", stdout=subprocess.PIPE)
    assert run.stdout is not None
    run.stdout.readline()
    run.stdout.close()

    assert run.wait(30) == 0
    assert run.stderr is not None
    assert run.stderr.read() == ""
    run.stderr.close()
    assert read_run_s(tmp_path) >= 1.0


def test_a_terminal_that_goes_away_ends_the_live_view_only(tmp_path: Path) -> None:
    ours, theirs = os.openpty()
    run = start(tmp_path, 1.5, "live", "", stdout=theirs)
    os.close(theirs)
    seen = b""
    while b"not safety-rated" not in seen:
        seen += os.read(ours, 65536)
    os.close(ours)

    assert run.wait(30) == 0
    assert run.stderr is not None
    assert run.stderr.read() == ""
    run.stderr.close()
    assert read_run_s(tmp_path) >= 1.5


def fill(descriptor: int) -> None:
    """Write until the other end would have to read first."""
    flags = fcntl.fcntl(descriptor, fcntl.F_GETFL)
    fcntl.fcntl(descriptor, fcntl.F_SETFL, flags | os.O_NONBLOCK)
    for size in (4096, 1):
        try:
            while True:
                os.write(descriptor, b"." * size)
        except BlockingIOError:
            continue
    # Whoever inherits the descriptor shares the flag.
    fcntl.fcntl(descriptor, fcntl.F_SETFL, flags)


def wait_for_polls(folder: Path, count: int) -> None:
    deadline_s = time.monotonic() + 30.0
    pause, polls = threading.Event(), 0
    while polls < count and time.monotonic() < deadline_s:
        pause.wait(0.02)
        text = (folder / "polls").read_text() if (folder / "polls").exists() else ""
        polls = int(text or "0")
    assert polls >= count


@pytest.mark.parametrize("make", [os.pipe, pty.openpty], ids=["pipe", "terminal"])
@pytest.mark.parametrize("look", ["plain", "live"])
def test_an_output_that_nobody_reads_holds_nothing_up(
    look: str, make: Callable[[], tuple[int, int]], tmp_path: Path
) -> None:
    ours, theirs = make()
    fill(theirs)
    run = start(tmp_path, 60.0, look, "", stdout=theirs)
    os.close(theirs)

    wait_for_polls(tmp_path, 10)
    run.send_signal(signal.SIGTERM)

    assert run.wait(30) == 0
    assert run.stderr is not None
    assert run.stderr.read() == ""
    run.stderr.close()
    os.close(ours)
    assert read_run_s(tmp_path) < 60.0


def test_whoever_reads_late_still_gets_the_last_lines(tmp_path: Path) -> None:
    ours, theirs = os.pipe()
    fill(theirs)
    run = start(tmp_path, 60.0, "plain", "", stdout=theirs)
    os.close(theirs)
    wait_for_polls(tmp_path, 5)
    run.send_signal(signal.SIGTERM)

    seen = b""
    while part := os.read(ours, 65536):
        seen += part
    os.close(ours)

    assert run.wait(30) == 0
    assert run.stderr is not None
    run.stderr.close()
    lines = seen.decode().lstrip(".").splitlines()
    assert lines[:2] == ["a notice [of note]", f"logs: {tmp_path}"]
    assert lines[-1] == f"report: {tmp_path / 'report.json'}"
