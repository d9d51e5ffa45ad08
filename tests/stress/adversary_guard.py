"""Where the adversary meets the guard: the only place that knows its kernel.

What the guard takes beside limits travels in `around`.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from cell.contracts.geometry import Pose
from cell.contracts.runtime import Verdict
from cell.kinematics.compiled import compiled
from safety.capsules import Names, Surroundings, make_surroundings
from safety.config import SafetyConfig
from safety.envelope import vet_setpoint
from safety.guard import EnvelopeGuard
from safety.limits import make_limits
from safety.verdicts import make_state
from tests.oracle.plain import Bodies, MotionLimits, Vector, read_limits

PERIOD_S = 0.002
_NO_FORCE = np.zeros(6)


class Opponent(NamedTuple):
    """One guard, in the form its kernel takes and in the form the oracles take.

    Attributes:
        limits: for the kernel.
        around: for the kernel, beside the limits.
        names: of capsules and zones.
        plain: the same limits for the oracles.
        bodies: the same surroundings for the oracles.
    """

    limits: NDArray[Any]
    around: Surroundings
    names: Names
    plain: MotionLimits
    bodies: Bodies


def make_opponent(config: SafetyConfig, flange_from_tcp: Pose) -> Opponent:
    """Pack one configuration."""
    limits = make_limits(config, flange_from_tcp, PERIOD_S)
    around, names = make_surroundings(config, flange_from_tcp)
    return Opponent(limits, around, names, read_limits(limits), read_bodies(around))


def read_bodies(around: Surroundings) -> Bodies:
    """Return what the kernel measures against, for the oracles."""
    inverses = [_invert(transform) for transform in around.zone_from_base]
    return Bodies(
        frame=around.frame.copy(),
        ends=around.ends.copy(),
        radius=around.radius.copy(),
        zone_kind=around.zone_kind.copy(),
        zone_size=around.zone_size.copy(),
        base_from_zone=np.array(inverses).reshape(-1, 3, 4),
        zone_margin=around.zone_margin.copy(),
        against_zone=around.against_zone.copy(),
        against_self=around.against_self.copy(),
    )


def make_guard(opponent: Opponent) -> EnvelopeGuard:
    """Build the guard whose kernel `ask` calls."""
    return EnvelopeGuard(opponent.limits, opponent.around, opponent.names)


def vet(
    guard: EnvelopeGuard, request: Vector, command_ns: int, arm_ns: int, now_ns: int
) -> Verdict:
    """Ask the guard's class as `ask` asks its kernel."""
    return guard.vet(request, command_ns, arm_ns, now_ns, _NO_FORCE)


def make_rest(q: Vector) -> NDArray[Any]:
    """Return the kernel's state at rest, shape (1,)."""
    return make_state(q)


@compiled
def ask(
    before: NDArray[Any],
    request: Vector,
    command_ns: int,
    arm_ns: int,
    now_ns: int,
    limits: NDArray[Any],
    around: Surroundings,
    after: NDArray[Any],
) -> None:
    """Let the kernel vet one request."""
    force = np.zeros(6)
    times_ns = (command_ns, arm_ns, now_ns)
    vet_setpoint(before, request, force, times_ns, limits, around, after)


def _invert(transform: Vector) -> Vector:
    turned = transform[:, :3].T
    return np.column_stack([turned, -turned @ transform[:, 3]])
