"""Where the arm goes for one part: poses, heights and joint targets. Pure."""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from cell.contracts.geometry import Pose, Vector
from cell.contracts.observation import ActionChunk, ActionStep
from cell.contracts.units import rad_from_deg
from cell.kinematics.inverse import solve_ik
from cell.supervisor.ports import Layout

ZONE_MARGIN_M = 0.10
"""Half the width of the gripper across its linkages, and a hand's breadth."""

# Highest and lowest TCP above the plate at which a part is let go. The estimate comes
# from the grasp's height above the bin floor and is too high for a part on a pile.
_PLACE_LOWEST_M = 0.014
_PLACE_HIGHEST_M = 0.060
_PLACE_CLEARANCE_M = 0.004
# Parts go to the corners of a square in turn, so that the line may take them in fours.
_PATTERN = ((-1.0, -1.0), (1.0, 1.0), (-1.0, 1.0), (1.0, -1.0))
_PATTERN_SHARE = 0.225
_YAW_CANDIDATES = 6
_UNWIND_WEIGHT = 0.25
# A grasp in another arm configuration than its pregrasp cannot be reached on a line.
_SAME_CONFIGURATION_RAD = 1.0
_SAME_SPOT_M = 0.015
_SAME_YAW_RAD = 0.35

_HALF_TURN = Pose(np.zeros(3), np.array([0.0, 0.0, 0.0, 1.0]))
"""Turns the tool by half a turn about its own axis: same fingers, other order."""


@dataclass(frozen=True, eq=False)
class PickPlan:
    """One way to carry a chunk out.

    Attributes:
        chunk: what is carried out down to the grasp, turned to suit the wrist.
        way_out: the same for the way up from there, with closed fingers.
        q_pregrasp: joint target above the grasp, shape (6,) [rad].
        q_grasp: joint position at the grasp, shape (6,) [rad].
        path: tool poses from there down to the grasp.
        retreat: tool pose straight above the grasp.
        aperture_m: finger opening on the way down [m].
        grasp_height_m: TCP above the bin floor at the grasp [m].
        others: what the policy would have done in its place.
        is_fallback: the fallback policy proposed it.
        model_sha256: of the learned model in the worker that answered.
    """

    chunk: ActionChunk
    way_out: ActionChunk
    q_pregrasp: Vector
    q_grasp: Vector
    path: tuple[Pose, ...]
    retreat: Pose
    aperture_m: float
    grasp_height_m: float
    others: tuple[ActionChunk, ...] = ()
    is_fallback: bool = False
    model_sha256: str = ""


@dataclass(frozen=True, eq=False)
class PlacePlan:
    """Where one part is let go.

    Attributes:
        q_above: joint target above the place, shape (6,) [rad].
        above: the same as a tool pose.
        place: tool pose at which the fingers open.
    """

    q_above: Vector
    above: Pose
    place: Pose


@dataclass(frozen=True)
class Spot:
    """A grasp as far as repeating it is concerned.

    Attributes:
        x_m: of the grasp in base.
        y_m: of the grasp in base.
        yaw_rad: about the vertical; the fingers look the same after half a turn.
    """

    x_m: float
    y_m: float
    yaw_rad: float

    def is_same(self, other: "Spot") -> bool:
        """Say whether two grasps would close on the same place in the same way."""
        turn = (self.yaw_rad - other.yaw_rad) % math.pi
        return (
            math.hypot(self.x_m - other.x_m, self.y_m - other.y_m) < _SAME_SPOT_M
            and min(turn, math.pi - turn) < _SAME_YAW_RAD
        )


class Planner:
    """Plans within one layout."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._bin = layout.geometry.bin.base_from_bin.pose()
        self._bin_from_base = self._bin.inverse()
        self._outfeed = layout.geometry.outfeed.base_from_outfeed.pose()
        # Taken apart once: the zone is looked at in every turn of the decisions.
        bin_from_base = self._bin_from_base.as_matrix()
        self._zone_rotation = bin_from_base[:3, :3]
        self._zone_shift_m = bin_from_base[:2, 3].tolist()
        self._zone_half_m = _compute_zone_half(layout)

    def plan_pick(self, chunk: ActionChunk, q_now: Vector) -> PickPlan | None:
        """Return the way with the least joint travel, None when out of reach."""
        ways = (self._plan_way(way, q_now) for way in (chunk, turn_chunk(chunk)))
        return min(
            (way for way in ways if way is not None),
            key=lambda way: _travel(way.q_pregrasp, q_now),
            default=None,
        )

    def plan_place(
        self, q_now: Vector, grasp_height_m: float, number: int
    ) -> PlacePlan | None:
        """Return the place for part `number`, None when out of reach.

        The yaw is free: it is chosen for little travel and an unwound wrist.
        """
        size = self._layout.geometry.outfeed.size_m
        column, row = _PATTERN[number % len(_PATTERN)]
        height_m = _PLACE_CLEARANCE_M + min(
            max(grasp_height_m, _PLACE_LOWEST_M), _PLACE_HIGHEST_M
        )
        x_m, y_m = column * _PATTERN_SHARE * size[0], row * _PATTERN_SHARE * size[1]
        offset_m = np.array([x_m, y_m, height_m])
        place_m = self._outfeed.apply(offset_m)
        lift_m = np.array([0.0, 0.0, self._layout.motion.approach_height_m])
        plans = []
        for turn in range(_YAW_CANDIDATES):
            yaw = turn * 2 * math.pi / _YAW_CANDIDATES
            above = Pose.tool_down((place_m + lift_m).tolist(), yaw)
            q_above = self._solve(above, q_now)
            if q_above is not None:
                place = Pose.tool_down(place_m.tolist(), yaw)
                plans.append(PlacePlan(q_above, above, place))
        return min(plans, key=lambda plan: self._effort(plan, q_now), default=None)

    def plan_drop(self, q_now: Vector) -> PlacePlan | None:
        """Return where an unidentified part is given back to the bin."""
        drop_m = self._bin.apply(np.array([0.0, 0.0, self._wall_top_m()]))
        place = Pose.tool_down(drop_m.tolist(), 0.0)
        above = lift(place, self._layout.motion.approach_height_m)
        q_above = self._solve(above, q_now)
        if q_above is None:
            return None
        return PlacePlan(q_above, above, place)

    def plan_lift(self, base_from_tcp: Pose) -> Pose | None:
        """Return the pose straight above at travelling height, None when there."""
        missing_m = self.travel_height_m() - float(base_from_tcp.position_m[2])
        if missing_m <= 0.0:
            return None
        return lift(base_from_tcp, missing_m)

    def travel_height_m(self) -> float:
        """Return the height in base above which nothing stands in the way [m]."""
        bin_top_m = float(self._bin.position_m[2]) + self._wall_top_m()
        outfeed_m = float(self._outfeed.position_m[2])
        return max(bin_top_m, outfeed_m) + self._layout.motion.approach_height_m

    def is_over_bin(self, base_from_tcp: Pose) -> bool:
        """Say whether the tool is where the line must not move the bin."""
        x_m, y_m, _ = (self._zone_rotation @ base_from_tcp.position_m).tolist()
        half_x_m, half_y_m = self._zone_half_m
        shift_x_m, shift_y_m = self._zone_shift_m
        return bool(
            abs(x_m + shift_x_m) <= half_x_m and abs(y_m + shift_y_m) <= half_y_m
        )

    def _plan_way(self, chunk: ActionChunk, q_now: Vector) -> PickPlan | None:
        poses = tuple(step.base_from_tcp for step in chunk.steps)
        grasp = poses[-1]
        if len(poses) == 1:
            poses = (lift(grasp, self._layout.motion.approach_height_m), grasp)
        q_pregrasp = self._solve(poses[0], q_now)
        if q_pregrasp is None:
            return None
        q_grasp = self._walk(q_pregrasp, poses[1:])
        if q_grasp is None:
            return None
        retreat = lift(grasp, self._layout.motion.retreat_height_m)
        if self._walk(q_grasp, (retreat,)) is None:
            return None
        aperture_m = chunk.steps[0].aperture_m
        is_whole = len(poses) == len(chunk.steps)
        return PickPlan(
            # Left as it is where that is what is driven: its steps are to be checked.
            chunk=chunk if is_whole else _with_steps(chunk, poses, aperture_m),
            way_out=_with_steps(chunk, (grasp, retreat), 0.0),
            q_pregrasp=q_pregrasp,
            q_grasp=q_grasp,
            path=poses[1:],
            retreat=retreat,
            aperture_m=aperture_m,
            grasp_height_m=float(self._bin_from_base.apply(grasp.position_m)[2]),
        )

    def _walk(self, q_start: Vector, poses: Iterable[Pose]) -> Vector | None:
        """Return where poses lead, None when one needs another configuration."""
        q_last = q_start
        for pose in poses:
            q = self._solve(pose, q_last)
            if q is None or _travel(q, q_last) > _SAME_CONFIGURATION_RAD:
                return None
            q_last = q
        return q_last

    def _effort(self, plan: PlacePlan, q_now: Vector) -> float:
        winding = abs(float(plan.q_above[5] - self._layout.home_q_rad[5]))
        return _travel(plan.q_above, q_now) + _UNWIND_WEIGHT * winding

    def _solve(self, base_from_tcp: Pose, q_near: Vector) -> Vector | None:
        layout = self._layout
        return solve_ik(
            base_from_tcp,
            layout.flange_from_tcp,
            q_near,
            layout.joint_min_rad,
            layout.joint_max_rad,
        )

    def _wall_top_m(self) -> float:
        return self._layout.geometry.bin.wall_height_m


def lift(base_from_tcp: Pose, height_m: float) -> Pose:
    """Return the pose straight above, same orientation."""
    up_m = np.array([0.0, 0.0, height_m])
    return Pose(base_from_tcp.position_m + up_m, base_from_tcp.quat_wxyz)


def turn_chunk(chunk: ActionChunk) -> ActionChunk:
    """Return the same grasp with the two fingers swapped."""
    steps = tuple(
        type(step)(step.base_from_tcp @ _HALF_TURN, step.aperture_m)
        for step in chunk.steps
    )
    return ActionChunk(
        observed_stamp_ns=chunk.observed_stamp_ns,
        steps=steps,
        score=chunk.score,
        model=chunk.model,
        details=chunk.details,
    )


def _with_steps(
    chunk: ActionChunk, poses: Iterable[Pose], aperture_m: float
) -> ActionChunk:
    """Return a chunk that goes another way at one opening, as the cell drives it."""
    return ActionChunk(
        observed_stamp_ns=chunk.observed_stamp_ns,
        steps=tuple(ActionStep(pose, aperture_m) for pose in poses),
        score=chunk.score,
        model=chunk.model,
        details=chunk.details,
    )


def spot_of(chunk: ActionChunk) -> Spot:
    """Return where a chunk closes the fingers."""
    matrix = chunk.steps[-1].base_from_tcp.as_matrix()
    yaw = math.atan2(matrix[1, 0], matrix[0, 0])
    return Spot(float(matrix[0, 3]), float(matrix[1, 3]), yaw)


def candidates_of(chunk: ActionChunk, failed: Sequence[Spot]) -> Iterator[ActionChunk]:
    """Yield a chunk and its alternatives, those that failed before last."""
    ways = (chunk, *chunk.alternatives)
    tried = [any(spot_of(way).is_same(spot) for spot in failed) for way in ways]
    yield from (way for way, is_tried in zip(ways, tried, strict=True) if not is_tried)
    yield from (way for way, is_tried in zip(ways, tried, strict=True) if is_tried)


def _travel(q_to: Vector, q_from: Vector) -> float:
    return float(np.max(np.abs(q_to - q_from)))


def _compute_zone_half(layout: Layout) -> tuple[float, float]:
    geometry = layout.geometry.bin
    slope_m = geometry.wall_height_m * math.tan(rad_from_deg(geometry.wall_slope_deg))
    x_m, y_m = (side / 2 + slope_m + ZONE_MARGIN_M for side in geometry.floor_size_m)
    return x_m, y_m
