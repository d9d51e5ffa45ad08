"""Rows about keep-out zones and the approved way to rest, on the real code."""

from typing import Final

import numpy as np

from cell.contracts.geometry import Vector
from cell.contracts.runtime import FallbackPlan, PlanRefusal
from cell.contracts.servo import HoldReason
from cell.contracts.units import ns_from_s
from cell.kinematics import compute_base_from_tcp
from ops.settings import Settings
from safety.action_cache import SafeActionCache
from safety.limits import make_limits
from safety.zones import BoxZone, ToolCapsule
from sim2real.faults.guard_checks import (
    PERIOD_S,
    Check,
    GuardRig,
    judge,
    judge_rigs,
)
from sim2real.faults.judgement import Judgement
from sim2real.faults.servo_rig import order_target, stand_still

_PLATE_M: Final = 0.001
"""Thickness of the plate; the tool passes 5 mm in a cycle."""
_AHEAD_M: Final = 0.2
_TIP_M: Final = 0.005
_ACROSS_RAD: Final = 1.0
_FAST_RADPS: Final = 2.8
_CYCLES: Final = 1500
_LATE_S: Final = 0.25
"""Beyond any age at which the row still permits the way to rest."""
_LOOKED_AT_S: Final = 1.0


def thin_plate(settings: Settings, with_fault: bool) -> Judgement:  # noqa: FBT001
    """F56: the tool swings at full speed towards a plate of one millimetre."""
    tool = settings.arm.flange_from_tcp.pose()
    start_m = compute_base_from_tcp(np.array(settings.arm.home_q_rad), tool).position_m
    side = np.cross([0.0, 0.0, 1.0], start_m)
    side /= np.linalg.norm(side)
    plate_m = start_m + _AHEAD_M * side
    cell = put_plate(settings, plate_m, side) if with_fault else settings
    rig = GuardRig(cell)
    reasons = set()
    for _ in range(_CYCLES):
        qd = rig.qd.copy()
        qd[0] = min(qd[0] + rig.acceleration * PERIOD_S, _FAST_RADPS)
        if HoldReason.KEEP_OUT_ZONE not in reasons:
            rig.strike()
        reasons.add(rig.ask(rig.q + qd * PERIOD_S).reason)
        place_m = compute_base_from_tcp(rig.q, tool).position_m
        if float((place_m - plate_m) @ side) > -_TIP_M:
            return judge("", "the tool went into the plate")
    if HoldReason.KEEP_OUT_ZONE not in reasons:
        return judge("", "nothing was refused for the plate")
    across = rig.home.copy()
    across[0] += _ACROSS_RAD
    order = order_target(cell, across)
    return judge_rigs("the tool came to rest before the plate", [rig], sessions=[order])


def put_plate(
    settings: Settings, centre_m: Vector, normal: Vector, thick_m: float = _PLATE_M
) -> Settings:
    """Return the settings with nothing in the cell but a plate, and a bare tip.

    Args:
        settings: of the cell.
        centre_m: of the plate in the robot's base, shape (3,) [m].
        normal: of its faces, level, shape (3,).
        thick_m: from face to face [m].
    """
    tip_m = tuple(settings.arm.flange_from_tcp.pose().position_m.tolist())
    plate = BoxZone(
        name="plate",
        kind="box",
        keeps_out=("fingers",),
        centre_m=tuple(centre_m.tolist()),
        half_m=(thick_m / 2, 0.3, 0.3),
        rotvec_rad=(0.0, 0.0, float(np.arctan2(normal[1], normal[0]))),
    )
    tip = ToolCapsule(
        name="tip", group="fingers", from_m=tip_m, to_m=tip_m, radius_m=_TIP_M
    )
    safety = settings.safety.model_copy(update={"tool": (tip,), "zones": (plate,)})
    return settings.model_copy(update={"safety": safety})


def stale_plan(settings: Settings, with_fault: bool) -> Judgement:  # noqa: FBT001
    """F57: the way to rest is asked for too late, from elsewhere, and from nowhere.

    How long it is handed out is found out here, and compared with the row's own bound.
    """
    home = np.array(settings.arm.home_q_rad)
    cases = (
        (_LATE_S, 0.0, PlanRefusal.EXPIRED),
        (-_LATE_S, 0.0, PlanRefusal.EXPIRED),
        (PERIOD_S, 0.5, PlanRefusal.OTHER_POSE),
        (PERIOD_S, np.nan, PlanRefusal.NOT_MEASURED),
    )
    missed = []
    for after_s, off_rad, refusal in cases:
        cache = _approve(settings, home)
        now_ns = ns_from_s(10.0 + (after_s if with_fault else PERIOD_S))
        answer = cache.take(home + (off_rad if with_fault else 0.0), now_ns)
        if answer is not refusal:
            missed.append(f"{_describe(answer)}, not '{refusal.value}'")
        # What was refused once stays so, also when all is as it was again.
        again = cache.take(home, ns_from_s(10.0 + PERIOD_S))
        if isinstance(again, FallbackPlan):
            missed.append(f"after '{refusal.value}' the plan was handed out again")
    life_s = _find_life_s(settings, home)
    stood = stand_still(settings, _LATE_S if with_fault else PERIOD_S)
    return judge(
        f"refused for good after {1e3 * life_s:.0f} ms; in motion: {stood.seen}",
        *missed,
        stood.missed,
        reaction_ms=1e3 * life_s,
        rung=stood.rung,
        events=stood.events,
    )


def _find_life_s(settings: Settings, home: Vector) -> float:
    """Return the greatest age at which the way to rest is still handed out [s]."""
    for cycles in range(1, round(_LOOKED_AT_S / PERIOD_S)):
        age_s = cycles * PERIOD_S
        answer = _approve(settings, home).take(home, ns_from_s(10.0 + age_s))
        if isinstance(answer, PlanRefusal):
            return age_s - PERIOD_S
    return _LOOKED_AT_S


def _approve(settings: Settings, home: Vector) -> SafeActionCache:
    tool = settings.arm.flange_from_tcp.pose()
    cache = SafeActionCache(make_limits(settings.safety, tool, PERIOD_S))
    cache.reset(home)
    cache.approve(home, np.zeros(6), ns_from_s(10.0))
    return cache


def _describe(answer: FallbackPlan | PlanRefusal) -> str:
    if isinstance(answer, FallbackPlan):
        return "a plan was handed out"
    return f"'{answer.value}'"


ZONE_CHECKS: Final[dict[str, Check]] = {"F56": thin_plate, "F57": stale_plan}
"""By row."""
