"""Starts one process of the controller with what it needs to know of its host."""

import contextlib
import os
import subprocess
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

from ops.process_table import ProcessSpec

_OUTPUT_BYTES: Final = 1_000_000
"""Of what a process printed; a spare that cannot be kept adds to it for months."""
_KEPT_BYTES: Final = 50_000
"""Of its end, when it grew beyond that: the last words are there."""


@dataclass(frozen=True)
class ChildStart:
    """What is the same for every child of one host.

    Attributes:
        config_path: configuration file that the children read.
        digest: SHA-256 of it; a child refuses any other content.
        runtime: folder with shared memory.
        log_directory: receives what processes print before their own log works.
        held: open descriptors that children keep, so that the locks behind them last
            as long as any process of the cell.
    """

    config_path: Path
    digest: str
    runtime: Path
    log_directory: Path
    held: Sequence[int] = ()

    def start(
        self, spec: ProcessSpec, turn: int | None = None
    ) -> subprocess.Popen[bytes]:
        """Start a process, bound to this one.

        Args:
            spec: of the process.
            turn: socket that it waits at, once it is warm; None for no wait.

        Raises:
            OSError: the kernel has no memory or no process id left.
        """
        waiting = () if turn is None else (turn,)
        with ExitStack() as stack:
            output = self._open_output(spec.name, stack)
            return subprocess.Popen(
                [
                    *(sys.executable, "-m", "ops.processes.launch"),
                    *(str(os.getpid()), str(int(spec.death_signal)), spec.module),
                    *("--config", str(self.config_path), "--digest", self.digest),
                    *("--runtime", str(self.runtime)),
                    *(f"--turn={descriptor}" for descriptor in waiting),
                ],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                # Its own group: Ctrl-C in the terminal reaches the host alone.
                process_group=0,
                pass_fds=(*self.held, *waiting),
                env=_child_environment(),
            )

    def find_output(self, name: str) -> Path:
        """Return the file of what a process prints; there may be none."""
        return self.log_directory / f"{name}.out"

    def read_last_words(self, name: str) -> str:
        """Return the sentence that a process ended with, empty when there is none."""
        try:
            text = self.find_output(name).read_text("utf-8", errors="replace")
        except OSError:
            return ""
        start = f"\n{text}".rfind(f"\n{name}: ")
        return text[start:].removeprefix(f"{name}: ").strip() if start >= 0 else ""

    def _open_output(self, name: str, stack: ExitStack) -> IO[bytes] | int:
        path = self.find_output(name)
        with contextlib.suppress(OSError):
            _cut(path)
        try:
            return stack.enter_context(path.open("ab"))
        except OSError:
            # A full disk is no reason not to start.
            return subprocess.DEVNULL


def _cut(path: Path) -> None:
    """Bound a file that others may be appending to; they go on behind what is kept."""
    if path.stat().st_size <= _OUTPUT_BYTES:
        return
    with path.open("a+b") as file:
        file.seek(-_KEPT_BYTES, os.SEEK_END)
        kept = file.read()
        file.truncate(0)
        file.write(kept)


def _child_environment() -> dict[str, str]:
    environment = dict(os.environ)
    # One thread each: the processes share two cores with a 500 Hz loop.
    for key in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        environment[key] = "1"
    environment.setdefault("LP_NUM_THREADS", "1")
    root = str(Path(__file__).resolve().parent.parent)
    path = environment.get("PYTHONPATH", "")
    environment["PYTHONPATH"] = f"{root}:{path}" if path else root
    return environment
