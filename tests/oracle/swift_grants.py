"""Whether a request might be granted at all: fresh, whole, under no load. Compiled.

Beside `swift_check`, which judges where the arm goes, this judges when it may go.
"""

import math
from typing import Final

import numpy as np
from numpy.typing import NDArray

from cell.kinematics.compiled import compiled
from tests.oracle.plain import MotionLimits, Numbers, Vector

WHAT_GRANTS: Final = (
    "granted something else than was asked",
    "granted an old command",
    "granted with an old sample of the arm",
    "granted motion under load",
    "granted under a load that is no number",
)
"""What each column of the counts is about."""

_OTHER, _COMMAND, _ARM, _LOADED, _NO_LOAD = range(5)
_FUTURE_NS = 10_000_000
_SMOOTHING_S = 0.01
_CREEP_RADPS = 0.1


@compiled
def count_wrong_grants(
    requests: Vector,
    wrenches: Vector,
    stamps: Numbers,
    path: Vector,
    holds: NDArray[np.bool_],
    limits: MotionLimits,
    counts: Numbers,
) -> int:
    """Check what was granted, cycle by cycle from rest.

    Args:
        requests: shape (n, 6) [rad].
        wrenches: measured at the tool, shape (n, 6) [N, N.m].
        stamps: of command, of the arm's sample, of the cycle, shape (n, 3) [ns].
        path: the start and the answers, shape (n + 1, 6) [rad].
        holds: whether the guard said that it holds, shape (n,).
        limits: of this stretch.
        counts: raised by one for each breach, in the order of `WHAT_GRANTS`.

    Returns:
        The first cycle with a breach, -1 if there is none.
    """
    first = -1
    smooth = 0.0
    share = limits.period_s / (limits.period_s + _SMOOTHING_S)
    for k in range(requests.shape[0]):
        total = counts.sum()
        load = _measure_load(wrenches[k], limits)
        if math.isfinite(load):
            smooth = (1.0 - share) * smooth + share * load
        if holds[k]:
            continue
        if not (requests[k] == path[k + 1]).all():
            counts[_OTHER] += 1
        age_ns = stamps[k, 2] - stamps[k, 0]
        if not -_FUTURE_NS <= age_ns <= limits.command_age_ns or stamps[k, 0] <= 0:
            counts[_COMMAND] += 1
        age_ns = stamps[k, 2] - stamps[k, 1]
        if not -_FUTURE_NS <= age_ns <= limits.arm_age_ns or stamps[k, 1] <= 0:
            counts[_ARM] += 1
        if not math.isfinite(load):
            counts[_NO_LOAD] += 1
        speed = np.abs(path[k + 1] - path[k]).sum() / limits.period_s
        if smooth > 1.0 + 1e-9 and not speed <= _CREEP_RADPS + 1e-9:
            counts[_LOADED] += 1
        if first < 0 and counts.sum() > total:
            first = k
    return first


@compiled
def _measure_load(wrench: Vector, limits: MotionLimits) -> float:
    """Return the larger of force and torque over their limits; else no number."""
    worst = 0.0
    for i in range(6):
        # More than any sensor can read, and its square may be no number.
        if not abs(wrench[i]) < 1e150:
            return math.nan
    for first, limit in ((0, limits.tcp_force_n), (3, limits.tcp_torque_nm)):
        x, y, z = wrench[first], wrench[first + 1], wrench[first + 2]
        worst = max(worst, math.hypot(math.hypot(x, y), z) / limit)
    return worst
