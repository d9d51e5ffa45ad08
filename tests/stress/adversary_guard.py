"""Where the adversary meets the guard: the only place that knows its kernel."""

from typing import Any, NamedTuple

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
from tests.oracle.config_bodies import Links, make_bodies
from tests.oracle.config_limits import read_limits
from tests.oracle.plain import Bodies, MotionLimits, Numbers, Vector

PERIOD_S = 0.002
_LINKS = 8


class Opponent(NamedTuple):
    """One guard, in the form its kernel takes and in the form the oracles take.

    Attributes:
        limits: for the kernel.
        around: for the kernel, beside the limits.
        names: of capsules and zones.
        part: radius and length of what is in the fingers [m].
        plain: the same limits for the oracles, not made from those here.
        bodies: the same surroundings for the oracles, not made from those here.
    """

    limits: NDArray[Any]
    around: Surroundings
    names: Names
    part: tuple[float, float]
    plain: MotionLimits
    bodies: Bodies


def make_opponent(
    config: SafetyConfig,
    flange_from_tcp: Pose,
    part: tuple[float, float] = (0.0, 0.0),
) -> Opponent:
    """Pack one configuration, with a part in the fingers."""
    limits = make_limits(config, flange_from_tcp, PERIOD_S)
    around, names = make_surroundings(config, flange_from_tcp)
    bodies = _make_bodies(config, flange_from_tcp, part, around)
    plain = read_limits(config, flange_from_tcp.as_matrix()[:3], PERIOD_S)
    opponent = Opponent(limits, around, names, part, plain, bodies)
    # The guard itself says how a part changes what is around it.
    guard = make_guard(opponent)
    return opponent._replace(around=guard._around.copy())


def make_bodies_of(
    config: SafetyConfig, flange_from_tcp: Pose, part: tuple[float, float]
) -> Bodies:
    """Return what the oracles measure of a cell with a part in the fingers."""
    around, _ = make_surroundings(config, flange_from_tcp)
    return _make_bodies(config, flange_from_tcp, part, around)


def _make_bodies(
    config: SafetyConfig,
    flange_from_tcp: Pose,
    part: tuple[float, float],
    around: Surroundings,
) -> Bodies:
    links = Links(around.frame[:_LINKS], around.ends[:_LINKS], around.radius[:_LINKS])
    return make_bodies(config, links, flange_from_tcp.as_matrix()[:3], part)


def make_guard(opponent: Opponent) -> EnvelopeGuard:
    """Build the guard whose kernel `ask` calls."""
    guard = EnvelopeGuard(opponent.limits, opponent.around, opponent.names)
    guard.attach(*opponent.part)
    return guard


def vet(
    guard: EnvelopeGuard,
    request: Vector,
    wrench: Vector,
    command_ns: int,
    arm_ns: int,
    now_ns: int,
) -> Verdict:
    """Ask the guard's class as `ask` asks its kernel."""
    return guard.vet(request, command_ns, arm_ns, now_ns, wrench)


def make_rest(q: Vector) -> NDArray[Any]:
    """Return the kernel's state at rest, shape (1,)."""
    return make_state(q)


@compiled
def ask(
    before: NDArray[Any],
    request: Vector,
    wrench: Vector,
    stamps: Numbers,
    limits: NDArray[Any],
    around: Surroundings,
    after: NDArray[Any],
) -> None:
    """Let the kernel vet one request."""
    times_ns = (stamps[0], stamps[1], stamps[2])
    vet_setpoint(before, request, wrench, times_ns, limits, around, after)
