"""Rows about the guard and the servo process's session around it, on the real code."""

from functools import partial
from typing import Final

import numpy as np

from cell.contracts.runtime import Verdict
from cell.contracts.servo import HoldReason
from cell.contracts.units import ns_from_s
from cell.kinematics import compute_base_from_tcp
from ops.settings import Settings
from safety.guard import EnvelopeGuard
from safety.limits import make_limits
from safety.projection_limits import make_projection_limits
from safety.requests import ProjectedRequests
from sim2real.faults.broken_stages import STAGES, WISHES, Stage, break_stage
from sim2real.faults.guard_checks import (
    NO_FORCE,
    PERIOD_S,
    Check,
    GuardRig,
    find_common_events,
    judge,
    judge_rigs,
    refuses,
)
from sim2real.faults.judgement import Judgement, find_weakest
from sim2real.faults.servo_rig import break_guard, order_target


def wrong_units(settings: Settings, with_fault: bool) -> Judgement:  # noqa: FBT001
    """F27: a target that wraps by a turn, and one in degrees; alone, and ordered."""
    home = np.array(settings.arm.home_q_rad)
    wrapped = home.copy()
    wrapped[0] += 2.0 * np.pi
    targets = (wrapped, np.degrees(home)) if with_fault else (home, home)
    rigs = [GuardRig(settings) for _ in targets]
    missed = [
        refuses(rig, target, HoldReason.JOINT_SPEED,
                HoldReason.JOINT_POSITION, HoldReason.JOINT_ACCELERATION)
        for rig, target in zip(rigs, targets, strict=True)
    ]  # fmt: skip
    found = judge_rigs("refused against the present position", rigs, *missed)
    orders = [order_target(settings, target) for target in targets]
    missed = [*found.missed, *(order.missed for order in orders)]
    rungs = [order.rung for order in orders]
    table_rungs = [order.table_rung for order in orders]
    return judge(
        f"{found.reaction}; ordered as a motion: {orders[0].seen}",
        *missed,
        reaction_ms=found.reaction_ms,
        rung=find_weakest(rungs),
        table_rung=find_weakest(table_rungs),
        events=find_common_events(orders),
    )


class WishRig:
    """A guard at rest that is asked for an increment or for a pose.

    Attributes:
        q: where it rests, shape (6,) [rad].
    """

    def __init__(self, settings: Settings) -> None:
        self.q = np.array(settings.arm.home_q_rad)
        self._tool = settings.arm.flange_from_tcp.pose()
        guard = EnvelopeGuard.from_config(settings.safety, self._tool, PERIOD_S)
        limits = make_limits(settings.safety, self._tool, PERIOD_S)
        self._requests = ProjectedRequests(guard, make_projection_limits(limits))
        self._requests.reset(self.q)

    def ask(self, stage: Stage) -> Verdict:
        """Ask for what makes use of a stage, with stamps of now."""
        times_ns = (ns_from_s(1000.0),) * 3
        if stage.name == "project_increment":
            return self._requests.vet_action(np.full(6, 0.1), *times_ns, NO_FORCE)
        pose = compute_base_from_tcp(self.q, self._tool)
        return self._requests.vet_pose(pose, *times_ns, NO_FORCE)


def raising(settings: Settings, with_fault: bool) -> Judgement:  # noqa: FBT001
    """F58: each stage of the guard raises, one at a time, at rest and in motion.

    A stamp that no machine can hold makes it raise from outside as well.
    """
    stages = STAGES if with_fault else STAGES[:1]
    rig = GuardRig(settings)
    missed = [_raise_for_stamp(rig, with_fault=with_fault)]
    missed += [_raise_at_rest(rig, stage, with_fault=with_fault) for stage in stages]
    missed += [
        _raise_for_wish(settings, stage, with_fault=with_fault) for stage in WISHES
    ]
    found = judge_rigs("the shell held", [rig], *missed)
    if with_fault:
        orders = [break_guard(settings)]
        orders += [
            break_guard(settings, partial(break_stage, stage))
            for stage in stages
            if stage.is_in_motion
        ]
    else:
        orders = [order_target(settings, rig.home)]
    return judge(
        f"{found.reaction} at each of {len(stages) + len(WISHES)} stages; "
        f"in motion: {orders[0].seen}",
        *found.missed,
        *(order.missed for order in orders),
        reaction_ms=found.reaction_ms,
        rung=find_weakest([order.rung for order in orders]),
        events=find_common_events(orders),
    )


def _raise_for_stamp(rig: GuardRig, *, with_fault: bool) -> str:
    """Miss a hold for a stamp that does not fit into any number of the machine."""
    rig.ask(rig.home)
    before = rig.q.copy()
    rig.strike()
    verdict = rig.ask(rig.step(0, 1.0), stamp_ns=2**70 if with_fault else None)
    if verdict.reason is not HoldReason.GUARD_EXCEPTION:
        return f"verdict {verdict.reason.name}, not GUARD_EXCEPTION"
    return "" if bool((verdict.q == before).all()) else "the setpoint moved"


def _raise_at_rest(rig: GuardRig, stage: Stage, *, with_fault: bool) -> str:
    """Miss a hold where the arm was while one stage raises."""
    rig.come_to_rest()
    before = rig.q.copy()
    # What is no number is refused at the first stage that refuses.
    request = rig.step(0, 1.0) if stage.is_in_motion else before * np.nan
    rig.strike()
    if with_fault:
        with break_stage(stage):
            verdict = rig.ask(request)
    else:
        verdict = rig.ask(request)
    if verdict.reason is not HoldReason.GUARD_EXCEPTION:
        return f"{stage.name} raised: verdict {verdict.reason.name}"
    is_still = bool((verdict.q == before).all())
    return "" if is_still else f"{stage.name} raised: the setpoint moved"


def _raise_for_wish(settings: Settings, stage: Stage, *, with_fault: bool) -> str:
    """Miss a hold while the projection of an increment or a pose raises."""
    rig = WishRig(settings)
    if with_fault:
        with break_stage(stage):
            verdict = rig.ask(stage)
    else:
        verdict = rig.ask(stage)
    if verdict.reason is not HoldReason.GUARD_EXCEPTION:
        return f"{stage.name} raised: verdict {verdict.reason.name}"
    is_still = bool((verdict.q == rig.q).all())
    return "" if is_still else f"{stage.name} raised: the setpoint moved"


SESSION_CHECKS: Final[dict[str, Check]] = {"F27": wrong_units, "F58": raising}
"""By row."""
