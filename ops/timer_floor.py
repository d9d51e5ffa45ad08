"""What this machine's timers are worth: a loop that only sleeps, and how late it is.

The lateness of the servo loop has two parts, its own work and the machine's. This one
is the machine's: same period, same clock, same priority, no work.
"""

import threading
import time
from dataclasses import dataclass

import numpy as np

from cell.contracts.units import ns_from_s
from cell.servo.realtime import FIFO_PRIORITY, sleep_until_ns
from ops.processes.priority import request_priority

LATE_RATIO = 1.25
"""A cycle counts as late when it begins this many periods after the one before."""

_NICENESS = -20


@dataclass(frozen=True)
class TimerFloor:
    """Lateness of an empty loop.

    Attributes:
        scheduler: fifo, nice or normal.
        late_ratio: share of the cycles that began late.
        longest_gap_s: longest time between two cycles [s].
    """

    scheduler: str
    late_ratio: float
    longest_gap_s: float


def measure_timer_floor(period_s: float, duration_s: float) -> TimerFloor:
    """Run the empty loop in a thread of its own, so that its priority ends with it."""
    result: list[TimerFloor] = []

    def run() -> None:
        scheduler = request_priority("bench", FIFO_PRIORITY, _NICENESS)
        gaps_ns = _run_loop(ns_from_s(period_s), round(duration_s / period_s))
        late = gaps_ns > LATE_RATIO * ns_from_s(period_s)
        result.append(
            TimerFloor(scheduler, float(late.mean()), float(gaps_ns.max()) / 1e9)
        )

    thread = threading.Thread(target=run, name="timer-floor")
    thread.start()
    thread.join()
    return result[0]


def _run_loop(
    period_ns: int, cycles: int
) -> "np.ndarray[tuple[int], np.dtype[np.int64]]":
    """Return the time between cycles [ns], shape (cycles,)."""
    gaps_ns = np.empty(cycles, np.int64)
    before_ns = time.monotonic_ns()
    deadline_ns = before_ns
    for cycle in range(cycles):
        deadline_ns += period_ns
        sleep_until_ns(deadline_ns)
        now_ns = time.monotonic_ns()
        gaps_ns[cycle] = now_ns - before_ns
        before_ns = now_ns
        # As the servo loop does: missed cycles are not made up for.
        deadline_ns = max(deadline_ns, now_ns)
    return gaps_ns
