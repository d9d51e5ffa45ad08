"""The process host: starts, watches, restarts and ends the flat set of processes.

It plays the part of a service manager with watchdogs. It decides nothing about motion:
every process comes up inhibited, so that a restart can never move the arm. That a
process has ended shows as a cleared life sign, until the next one beats by itself; that
no other is started any more, as one given up.
"""

import math
import signal
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import structlog

from cell.contracts.units import ns_from_s
from cell.mailbox.beats import Beats
from ops.child_signals import is_stopped
from ops.child_start import ChildStart
from ops.exit_codes import ExitCode
from ops.process_table import ProcessSpec, RestartPolicy
from ops.spare import Spare

_START_GRACE_S = 90.0
"""The first start of all compiles its kernels, on two cores that others use as well."""
_LASTING_CODES = (ExitCode.CONFIG, ExitCode.MODEL, ExitCode.STORAGE)
"""Of refusals that no restart cures; a person has to change something."""


@dataclass(frozen=True)
class Refusal:
    """Why a process will not run, which another start would not change.

    Attributes:
        code: its exit code.
        sentence: its last words; may be empty.
    """

    code: ExitCode
    sentence: str


@dataclass
class _Child:
    spec: ProcessSpec
    policy: RestartPolicy
    spare: Spare | None = None
    process: subprocess.Popen[bytes] | None = None
    started_s: float = 0.0
    start_at_s: float | None = 0.0
    restarts: int = 0
    last_exit: str = ""
    refusal: Refusal | None = None
    is_killed: bool = False


@dataclass(frozen=True)
class ChildStatus:
    """What the terminal view and the report say of one process.

    Attributes:
        name: of the process.
        pid: its process id, None while it does not run.
        restarts: how often it ended.
        is_down: it is not started again.
        last_exit: how it ended last; empty before that.
        refusal: why it will not run, which another start would not change.
        is_essential: the run ends when it stays down.
    """

    name: str
    pid: int | None
    restarts: int
    is_down: bool
    last_exit: str
    refusal: Refusal | None
    is_essential: bool


@dataclass
class ProcessHost:
    """Owns the processes of one controller.

    Attributes:
        specs: what to run, in the order in which they are asked to end.
        child_start: starts one of them.
        now_s: the monotonic clock [s].
        restart_limit: restarts within ten minutes before a process stays down.
    """

    specs: Sequence[ProcessSpec]
    child_start: ChildStart
    now_s: Callable[[], float]
    restart_limit: int = 5
    _children: dict[str, _Child] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._log = structlog.get_logger()
        self._beats = Beats.open(self.child_start.runtime / "beats")
        for spec in self.specs:
            # Before anybody else is there to wait for.
            self._beats.claim(spec.name)
            policy = RestartPolicy(limit=self.restart_limit)
            spare = Spare(spec, self.child_start) if spec.has_spare else None
            self._children[spec.name] = _Child(spec, policy, spare)

    def poll(self) -> None:
        """Reap the dead, end the hung, start what is due. Call it often."""
        now_s = self.now_s()
        for child in self._children.values():
            if child.process is not None:
                self._check_alive(child, now_s)
            if child.process is None and _is_due(child, now_s):
                self._start(child, now_s)
            self._tend_spare(child, now_s)

    def statuses(self) -> list[ChildStatus]:
        """Return one line for each process."""
        return [
            ChildStatus(
                name=c.spec.name,
                pid=c.process.pid if c.process else None,
                restarts=c.restarts,
                is_down=c.process is None and c.start_at_s is None,
                last_exit=c.last_exit,
                refusal=c.refusal,
                is_essential=c.spec.is_essential,
            )
            for c in self._children.values()
        ]

    def list_complaints(self) -> list[str]:
        """Return what is wrong beside production, for a person; mostly empty."""
        return [
            f"no spare of process {name} can be kept: should it end, line and people"
            " wait some seconds for the next; free memory or descriptors, or restart"
            f" Cellward; its last words are in {self.child_start.find_output(name)}"
            for name, child in self._children.items()
            if child.spare is not None and child.spare.is_failing
        ]

    def stop(self, sleep: Callable[[float], None]) -> None:
        """End every process in order, each within its own grace; then kill."""
        for child in self._children.values():
            child.start_at_s = None
        for child in self._children.values():
            if child.process is not None:
                self._end(child, sleep)
        for child in self._children.values():
            if child.spare is not None:
                child.spare.stop()

    def _tend_spare(self, child: _Child, now_s: float) -> None:
        """Keep a successor beside a process that works, and beside no other."""
        if child.spare is None or child.process is None:
            return
        age_s = self._beats.age_s(child.spec.name, ns_from_s(now_s))
        # What has not come up yet needs the cores itself, and compiles for both.
        if child.spare.pid is not None or age_s <= child.spec.beat_limit_s:
            child.spare.tend(now_s)

    def _start(self, child: _Child, now_s: float) -> None:
        self._beats.forget(child.spec.name)
        try:
            successor = child.spare.take() if child.spare else None
            child.process = successor or self.child_start.start(child.spec)
        except OSError as error:
            # No memory or no process id left, perhaps only for a moment.
            self._note_end(child, f"not started: {error.strerror}", now_s)
            return
        child.started_s = now_s
        child.is_killed = False
        child.start_at_s = None
        self._log.info(
            "process started",
            name=child.spec.name,
            pid=child.process.pid,
            was_spare=successor is not None,
        )

    def _check_alive(self, child: _Child, now_s: float) -> None:
        assert child.process is not None  # noqa: S101  (narrowing for the checker)
        code = child.process.poll()
        if code is None:
            if not child.is_killed:
                self._end_if_useless(child, child.process, now_s)
            return
        child.process = None
        child.refusal = self._find_refusal(child, code)
        self._note_end(child, _describe_exit(code), now_s)

    def _note_end(self, child: _Child, how: str, now_s: float) -> None:
        """Decide when a process starts again that has ended, or could not start."""
        child.last_exit = how
        delay_s = None if child.refusal else child.policy.note_death(now_s)
        child.restarts += 1
        self._log.warning(
            "process ended", name=child.spec.name, exit=how, delay_s=delay_s
        )
        child.start_at_s = None if delay_s is None else now_s + delay_s
        if delay_s is None:
            self._beats.give_up(child.spec.name)
        else:
            self._beats.forget(child.spec.name)

    def _find_refusal(self, child: _Child, code: int) -> Refusal | None:
        if code not in _LASTING_CODES:
            return None
        return Refusal(
            ExitCode(code), self.child_start.read_last_words(child.spec.name)
        )

    def _end_if_useless(
        self, child: _Child, process: subprocess.Popen[bytes], now_s: float
    ) -> None:
        """Kill a process that was stopped or that hangs."""
        name = child.spec.name
        if is_stopped(process.pid):
            self._log.warning("process was stopped by a signal, ended", name=name)
        elif self._is_hung(child, now_s):
            silence_s = self._beats.age_s(name, ns_from_s(now_s))
            self._log.warning("process hung, ended", name=name, silence_s=silence_s)
        else:
            return
        process.kill()
        child.is_killed = True
        # It may have stamped its slot just before.
        self._beats.forget(name)

    def _is_hung(self, child: _Child, now_s: float) -> bool:
        age_s = self._beats.age_s(child.spec.name, ns_from_s(now_s))
        if math.isinf(age_s):
            # Imports and compilation at start are one long silence.
            return now_s - child.started_s > _START_GRACE_S
        return age_s > child.spec.beat_limit_s

    def _end(self, child: _Child, sleep: Callable[[float], None]) -> None:
        assert child.process is not None  # noqa: S101  (narrowing for the checker)
        child.process.send_signal(signal.SIGTERM)
        child.process.send_signal(signal.SIGCONT)
        deadline_s = self.now_s() + child.spec.stop_grace_s
        while child.process.poll() is None and self.now_s() < deadline_s:
            sleep(0.02)
        if child.process.poll() is None:
            self._log.warning("process did not end, killed", name=child.spec.name)
            child.process.kill()
        child.process.wait()
        child.process = None


def _is_due(child: _Child, now_s: float) -> bool:
    return child.start_at_s is not None and now_s >= child.start_at_s


def _describe_exit(code: int) -> str:
    if code >= 0:
        return f"exit code {code}"
    try:
        return f"signal {signal.Signals(-code).name}"
    except ValueError:
        # Most real-time signals have no name.
        return f"signal {-code}"
