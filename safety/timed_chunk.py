"""Check of a chunk with a pace of its own, whole, before its first step is sent.

The guard is run ahead of time along the complete path, cycle by cycle, from before the
seam to rest: what passes here, the guard grants later, unless something new is
measured. So jump, speed, acceleration, jerk, tool speed, workspace, zones,
self-collision and singularities are judged by the very lines that judge the setpoints.
"""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from cell.contracts.chunk import (
    LONGEST_CHUNK,
    LONGEST_STEP_S,
    SHORTEST_STEP_S,
    TimedChunk,
)
from cell.contracts.geometry import Pose, Vector
from cell.contracts.runtime import Verdict
from cell.contracts.servo import HoldReason
from cell.kinematics.compiled import compiled
from cell.kinematics.timed_path import TimedPath, fill_path_point
from safety.capsules import Surroundings, attach_part, make_surroundings
from safety.config import SafetyConfig
from safety.envelope import vet_setpoint
from safety.guard import EnvelopeGuard
from safety.limits import make_limits
from safety.verdicts import STATE, Check

SEAM_JUMP_RAD: Final = 0.05
"""How far the first row may be from the path it joins. Rows are some centimetres of the
tool apart; more than that at a seam is a policy that lost its place."""

_NONE = int(HoldReason.NONE)
_CYCLES_BEFORE: Final = 2
EARLIEST_SEAM_CYCLES: Final = 5
"""So far into a path lies the first seam at which another one may leave it: the guard
knows velocity and acceleration from the cycles before."""


class GuardedChunkCheck:
    """Walks whole chunks with the guard's own kernel; compiles when made."""

    def __init__(
        self, config: SafetyConfig, flange_from_tcp: Pose, period_s: float
    ) -> None:
        """Take the limits of a cell.

        Raises:
            ConfigError: a value is not finite, above its ceiling or inverted.
        """
        self._guard = EnvelopeGuard.from_config(config, flange_from_tcp, period_s)
        self._limits = make_limits(config, flange_from_tcp, period_s)
        self._around, _names = make_surroundings(config, flange_from_tcp)
        resting = TimedPath.at_rest(np.zeros(6))
        self._walk(resting, 0.0, resting)

    def attach(self, radius_m: float, length_m: float) -> None:
        """Take note of the part in the fingers, as `EnvelopeGuard.attach` does."""
        tool = self._limits["flange_from_tcp"][0]
        attach_part(self._around, tool, radius_m, length_m)

    def check(self, chunk: TimedChunk, before: TimedPath) -> str:
        """Return an empty string, or one phrase that says what is wrong with it.

        Args:
            chunk: what is to be followed.
            before: path that it leaves at its seam; one at rest to begin anew.
        """
        wrong = find_chunk_flaw(chunk)
        if wrong:
            return wrong
        earliest_s = EARLIEST_SEAM_CYCLES * float(self._limits["period_s"][0])
        if before.duration_s > 0.0 and chunk.after_s < earliest_s:
            return f"its seam lies less than {earliest_s:.3f} s into the path it leaves"
        start = before.sample(chunk.after_s)
        gap = np.abs(chunk.q[0] - start[0])
        joint = int(np.argmax(gap))
        # Written so that what is no number is a jump.
        if not gap[joint] <= SEAM_JUMP_RAD:
            return (
                f"it jumps by {gap[joint]:.3f} rad in joint {joint} at the seam,"
                f" {SEAM_JUMP_RAD} are allowed"
            )
        path = TimedPath.through(start, chunk.q[1:], chunk.step_s)
        time_s, found = self._walk(before, chunk.after_s, path)
        if found[0] == _NONE:
            return ""
        broken = HoldReason(found[0])
        verdict = Verdict(start[0], broken, broken, found[1], found[2], item=found[3])
        place = f"{time_s:.2f} s behind the seam" if time_s >= 0.0 else "at the seam"
        return f"{self._guard.describe(verdict)}, {place}"

    def _walk(
        self, before: TimedPath, seam_s: float, path: TimedPath
    ) -> tuple[float, Check]:
        return walk_path(
            before.times_s,
            before.knots,
            seam_s,
            path.times_s,
            path.knots,
            self._limits,
            self._around,
        )


def find_chunk_flaw(chunk: TimedChunk) -> str:
    """Return what is wrong with the form of a chunk, empty when nothing is."""
    shape = np.shape(chunk.q)
    if len(shape) != 2 or shape[1] != 6 or not 2 <= shape[0] <= LONGEST_CHUNK:
        return f"its rows have the shape {shape}, not (2 to {LONGEST_CHUNK}, 6)"
    if not np.isfinite(chunk.q).all():
        return "it is not finite"
    if not SHORTEST_STEP_S <= chunk.step_s <= LONGEST_STEP_S:
        return (
            f"its steps take {chunk.step_s} s, not {SHORTEST_STEP_S} to"
            f" {LONGEST_STEP_S}"
        )
    if not 0.0 <= chunk.after_s < np.inf:
        return f"its seam lies at {chunk.after_s} s"
    if not 0 <= chunk.after_id < chunk.chunk_id:
        return f"chunk {chunk.chunk_id} cannot come after chunk {chunk.after_id}"
    return ""


@compiled
def walk_path(
    times_before_s: Vector,
    knots_before: Vector,
    seam_s: float,
    times_s: Vector,
    knots: Vector,
    limits: NDArray[Any],
    around: Surroundings,
) -> tuple[float, Check]:
    """Vet a path from shortly before the seam to rest, cycle by cycle.

    Returns:
        When the guard would have refused, in seconds behind the seam, and its verdict;
        the duration of the path and NONE when it never would.
    """
    period_s = limits[0]["period_s"]
    period_ns = round(period_s * 1e9)
    point = np.empty((3, 6))
    wrench = np.zeros(6)
    was, now = np.zeros(1, STATE), np.zeros(1, STATE)
    now_ns = 1_000_000_000
    was[0]["scale"] = 1.0
    was[0]["vetted_ns"] = now_ns
    # The guard knows velocity and acceleration by backward differences.
    for cycle in range(-_CYCLES_BEFORE - 2, -_CYCLES_BEFORE + 1):
        fill_path_point(times_before_s, knots_before, seam_s + cycle * period_s, point)
        for i in range(6):
            qd = (point[0, i] - was[0]["q"][i]) / period_s
            was[0]["qdd"][i] = (qd - was[0]["qd"][i]) / period_s
            was[0]["qd"][i] = qd
            was[0]["q"][i] = point[0, i]
    cycle = 1 - _CYCLES_BEFORE
    last = int(np.ceil(times_s[-1] / period_s)) + 1
    q = np.empty(6)
    while cycle <= last:
        time_s = cycle * period_s
        if time_s <= 0.0:
            fill_path_point(times_before_s, knots_before, seam_s + time_s, point)
        else:
            fill_path_point(times_s, knots, time_s, point)
        for i in range(6):
            q[i] = point[0, i]
        now_ns += period_ns
        found = vet_setpoint(
            was, q, wrench, (now_ns, now_ns, now_ns), limits, around, now
        )
        if found[0] != _NONE:
            return time_s, found
        was, now = now, was
        cycle += 1
    return times_s[-1], found
