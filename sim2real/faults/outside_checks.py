"""F55: an arm that already stands where it may not, on the real guard."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from cell.contracts.geometry import Vector
from cell.contracts.servo import HoldReason
from cell.kinematics import compute_base_from_tcp
from ops.settings import Settings
from sim2real.faults.guard_checks import Check, GuardRig, judge_rigs, refuses
from sim2real.faults.judgement import Judgement
from sim2real.faults.servo_rig import order_target
from sim2real.faults.zone_checks import put_plate

_ZONE_M: Final = 0.3
_DEEP_M: Final = 0.02
"""How far the tip stands within the zone."""
_FURTHER_RAD: Final = 0.1


def outside_workspace(settings: Settings, with_fault: bool) -> Judgement:  # noqa: FBT001
    """F55: from outside, and from within a zone, only the way back is granted."""
    rig = GuardRig(settings)
    q = _find_outside(settings, rig) if with_fault else rig.home
    out, back = _order_signs(settings, rig, q)
    tries = (
        _Place(settings, q, out, back, HoldReason.WORKSPACE),
        _place_in_zone(settings, with_fault=with_fault),
    )
    rigs, missed, orders = [], [], []
    for place in tries:
        stuck, free = (GuardRig(place.settings, place.q) for _ in range(2))
        rigs.append(stuck)
        missed.append(refuses(stuck, stuck.step(0, place.worse), place.reason))
        verdict = free.ask(free.step(0, place.better))
        if verdict.reason is not HoldReason.NONE:
            missed.append(f"the way out of {place.reason.name}: {verdict.reason.name}")
        further = place.q.copy()
        further[0] += place.worse * _FURTHER_RAD
        orders.append(order_target(place.settings, further, place.q))
    return judge_rigs(
        "further in refused, the way out granted", rigs, *missed, sessions=orders
    )


@dataclass(frozen=True)
class _Place:
    """Where the arm may not stand, and the ways of the base joint that lead from there.

    Attributes:
        settings: of the cell.
        q: where it stands, shape (6,) [rad].
        worse: direction in which it gets worse, 1 or -1.
        better: the other one.
        reason: why `worse` has to be refused.
    """

    settings: Settings
    q: Vector
    worse: float
    better: float
    reason: HoldReason


def _place_in_zone(settings: Settings, *, with_fault: bool) -> _Place:
    """Put a keep-out zone around the tip, which stands near its face."""
    home = np.array(settings.arm.home_q_rad)
    tip_m = compute_base_from_tcp(home, settings.arm.flange_from_tcp.pose()).position_m
    side = np.cross([0.0, 0.0, 1.0], tip_m)
    side /= np.linalg.norm(side)
    if with_fault:
        centre_m = tip_m + (_ZONE_M / 2 - _DEEP_M) * side
        settings = put_plate(settings, centre_m, side, _ZONE_M)
    return _Place(settings, home, 1.0, -1.0, HoldReason.KEEP_OUT_ZONE)


def _overshoot_m(settings: Settings, rig: GuardRig, q: Vector) -> float:
    place = compute_base_from_tcp(q, rig.tool).position_m
    low = np.array(settings.safety.workspace_min_m) - place
    high = place - np.array(settings.safety.workspace_max_m)
    return float(np.maximum(np.maximum(low, high), 0.0).sum())


def _find_outside(settings: Settings, rig: GuardRig) -> Vector:
    """Turn the base until the tool stands well outside of the workspace."""
    for turn in np.arange(0.1, np.pi, 0.05):
        for sign in (1.0, -1.0):
            q = rig.home.copy()
            q[0] += sign * turn
            if _overshoot_m(settings, rig, q) > 0.03:
                return q
    return rig.home


def _order_signs(settings: Settings, rig: GuardRig, q: Vector) -> tuple[float, float]:
    """Return the directions of the base joint that lead out and back."""
    further = q.copy()
    further[0] += 0.01
    is_out = _overshoot_m(settings, rig, further) > _overshoot_m(settings, rig, q)
    return (1.0, -1.0) if is_out else (-1.0, 1.0)


OUTSIDE_CHECKS: Final[dict[str, Check]] = {"F55": outside_workspace}
"""By row."""
