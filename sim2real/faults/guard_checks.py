"""Rows that are facts about the guard, tried on the real one, cycle by cycle.

The time of a reaction runs on the loop's clock, from the end of the last cycle in which
nothing was wrong to the setpoint with which the arm rests or is slower than before.
"""

from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np

from cell.contracts.geometry import Pose, Vector
from cell.contracts.observation import ActionChunk, ActionStep
from cell.contracts.runtime import Verdict
from cell.contracts.servo import HoldReason
from cell.contracts.units import ns_from_s
from cell.kinematics import compute_base_from_tcp, compute_smallest_singular_value
from ops.settings import Settings
from safety.chunk_check import EnvelopeChunkCheck
from safety.guard import EnvelopeGuard
from safety.limits import MINIMUM_SINGULAR_VALUE
from sim2real.faults.judgement import Judgement
from sim2real.faults.rows import Rung
from sim2real.faults.servo_rig import (
    Seen,
    come_late,
    order_by_another_clock,
    order_target,
)

PERIOD_S: Final = 0.002
_START_S: Final = 1000.0
_GENTLE: Final = 0.6
"""Share of the limits that ordinary requests use."""
_STEPS: Final = 3000
NO_FORCE: Final = np.zeros(6)

Check = Callable[[Settings, bool], Judgement]


class GuardRig:
    """A guard, its clock, and the motion that it granted.

    Attributes:
        q: setpoint that was granted last, shape (6,) [rad].
        qd: speed with which it was reached [rad/s].
        now_s: time of the last cycle [s].
        reaction_ms: from the last strike to the hold [ms]; None before it.
    """

    def __init__(self, settings: Settings, q: Vector | None = None) -> None:
        self.home = np.array(settings.arm.home_q_rad)
        self.tool = settings.arm.flange_from_tcp.pose()
        self.guard = EnvelopeGuard.from_config(settings.safety, self.tool, PERIOD_S)
        # From rest this is reached within one period, so the jerk bounds it too.
        self.acceleration = _GENTLE * min(
            *settings.safety.joint_acceleration_radps2,
            *(jerk * PERIOD_S for jerk in settings.safety.joint_jerk_radps3),
        )
        self.q = self.home.copy() if q is None else q.copy()
        self.qd = np.zeros(6)
        self.now_s = _START_S
        self.reaction_ms: float | None = None
        self._struck_s = self.now_s
        self.guard.reset(self.q)

    def strike(self) -> None:
        """Let the fault begin now: up to here all was as it should be."""
        self._struck_s, self.reaction_ms = self.now_s, None

    def ask(
        self,
        request: Any,
        *,
        gap_s: float = PERIOD_S,
        command_age_s: float = 0.0,
        stamp_ns: int | None = None,
    ) -> Verdict:
        """Ask for a setpoint.

        Args:
            request: joint positions.
            gap_s: since the last one [s].
            command_age_s: age of the command's stamp [s].
            stamp_ns: of command and sample, in place of true ones.
        """
        self.now_s += gap_s
        now_ns = ns_from_s(self.now_s)
        command_ns = ns_from_s(self.now_s - command_age_s)
        if stamp_ns is not None:
            command_ns = stamp_ns
        arm_ns = now_ns if stamp_ns is None else stamp_ns
        verdict = self.guard.vet(request, command_ns, arm_ns, now_ns, NO_FORCE)
        before_radps = float(np.max(np.abs(self.qd)))
        self._follow(verdict)
        speed_radps = float(np.max(np.abs(self.qd)))
        has_held = speed_radps == 0.0 or speed_radps < before_radps
        is_refused = verdict.reason is not HoldReason.NONE
        if is_refused and has_held and self.reaction_ms is None:
            self.reaction_ms = 1e3 * (self.now_s - self._struck_s)
        return verdict

    def accelerate(self, joint: int, sign: float, cycles: int) -> Verdict:
        """Speed one joint up until the guard refuses, at most for so many cycles."""
        for _ in range(cycles):
            qd = self.qd.copy()
            qd[joint] += sign * self.acceleration * PERIOD_S
            self.strike()
            verdict = self.ask(self.q + qd * PERIOD_S)
            if verdict.reason is not HoldReason.NONE:
                break
        return verdict

    def come_to_rest(self) -> bool:
        """Ask for the present place until the ramp has ended; say whether it did."""
        for _ in range(_STEPS):
            before = self.q
            self.ask(self.q)
            if bool((self.q == before).all()):
                return True
        return False

    def step(self, joint: int, sign: float) -> Vector:
        """Return a request one gentle step away with one joint."""
        request = self.q.copy()
        request[joint] += sign * self.acceleration * PERIOD_S**2
        return request

    def _follow(self, verdict: Verdict) -> None:
        self.qd = (verdict.q - self.q) / PERIOD_S
        self.q = verdict.q.copy()


def judge(
    reaction: str,
    *missed: str,
    reaction_ms: float | None = None,
    rung: Rung | None = None,
    table_rung: Rung | None = None,
    events: Sequence[str] = (),
) -> Judgement:
    """Put a judgement together; empty sentences miss nothing."""
    return Judgement(
        reaction,
        reaction_ms,
        None,
        tuple(m for m in missed if m),
        rung=rung,
        table_rung=table_rung,
        events=tuple(events),
    )


def judge_rigs(
    reaction: str, rigs: Sequence[GuardRig], *missed: str, sessions: Sequence[Seen] = ()
) -> Judgement:
    """Put a judgement together from guards that should have held; the slowest.

    Args:
        reaction: what was seen, for a person.
        rigs: guards that were asked.
        missed: what was not as it should be; empty sentences miss nothing.
        sessions: of the servo process in which the same was ordered; all have to record
            what the row names.
    """
    times_ms = [rig.reaction_ms for rig in rigs]
    known_ms = [time_ms for time_ms in times_ms if time_ms is not None]
    has_held = len(known_ms) == len(times_ms)
    return judge(
        reaction,
        *missed,
        *(seen.missed for seen in sessions),
        "" if has_held else "the arm was not brought to rest",
        reaction_ms=max(known_ms) if has_held and known_ms else None,
        rung=Rung.HOLD if has_held else None,
        events=find_common_events(sessions),
    )


def find_common_events(sessions: Sequence[Seen]) -> tuple[str, ...]:
    """Return what every one of the sessions recorded, by name and sorted."""
    names = [set(seen.events) for seen in sessions]
    return tuple(sorted(set.intersection(*names))) if names else ()


def refuses(rig: GuardRig, request: Any, *reasons: HoldReason) -> str:
    """Miss a refusal at rest for one of these reasons, with the arm where it was."""
    before = rig.q.copy()
    rig.strike()
    verdict = rig.ask(request)
    if verdict.reason not in reasons:
        return f"verdict {verdict.reason.name} for {np.array2string(np.array(request))}"
    if not bool((verdict.q == before).all()):
        return "the setpoint moved although the request was refused"
    return ""


def not_finite(settings: Settings, with_fault: bool) -> str:  # noqa: FBT001
    """Miss the refusal of a setpoint with one value that is no number (for F40)."""
    for joint in range(6):
        for value in (np.nan, np.inf, -np.inf):
            rig = GuardRig(settings)
            request = rig.home.copy()
            if with_fault:
                request[joint] = value
            missed = refuses(rig, request, HoldReason.COMMAND_NOT_FINITE)
            if missed:
                return missed
    return ""


def huge_step(settings: Settings, with_fault: bool) -> Judgement:  # noqa: FBT001
    """F41: a setpoint far away, and a chunk out of reach."""
    rig = GuardRig(settings)
    reach = 0.3 if with_fault else 0.0
    missed = [
        refuses(rig, rig.home + reach, HoldReason.JOINT_SPEED,
                HoldReason.JOINT_POSITION, HoldReason.JOINT_ACCELERATION)
    ]  # fmt: skip
    check = EnvelopeChunkCheck(
        settings.safety, rig.tool, settings.gripper.max_aperture_m
    )
    pose = compute_base_from_tcp(rig.home, rig.tool)
    away_m = np.array([5.0 if with_fault else 0.0, 0.0, 0.0])
    step = ActionStep(Pose(pose.position_m + away_m, pose.quat_wxyz), 0.04)
    refusal = check.check(ActionChunk(1, (step,), 0.9, "test"), rig.home)
    missed.append("" if refusal else "the chunk was granted")
    return judge_rigs(f"refused; chunk: {refusal}", [rig], *missed)


def near_singularity(settings: Settings, with_fault: bool) -> Judgement:  # noqa: FBT001
    """F52: a path towards a straight wrist."""
    q = np.array(settings.arm.home_q_rad)
    q[4] = -0.4
    rig = GuardRig(settings, q)
    rig.acceleration = 5.0
    verdict = rig.accelerate(4, 1.0 if with_fault else -1.0, 300)
    if verdict.reason is not HoldReason.SINGULAR:
        return judge("", f"verdict {verdict.reason.name}, not SINGULAR")
    rested = rig.come_to_rest()
    sigma = compute_smallest_singular_value(rig.q, rig.tool)
    through = q.copy()
    through[4] = -q[4]
    return judge_rigs(
        f"rests at a smallest singular value of {sigma:.3f}",
        [rig],
        "" if rested else "the ramp did not end",
        "" if sigma >= MINIMUM_SINGULAR_VALUE else f"it rests at {sigma:.4f}",
        sessions=[order_target(settings, through, q)],
    )


def in_singularity(settings: Settings, with_fault: bool) -> Judgement:  # noqa: FBT001
    """F53: a request for exactly the singular place, and a pose that is no number."""
    q = np.array(settings.arm.home_q_rad)
    rig = GuardRig(settings, q)
    step = rig.acceleration * PERIOD_S**2
    q[4] = -step if with_fault else -1.5
    rig = GuardRig(settings, q)
    target = q.copy()
    target[4] += step
    missed = [refuses(rig, target, HoldReason.SINGULAR)]
    blind = GuardRig(settings, np.full(6, np.nan))
    if blind.ask(rig.home).reason is not HoldReason.NOT_ARMED:
        missed.append("it was released without a position")
    if not bool(np.isfinite(rig.q).all()):
        missed.append("the setpoint is no number")
    return judge_rigs(
        "refused, every setpoint a number",
        [rig],
        *missed,
        sessions=[order_target(settings, target, q)],
    )


def infeasible(settings: Settings, with_fault: bool) -> Judgement:  # noqa: FBT001
    """F54: requests that break every limit at once are never returned."""
    rng = np.random.default_rng(54)
    rig = GuardRig(settings)
    low = np.array(settings.safety.joint_max_rad) + 0.5
    for _ in range(500):
        request = low + rng.uniform(0.0, 5.0, 6) if with_fault else rig.q
        before = rig.q.copy()
        rig.strike()
        verdict = rig.ask(request)
        if verdict.reason is HoldReason.NONE or bool((verdict.q == request).any()):
            return judge("", "a request was passed on")
        if not bool((verdict.q == before).all()):
            return judge("", "the arm was moved")
    beyond = low if with_fault else rig.home
    return judge_rigs(
        "500 requests refused, the arm stayed",
        [rig],
        sessions=[order_target(settings, beyond)],
    )


def overrun(settings: Settings, with_fault: bool) -> Judgement:  # noqa: FBT001
    """F59: setpoints that come five periods late, in motion."""
    rig = GuardRig(settings)
    rig.accelerate(0, 1.0, 30)
    gap_s = 5 * PERIOD_S if with_fault else PERIOD_S
    rig.strike()
    verdict = rig.ask(rig.q + rig.qd * PERIOD_S, gap_s=gap_s)
    missed = []
    if verdict.reason is not HoldReason.CYCLE_OVERRUN:
        missed.append(f"verdict {verdict.reason.name}, not CYCLE_OVERRUN")
    elif not rig.come_to_rest():
        missed.append("the ramp did not end")
    late = come_late(settings, gap_s)
    return judge_rigs("ramped to rest", [rig], *missed, sessions=[late])


def foreign_clock(settings: Settings, with_fault: bool) -> Judgement:  # noqa: FBT001
    """F69: stamps of the far past and of the future."""
    missed = []
    rigs = []
    ages_s = (10.0, -10.0, 1e6, -1e6) if with_fault else (0.0,)
    for age_s in ages_s:
        rig = GuardRig(settings)
        rigs.append(rig)
        before = rig.q.copy()
        verdict = rig.ask(rig.step(0, 1.0), command_age_s=age_s)
        is_refused = verdict.reason is HoldReason.COMMAND_STALE
        if not is_refused or not bool((verdict.q == before).all()):
            missed.append(f"{age_s:g} s old: {verdict.reason.name}")
    # Of a stamp below zero the session says that nobody vouches for the order.
    known_s = [age_s for age_s in ages_s if age_s < _START_S]
    orders = [order_by_another_clock(settings, age_s) for age_s in known_s]
    return judge_rigs("refused as stale", rigs, *missed, sessions=orders)


GUARD_CHECKS: Final[dict[str, Check]] = {
    "F52": near_singularity,
    "F53": in_singularity,
    "F54": infeasible,
    "F59": overrun,
    "F69": foreign_clock,
}
"""By row."""
