"""Rows about keep-out zones and the approved way to rest, on the real code."""

from typing import Final

import numpy as np

from cell.contracts.geometry import Vector
from cell.contracts.runtime import FallbackPlan, PlanRefusal
from cell.contracts.servo import HoldReason
from cell.contracts.units import ns_from_s
from cell.kinematics import compute_base_from_tcp
from ops.settings import Settings
from safety.action_cache import PLAN_LIFE_S, SafeActionCache
from safety.limits import make_limits
from safety.zones import BoxZone, ToolCapsule
from sim2real.faults.guard_checks import PERIOD_S, Check, GuardRig, judge
from sim2real.faults.trial import Judgement

_PLATE_M: Final = 0.001
"""Thickness of the plate; the tool passes 5 mm in a cycle."""
_AHEAD_M: Final = 0.2
_TIP_M: Final = 0.005
_FAST_RADPS: Final = 2.8
_CYCLES: Final = 1500


def thin_plate(settings: Settings, with_fault: bool) -> Judgement:  # noqa: FBT001
    """F56: the tool swings at full speed towards a plate of one millimetre."""
    tool = settings.arm.flange_from_tcp.pose()
    start_m = compute_base_from_tcp(np.array(settings.arm.home_q_rad), tool).position_m
    side = np.cross([0.0, 0.0, 1.0], start_m)
    side /= np.linalg.norm(side)
    plate_m = start_m + _AHEAD_M * side
    rig = GuardRig(_put_plate(settings, plate_m, side) if with_fault else settings)
    reasons = set()
    for _ in range(_CYCLES):
        qd = rig.qd.copy()
        qd[0] = min(qd[0] + rig.acceleration * PERIOD_S, _FAST_RADPS)
        reasons.add(rig.ask(rig.q + qd * PERIOD_S).reason)
        place_m = compute_base_from_tcp(rig.q, tool).position_m
        if float((place_m - plate_m) @ side) > -_TIP_M:
            return judge("", "the tool went into the plate")
    if HoldReason.KEEP_OUT_ZONE not in reasons:
        return judge("", "nothing was refused for the plate")
    return judge("the tool came to rest before the plate")


def _put_plate(settings: Settings, centre_m: Vector, normal: Vector) -> Settings:
    """Return the settings with nothing in the cell but a plate, and a bare tip."""
    tip_m = tuple(settings.arm.flange_from_tcp.pose().position_m.tolist())
    plate = BoxZone(
        name="plate",
        kind="box",
        keeps_out=("fingers",),
        centre_m=tuple(centre_m.tolist()),
        half_m=(_PLATE_M / 2, 0.3, 0.3),
        rotvec_rad=(0.0, 0.0, float(np.arctan2(normal[1], normal[0]))),
    )
    tip = ToolCapsule(
        name="tip", group="fingers", from_m=tip_m, to_m=tip_m, radius_m=_TIP_M
    )
    safety = settings.safety.model_copy(update={"tool": (tip,), "zones": (plate,)})
    return settings.model_copy(update={"safety": safety})


def stale_plan(settings: Settings, with_fault: bool) -> Judgement:  # noqa: FBT001
    """F57: the way to rest is asked for too late, from elsewhere, and from nowhere."""
    home = np.array(settings.arm.home_q_rad)
    late_s = PLAN_LIFE_S + PERIOD_S
    cases = (
        (late_s, 0.0, PlanRefusal.EXPIRED),
        (-late_s, 0.0, PlanRefusal.EXPIRED),
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
    return judge("refused for good: the robot's program is ended", *missed)


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
