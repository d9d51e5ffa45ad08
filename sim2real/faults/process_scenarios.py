"""How rows about processes are tried: signals, limits, a second host, a power cut."""

import contextlib
import json
import os
import resource
import shutil
import signal
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from cell.contracts.servo import TIMING_HOLDS
from ops.exit_codes import ExitCode
from ops.last_status import FILE_NAME
from sim2real.faults.door import end_task, read_tasks
from sim2real.faults.evidence import Evidence
from sim2real.faults.frozen_thread import freeze_main_thread
from sim2real.faults.scenario import (
    Act,
    CellScenario,
    arm_rests,
    do_nothing,
    find_placed_part,
    find_stop,
    goes_on,
    make_event_sign,
    make_hold_sign,
    make_time_look,
    stop_begins,
    supervisor_returns,
    wait_for_long_motion,
)
from sim2real.faults.stand import Stand, StandError, pause, start_cellward
from sim2real.faults.wall_clock import WallClock

_BLOCKED_S: Final = 0.7
_NO_TURN_S: Final = 0.06
_LITTLE: Final = 32 * 2**20
"""Bytes of address space; an interpreter starts with them and imports little."""
_START_S: Final = 20.0
_SPARE_S: Final = 60.0
_LOOK_S: Final = 0.01
_DEATHS: Final = 2
_HOST_S: Final = 1.0
_REFUSED_S: Final = 60.0
_ENDED: Final = ("host", "process ended")
_READY_MS: Final = 2000.0
_WORK_TASK: Final = "work-produce"
_FEWEST_TASKS: Final = 6
"""Exchange with the line, gripper, proposals, Guardian, two clients at least."""
_TASK_S: Final = 5.0


def _send(name: str, number: signal.Signals) -> Act:
    return lambda stand: os.kill(stand.pid_of(name), number)


def _block_loop(stand: Stand) -> None:
    freeze_main_thread(stand.pid_of("supervisor"), _BLOCKED_S)


class _Starvation:
    """Ends the policy worker as a kernel without memory does, and starves the next."""

    def __init__(self) -> None:
        self._pids: set[int] = set()

    def begin(self, stand: Stand) -> None:
        """End the worker, and wait for its successor to end for want of memory."""
        before = find_workers(stand)
        for pid in before:
            os.kill(pid, signal.SIGKILL)
        deadline_s = time.monotonic() + _START_S
        while not (self._pids or time.monotonic() > deadline_s):
            self._pids = find_workers(stand) - before
            pause(_LOOK_S)
        for pid in self._pids:
            with contextlib.suppress(OSError):
                resource.prlimit(pid, resource.RLIMIT_AS, (_LITTLE, _LITTLE))
        while self._pids & find_workers(stand) and time.monotonic() < deadline_s:
            pause(_LOOK_S)
        # Its host looks a few times a second, and then writes it down.
        pause(_HOST_S)

    def find_ends(self, evidence: Evidence) -> str:
        """Miss the end of the worker that got no memory."""
        lines = [
            line for line in evidence.events() if (line.source, line.event) == _ENDED
        ]
        exits = [str(line.fields.get("exit")) for line in lines]
        pids, self._pids = self._pids, set()
        if not pids:
            return "no other worker was started"
        if len(exits) < _DEATHS:
            return f"the worker without memory lived on ({exits})"
        return ""


def find_workers(stand: Stand) -> set[int]:
    """Return the policy workers of this cell, from the moment they are started."""
    found = set()
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            command = path.read_bytes()
            is_ours = str(stand.files.runtime).encode() in command
            if is_ours and b"ops.processes.policy" in command:
                found.add(int(path.parent.name))
    return found


class _Throttle:
    """Keeps the servo process from running for a while."""

    def __init__(self) -> None:
        self._back_ns = 0

    def begin(self, stand: Stand) -> None:
        """Stop it, and let it go on."""
        freeze_main_thread(stand.pid_of("servo"), _NO_TURN_S)
        self._back_ns = time.monotonic_ns()

    def find_return(self, _evidence: Evidence, _now_ns: int) -> int | None:
        """Return when it went on."""
        return self._back_ns


def cut_power(stand: Stand) -> None:
    """End the controller at once, lose its memory, tear its record, and start it."""
    stand.kill_host("run")
    stand.forget_status()
    (stand.files.runtime / "status").unlink(missing_ok=True)
    record = stand.files.logs.parent / FILE_NAME
    content = record.read_bytes()
    record.write_bytes(content[: len(content) // 2])
    stand.start_host("run")


class _SecondController:
    """Another `cellward run` on the same runtime directory."""

    def __init__(self) -> None:
        self._code: int | None = None
        self._said = ""

    def start(self, stand: Stand) -> None:
        """Start it and wait for its end."""
        folder = stand.files.controller.parent
        config = folder / "second.yaml"
        shutil.copy(stand.files.controller, config)
        output = folder / "second.out"
        host = start_cellward(
            ["run", "--no-tty", "--for", "5s", "--config", str(config)], output
        )
        try:
            self._code = host.wait(_REFUSED_S)
        except subprocess.TimeoutExpired:
            host.send_signal(signal.SIGINT)
            self._code = host.wait(_REFUSED_S)
        self._said = output.read_text("utf-8", errors="replace")

    def is_refused(self, evidence: Evidence, _now_ns: int) -> int | None:
        """Return the onset once it has ended with the code of a refusal."""
        is_meant = self._code == ExitCode.ALREADY_RUNNING
        return evidence.onset_ns if is_meant else None

    def find_sentence(self, _evidence: Evidence) -> str:
        """Miss the sentence that names the first one."""
        if "another controller is running" in self._said:
            return ""
        return f"it did not say why it ended: {self._said[-200:]!r}"


class _SilentEnds:
    """Ends every task of the supervisor, one in each of its lives."""

    def begin(self, stand: Stand) -> None:
        """End the work that moves the arm."""
        end_task(stand.pid_of("supervisor"), stand.door, _WORK_TASK)

    def find_survivor(self, evidence: Evidence) -> str:
        """Miss an end of the process for each of the other tasks."""
        stand = evidence.stand
        names = self._read_names(stand)
        if len(names) < _FEWEST_TASKS:
            return f"the tasks of the supervisor were not found ({names})"
        lived = [name for name in names if not self._ends_with(stand, name)]
        return f"the supervisor lives on without {', '.join(lived)}" if lived else ""

    def _read_names(self, stand: Stand) -> tuple[str, ...]:
        end_task(_wait_for_life(stand), stand.door, "")
        deadline_s = time.monotonic() + _TASK_S
        while not (names := read_tasks(stand.door)):
            if time.monotonic() > deadline_s:
                return ()
            pause(_LOOK_S)
        return tuple(name for name in names if not name.startswith("work-"))

    def _ends_with(self, stand: Stand, name: str) -> bool:
        """Say whether the process ends soon after one of its tasks has."""
        pid = _wait_for_life(stand)
        end_task(pid, stand.door, name)
        deadline_s = time.monotonic() + _TASK_S
        while Path(f"/proc/{pid}/cmdline").exists():
            if time.monotonic() > deadline_s:
                return False
            pause(_LOOK_S)
        return True


def _wait_beside_spare(stand: Stand) -> None:
    """Wait until a spare supervisor is warm, then for the arm to be under way.

    One that is killed in the seconds before that is back as late as after a start.

    Raises:
        StandError: there is no spare, or the arm does not move.
    """
    path = stand.files.logs / "host.jsonl"
    deadline_s = time.monotonic() + _SPARE_S
    while not _has_spare(path.read_text("utf-8").splitlines()):
        if time.monotonic() > deadline_s:
            raise StandError("no spare of the supervisor has become ready")
        pause(_LOOK_S)
    stand.wait_until_moving()


def _has_spare(lines: Sequence[str]) -> bool:
    """Say whether the newest that the host wrote of the supervisor is of a spare."""
    found = [json.loads(line) for line in lines if '"supervisor"' in line]
    return bool(found) and found[-1]["event"] == "spare process waits"


def _wait_for_life(stand: Stand) -> int:
    """Return the process id of a supervisor that shows its state from now on.

    Raises:
        StandError: none comes up.
    """
    since_ns = time.monotonic_ns()
    deadline_s = time.monotonic() + _START_S
    while time.monotonic() < deadline_s:
        pid = stand.pid_of("supervisor")
        # A new one may show its state before its first life sign tells its number.
        is_there = pid > 0 and Path(f"/proc/{pid}/cmdline").exists()
        if is_there and int(stand.status().get("stamp_ns", 0)) > since_ns:
            return pid
        pause(_LOOK_S)
    raise StandError("the supervisor did not come up again")


_silent_ends, _wall_clock = _SilentEnds(), WallClock()
_starvation, _throttle, _second = _Starvation(), _Throttle(), _SecondController()

PROCESS_SCENARIOS: Final[dict[str, CellScenario]] = {
    "F48": CellScenario(
        inject=_send("policy", signal.SIGSEGV),
        repair=do_nothing,
        sign=stop_begins,
        lasts_s=0.6,
        is_latched=False,
    ),
    "F61": CellScenario(
        inject=_send("supervisor", signal.SIGKILL),
        repair=do_nothing,
        sign=arm_rests,
        moment=_wait_beside_spare,
        looks=(make_time_look(supervisor_returns, _READY_MS, "ready again"),),
        event=_ENDED,
    ),
    "F62": CellScenario(
        inject=_send("supervisor", signal.SIGSTOP),
        repair=do_nothing,
        sign=arm_rests,
        event=_ENDED,
    ),
    "F63": CellScenario(
        inject=_block_loop,
        repair=do_nothing,
        sign=arm_rests,
    ),
    "F64": CellScenario(
        inject=_silent_ends.begin,
        repair=do_nothing,
        sign=make_event_sign("supervisor", "task_ended", task=_WORK_TASK),
        looks=(_silent_ends.find_survivor,),
        event=("supervisor", "task_ended"),
        lasts_s=0.6,
    ),
    "F66": CellScenario(
        inject=_starvation.begin,
        repair=do_nothing,
        sign=stop_begins,
        effect=_starvation.find_ends,
        lasts_s=2.0,
        is_latched=False,
    ),
    "F67": CellScenario(
        inject=_throttle.begin,
        repair=do_nothing,
        sign=make_hold_sign(*TIMING_HOLDS),
        onset=_throttle.find_return,
        moment=wait_for_long_motion,
        looks=(find_stop,),
        event=("servo", "held"),
        lasts_s=2.0,
        is_latched=False,
        stops_arm=False,
    ),
    "F68": CellScenario(
        inject=_wall_clock.jump,
        repair=_wall_clock.mend,
        sign=goes_on,
        patience_s=20.0,
        looks=(_wall_clock.find_jump, _wall_clock.find_stop, find_placed_part),
        is_latched=False,
        stops_arm=False,
        fresh=True,
        environment=_wall_clock.make_environment,
    ),
    "F70": CellScenario(
        inject=cut_power,
        repair=do_nothing,
        sign=supervisor_returns,
        patience_s=60.0,
        event=("host", "last status unusable"),
        stops_arm=False,
    ),
    "F72": CellScenario(
        inject=_second.start,
        repair=do_nothing,
        sign=_second.is_refused,
        looks=(find_stop, _second.find_sentence),
        lasts_s=0.0,
        is_latched=False,
        stops_arm=False,
    ),
}
"""By row."""
