"""Where the adversary meets the guard: the only place that knows its kernel.

What the guard takes beside limits travels in `around`.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from cell.contracts.geometry import Pose
from cell.contracts.runtime import Verdict
from cell.kinematics.compiled import compiled
from safety.config import SafetyConfig
from safety.envelope import STATE, vet_setpoint
from safety.guard import EnvelopeGuard
from safety.limits import make_limits
from tests.oracle.plain import NOTHING_AROUND, Bodies, MotionLimits, Vector, read_limits

PERIOD_S = 0.002


class Opponent(NamedTuple):
    """One guard, in the form its kernel takes and in the form the oracles take.

    Attributes:
        limits: for the kernel.
        around: for the kernel, beside the limits.
        plain: the same limits for the oracles.
        bodies: the same surroundings for the oracles.
    """

    limits: NDArray[Any]
    around: Any
    plain: MotionLimits
    bodies: Bodies


def make_opponent(config: SafetyConfig, flange_from_tcp: Pose) -> Opponent:
    """Pack one configuration."""
    limits = make_limits(config, flange_from_tcp, PERIOD_S)
    return Opponent(limits, np.zeros(1), read_limits(limits), NOTHING_AROUND)


def make_guard(opponent: Opponent) -> EnvelopeGuard:
    """Build the guard whose kernel `ask` calls."""
    return EnvelopeGuard(opponent.limits)


def vet(
    guard: EnvelopeGuard, request: Vector, command_ns: int, arm_ns: int, now_ns: int
) -> Verdict:
    """Ask the guard's class as `ask` asks its kernel."""
    return guard.vet(request, command_ns, arm_ns, now_ns)


def make_rest(q: Vector) -> NDArray[Any]:
    """Return the kernel's state at rest, shape (1,)."""
    state = np.zeros(1, STATE)
    state["q"] = q
    return state


@compiled
def ask(
    before: NDArray[Any],
    request: Vector,
    command_ns: int,
    arm_ns: int,
    now_ns: int,
    limits: NDArray[Any],
    around: Any,
    after: NDArray[Any],
) -> None:
    """Let the kernel vet one request."""
    vet_setpoint(before, request, command_ns, arm_ns, now_ns, limits, after)
