"""Log lines reach the disk without holding up whoever says something."""

import contextlib
import errno
import json
import os
import resource
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import cast

import pytest

from cell.drivers.arm.descriptor_limit import DescriptorLimit, find_first_free
from ops.log_file import LogFile
from ops.logging import BoundedLines

ROOT = Path(__file__).resolve().parents[3]
LOST = '{"event":"log lines lost","count":%d}'


@contextmanager
def writing(path: Path, **limits: int) -> Iterator[BoundedLines]:
    sink = BoundedLines(path, **limits)
    try:
        yield sink
    finally:
        sink.close()


def wait_until(is_so: Callable[[], bool]) -> None:
    deadline_s = time.monotonic() + 20.0
    pause = threading.Event()
    while not is_so() and time.monotonic() < deadline_s:
        pause.wait(0.001)
    assert is_so()


def has_size_of(path: Path, text: str) -> Callable[[], bool]:
    """Return what asks, without opening it, whether a file may hold just that."""

    def ask() -> bool:
        # Rotation takes it away for a moment.
        with contextlib.suppress(FileNotFoundError):
            return path.stat().st_size == len(text)
        return False

    return ask


@pytest.fixture
def stalled(tmp_path: Path) -> Path:
    """Return a path whose opening blocks until somebody reads there."""
    path = tmp_path / "it.jsonl"
    os.mkfifo(path)
    return path


def test_a_disk_that_stalls_holds_up_nobody_and_order_is_kept(stalled: Path) -> None:
    sink = BoundedLines(stalled)
    began_s = time.monotonic()

    for number in range(500):
        sink.write(f"{number}\n")
        sink.flush()

    # Without the thread the first line would wait for the reader below, for ever.
    assert time.monotonic() - began_s < 10.0
    with stalled.open() as reader:
        sink.close(20.0)
        assert reader.read().split() == [str(number) for number in range(500)]


class StalledDisk:
    """Takes lines only once it is told to."""

    def __init__(self) -> None:
        self.has_begun, self.may_go_on = threading.Event(), threading.Event()
        self.text = ""

    def append(self, text: str) -> None:
        self.has_begun.set()
        self.may_go_on.wait(20.0)
        self.text += text

    def close(self) -> None:
        return None


def test_what_finds_no_room_is_counted_and_told_where_it_is_missing(
    tmp_path: Path,
) -> None:
    sink, disk = BoundedLines(tmp_path / "it.jsonl", most_waiting=3), StalledDisk()
    sink._file.close()
    sink._file = cast("LogFile", disk)
    sink.write("first\n")
    assert disk.has_begun.wait(20.0)

    for number in range(5):
        sink.write(f"{number}\n")

    assert sink.dropped == 2
    disk.may_go_on.set()
    wait_until(lambda: sink.dropped == 0)
    sink.write("last\n")
    sink.close(20.0)
    assert disk.text.splitlines() == ["first", "0", "1", "2", LOST % 2, "last"]


def test_an_end_with_a_disk_that_stalls_is_bounded(stalled: Path) -> None:
    sink = BoundedLines(stalled)
    sink.write("a line\n")

    sink.close(0.1)

    # The thread goes on once it can.
    assert stalled.read_text() == "a line\n"


def test_an_end_waits_for_what_is_pending_and_comes_twice_without_harm(
    tmp_path: Path,
) -> None:
    lines = [f"{number}\n" for number in range(300)]
    with writing(tmp_path / "it.jsonl") as sink:
        for line in lines:
            sink.write(line)
        sink.close()

        assert (tmp_path / "it.jsonl").read_text() == "".join(lines)


def test_a_disk_that_is_full_is_told_of_once_it_takes_lines_again(
    tmp_path: Path,
) -> None:
    path = tmp_path / "it.jsonl"
    path.symlink_to("/dev/full")
    with writing(path) as sink:
        sink.write("lost\n")
        wait_until(lambda: sink.dropped == 1)
        sink.write("lost as well\n")
        wait_until(lambda: sink.dropped == 2)

        path.unlink()
        sink.write("back\n")

        wait_until(has_size_of(path, f"{LOST % 2}\nback\n"))
        wait_until(lambda: sink.dropped == 0)

    assert path.read_text() == f"{LOST % 2}\nback\n"


def test_a_line_that_fits_by_half_is_not_written_at_all(tmp_path: Path) -> None:
    path = tmp_path / "it.jsonl"
    code = (
        "import resource, signal\n"
        "from pathlib import Path\n"
        "from ops.log_file import LogFile\n"
        f"file = LogFile(Path({str(path)!r}), 10_000)\n"
        "file.append('fits\\n')\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (8, resource.RLIM_INFINITY))\n"
        "try:\n"
        "    file.append('does not\\n')\n"
        "except OSError:\n"
        "    file.append('ok\\n')\n"
    )

    run(code)

    assert path.read_text() == "fits\nok\n"


def test_a_file_that_has_grown_becomes_the_older_one(tmp_path: Path) -> None:
    path = tmp_path / "it.jsonl"
    with writing(path, max_bytes=10) as sink:
        for word, all_so_far in (
            ("0123456789", "0123456789\n"),
            ("then", "then\n"),
            ("last", "then\nlast\n"),
        ):
            sink.write(f"{word}\n")
            wait_until(has_size_of(path, all_so_far))

    assert path.read_text() == "then\nlast\n"
    assert (tmp_path / "it.1.jsonl").read_text() == "0123456789\n"


def test_where_nothing_may_be_opened_lines_go_on_also_after_rotation_and_removal(
    tmp_path: Path,
) -> None:
    path = tmp_path / "it.jsonl"
    limit = DescriptorLimit()
    with writing(path, max_bytes=10) as sink:
        sink.write("0123456789\n")
        wait_until(has_size_of(path, "0123456789\n"))
        lease = limit.lower(find_first_free())
        lowered = resource.getrlimit(resource.RLIMIT_NOFILE)
        try:
            sink.write("rotated\n")
            wait_until(has_size_of(path, "rotated\n"))
            path.unlink()
            sink.write("anew\n")
            wait_until(has_size_of(path, "anew\n"))
            assert resource.getrlimit(resource.RLIMIT_NOFILE) == lowered
            with pytest.raises(OSError, match="open files"):
                os.open(os.devnull, os.O_RDONLY)
        finally:
            lease.release()

    assert path.read_text() == "anew\n"
    assert (tmp_path / "it.1.jsonl").read_text() == "0123456789\n"


def test_a_disk_that_fails_as_a_file_is_closed_costs_no_foreign_descriptor(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = LogFile(tmp_path / "it.jsonl", 10)
    file.append("first\n")
    close = os.close

    def fail(descriptor: int) -> None:
        close(descriptor)
        raise OSError(errno.EIO, "as a full quota on a network disk")

    with monkeypatch.context() as patched:
        patched.setattr(os, "close", fail)
        file.close()
    foreign = os.open(os.devnull, os.O_RDONLY)
    file.append("second\n")
    file.close()

    assert os.fstat(foreign)
    close(foreign)
    assert (tmp_path / "it.jsonl").read_text() == "first\nsecond\n"


def run(code: str) -> int:
    return subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, check=False
    ).returncode


@pytest.mark.parametrize(
    ("ending", "code"),
    [
        ("raise RuntimeError", 1),
        ("sys.exit(3)", 3),
        ("close_logging(); os._exit(4)", 4),
    ],
)
def test_the_last_words_of_a_process_are_in_its_log(
    ending: str, code: int, tmp_path: Path
) -> None:
    path = tmp_path / "it.jsonl"

    ended = run(
        "import os, sys, structlog\n"
        "from pathlib import Path\n"
        "from ops.logging import close_logging, configure_logging\n"
        f"configure_logging('it', 'info', Path({str(path)!r}))\n"
        "for number in range(200):\n"
        "    structlog.get_logger().info('word', number=number)\n"
        f"{ending}\n"
    )

    assert ended == code
    said = [json.loads(line) for line in path.read_text().splitlines()]
    assert [line["number"] for line in said] == list(range(200))


def test_the_thread_comes_after_real_time_loops_and_before_everything_else(
    tmp_path: Path,
) -> None:
    found: list[tuple[int, int]] = []

    class Probe(BoundedLines):
        def _append(self, lines: list[str]) -> None:
            priority = os.sched_getparam(0).sched_priority
            found.append((os.sched_getscheduler(0), priority))
            super()._append(lines)

    may_have_priority = [False]

    def start() -> None:
        with contextlib.suppress(OSError):
            os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(5))
            may_have_priority[0] = True
        sinks.append(Probe(tmp_path / "it.jsonl"))

    sinks: list[BoundedLines] = []
    thread = threading.Thread(target=start)
    thread.start()
    thread.join()
    sinks[0].write("a line\n")
    sinks[0].close()

    least = (os.SCHED_FIFO, 1) if may_have_priority[0] else (os.SCHED_OTHER, 0)
    assert found[0] == least
