"""What is shown arrives, whatever the output is like."""

import array
import fcntl
import os
import pty
import subprocess
import sys
import termios
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
LINES = 800
SAYING = f"""
import os
from ops.screen import Screen
screen = Screen()
for number in range({LINES}):
    screen.say(f"{{number}} " + "x" * 150)
os._exit(0 if screen.close(60.0) else 1)
"""
DRAWING = """
import fcntl, signal, sys, termios
from rich.text import Text
from ops.screen import Screen
fcntl.ioctl(1, termios.TIOCSCTTY, 0)
signal.signal(signal.SIGINT, signal.SIG_IGN)
screen = Screen()
screen.draw(Text("a picture"))
sys.stdin.readline()
screen.say("the end")
sys.exit(0 if screen.close(60.0) else 1)
"""
FULL = 60_000
"""Of the 65 536 bytes that wait in a pipe at most."""


def count_waiting(descriptor: int) -> int:
    size = array.array("i", [0])
    fcntl.ioctl(descriptor, termios.FIONREAD, size)
    return size[0]


def test_an_output_that_does_not_wait_loses_nothing() -> None:
    reading, writing = os.pipe()
    # As some programs leave the output of what they start.
    os.set_blocking(writing, False)
    with subprocess.Popen(
        [sys.executable, "-c", SAYING], cwd=ROOT, stdout=writing
    ) as child:
        os.close(writing)
        deadline_s, pause = time.monotonic() + 60.0, threading.Event()
        while count_waiting(reading) < FULL and time.monotonic() < deadline_s:
            pause.wait(0.01)
        assert child.poll() is None
        with os.fdopen(reading) as shown:
            numbers = [int(line.split()[0]) for line in shown]

    assert child.returncode == 0
    assert numbers == list(range(LINES))


def shows_control_keys(terminal: int) -> bool:
    return bool(termios.tcgetattr(terminal)[3] & termios.ECHOCTL)


def test_ctrl_c_leaves_no_mark_in_a_picture() -> None:
    keyboard, terminal = pty.openpty()
    shown = b""
    with subprocess.Popen(
        [sys.executable, "-c", DRAWING],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=terminal,
        start_new_session=True,
    ) as child:
        while b"a picture" not in shown:
            shown += os.read(keyboard, 4096)
        assert not shows_control_keys(terminal)
        os.write(keyboard, b"\x03")
        child.communicate(b"\n", timeout=60.0)
    while b"the end" not in shown:
        shown += os.read(keyboard, 4096)

    assert child.returncode == 0
    assert b"^C" not in shown
    # The shell gets its terminal back as it was.
    assert shows_control_keys(terminal)
    os.close(keyboard)
    os.close(terminal)
