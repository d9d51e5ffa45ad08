"""How an injection is judged by what was recorded of it."""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from cell.contracts.servo import HoldReason
from sim2real.faults.arm_trace import (
    SETTLED_RADPS,
    find_first_motion,
    find_last_motion,
    is_moving,
)
from tests.stress.injection_stand import Trace
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

NEVER_MS: Final = float("inf")
"""Of what was waited for in vain."""
_STALE: Final = frozenset({HoldReason.COMMAND_STALE})
_FORCE: Final = frozenset({HoldReason.TCP_FORCE})
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


def judge_silence(
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


def judge_loss(
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


def find_own_motion(
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


def _since_ms(then_ns: int | None, from_ns: int, default: float = NEVER_MS) -> float:
    return default if then_ns is None else (then_ns - from_ns) / 1e6
