"""What a run shows, written by a thread of its own.

A terminal may stop taking output: an SSH session whose other end sleeps, Ctrl-S, a
pager. A write to it then blocks for as long as that lasts, so nobody who watches over
processes may write there. Of pictures the newest counts; lines wait, and the oldest are
let go where there are too many.
"""

import contextlib
import os
import select
import signal
import sys
import termios
import threading
from collections import deque
from typing import IO, Final, cast

from rich.console import Console, RenderableType
from rich.live import Live

_MOST_LINES: Final = 1000
_PATIENCE_S: Final = 3.0
_LOCAL_MODES: Final = 3
"""Where `termios.tcgetattr` has them."""


class Screen:
    """Takes lines and pictures for the standard output; none of its calls blocks."""

    def __init__(self) -> None:
        self._output = _open_output()
        self._lines: deque[str] = deque(maxlen=_MOST_LINES)
        self._picture: RenderableType | None = None
        self._is_closing = False
        self._wake = threading.Condition()
        # A terminal that takes nothing must not keep the host from ending.
        self._thread = threading.Thread(target=self._run, name="screen", daemon=True)
        self._thread.start()

    def say(self, text: str) -> None:
        """Show a line as it is: neither wrapped nor read as markup.

        It ends the live picture, which stays where it is.
        """
        with self._wake:
            self._picture = None
            self._lines.append(text)
            self._wake.notify()

    def draw(self, picture: RenderableType) -> None:
        """Show a picture in the place of the one before, below all lines."""
        with self._wake:
            self._picture = picture
            self._wake.notify()

    def close(self, patience_s: float = _PATIENCE_S) -> bool:
        """Show what is pending and end; again is harmless.

        Args:
            patience_s: with a reader who takes nothing [s].

        Returns:
            Whether everything has been handed over.
        """
        with self._wake:
            self._is_closing = True
            self._wake.notify()
        self._thread.join(patience_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        # Whoever was put into the background meanwhile would be stopped by it.
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTTOU})
        # Not the object in `sys.stdout`: the interpreter would wait at its end for a
        # write in there.
        console = Console(file=cast("IO[str]", self._output))
        live: Live | None = None
        is_closing = False
        while not is_closing:
            with self._wake:
                self._wake.wait_for(
                    lambda: self._lines or self._picture or self._is_closing
                )
                lines, picture = [*self._lines], self._picture
                self._lines.clear()
                self._picture = None
                is_closing = self._is_closing
            if live is not None and (lines or is_closing):
                self._stop_live(live)
                live = None
            if lines:
                self._output.write("".join(f"{line}\n" for line in lines))
            if picture is None:
                continue
            if live is None:
                live = _start_live(console)
            # `^C` at the end of a picture would push the next one down by a line. Said
            # for each, as a shell puts its own modes back after Ctrl-Z.
            self._output.show_control_keys(is_shown=False)
            live.update(picture, refresh=True)
        if live is not None:
            self._stop_live(live)

    def _stop_live(self, live: Live) -> None:
        live.stop()
        self._output.show_control_keys(is_shown=True)


def say_last(text: str, patience_s: float = _PATIENCE_S) -> None:
    """Write a sentence to standard error, unless nobody takes it in time.

    Args:
        text: without its line feed.
        patience_s: how long to wait for whoever reads [s].
    """
    output = _Output(2)
    thread = threading.Thread(
        target=output.write, args=(f"{text}\n",), name="last words", daemon=True
    )
    thread.start()
    thread.join(patience_s)


class _Output:
    """A descriptor as what the console writes to, without a buffer or a lock.

    When nobody reads any more, output goes nowhere.
    """

    def __init__(self, descriptor: int | None, encoding: str = "utf-8") -> None:
        self.encoding = encoding
        self._descriptor = descriptor
        self._has_hidden_keys = False

    def write(self, text: str) -> int:
        """Write it all, however long that takes."""
        rest = memoryview(text.encode(self.encoding, "replace"))
        try:
            while rest and self._descriptor is not None:
                try:
                    rest = rest[os.write(self._descriptor, rest) :]
                except BlockingIOError:
                    # Whoever started this may have made it one that does not wait.
                    select.select([], [self._descriptor], [])
        except (OSError, ValueError):
            self._descriptor = None
        return len(text)

    def flush(self) -> None:
        """Nothing is held back between calls."""

    def isatty(self) -> bool:
        """Say whether it is a terminal, which decides on colours and movements."""
        return self._descriptor is not None and os.isatty(self._descriptor)

    def show_control_keys(self, *, is_shown: bool) -> None:
        """Have the terminal write Ctrl-C as `^C`, or not; as it was before, at most.

        A terminal that belongs to another program just now is left alone.
        """
        if self._descriptor is None or (is_shown and not self._has_hidden_keys):
            return
        with contextlib.suppress(OSError, termios.error):
            if os.tcgetpgrp(self._descriptor) != os.getpgrp():
                return
            modes = termios.tcgetattr(self._descriptor)
            has_shown = bool(modes[_LOCAL_MODES] & termios.ECHOCTL)
            if is_shown == has_shown:
                return
            self._has_hidden_keys = not is_shown
            modes[_LOCAL_MODES] &= ~termios.ECHOCTL
            if is_shown:
                modes[_LOCAL_MODES] |= termios.ECHOCTL
            termios.tcsetattr(self._descriptor, termios.TCSANOW, modes)


def _open_output() -> _Output:
    # There is no object for an output that was closed before the start.
    with contextlib.suppress(AttributeError, OSError, ValueError):
        return _Output(sys.stdout.fileno(), sys.stdout.encoding)
    return _Output(None)


def _start_live(console: Console) -> Live:
    live = Live(
        console=console,
        auto_refresh=False,
        redirect_stdout=False,
        redirect_stderr=False,
    )
    live.start()
    return live
