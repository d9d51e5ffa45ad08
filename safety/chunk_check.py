"""Check of a whole action chunk before its first step is sent.

The guard would stop a bad chunk half-way; this refuses it while nothing moves. The
path is taken as the cell drives it: through joint space to the first step, then in
straight tool lines, and at the end the fingers close. Comparisons are written so that
what is no number is refused.
"""

import math

import numpy as np

from cell.contracts.geometry import Pose, Vector
from cell.contracts.observation import ActionChunk, ActionStep
from cell.contracts.servo import HoldReason
from cell.kinematics import (
    compute_base_from_tcp,
    compute_smallest_singular_value,
    solve_ik,
    track_ik,
)
from safety.capsules import make_surroundings, name_check
from safety.clearance import check_clearance
from safety.config import SafetyConfig
from safety.finger_check import FingerCheck
from safety.limits import MINIMUM_SINGULAR_VALUE
from safety.verdicts import ROUNDING

# Denser than the thinnest thing a workspace face could stand for.
_LINE_STEP_M = 0.01
_LINE_TURN_RAD = 0.05
_JOINT_STEP_RAD = 0.05
# A straight centimetre that turns a joint further than this crosses a singularity.
_JOINT_JUMP_RAD = 0.35
_LINE_LEFT_M, _LINE_LEFT_RAD = 1e-4, 1e-3
_EDGE_M = 0.001
"""The tool keeps this far from the faces of the workspace: along one, the guard would
refuse what rounding puts beyond it, also on the way back."""
_UNIT_SLACK = 2.0**-10
_LONGEST_CHUNK = 64


class EnvelopeChunkCheck:
    """Implements `ChunkCheck`: form, reach, workspace, continuity and clearance."""

    def __init__(
        self,
        config: SafetyConfig,
        flange_from_tcp: Pose,
        max_aperture_m: float,
        fingers: FingerCheck | None = None,
    ) -> None:
        """Take the limits of a cell.

        Args:
            config: limits of the cell.
            flange_from_tcp: tool of the arm.
            max_aperture_m: widest opening of the gripper.
            fingers: looks at what the fingers would touch; None where the fixtures
                around are not known.
        """
        self._fingers = fingers
        self._tool = flange_from_tcp
        self._max_aperture_m = max_aperture_m
        self._joint_min = np.array(config.joint_min_rad)
        self._joint_max = np.array(config.joint_max_rad)
        self._low = np.array(config.workspace_min_m) + _EDGE_M
        self._high = np.array(config.workspace_max_m) - _EDGE_M
        self._around, self._names = make_surroundings(config, flange_from_tcp)

    def check(self, chunk: ActionChunk, q_start: Vector) -> str:
        """Return an empty string, or one phrase that says what is wrong with it."""
        wrong = self._check_form(chunk, q_start)
        if wrong:
            return wrong
        first = chunk.steps[0].base_from_tcp
        q = solve_ik(first, self._tool, q_start, self._joint_min, self._joint_max)
        if q is None:
            return "step 0 is out of reach"
        # The cell opens the fingers once, for the whole way down.
        opening_m = chunk.steps[0].aperture_m
        wrong = self._check_joint_path(q_start, q, opening_m)
        if wrong:
            return wrong
        for number in range(1, len(chunk.steps)):
            target = chunk.steps[number].base_from_tcp
            previous = chunk.steps[number - 1].base_from_tcp
            wrong, q = self._follow_line(previous, target, q, opening_m)
            if wrong:
                return f"step {number}: {wrong}"
        return self._check_closing(q, opening_m)

    def _check_closing(self, q: Vector, opening_m: float) -> str:
        if self._fingers is None:
            return ""
        touch = self._fingers.find_while_closing(q, opening_m)
        return f"closing the fingers {touch}" if touch else ""

    def _check_form(self, chunk: ActionChunk, q_start: Vector) -> str:
        if np.shape(q_start) != (6,) or not np.isfinite(q_start).all():
            return "the start position is not known"
        if not 0 < len(chunk.steps) <= _LONGEST_CHUNK:
            return f"it holds {len(chunk.steps)} steps"
        if not 0.0 <= chunk.score <= 1.0:
            return f"its score is {chunk.score}"
        for number, step in enumerate(chunk.steps):
            wrong = self._check_step(step)
            if wrong:
                return f"step {number} {wrong}"
        return ""

    def _check_step(self, step: ActionStep) -> str:
        pose = step.base_from_tcp
        if np.shape(pose.position_m) != (3,) or np.shape(pose.quat_wxyz) != (4,):
            return "is not a pose"
        if not (
            np.isfinite(pose.position_m).all() and np.isfinite(pose.quat_wxyz).all()
        ):
            return "is not finite"
        if abs(float(np.linalg.norm(pose.quat_wxyz)) - 1.0) > _UNIT_SLACK:
            return "has a quaternion that is not of unit length"
        if not 0.0 <= step.aperture_m <= self._max_aperture_m + 1e-9:
            return f"asks for an opening of {step.aperture_m} m"
        if self._is_outside(pose.position_m):
            return f"lies outside the workspace at {_text(pose.position_m)}"
        return ""

    def _check_joint_path(
        self, q_start: Vector, q_end: Vector, opening_m: float
    ) -> str:
        longest = float(np.max(np.abs(q_end - q_start)))
        start_m = compute_base_from_tcp(q_start, self._tool).position_m
        # Who stands near a singularity may leave it, and not come back to it.
        floor = compute_smallest_singular_value(q_start, self._tool)
        floor = min(floor, MINIMUM_SINGULAR_VALUE)
        q_last = q_start
        for ratio in _ratios(longest / _JOINT_STEP_RAD):
            q = q_start + ratio * (q_end - q_start)
            place_m = compute_base_from_tcp(q, self._tool).position_m
            # Coming in from outside is allowed, going further out is not.
            if not bool(
                (
                    (place_m >= np.minimum(self._low, start_m))
                    & (place_m <= np.maximum(self._high, start_m))
                ).all()
            ):
                return f"the way to step 0 leaves the workspace at {_text(place_m)}"
            near = self._find_near(q_last, q)
            if not near and self._fingers is not None:
                near = self._fingers.find_on_way(q_last, q, opening_m)
            if near:
                return f"the way to step 0 {near}"
            sigma = compute_smallest_singular_value(q, self._tool)
            if not sigma >= floor - ROUNDING:
                return f"the way to step 0 comes too near a singularity ({sigma:.3f})"
            floor = min(max(floor, sigma), MINIMUM_SINGULAR_VALUE)
            q_last = q
        # The last place looked at is that of step 0.
        return "" if floor >= MINIMUM_SINGULAR_VALUE else "step 0 lies in a singularity"

    def _follow_line(
        self, start: Pose, end: Pose, q: Vector, opening_m: float
    ) -> tuple[str, Vector]:
        """Walk a straight tool line; return what is wrong and the joints at its end."""
        distance_m = float(np.linalg.norm(end.position_m - start.position_m))
        turn = (start.inverse() @ end).as_rotvec()
        angle_rad = float(np.linalg.norm(turn))
        for ratio in _ratios(
            max(distance_m / _LINE_STEP_M, angle_rad / _LINE_TURN_RAD)
        ):
            place_m = start.position_m + ratio * (end.position_m - start.position_m)
            spin = Pose.from_rotvec([0.0, 0.0, 0.0], (ratio * turn).tolist())
            target = Pose(place_m, (start @ spin).quat_wxyz)
            q_next, left_m, left_rad = track_ik(target, self._tool, q, iterations=10)
            if not (left_m <= _LINE_LEFT_M and left_rad <= _LINE_LEFT_RAD):
                return "the line is out of reach", q
            if not float(np.max(np.abs(q_next - q))) <= _JOINT_JUMP_RAD:
                return "the line crosses a singularity", q
            if not bool(
                ((q_next >= self._joint_min) & (q_next <= self._joint_max)).all()
            ):
                return "the line leaves the joint limits", q
            sigma = compute_smallest_singular_value(q_next, self._tool)
            if not sigma >= MINIMUM_SINGULAR_VALUE:
                return f"the line comes too near a singularity ({sigma:.3f})", q
            near = self._find_near(q, q_next)
            if not near and self._fingers is not None:
                near = self._fingers.find_at(q_next, opening_m)
            if near:
                return f"the line {near}", q
            q = q_next
        return "", q

    def _find_near(self, q_start: Vector, q_end: Vector) -> str:
        """Say what comes too near on a straight way through joint space."""
        found = check_clearance(q_start, q_end - q_start, self._around)
        if found[0] == HoldReason.NONE:
            return ""
        pair = name_check(found[3], self._around, self._names)
        return f"leaves {found[2]:.3f} m between {pair}"

    def _is_outside(self, place_m: Vector) -> bool:
        return not bool(((place_m >= self._low) & (place_m <= self._high)).all())


def _ratios(steps: float) -> Vector:
    """Return evenly spaced ratios up to 1, at least one per step."""
    count = max(1, math.ceil(steps))
    return np.arange(1, count + 1) / count


def _text(place_m: Vector) -> str:
    return "(" + ", ".join(f"{value:.3f}" for value in place_m) + ") m"
