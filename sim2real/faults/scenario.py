"""How a row is tried on a whole cell: what to do, and by which sign to judge it."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from cell.contracts.servo import HoldReason, MotionMode
from cell.mailbox.servo_link import ServoLink
from sim2real.faults.evidence import Evidence
from sim2real.faults.judgement import find_late
from sim2real.faults.stand import Stand, StandError, pause
from sim2real.faults.stand_config import RESTARTS, Wire

_QUIET_NS: Final = 400_000_000
_LONG_RAD: Final = 0.7
_BEGUN_RADPS: Final = 0.1
_LOOK_PERIOD_S: Final = 0.2
_PATIENCE_S: Final = 60.0
_DARK_NS: Final = 600_000_000
"""Nine times the period of a camera."""
_FAULT_STOPS: Final = ("HOLDING", "ABORTING")
STOPPING: Final = ("HOLDING", "ABORTING", "STOPPING")
"""States that a stop begins with; who waits for the line suspends, which is none."""

Act = Callable[[Stand], None]
Sign = Callable[[Evidence, int], int | None]
"""Takes what was seen and the present time; returns when the reaction came, or None."""
Look = Callable[[Evidence], str]
"""Returns what is missing in the evidence, empty when nothing is."""


class MissingAidError(StandError):
    """Something of this machine is needed for a trial and is not installed."""


def do_nothing(_stand: Stand) -> None:
    """Leave the stand as it is."""


def wait_until_moving(stand: Stand) -> None:
    """Wait until the arm is under way."""
    stand.wait_until_moving()


def wait_for_long_motion(stand: Stand) -> None:
    """Wait until the arm begins a long motion, as between bin and outfeed.

    Raises:
        StandError: there is none.
    """
    link = ServoLink.open(stand.files.runtime)
    try:
        deadline_s = time.monotonic() + _PATIENCE_S
        while time.monotonic() < deadline_s:
            command, state = link.read_command(), link.read_state()
            if command and state and command.mode is MotionMode.MOVE_JOINT:
                is_new = state.command_id == command.command_id > state.reached_id
                way_rad = float(np.max(np.abs(command.q_target - state.q)))
                if (
                    is_new
                    and way_rad > _LONG_RAD
                    and np.abs(state.qd).max() > _BEGUN_RADPS
                ):
                    return
            pause(0.002)
    finally:
        link.close()
    raise StandError("the arm makes no long motion")


def no_environment(_folder: Path) -> Mapping[str, str]:
    """Change nothing."""
    return {}


def find_nothing(_evidence: Evidence) -> str:
    """Miss nothing."""
    return ""


@dataclass(frozen=True)
class CellScenario:
    """How to try one row.

    Attributes:
        inject: lets the fault begin.
        repair: takes it away; what a person has to do at the device is part of it.
        sign: by which the reaction is timed.
        moment: waits for the state in which the fault strikes.
        wires: that have to be open to disturbance.
        lasts_s: how long the fault stands at least [s].
        patience_s: how long the sign is waited for [s].
        looks: further checks, each a sentence about what is missing.
        effect: whether the fault took effect at all; counts for rows without a stop.
        onset: when the fault began, where that is later than its injection.
        event: source and name of the log event that must be recorded; by default that
            of the stop.
        is_latched: nothing may move by itself once the fault is gone.
        stops_arm: the arm has to be ordered to rest soon after the bound.
        fresh: it needs a cell of its own, and leaves none behind.
        environment: variables that the controller is started with; raises StandError
            where what they name is not there.
        restart_limit: of the controller's processes; None for the configured one.
            Kills are what a stand is for, so by default there is none to speak of.
        variants: further ways in which the fault comes, by name; each gets a cell of
            its own where the row does.
        bound_ms: of a variant that has another one than its row [ms].
        causes: of a variant that may name others than its row.
    """

    inject: Act
    repair: Act
    sign: Sign
    moment: Act = wait_until_moving
    wires: frozenset[Wire] = frozenset()
    lasts_s: float = 1.0
    patience_s: float = 3.0
    looks: tuple[Look, ...] = ()
    effect: Look = find_nothing
    onset: Sign | None = None
    event: tuple[str, str] = ("supervisor", "state")
    is_latched: bool = True
    stops_arm: bool = True
    fresh: bool = False
    environment: Callable[[Path], Mapping[str, str]] = no_environment
    restart_limit: int | None = RESTARTS
    variants: tuple[tuple[str, "CellScenario"], ...] = ()
    bound_ms: float | None = None
    causes: tuple[str, ...] = ()


# --- signs ---


def stop_begins(evidence: Evidence, _now_ns: int) -> int | None:
    """Return when the supervisor began to stop."""
    for line in evidence.events():
        if line.event == "state" and line.fields.get("to") in STOPPING:
            return line.seen_ns
    return None


def make_event_sign(source: str, event: str, **fields: object) -> Sign:
    """Return a sign: an event with these fields is recorded."""

    def find(evidence: Evidence, _now_ns: int) -> int | None:
        for line in evidence.events():
            is_meant = line.source == source and line.event == event
            if is_meant and all(line.fields.get(k) == v for k, v in fields.items()):
                return line.seen_ns
        return None

    return find


def supervisor_returns(evidence: Evidence, now_ns: int) -> int | None:
    """Return when a new supervisor first showed that it has latched.

    It latches before that, in its first lines of code; who waits for it sees nothing.
    """
    status = evidence.stand.status()
    stamp_ns = int(status.get("stamp_ns", 0))
    if stamp_ns <= evidence.onset_ns or status.get("state") != "ABORTED":
        return None
    return _find_latched_status(evidence, now_ns)


_find_latched_status = make_event_sign("supervisor", "status_shown", state="ABORTED")


def arm_rests(evidence: Evidence, now_ns: int) -> int | None:
    """Return when the arm was last ordered to move, once it has been quiet."""
    last_ns = evidence.find_last_motion_ns(now_ns)
    if last_ns is None:
        is_old = now_ns - evidence.onset_ns > _QUIET_NS
        return evidence.onset_ns if is_old else None
    return last_ns if now_ns - last_ns > _QUIET_NS else None


def make_hold_sign(*reasons: HoldReason) -> Sign:
    """Return a sign: the servo process holds for one of these reasons."""

    def find(evidence: Evidence, _now_ns: int) -> int | None:
        for sample in evidence.samples():
            if sample.hold_reason in reasons:
                return sample.seen_ns
        return None

    return find


def last_setpoint(evidence: Evidence, now_ns: int) -> int | None:
    """Return when the last setpoint went to the robot, once there was none for long."""
    tap = evidence.stand.tap
    if tap is None or now_ns - max(tap.setpoint_ns, evidence.onset_ns) < _QUIET_NS:
        return None
    return max(tap.setpoint_ns, evidence.onset_ns)


def last_picture(evidence: Evidence, now_ns: int) -> int | None:
    """Return when the last picture was taken, once there was none for long."""
    seen_ns = max(evidence.stand.newest_picture_ns(), evidence.onset_ns)
    return seen_ns if now_ns - seen_ns > _DARK_NS else None


def goes_on(evidence: Evidence, now_ns: int) -> int | None:
    """Return the onset once production went on for long enough without a stop."""
    is_over = now_ns - evidence.onset_ns > 8_000_000_000
    return evidence.onset_ns if is_over else None


# --- looks ---


def find_stop(evidence: Evidence) -> str:
    """Miss an undisturbed production, until the repair."""
    for line in evidence.events():
        is_stop = line.event == "state" and line.fields.get("to") in _FAULT_STOPS
        reason = str(line.fields.get("reason", ""))
        if is_stop and line.seen_ns < evidence.repair_ns:
            return f"production was stopped: {reason}"
    return ""


def make_event_look(source: str, event: str, **fields: object) -> Look:
    """Return a look: an event with these fields was recorded."""
    sign = make_event_sign(source, event, **fields)

    def look(evidence: Evidence) -> str:
        return "" if sign(evidence, 0) is not None else f"no event '{event}'"

    return look


def make_awaited_look(
    source: str, event: str, patience_s: float, **fields: object
) -> Look:
    """Return a look as `make_event_look` does, which waits for what takes its time."""
    look = make_event_look(source, event, **fields)

    def wait(evidence: Evidence) -> str:
        deadline_s = time.monotonic() + patience_s
        while (missed := look(evidence)) and time.monotonic() < deadline_s:
            pause(_LOOK_PERIOD_S)
        return missed

    return wait


def make_time_look(sign: Sign, bound_ms: float, what: str) -> Look:
    """Return a look: a second reaction came within its own bound after the onset."""

    def look(evidence: Evidence) -> str:
        seen_ns = sign(evidence, time.monotonic_ns())
        if seen_ns is None:
            return f"{what} was not seen"
        time_ms = (seen_ns - evidence.onset_ns) / 1e6
        return find_late(time_ms, bound_ms, f"{what}: ")

    return look


def find_placed_part(evidence: Evidence) -> str:
    """Miss a part that was placed since the onset."""
    placed = evidence.stand.status().get("placed", 0)
    if placed > evidence.notes.get("placed", 0.0):
        return ""
    return "no part was placed meanwhile"
