"""What the adversary asks for: compiled, in long runs that build up speed.

Most cycles push as hard as the limits allow, in a fixed direction or along the falling
gradient of the distance to the nearest limit. In between come requests at a limit to
the last digit, and all that is no request at all.
"""

import math
from typing import Any, Final, NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

from cell.kinematics.compiled import compiled
from tests.oracle.plain import Bodies, MotionLimits, Numbers, Vector
from tests.oracle.swift_check import fill_clearances, place_point
from tests.stress.adversary_guard import ask

KINDS: Final = (
    "push",
    "along the gradient",
    "at a limit",
    "no number",
    "huge",
    "joints permuted",
    "anywhere",
    "stamps",
    "stay",
    "force",
)
_PUSH, _GRADIENT, _EDGE, _NUMBER, _HUGE, _PERMUTED = range(6)
_ANYWHERE, _STAMPS, _STAY, _FORCE = range(6, 10)

_MS = 1_000_000
_START_NS = 1_000 * _MS
_PERIOD_NS = 2 * _MS
# Chance of a cycle that is not part of the run.
_SPOILED = 0.02
_RUN_CYCLES = 60
_GRADIENT_CYCLES = 12
_STEP_RAD = 1e-5
# Chance of a run that is pressed by a force; and of one reading in it that is a blow.
_PRESSED = 0.08


@compiled
def measure_margin(q: Vector, limits: MotionLimits, bodies: Bodies) -> float:
    """Return the distance to the nearest limit of place, in metres and radians."""
    margin = math.inf
    for i in range(6):
        margin = min(margin, q[i] - limits.joint_min_rad[i])
        margin = min(margin, limits.joint_max_rad[i] - q[i])
    tcp = np.empty(3)
    place_point(q, 6, limits.flange_from_tcp[:, 3], tcp)
    for i in range(3):
        margin = min(margin, tcp[i] - limits.workspace_min_m[i])
        margin = min(margin, limits.workspace_max_m[i] - tcp[i])
    count = bodies.against_zone.shape[0] + bodies.against_self.shape[0]
    if count > 0:
        room = np.empty(count)
        fill_clearances(q, bodies, room)
        margin = min(margin, room.min())
    return margin


@compiled
def fill_descent(
    q: Vector, limits: MotionLimits, bodies: Bodies, direction: Vector
) -> None:
    """Write where the margin falls fastest, largest element 1, by differences."""
    here = measure_margin(q, limits, bodies)
    aside = q.copy()
    largest = 0.0
    for i in range(6):
        aside[i] = q[i] + _STEP_RAD
        direction[i] = here - measure_margin(aside, limits, bodies)
        aside[i] = q[i]
        largest = max(largest, abs(direction[i]))
    for i in range(6):
        if largest > 0.0:
            direction[i] /= largest
        else:
            direction[i] = 1.0


@compiled
def _draw_direction(rng: np.random.Generator, q: Vector, direction: Vector) -> None:
    if rng.random() < 0.1:
        # Straightens the wrist, which leads into a singularity.
        direction[:] = 0.0
        direction[4] = -1.0 if math.sin(q[4]) > 0.0 else 1.0
        return
    if rng.random() < 0.1:
        # Turns the base: sideways to all that is level.
        direction[:] = 0.0
        direction[0] = -1.0 if rng.random() < 0.5 else 1.0
        return
    largest = 1e-3
    for i in range(6):
        direction[i] = 0.0
        if rng.random() < 0.6:
            direction[i] = 2.0 * rng.random() - 1.0
        largest = max(largest, abs(direction[i]))
    for i in range(6):
        direction[i] /= largest


@compiled
def _nudge(rng: np.random.Generator, value: float) -> Any:
    """Return a value, or one that differs in its last digits."""
    choice = rng.integers(0, 7)
    if choice == 0:
        return value
    if choice == 1:
        return np.nextafter(value, math.inf)
    if choice == 2:
        return np.nextafter(value, -math.inf)
    share = 10.0 ** (-15.0 + 10.0 * rng.random())
    return value * (1.0 + share) if choice < 5 else value * (1.0 - share)


@compiled
def _write_push(
    q: Vector,
    qd: Vector,
    direction: Vector,
    strength: float,
    reach: float,
    lim: MotionLimits,
    out: Vector,
) -> None:
    """Write a request that gathers speed, up to so many times what is permitted."""
    period_s = lim.period_s
    for i in range(6):
        speed = (
            qd[i]
            + lim.joint_acceleration_radps2[i] * strength * period_s * (direction[i])
        )
        top = lim.joint_speed_radps[i] * reach
        speed = min(max(speed, -top), top)
        out[i] = q[i] + speed * period_s


@compiled
def _write_edge(
    rng: np.random.Generator, q: Vector, qd: Vector, lim: MotionLimits, out: Vector
) -> None:
    """Write a request that meets limits of some joints to the last digits."""
    period_s = lim.period_s
    some = rng.random()
    for i in range(6):
        out[i] = q[i] + qd[i] * period_s
        if rng.random() > some:
            continue
        sign = 1.0 if rng.random() < 0.5 else -1.0
        choice = rng.integers(0, 5)
        if choice == 0:
            change = _nudge(rng, lim.joint_acceleration_radps2[i] * period_s)
            speed = qd[i] + sign * change
            if abs(speed) <= lim.joint_speed_radps[i]:
                out[i] = q[i] + speed * period_s
        elif choice == 1:
            out[i] = q[i] + sign * _nudge(rng, lim.joint_speed_radps[i] * period_s)
        elif choice == 2:
            out[i] = _nudge(
                rng, lim.joint_max_rad[i] if sign > 0 else lim.joint_min_rad[i]
            )
        elif choice == 3:
            out[i] = _nudge(rng, q[i])


@compiled
def _spoil(
    rng: np.random.Generator, kind: int, q: Vector, lim: MotionLimits, out: Vector
) -> None:
    """Overwrite a request with something that none should be."""
    for i in range(6):
        if kind == _NUMBER and rng.random() < 0.4:
            choice = rng.integers(0, 3)
            out[i] = math.nan
            if choice:
                out[i] = math.inf if choice == 1 else -math.inf
        elif kind == _HUGE:
            sign = 1.0 if rng.random() < 0.5 else -1.0
            out[i] += sign * 10.0 ** (rng.random() * 616.0 - 308.0)
        elif kind == _ANYWHERE:
            span = lim.joint_max_rad[i] - lim.joint_min_rad[i]
            out[i] = lim.joint_min_rad[i] + rng.random() * span
        elif kind == _STAY:
            out[i] = q[i]
    if kind == _PERMUTED:
        for i in range(5, 0, -1):
            other = rng.integers(0, i + 1)
            out[i], out[other] = out[other], out[i]


@compiled
def _draw_age(rng: np.random.Generator, limit_ns: int) -> Any:
    """Return an age of a stamp that is fresh, stale, at the edge or nonsense."""
    choice = rng.integers(0, 6)
    if choice == 0:
        return limit_ns
    if choice == 1:
        return limit_ns + 1
    if choice == 2:
        return -rng.integers(0, 30) * _MS
    if choice == 3:
        return rng.integers(0, 400) * _MS
    age_ns = 1 << rng.integers(1, 62)
    return age_ns if choice == 4 else -age_ns


@compiled
def _draw_gap(rng: np.random.Generator) -> Any:
    """Return how long after the cycle before this one comes."""
    choice = rng.integers(0, 6)
    if choice < 2:
        return rng.integers(0, 9) * _MS
    if choice == 2:
        return -rng.integers(0, 9) * _MS
    if choice < 5:
        return rng.integers(0, 200) * _MS
    return 1 << rng.integers(1, 40)


@compiled
def _draw_wrench(rng: np.random.Generator, lim: MotionLimits, wrench: Vector) -> None:
    """Write a reading that lasts: none; or small, at the limit, above it, far above."""
    wrench[:] = 0.0
    if rng.random() >= _PRESSED:
        return
    share = (0.5, 1.0, 1.001, 1.3, 4.0)[rng.integers(0, 5)]
    axis = rng.integers(0, 6)
    limit = lim.tcp_force_n if axis < 3 else lim.tcp_torque_nm
    wrench[axis] = share * limit * (1.0 if rng.random() < 0.5 else -1.0)


@compiled
def _write_wrench(
    rng: np.random.Generator, kind: int, pressed: Vector, wrench: Vector
) -> None:
    """Write the reading that lasts, or a blow, or what is no reading."""
    wrench[:] = pressed
    if kind != _FORCE:
        return
    value = (math.nan, math.inf, -math.inf, 1e4, -1e300)[rng.integers(0, 5)]
    wrench[rng.integers(0, 6)] = value


class Record(NamedTuple):
    """What was asked and answered in one stretch of `n` cycles.

    Attributes:
        requests: shape (n, 6) [rad].
        wrenches: measured at the tool, shape (n, 6) [N, N.m].
        stamps: of the command, of the arm and of the cycle, shape (n, 3) [ns].
        path: the start and the answers, shape (n + 1, 6) [rad].
        reasons: of the guard, shape (n,).
        kinds: of request, in the order of `KINDS`, shape (n,).
    """

    requests: Vector
    wrenches: Vector
    stamps: Numbers
    path: Vector
    reasons: Numbers
    kinds: Numbers


def make_record(count: int) -> Record:
    """Return room for that many cycles."""
    return Record(
        np.empty((count, 6)),
        np.zeros((count, 6)),
        np.zeros((count, 3), np.int64),
        np.empty((count + 1, 6)),
        np.zeros(count, np.int64),
        np.zeros(count, np.int64),
    )


@compiled
def _draw_times(
    rng: np.random.Generator,
    kind: int,
    now_ns: int,
    lim: MotionLimits,
    stamps: Numbers,
) -> None:
    """Write the stamps of a cycle that follows one at `now_ns`."""
    gap_ns, command_age_ns, arm_age_ns = _PERIOD_NS, 0, 0
    if kind == _STAMPS:
        # One of them, or all: two that are refused hide a third that should be.
        which = rng.integers(0, 4)
        if which in (0, 3):
            gap_ns = _draw_gap(rng)
        if which in (1, 3):
            command_age_ns = _draw_age(rng, int(lim.command_age_ns))
        if which in (2, 3):
            arm_age_ns = _draw_age(rng, int(lim.arm_age_ns))
    stamps[2] = max(now_ns + gap_ns, 1)
    stamps[0] = stamps[2] - command_age_ns
    stamps[1] = stamps[2] - arm_age_ns


# Not kept on disk: it calls kernels of other files, whose changes numba would not see.
@numba.njit
def attack(
    rng: np.random.Generator,
    rest: NDArray[Any],
    limits: NDArray[Any],
    around: Any,
    lim: MotionLimits,
    bodies: Bodies,
    record: Record,
) -> None:
    """Drive the guard's kernel from rest with as many requests as there is room for.

    Args:
        rng: of all that is drawn.
        rest: the kernel's state to begin with; overwritten.
        limits: for the kernel.
        around: for the kernel.
        lim: the same limits in plain form.
        bodies: the same surroundings in plain form.
        record: filled.
    """
    before, after = rest, rest.copy()
    record.path[0] = before[0]["q"]
    direction, request, pressed = np.zeros(6), np.empty(6), np.zeros(6)
    strength, reach, now_ns = 1.0, 1.0, _START_NS
    run_kind, run_left, since_gradient = _PUSH, 0, 0
    for k in range(record.requests.shape[0]):
        q, qd = before[0]["q"], before[0]["qd"]
        if run_left <= 0:
            run_left = int(rng.integers(1, _RUN_CYCLES))
            run_kind = (_PUSH, _PUSH, _GRADIENT, _GRADIENT, _EDGE)[rng.integers(0, 5)]
            strength = (0.9999, 0.99, 0.6, 0.3, 1.0, 1.0001)[rng.integers(0, 6)]
            reach = (1.0, 1.0, 1.001, 1.2)[rng.integers(0, 4)]
            since_gradient = _GRADIENT_CYCLES
            _draw_direction(rng, q, direction)
            _draw_wrench(rng, lim, pressed)
        run_left -= 1
        kind = run_kind
        if kind == _GRADIENT and since_gradient >= _GRADIENT_CYCLES:
            fill_descent(q, lim, bodies, direction)
            since_gradient = 0
        since_gradient += 1
        if kind == _EDGE:
            _write_edge(rng, q, qd, lim, request)
        else:
            _write_push(q, qd, direction, strength, reach, lim, request)
        if rng.random() < _SPOILED:
            kind = int(rng.integers(_NUMBER, _FORCE + 1))
            _spoil(rng, kind, q, lim, request)
        wrench = record.wrenches[k]
        _write_wrench(rng, kind, pressed, wrench)
        stamps = record.stamps[k]
        _draw_times(rng, kind, now_ns, lim, stamps)
        now_ns = stamps[2]
        record.requests[k] = request
        record.kinds[k] = kind
        ask(before, request, wrench, stamps, limits, around, after)
        record.path[k + 1] = after[0]["q"]
        record.reasons[k] = after[0]["reason"]
        before, after = after, before
