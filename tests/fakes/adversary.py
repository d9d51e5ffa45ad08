"""A client of the guard that wants the arm to break its limits."""

import numpy as np
from numpy.typing import NDArray

from cell.contracts.runtime import MotionGuard
from cell.contracts.servo import HoldReason
from tests.fakes.motion_oracle import HOME_Q, OVER_BIN_Q, PERIOD_S

Vector = NDArray[np.float64]

_PERIOD_NS = 2_000_000


def attack(
    guard: MotionGuard, rng: np.random.Generator, cycles: int
) -> tuple[Vector, list[HoldReason]]:
    """Push in random directions as hard as the limits allow, and beyond.

    Returns:
        The granted setpoints including the start, shape (cycles + 1, 6), and the
        guard's reasons.
    """
    start = (HOME_Q, OVER_BIN_Q)[int(rng.integers(2))] + rng.normal(0.0, 0.02, 6)
    guard.reset(start)
    q, qd = start, np.zeros(6)
    now_ns = 1_000_000_000
    path = [start]
    reasons: list[HoldReason] = []
    push = _draw_push(rng)
    strength = rng.choice([0.999, 0.6, 1.001])
    for _ in range(cycles):
        now_ns += _PERIOD_NS
        if rng.random() < 0.01 or (reasons and reasons[-1] and not qd.any()):
            push = _draw_push(rng)
        qd_wanted = np.clip(qd + 25.0 * strength * PERIOD_S * push, -2.9999, 2.9999)
        request = _spoil(q + qd_wanted * PERIOD_S, rng)
        stamp_ns = now_ns - (200_000_000 if rng.random() < 0.002 else 0)
        verdict = guard.vet(request, stamp_ns, now_ns, now_ns, np.zeros(6))
        qd, q = (verdict.q - q) / PERIOD_S, verdict.q
        path.append(q)
        reasons.append(verdict.reason)
    return np.array(path), reasons


def _draw_push(rng: np.random.Generator) -> Vector:
    push = rng.normal(size=6) * rng.choice([0.0, 0.3, 1.0], 6)
    return np.asarray(push / max(float(np.abs(push).max()), 1e-3))


def _spoil(request: Vector, rng: np.random.Generator) -> Vector:
    chance = rng.random()
    if chance < 0.001:
        return np.full(6, np.nan)
    if chance < 0.002:
        return np.where(rng.random(6) < 0.5, np.inf, request)
    if chance < 0.004:
        return np.asarray(request + rng.normal(0.0, 3.0, 6))
    if chance < 0.006:
        return np.asarray(rng.permutation(request))
    return request
