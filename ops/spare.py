"""A successor that waits, warm, beside the process that it is to replace.

A process that line and people wait for is back in the time that its own work takes,
not in that of its imports and of loading its kernels, which beside a running cell is
seconds. Until its turn a spare has done nothing that anybody else sees.
"""

import contextlib
import socket
import subprocess
from dataclasses import dataclass, field
from typing import Final

import structlog

from ops.child_signals import is_stopped
from ops.child_start import ChildStart
from ops.process_table import ProcessSpec, RestartPolicy
from ops.processes.turn import TURN, WARM

_RETRY_S: Final = 600.0
"""Between tries after too many losses. Where a lack of memory or descriptors passes, a
run of months has its spare back soon; where it stays, a try takes up to eight seconds
of a core beside the cell, which is little in ten minutes. It is also the time after
which the policy has forgotten a loss."""


def _make_policy() -> RestartPolicy:
    # Slower than restarts of what works: production does not wait for a spare.
    return RestartPolicy(first_delay_s=5.0, last_delay_s=60.0)


@dataclass
class Spare:
    """Keeps one process warm, and hands it over once.

    Attributes:
        spec: of the process that it is to replace.
        child_start: starts one.
        is_warm: whether it has said that it waits for nothing but its turn.
        is_failing: whether it was lost too often, so that it is tried at long intervals
            only, until one is warm.
    """

    spec: ProcessSpec
    child_start: ChildStart
    is_warm: bool = False
    is_failing: bool = False
    _policy: RestartPolicy = field(default_factory=_make_policy)
    _process: "subprocess.Popen[bytes] | None" = None
    _link: socket.socket | None = None
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
        link, self._link = self._link, None
        self.is_warm = False
        if process is None or link is None:
            return None
        with link:
            if process.poll() is None and not is_stopped(process.pid):
                with contextlib.suppress(OSError):
                    link.send(TURN)
                    return process
        _end(process)
        return None

    def stop(self) -> None:
        """End it; none is started any more."""
        self._start_at_s = None
        self._drop()

    def _start(self, now_s: float) -> None:
        try:
            self._link, theirs = socket.socketpair()
            with theirs:
                self._link.settimeout(0.0)
                self._process = self.child_start.start(self.spec, theirs.fileno())
        except OSError as error:
            # No descriptor, memory or process id left; production goes on without.
            self._drop()
            self._note_loss(f"not started: {error.strerror}", now_s)

    def _check(self, process: "subprocess.Popen[bytes]", now_s: float) -> None:
        code = process.poll()
        if code is not None or is_stopped(process.pid):
            self._drop()
            self._note_loss(f"status {process.returncode}", now_s)
        elif not self.is_warm and self._link is not None:
            # Nothing yet, or an end that the next look sees.
            with contextlib.suppress(OSError):
                self.is_warm = self._link.recv(1) == WARM
            if self.is_warm:
                self.is_failing = False
                structlog.get_logger().info("spare process waits", name=self.spec.name)

    def _note_loss(self, how: str, now_s: float) -> None:
        log = structlog.get_logger()
        delay_s = self._policy.note_death(now_s)
        if delay_s is None and not self.is_failing:
            self.is_failing = True
            log.error("no spare process can be kept", name=self.spec.name, exit=how)
        if delay_s is None or self.is_failing:
            delay_s = _RETRY_S
        log.warning(
            "spare process ended", name=self.spec.name, exit=how, delay_s=delay_s
        )
        self._start_at_s = now_s + delay_s

    def _drop(self) -> None:
        self.is_warm = False
        if self._link is not None:
            self._link.close()
            self._link = None
        process, self._process = self._process, None
        if process is not None:
            _end(process)


def _end(process: "subprocess.Popen[bytes]") -> None:
    # It has nothing to bring to an end, and may be stopped or at its imports.
    process.kill()
    process.wait()
