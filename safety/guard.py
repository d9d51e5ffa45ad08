"""The guard: the last function before the robot, default-deny.

It keeps the vetted motion, and answers each request with a setpoint that is inside
every limit: the request, or one step of the ramp to rest. It never raises and never
returns a request that it did not vet. Not safety-rated: people are protected by the
robot's safety controller, the safety PLC and the fence.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from cell.contracts.geometry import Vector
from cell.contracts.runtime import Verdict
from cell.contracts.servo import HoldReason
from safety.envelope import STATE, hold_setpoint, vet_setpoint

_NAN = np.full(6, np.nan)


class EnvelopeGuard:
    """Implements `MotionGuard` over the compiled envelope; refuses until reset."""

    def __init__(self, limits: NDArray[Any]) -> None:
        """Take the limits of `safety.limits.make_limits`; compiles on first use."""
        self._limits = limits.copy()
        self._state = np.zeros(1, STATE)
        self._after = np.zeros(1, STATE)
        self._is_armed = False
        self._warm()

    def reset(self, q_measured: Vector) -> None:
        """Start over at rest from a measured position, shape (6,) [rad].

        A position that is not finite leaves the guard refusing everything.
        """
        q = _request_of(q_measured)
        self._is_armed = bool(np.isfinite(q).all())
        self._state = np.zeros(1, STATE)
        self._state["q"] = q

    def vet(
        self, q_request: Vector, command_stamp_ns: int, arm_stamp_ns: int, now_ns: int
    ) -> Verdict:
        """Vet one joint request, shape (6,) [rad]; on refusal ramp to rest and hold."""
        if not self._is_armed:
            return _refuse_unarmed()
        try:
            vet_setpoint(
                self._state,
                _request_of(q_request),
                _stamp_of(command_stamp_ns),
                _stamp_of(arm_stamp_ns),
                _stamp_of(now_ns),
                self._limits,
                self._after,
            )
        except Exception:  # noqa: BLE001  (whatever went wrong, the answer is to hold)
            return self.hold(HoldReason.GUARD_EXCEPTION, now_ns)
        return self._advance()

    def hold(self, reason: HoldReason, now_ns: int) -> Verdict:
        """Ramp to rest and hold, for a cause that the caller found."""
        if not self._is_armed:
            return _refuse_unarmed()
        try:
            hold_setpoint(
                self._state,
                int(reason),
                _stamp_of(now_ns),
                self._limits,
                self._after,
            )
        except Exception:  # noqa: BLE001  (as above)
            # Not even the ramp can be computed: the last vetted position it is.
            self._after[:] = self._state
            self._after["qd"] = 0.0
            self._after["reason"] = int(HoldReason.GUARD_EXCEPTION)
        return self._advance()

    def _advance(self) -> Verdict:
        self._state, self._after = self._after, self._state
        state = self._state[0]
        return Verdict(
            q=state["q"].copy(),
            reason=HoldReason(int(state["reason"])),
            margin=float(state["margin"]),
            value=float(state["value"]),
        )

    def _warm(self) -> None:
        """Compile now rather than in the first cycle."""
        scratch = np.zeros(1, STATE)
        vet_setpoint(scratch, np.zeros(6), 1, 1, 1, self._limits, self._after)
        hold_setpoint(scratch, 1, 1, self._limits, self._after)


def _request_of(q: Any) -> Vector:
    """Return a request the kernel may see; anything odd becomes NaN, hence refused."""
    try:
        request = np.array(q, dtype=np.float64)
    except (TypeError, ValueError):
        return _NAN
    return request if request.shape == (6,) else _NAN


def _stamp_of(stamp_ns: Any) -> int:
    """Return a stamp the kernel can take, the same with and without its compiler.

    Raises:
        OverflowError: it does not fit into 64 bits.
    """
    return int(np.int64(int(stamp_ns)))


def _refuse_unarmed() -> Verdict:
    """Answer before any reset: there is no position to hold, so none may be sent."""
    return Verdict(q=_NAN.copy(), reason=HoldReason.NOT_ARMED, margin=-1.0, value=0.0)
