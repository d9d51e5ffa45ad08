"""The guard: the last function before the robot, default-deny.

It keeps the vetted motion, and answers each request with a setpoint that is inside
every limit: the request, or one step of the ramp to rest. It never raises and never
returns a request that it did not vet. Not safety-rated: people are protected by the
robot's safety controller, the safety PLC and the fence.
"""

from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from cell.contracts.geometry import Pose, Vector
from cell.contracts.runtime import Verdict
from cell.contracts.servo import HoldReason
from safety.capsules import (
    Names,
    Surroundings,
    attach_part,
    make_surroundings,
    name_check,
)
from safety.config import SafetyConfig
from safety.envelope import hold_setpoint, vet_setpoint
from safety.limits import make_limits
from safety.verdicts import STATE, Check, make_state

_NAN = np.full(6, np.nan)
_REASONS = tuple(HoldReason)
_OF_JOINT = frozenset(
    {
        HoldReason.COMMAND_NOT_FINITE,
        HoldReason.JOINT_POSITION,
        HoldReason.JOINT_SPEED,
        HoldReason.JOINT_ACCELERATION,
        HoldReason.JOINT_JERK,
    }
)


class EnvelopeGuard:
    """Implements `MotionGuard` over the compiled envelope; refuses until reset."""

    def __init__(
        self, limits: NDArray[Any], around: Surroundings, names: Names
    ) -> None:
        """Take what `make_limits` and `make_surroundings` give; compiles on first use.

        Args:
            limits: limits, shape (1,) of `safety.limits.LIMITS`.
            around: capsules and zones.
            names: their names.
        """
        self._limits = limits.copy()
        self._around = around.copy()
        self._names = names
        self._state = np.zeros(1, STATE)
        self._after = np.zeros(1, STATE)
        self._is_armed = False
        self._warm()

    @classmethod
    def from_config(
        cls, config: SafetyConfig, flange_from_tcp: Pose, period_s: float
    ) -> Self:
        """Build the guard of a cell.

        Raises:
            ConfigError: a value is not finite, above its ceiling or inverted.
        """
        limits = make_limits(config, flange_from_tcp, period_s)
        return cls(limits, *make_surroundings(config, flange_from_tcp))

    def reset(self, q_measured: Vector) -> None:
        """Start over at rest from a measured position, shape (6,) [rad].

        A position that is not finite leaves the guard refusing everything.
        """
        q = _row_of(q_measured)
        self._is_armed = bool(np.isfinite(q).all())
        self._state = make_state(q)

    def read_motion(self) -> tuple[Vector, Vector, Vector]:
        """Return the vetted position, velocity and acceleration, shape (6,) each.

        In rad and seconds; without a known position they are no numbers. Whatever comes
        after a stop starts with no acceleration.
        """
        if not self._is_armed:
            return _NAN.copy(), np.zeros(6), np.zeros(6)
        was = self._state[0]
        q, qd = was["q"].copy(), was["qd"].copy()
        return q, qd, was["qdd"].copy() if qd.any() else np.zeros(6)

    def attach(self, radius_m: float, length_m: float) -> None:
        """Take note of the part in the fingers; radius 0 when there is none.

        What is no size counts as the largest part there can be.

        Args:
            radius_m: of a capsule around the part [m].
            length_m: how far the part reaches beyond the tool point [m].
        """
        tool = self._limits["flange_from_tcp"][0]
        attach_part(self._around, tool, radius_m, length_m)

    def vet(
        self,
        q_request: Vector,
        command_stamp_ns: int,
        arm_stamp_ns: int,
        now_ns: int,
        force_tcp_n: Vector,
    ) -> Verdict:
        """Vet one joint request, shape (6,) [rad]; on refusal ramp to rest and hold.

        Args:
            q_request: joint position asked for, shape (6,) [rad].
            command_stamp_ns: when somebody last vouched for the request.
            arm_stamp_ns: when the arm was last heard of.
            now_ns: monotonic clock.
            force_tcp_n: measured force and torque at the tool, shape (6,) [N, N.m].
        """
        if not self._is_armed:
            return _refuse_unarmed()
        try:
            found = vet_setpoint(
                self._state,
                _row_of(q_request),
                _row_of(force_tcp_n),
                (
                    _stamp_of(command_stamp_ns),
                    _stamp_of(arm_stamp_ns),
                    _stamp_of(now_ns),
                ),
                self._limits,
                self._around,
                self._after,
            )
        except Exception:  # noqa: BLE001  (whatever went wrong, the answer is to hold)
            return self.hold(HoldReason.GUARD_EXCEPTION, now_ns)
        return self._advance(found)

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
            self._after["qdd"] = 0.0
            self._after["reason"] = int(HoldReason.GUARD_EXCEPTION)
            reason = HoldReason.GUARD_EXCEPTION
        return self._advance((reason, -1.0, 0.0, -1, 1.0, reason))

    def describe(self, verdict: Verdict) -> str:
        """Return limit, joint, axis or pair, and value in a few words."""
        name = verdict.limit.name.lower()
        if verdict.item < 0:
            return f"{name}: {verdict.value:.4g}"
        if verdict.limit in _OF_JOINT:
            return f"{name} of joint {verdict.item}: {verdict.value:.4g}"
        if verdict.limit is HoldReason.WORKSPACE:
            return f"{name} along {'xyz'[verdict.item]}: {verdict.value:.4g} m"
        pair = name_check(verdict.item, self._around, self._names)
        return f"{name}, {pair}: {verdict.value:.4g} m"

    def _advance(self, found: Check) -> Verdict:
        self._state, self._after = self._after, self._state
        reason, margin, value, item, scale, limit = found
        return Verdict(
            self._state["q"][0].copy(),
            _REASONS[reason],
            _REASONS[limit],
            margin,
            value,
            item,
            scale,
        )

    def _warm(self) -> None:
        """Compile now rather than in the first cycle."""
        scratch = make_state(np.zeros(6))
        zeros = np.zeros(6)
        vet_setpoint(
            scratch, zeros, zeros, (1, 1, 1), self._limits, self._around, self._after
        )
        hold_setpoint(scratch, 1, 1, self._limits, self._after)


def _row_of(values: Any) -> Vector:
    """Return six numbers a kernel may see; anything odd becomes NaN, hence refused."""
    try:
        row = np.array(values, dtype=np.float64)
    except (TypeError, ValueError):
        return _NAN
    return row if row.shape == (6,) else _NAN


def _stamp_of(stamp_ns: Any) -> int:
    """Return a stamp the kernel can take, the same with and without its compiler.

    Raises:
        OverflowError: it does not fit into 64 bits.
    """
    return int(np.int64(int(stamp_ns)))


def _refuse_unarmed() -> Verdict:
    """Answer before any reset: there is no position to hold, so none may be sent."""
    reason = HoldReason.NOT_ARMED
    return Verdict(q=_NAN.copy(), reason=reason, limit=reason, margin=-1.0, value=0.0)
