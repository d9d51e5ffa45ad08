"""A successor that waits, warm, beside the process that it is to replace.

A process that line and people wait for is back in the time that its own work takes,
not in that of its imports and of loading its kernels, which beside a running cell is
seconds. Until its turn a spare has done nothing that anybody else sees.
"""

import contextlib
import os
import subprocess
from dataclasses import dataclass, field

import structlog

from ops.child_signals import is_stopped
from ops.child_start import ChildStart
from ops.process_table import ProcessSpec, RestartPolicy

_TURN = b"\n"


def _make_policy() -> RestartPolicy:
    # Slower than restarts of what works: production does not wait for a spare.
    return RestartPolicy(first_delay_s=5.0, last_delay_s=60.0)


@dataclass
class Spare:
    """Keeps one process warm, and hands it over once.

    Attributes:
        spec: of the process that it is to replace.
        child_start: starts one.
    """

    spec: ProcessSpec
    child_start: ChildStart
    _policy: RestartPolicy = field(default_factory=_make_policy)
    _process: "subprocess.Popen[bytes] | None" = None
    _turn: int = -1
    _start_at_s: float | None = 0.0

    @property
    def pid(self) -> int | None:
        """Its process id, None while there is none."""
        return self._process.pid if self._process else None

    def tend(self, now_s: float) -> None:
        """Start it where it is due, and replace one that ended or was stopped."""
        if self._process is not None:
            self._check(self._process, now_s)
        elif self._start_at_s is not None and now_s >= self._start_at_s:
            self._start(now_s)

    def take(self) -> "subprocess.Popen[bytes] | None":
        """Give it its turn and let go of it; None when there is none that lives."""
        process, self._process = self._process, None
        if process is None:
            return None
        if process.poll() is None and not is_stopped(process.pid):
            with contextlib.suppress(BrokenPipeError):
                os.write(self._turn, _TURN)
                self._close_turn()
                return process
        self._end(process)
        return None

    def stop(self) -> None:
        """End it; none is started any more."""
        self._start_at_s = None
        process, self._process = self._process, None
        if process is not None:
            self._end(process)

    def _start(self, now_s: float) -> None:
        theirs, self._turn = os.pipe2(os.O_CLOEXEC)
        try:
            self._process = self.child_start.start(self.spec, theirs)
        except OSError as error:
            self._close_turn()
            self._note_loss(f"not started: {error.strerror}", now_s)
        finally:
            os.close(theirs)

    def _check(self, process: "subprocess.Popen[bytes]", now_s: float) -> None:
        code = process.poll()
        if code is None and not is_stopped(process.pid):
            return
        self._process = None
        self._end(process)
        self._note_loss(f"status {process.returncode}", now_s)

    def _note_loss(self, how: str, now_s: float) -> None:
        delay_s = self._policy.note_death(now_s)
        structlog.get_logger().warning(
            "spare process ended", name=self.spec.name, exit=how, delay_s=delay_s
        )
        self._start_at_s = None if delay_s is None else now_s + delay_s

    def _end(self, process: "subprocess.Popen[bytes]") -> None:
        self._close_turn()
        # It has nothing to bring to an end, and may be stopped or at its imports.
        process.kill()
        process.wait()

    def _close_turn(self) -> None:
        os.close(self._turn)
        self._turn = -1
