"""The ways in which something is taken from a moving cell, and how each is timed."""

import os
import random
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Final

import numpy as np

from cell.contracts.servo import HoldReason
from sim2real.faults.arm_trace import (
    SETTLED_RADPS,
    find_first_motion,
    find_last_motion,
    is_moving,
)
from sim2real.faults.chaos_rule import PLAIN, Accepts, Rule
from sim2real.faults.frozen_thread import freeze_main_thread
from sim2real.faults.line_scenarios import make_switch
from sim2real.faults.stand import Stand, StandError
from sim2real.faults.stand_config import Wire
from tests.stress.force_tap import ForceTap
from tests.stress.injection_stand import (
    NEXT_COMMAND,
    Trace,
    read_line,
    record,
    resume,
    wait_for_moment,
    wait_until,
)
from tests.stress.servo_trace import (
    compute_delay_ms,
    describe_changes,
    find_final_hold_ns,
    find_hold_ns,
    find_longest_gap_ms,
    find_lost_ns,
    find_rest_order_ns,
    find_setpoint_rest_ns,
    find_stop_ns,
    find_vouched_ns,
    is_driven,
    is_held,
)

HOLD_MS, REST_MS, STOP_MS, SLOW_MS, LOST_MS = 100.0, 200.0, 300.0, 200.0, 200.0
NEVER_MS: Final = float("inf")
"""Of what was waited for in vain."""
_STALE: Final = frozenset({HoldReason.COMMAND_STALE})
_FORCE: Final = frozenset({HoldReason.TCP_FORCE})
_LEAD_S: Final = 0.02
PAUSE_S: Final = 0.32
"""Shorter than what the supervisor itself calls a stall: the cell goes on by itself."""
_SIGNAL_NS: Final = 1_000_000
"""Within this a signal takes effect."""
_KILL_WATCH_S: Final = 0.6
_LOSS_WATCH_S: Final = 0.6
_QUIET_WATCH_S: Final = 0.4
_FORCE_WATCH_S: Final = 0.7
_FELT: Final = 4
"""Readings of a push after which the guard has to hold: at 400 N its smoothed load is
above 150 N with the third, and one may be under way."""
_ARRIVAL_NS: Final = 10_000_000
"""From the wire to the guard."""
_LATCHED: Final = ("ABORTED", "ABORTING", "HELD", "HOLDING", "STOPPED")


@dataclass(frozen=True)
class Injection:
    """One injection and what came of it.

    Attributes:
        way: how it was done.
        times_ms: what has a bar, by name [ms]; infinite where it never came.
        notes: further figures.
        wrong: what must not have happened, a sentence each.
        changes: what the servo process did, for whoever looks into a miss.
    """

    way: str
    times_ms: dict[str, float]
    notes: dict[str, float] = field(default_factory=dict)
    wrong: tuple[str, ...] = ()
    changes: tuple[str, ...] = ()


class Void(StrEnum):
    """Why an injection says nothing, so that another one takes its place."""

    STOOD = "the arm stood"
    SLOW = "the line was slow already"
    UNFELT = "too little of the push came to the guard"
    HELD = "the arm came to rest meanwhile, or was held for something else"


Inject = Callable[[Stand, random.Random], Injection | Void]


def pause_supervisor(stand: Stand, rng: random.Random) -> Injection | Void:
    """Stop the supervisor for a moment, unseen by its host.

    To a signal the host would answer with an end and a new start; what the servo
    process has to notice is the same.
    """
    wait_for_moment(stand, rng)
    pid = stand.pid_of("supervisor")
    with record(stand) as trace:
        time.sleep(_LEAD_S)
        onset_ns = time.monotonic_ns()
        stood_ns = freeze_main_thread(pid, PAUSE_S)
        ended_ns = stood_ns + int(PAUSE_S * 1e9)
    return _judge_silence("paused", trace, onset_ns, stood_ns, ended_ns)


def kill_supervisor(stand: Stand, rng: random.Random) -> Injection | Void:
    """End the supervisor; its successor must let nothing move until it is told to."""
    number = rng.choice([signal.SIGKILL, signal.SIGSTOP])
    wait_for_moment(stand, rng)
    pid = stand.pid_of("supervisor")
    with record(stand) as trace:
        time.sleep(_LEAD_S)
        onset_ns = time.monotonic_ns()
        os.kill(pid, number)
        time.sleep(_KILL_WATCH_S)
        watched_ns = time.monotonic_ns()
        has_returned = wait_until(lambda: _is_back(stand, onset_ns), 30.0)
        time.sleep(2 * _QUIET_WATCH_S)
        ended_ns = time.monotonic_ns()
        state = str(stand.status().get("state"))
    if not has_returned:
        raise StandError("the supervisor was not started again")
    stood_ns = onset_ns + _SIGNAL_NS
    found = _judge_silence(number.name, trace, onset_ns, stood_ns, watched_ns)
    wrong = _find_own_motion(trace, watched_ns, ended_ns, state)
    started_s = time.monotonic()
    resume(stand)
    if isinstance(found, Void):
        # What must not happen counts wherever the arm was.
        return Injection(number.name, {}, wrong=wrong) if wrong else found
    notes = found.notes | {"resume_s": time.monotonic() - started_s}
    return Injection(found.way, found.times_ms, notes, wrong, found.changes)


def lose_line(stand: Stand, rng: random.Random) -> Injection | Void:
    """Lose the line PLC: cable, program or heartbeat, by turns of chance."""
    way = rng.choice(sorted(_LOSSES))
    begin, end = _LOSSES[way]
    wait_for_moment(stand, rng)
    with record(stand) as trace:
        time.sleep(_LEAD_S)
        onset_ns = time.monotonic_ns()
        begin(stand)
        try:
            time.sleep(_LOSS_WATCH_S)
        finally:
            mended_ns = time.monotonic_ns()
            end(stand)
        time.sleep(_QUIET_WATCH_S)
        ended_ns = time.monotonic_ns()
        state = str(stand.status().get("state"))
    found = _judge_loss(way, trace, onset_ns, mended_ns)
    wrong = _find_own_motion(trace, mended_ns, ended_ns, state)
    started_s = time.monotonic()
    resume(stand)
    if isinstance(found, Void):
        return found
    notes = found.notes | {"resume_s": time.monotonic() - started_s}
    return Injection(way, found.times_ms, notes, wrong, found.changes)


class Pushes:
    """Guard interventions: the robot reports a force for some milliseconds.

    Attributes:
        tap: where the force is put in.
    """

    def __init__(self) -> None:
        self.tap = ForceTap()
        self._stand: Stand | None = None

    def __call__(self, stand: Stand, rng: random.Random) -> Injection | Void:
        """Push once, with a random force, for a random time."""
        if self._stand is not stand:
            self._stand = stand
            self.tap.install(stand)
            time.sleep(1.0)
        runtime = stand.files.cell_runtime
        wait_until(lambda: not read_line(runtime)["is_slow"], 5.0)
        wait_for_moment(stand, rng)
        force_n = rng.uniform(400.0, 600.0) * _draw_direction(rng)
        with record(stand) as trace:
            time.sleep(2 * _LEAD_S)
            was_slow = bool(read_line(runtime)["is_slow"])
            x, y, z = force_n.tolist()
            onset_ns = self.tap.push((x, y, z), rng.uniform(0.012, 0.03))
            slow_since_ns = _watch_line(runtime, onset_ns)
            ended_ns = time.monotonic_ns()
        if was_slow:
            # Asked already, by something else: there is no begin to be timed.
            return Void.SLOW
        push = Push(onset_ns, ended_ns, tuple(self.tap.carried_ns))
        return judge_push(trace, push, slow_since_ns)


def _watch_line(runtime: Path, onset_ns: int) -> int:
    """Return when the line was first asked to be slow from a moment on, 0 if never.

    Another hold soon after would have it asked anew.
    """
    first_ns, until_s = 0, time.monotonic() + _FORCE_WATCH_S
    while time.monotonic() < until_s:
        since_ns = int(read_line(runtime)["slow_since_ns"])
        if since_ns > onset_ns and not first_ns:
            first_ns = since_ns
        time.sleep(_LEAD_S)
    return first_ns


def _draw_direction(rng: random.Random) -> np.ndarray:
    vector = np.array([rng.gauss(0.0, 1.0) for _ in range(3)])
    return np.asarray(vector / np.linalg.norm(vector))


# --- losses of the line ---


def _pull_cable(stand: Stand) -> None:
    stand.wires[Wire.LINE].set_rules(Rule(is_black_hole=True))


def _plug_cable_in(stand: Stand) -> None:
    stand.wires[Wire.LINE].set_rules(PLAIN)
    stand.wires[Wire.LINE].reset_connections()


def _reset(stand: Stand) -> None:
    stand.wires[Wire.LINE].set_accepts(Accepts.RESET)
    stand.wires[Wire.LINE].reset_connections()


def _accept(stand: Stand) -> None:
    stand.wires[Wire.LINE].set_accepts(Accepts.CARRY)


_LOSSES: Final = {
    "black hole": (_pull_cable, _plug_cable_in),
    "RST": (_reset, _accept),
    "frozen heartbeat": (make_switch(freeze_heartbeat=1), make_switch()),
}


# --- judging ---


def _judge_silence(
    way: str, trace: Trace, onset_ns: int, stood_ns: int, ended_ns: int
) -> Injection | Void:
    if not is_moving(trace.arm.targets, onset_ns):
        return Void.STOOD
    cycles = trace.servo.cycles
    if is_held(cycles, onset_ns):
        # A hold that was there already is not what the silence brought about.
        return Void.HELD
    vouched_ns = find_vouched_ns(trace.servo.orders, stood_ns)
    from_ns = onset_ns if vouched_ns is None else vouched_ns
    # What vouches for an order after all has not been stopped yet.
    silent_ns = max(onset_ns, from_ns)
    hold_ns = find_final_hold_ns(cycles, onset_ns, ended_ns, _STALE)
    rest_ns = find_last_motion(
        trace.arm.targets, onset_ns, ended_ns, states=trace.arm.states
    )
    joints_ns = find_last_motion(trace.arm.states, onset_ns, ended_ns, SETTLED_RADPS)
    setpoint_ns = find_setpoint_rest_ns(cycles, onset_ns, ended_ns)
    return Injection(
        way,
        {
            "hold_ms": _since_ms(hold_ns, from_ns),
            "rest_ms": _since_ms(rest_ns, silent_ns, default=0.0),
        },
        {
            "setpoints_rest_ms": _since_ms(setpoint_ns, silent_ns, default=0.0),
            "joints_rest_ms": _since_ms(joints_ns, silent_ns, default=0.0),
            **_describe_turns(trace, onset_ns, ended_ns),
        },
        changes=_describe(trace, onset_ns),
    )


def _judge_loss(
    way: str, trace: Trace, onset_ns: int, mended_ns: int
) -> Injection | Void:
    if not is_moving(trace.arm.targets, onset_ns):
        return Void.STOOD
    declared_ns = find_rest_order_ns(trace.servo.orders, onset_ns)
    stop_ns = find_stop_ns(trace.servo.cycles, onset_ns, mended_ns)
    rest_ns = find_last_motion(
        trace.arm.targets, onset_ns, mended_ns, states=trace.arm.states
    )
    return Injection(
        way,
        {"stop_ms": _since_ms(stop_ns or declared_ns, onset_ns)},
        {
            "declared_ms": _since_ms(declared_ns, onset_ns),
            "rest_ms": _since_ms(rest_ns, onset_ns, default=0.0),
            **_describe_turns(trace, onset_ns, mended_ns),
        },
        changes=_describe(trace, onset_ns),
    )


@dataclass(frozen=True)
class Push:
    """One push as it was given.

    Attributes:
        onset_ns: from when on a force was reported.
        ended_ns: end of what was recorded.
        carried_ns: when a package with the force in it went to the cell.
    """

    onset_ns: int
    ended_ns: int
    carried_ns: tuple[int, ...]


def judge_push(trace: Trace, push: Push, slow_since_ns: int) -> Injection | Void:
    """Judge a push; that it held the arm, and when the line was asked to be slow."""
    onset_ns, ended_ns = push.onset_ns, push.ended_ns
    cycles = trace.servo.cycles
    if not is_moving(trace.arm.targets, onset_ns):
        return Void.STOOD
    hold_ns = find_hold_ns(cycles, onset_ns, _FORCE)
    if hold_ns is None:
        return _judge_unheld(trace, push)
    moves = sorted({o.command_id for o in trace.servo.orders if o.is_move})
    lost_ns = find_lost_ns(cycles, trace.servo.orders, hold_ns)
    held_id = max(c.command_id for c in cycles if c.stamp_ns <= hold_ns)
    later = [number for number in moves if number > held_id]
    # The first of them is the same motion, given anew; the next would be another.
    same = [c for c in cycles if len(later) < 2 or c.command_id < later[1]]
    delay_ms = compute_delay_ms(same, hold_ns, ended_ns)
    notes = {"held_after_ms": _since_ms(hold_ns, onset_ns)}
    if delay_ms is not None:
        notes["delay_with_ramps_ms"] = delay_ms
    return Injection(
        "force",
        {
            "slow_ms": _since_ms(
                slow_since_ns if slow_since_ns > onset_ns else None, hold_ns
            ),
            "lost_ms": _since_ms(lost_ns, 0),
        },
        notes | _describe_turns(trace, onset_ns, ended_ns),
        changes=_describe(trace, onset_ns),
    )


def _judge_unheld(trace: Trace, push: Push) -> Injection | Void:
    """Judge a push that nothing held.

    That is the guard's fault, if the trace does not show that too little of the push
    came to it, or that there was nothing to hold.
    """
    if len(push.carried_ns) < _FELT:
        return Void.UNFELT
    first_ns, last_ns = push.carried_ns[0], push.carried_ns[-1] + _ARRIVAL_NS
    pressed = [c for c in trace.servo.cycles if first_ns <= c.stamp_ns <= last_ns]
    if len(pressed) < _FELT:
        return Void.UNFELT
    if not is_driven(pressed):
        return Void.HELD
    return Injection(
        "force",
        {"slow_ms": NEVER_MS, "lost_ms": NEVER_MS},
        _describe_turns(trace, push.onset_ns, push.ended_ns),
        ("the guard did not hold under a push",),
        _describe(trace, push.onset_ns),
    )


def _find_own_motion(
    trace: Trace, from_ns: int, until_ns: int, state: str
) -> tuple[str, ...]:
    """Say what moved, or went on, that needs a person."""
    wrong = []
    moved_ns = find_first_motion(trace.arm.targets, from_ns, until_ns)
    if moved_ns is not None:
        late_ms = (moved_ns - from_ns) / 1e6
        wrong.append(f"the arm moved by itself after {late_ms:.0f} ms")
    if state not in _LATCHED:
        wrong.append(f"the cell went on by itself, to {state}")
    return tuple(wrong)


def _describe_turns(trace: Trace, from_ns: int, until_ns: int) -> dict[str, float]:
    """Return what tells a slow product from a machine that gives it no turns."""
    gap_ms = find_longest_gap_ms(trace.servo.cycles, from_ns, until_ns)
    unguarded = max((c.unguarded_cycles for c in trace.servo.cycles), default=0)
    return {"servo_gap_ms": gap_ms, "unguarded_cycles": unguarded}


def _describe(trace: Trace, from_ns: int) -> tuple[str, ...]:
    return tuple(describe_changes(trace.servo.cycles, trace.servo.orders, from_ns))


def _is_back(stand: Stand, since_ns: int) -> bool:
    status = stand.status()
    is_new = int(status.get("stamp_ns", 0)) > since_ns
    return is_new and status.get("state") in NEXT_COMMAND


def _since_ms(then_ns: int | None, from_ns: int, default: float = NEVER_MS) -> float:
    return default if then_ns is None else (then_ns - from_ns) / 1e6
