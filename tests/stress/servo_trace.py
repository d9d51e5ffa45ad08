"""What the servo process did and was told, over a stretch of time, cycle by cycle.

Both are read from the shared memory between supervisor and servo process, where the
stamps are those of the processes themselves: a recorder that gets its turn late reads
late, and still reads the right time. The judging is pure.
"""

import itertools
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

import numpy as np

from cell.contracts.geometry import Vector
from cell.contracts.servo import IDLE_HOLDS, HoldReason, MotionMode
from cell.mailbox.seqlock import Mailbox
from cell.mailbox.servo_link import COMMAND, STATE

_PERIOD_S: Final = 0.0005
_RELIEF_RADPS: Final = 0.1
"""Sum of all joint speeds that the guard allows under any load."""
_RESTS: Final = frozenset({MotionMode.HOLD, MotionMode.STOP, MotionMode.BRAKE})


@dataclass(frozen=True, eq=False)
class CycleSample:
    """One state of the servo process.

    Attributes:
        stamp_ns: when it was published.
        hold_reason: see `HoldReason`.
        command_id: newest order seen.
        q_command: setpoint, shape (6,) [rad].
        unguarded_cycles: see `ServoState`.
        reached_id: newest order that was completed.
    """

    stamp_ns: int
    hold_reason: HoldReason
    command_id: int
    q_command: Vector
    unguarded_cycles: int
    reached_id: int = 0


@dataclass(frozen=True)
class OrderSample:
    """One order as it was written.

    Attributes:
        seen_ns: when it was found.
        stamp_ns: when the supervisor vouched for it, 0 where it does not.
        command_id: its number.
        mode: see `MotionMode`.
    """

    seen_ns: int
    stamp_ns: int
    command_id: int
    mode: MotionMode

    @property
    def is_move(self) -> bool:
        """Whether it asks for motion."""
        return self.mode not in _RESTS


class ServoTrace:
    """Context manager; records while it is open.

    Attributes:
        cycles: states of the servo process.
        orders: what it was told.
    """

    def __init__(self, runtime: Path) -> None:
        self.cycles: list[CycleSample] = []
        self.orders: list[OrderSample] = []
        self._states = Mailbox.open(runtime / "servo_state", STATE)
        self._commands = Mailbox.open(runtime / "servo_command", COMMAND)
        self._ends = threading.Event()
        self._thread = threading.Thread(target=self._record, name="servo-trace")

    def __enter__(self) -> Self:
        self._look_at_order()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ends.set()
        self._thread.join()
        self._states.close()
        self._commands.close()

    def _record(self) -> None:
        state_version, order_version = 0, self._commands.version()
        while not self._ends.wait(_PERIOD_S):
            version = self._states.version()
            if version != state_version:
                state_version = version
                self._look_at_state()
            version = self._commands.version()
            if version != order_version:
                order_version = version
                self._look_at_order()

    def _look_at_state(self) -> None:
        record = self._states.read()
        if record is not None:
            self.cycles.append(
                CycleSample(
                    int(record["stamp_ns"]),
                    HoldReason(int(record["hold_reason"])),
                    int(record["command_id"]),
                    np.array(record["q_command"]),
                    int(record["unguarded_cycles"]),
                    int(record["reached_id"]),
                )
            )

    def _look_at_order(self) -> None:
        record = self._commands.read()
        if record is not None:
            self.orders.append(
                OrderSample(
                    time.monotonic_ns(),
                    int(record["stamp_ns"]),
                    int(record["command_id"]),
                    MotionMode(int(record["mode"])),
                )
            )


def find_vouched_ns(orders: Sequence[OrderSample], until_ns: int) -> int | None:
    """Return when an order was last vouched for, up to a moment."""
    stamps = [o.stamp_ns for o in orders if 0 < o.stamp_ns <= until_ns]
    return max(stamps, default=None)


def find_hold_ns(
    cycles: Sequence[CycleSample], from_ns: int, reasons: frozenset[HoldReason]
) -> int | None:
    """Return when the setpoints first began to ramp for one of some reasons."""
    for cycle in cycles:
        if cycle.stamp_ns >= from_ns and cycle.hold_reason in reasons:
            return cycle.stamp_ns
    return None


def find_following_ns(cycles: Sequence[CycleSample], from_ns: int) -> int | None:
    """Return when an order was first followed again after a hold."""
    for cycle in cycles:
        if cycle.stamp_ns > from_ns and cycle.hold_reason in IDLE_HOLDS:
            return cycle.stamp_ns
    return None


def find_lost_ns(
    cycles: Sequence[CycleSample], orders: Sequence[OrderSample], hold_ns: int
) -> int | None:
    """Return how long a hold kept the arm from following an order to move.

    An order that was completed all the same, because the hold struck at its end, asks
    for nothing any more: what the cell then does without the arm, such as to close the
    fingers, is not lost. None where no order was followed again.
    """
    held_id = max(c.command_id for c in cycles if c.stamp_ns <= hold_ns)
    moves = {order.command_id for order in orders if order.is_move}
    back_ns = find_following_ns([c for c in cycles if c.command_id in moves], hold_ns)
    over_ns = [
        c.stamp_ns
        for c in cycles
        if c.command_id == held_id and c.reached_id >= held_id
    ][:1]
    if not over_ns:
        return None if back_ns is None else back_ns - hold_ns
    next_ns = [o.seen_ns for o in orders if o.is_move and o.command_id > held_id][:1]
    lost_ns = max(0, over_ns[0] - hold_ns)
    if not next_ns:
        return lost_ns
    return None if back_ns is None else lost_ns + max(0, back_ns - next_ns[0])


def is_driven(cycles: Sequence[CycleSample]) -> bool:
    """Say whether an order was followed in every cycle, faster than to relieve."""
    return all(cycle.hold_reason in IDLE_HOLDS for cycle in cycles) and all(
        float(np.sum(np.abs(after.q_command - before.q_command))) * 1e9
        > _RELIEF_RADPS * (after.stamp_ns - before.stamp_ns)
        for before, after in itertools.pairwise(cycles)
    )


def find_setpoint_rest_ns(
    cycles: Sequence[CycleSample], from_ns: int, until_ns: int
) -> int | None:
    """Return when the setpoints last changed within a stretch, None when never."""
    last_ns = None
    before: CycleSample | None = None
    for cycle in cycles:
        is_within = from_ns <= cycle.stamp_ns <= until_ns
        if before is not None and is_within and _differs(cycle, before):
            last_ns = cycle.stamp_ns
        before = cycle
    return last_ns


def _differs(one: CycleSample, other: CycleSample) -> bool:
    return bool(np.any(one.q_command != other.q_command))


def find_stop_ns(
    cycles: Sequence[CycleSample], from_ns: int, until_ns: int
) -> int | None:
    """Return when the hold began in which the setpoints came to rest for good.

    None where they came to rest without one, or never moved.
    """
    rest_ns = find_setpoint_rest_ns(cycles, from_ns, until_ns)
    if rest_ns is None:
        return None
    begin_ns = None
    for cycle in reversed([c for c in cycles if from_ns <= c.stamp_ns <= rest_ns]):
        if cycle.hold_reason in IDLE_HOLDS:
            break
        begin_ns = cycle.stamp_ns
    return begin_ns


def find_final_hold_ns(
    cycles: Sequence[CycleSample],
    from_ns: int,
    until_ns: int,
    reasons: frozenset[HoldReason],
) -> int | None:
    """Return when a hold began that was at last one for some reasons.

    An arm that is on its way to rest for something else, such as a late cycle, stays in
    that hold until it rests, and only then is the next reason named.
    """
    named_ns = find_hold_ns(cycles, from_ns, reasons)
    stop_ns = find_stop_ns(cycles, from_ns, until_ns)
    if named_ns is None or stop_ns is None:
        return named_ns
    return min(named_ns, stop_ns)


def is_held(cycles: Sequence[CycleSample], at_ns: int) -> bool:
    """Say whether the arm was held up in the newest cycle of a moment."""
    newest = [cycle for cycle in cycles if cycle.stamp_ns <= at_ns][-1:]
    return any(cycle.hold_reason not in IDLE_HOLDS for cycle in newest)


def find_rest_order_ns(orders: Sequence[OrderSample], from_ns: int) -> int | None:
    """Return when the servo process was first ordered to rest, from a moment on."""
    newest = max((o.command_id for o in orders if o.seen_ns < from_ns), default=0)
    for order in orders:
        is_new = order.seen_ns >= from_ns and order.command_id > newest
        if is_new and order.mode in _RESTS:
            return order.seen_ns
    return None


def compute_delay_ms(
    cycles: Sequence[CycleSample], hold_ns: int, until_ns: int
) -> float | None:
    """Return by how much a hold set a motion back, with braking and gathering speed.

    That is the way it did not go meanwhile, at the speed it had. Too much where it
    would have slowed down anyway; None where it did not get back to its speed.
    """
    speeds = _compute_speeds(cycles)
    before = [speed for stamp_ns, _, speed in speeds if stamp_ns <= hold_ns]
    if not before or before[-1] <= 0.0:
        return None
    pace, lost_s = before[-1], 0.0
    has_slowed = False
    for stamp_ns, span_s, speed in speeds:
        if not hold_ns < stamp_ns <= until_ns:
            continue
        lost_s += span_s * (1.0 - min(speed / pace, 1.0))
        has_slowed = has_slowed or speed < 0.5 * pace
        if has_slowed and speed >= 0.95 * pace:
            return lost_s * 1e3
    return None


def _compute_speeds(cycles: Sequence[CycleSample]) -> list[tuple[int, float, float]]:
    """Return stamp [ns], time [s] and speed of the fastest joint [rad/s] by cycle."""
    found = []
    for before, after in itertools.pairwise(cycles):
        span_s = (after.stamp_ns - before.stamp_ns) / 1e9
        way = float(np.max(np.abs(after.q_command - before.q_command)))
        found.append((after.stamp_ns, span_s, way / span_s if span_s > 0 else 0.0))
    return found


def describe_changes(
    cycles: Sequence[CycleSample], orders: Sequence[OrderSample], from_ns: int
) -> list[str]:
    """Return what the servo process did from a moment on, a line for each change."""
    modes = {order.command_id: order.mode.name for order in orders}
    said: list[str] = []
    newest: tuple[HoldReason, int] | None = None
    for cycle in cycles:
        now = (cycle.hold_reason, cycle.command_id)
        if cycle.stamp_ns < from_ns or now == newest:
            continue
        newest = now
        late_ms = (cycle.stamp_ns - from_ns) / 1e6
        mode = modes.get(cycle.command_id, "?")
        said.append(f"{late_ms:.0f} ms {cycle.hold_reason.name} {mode} {now[1]}")
    return said


def find_longest_gap_ms(
    cycles: Sequence[CycleSample], from_ns: int, until_ns: int
) -> float:
    """Return the longest time between two states: a loop that gets its turns has 2."""
    stamps = [c.stamp_ns for c in cycles if from_ns <= c.stamp_ns <= until_ns]
    return float(np.max(np.diff(stamps), initial=0)) / 1e6
