"""Checks a path of setpoints with MuJoCo: slowly, and sharing nothing with the guard.

Speeds and accelerations are differences of the setpoints themselves. Where the arm
already stands outside of a position limit, of the workspace or too near to something,
it may stay and come back, and go no further.
"""

from dataclasses import dataclass

import mujoco
import numpy as np
from numpy.typing import NDArray

from tests.oracle.arm_model import make_arm_model
from tests.oracle.plain import (
    HALF_SPACE,
    NOTHING_AROUND,
    Bodies,
    MotionLimits,
    Numbers,
    Vector,
)

_PLACE_M = 1e-9
_ANGLE_RAD = 1e-9
_SPEED = 1e-6
# The second difference of numbers near 6, divided by 4e-6.
_ACCELERATION = 1e-4
# What MuJoCo's distances are good for.
_CLEARANCE_M = 1e-5
# Of a singular value, two ways of computing it.
_SINGULAR = 1e-7
# Whoever turns less than this stands still.
_STILL_RAD = 1e-6
# Of third differences of numbers near 6, as a ratio.
_JERK_ROUNDING = 1e-3
# How a load is smoothed, and how fast the arm may creep under it.
_SMOOTHING_S = 0.01
_CREEP_RADPS = 0.1
_LOAD_ROUNDING = 1e-9
# More than any sensor can read.
_LARGEST = 1e150
# Further than this nothing has to be known.
_FAR_M = 0.2


@dataclass(frozen=True)
class Breach:
    """One limit that one setpoint broke, and by how much."""

    step: int
    what: str
    excess: float


class SlowOracle:
    """One set of limits and surroundings."""

    def __init__(self, limits: MotionLimits, bodies: Bodies = NOTHING_AROUND) -> None:
        self._limits = limits
        self._bodies = bodies
        self._model = make_arm_model(bodies, limits.flange_from_tcp)
        self._state = mujoco.MjData(self._model)
        self._tcp = self._model.site("tcp").id

    def find_tcp(self, q: Vector) -> Vector:
        """Return the tool point at joint positions, shape (3,) [m]."""
        self._place(q)
        return np.array(self._state.site_xpos[self._tcp])

    def measure(self, q: Vector) -> Vector:
        """Return what is left of every clearance, zones first [m]; cut at a distance.

        A pair with something that is not there has the largest value.
        """
        self._place(q)
        zones = [self._measure_zone(*pair) for pair in self._bodies.against_zone]
        own = [self._measure_self(*pair) for pair in self._bodies.against_self]
        return np.array(zones + own)

    def find_breaches(
        self,
        path: Vector,
        restarts: NDArray[np.bool_] | None = None,
        holds: NDArray[np.bool_] | None = None,
        wrenches: Vector | None = None,
    ) -> list[Breach]:
        """Check setpoints that follow each other by one period.

        Args:
            path: from rest, shape (n + 1, 6) [rad].
            restarts: for each step whether the arm had come to rest before it, because
                setpoints were missing for long, shape (n,).
            holds: for each step whether it is part of a ramp to rest, shape (n,). A
                ramp belongs to the step that was granted before it.
            wrenches: measured at the tool before each step, shape (n, 6) [N, N.m].
        """
        found: list[Breach] = []
        found += _name("a position that is no number", path)
        if found:
            return found
        from_row = np.arange(len(path) - 1)
        if holds is not None:
            from_row = np.maximum.accumulate(np.where(holds, 0, from_row))
        found += self._check_joints(path, restarts)
        found += self._check_jerk(path, restarts, from_row)
        if wrenches is not None:
            found += self._check_load(path, wrenches, from_row)
        tcp = np.array([self.find_tcp(q) for q in path])
        found += self._check_tool(tcp, from_row)
        found += self._check_singular(path, from_row)
        if len(self._bodies.against_zone) or len(self._bodies.against_self):
            clearance = np.array([self.measure(q) for q in path])
            found += _ratchet("clearance", -clearance, _CLEARANCE_M, from_row)
            # Half-way as well: the arm does not jump from one setpoint to the next.
            halves = 0.5 * (path[1:] + path[:-1])
            between = np.array([self.measure(q) for q in halves])
            swept = np.vstack([clearance[:1], between])
            before = -clearance[from_row]
            excess = -swept[1:] - np.maximum(before, 0.0)
            found += _cap("clearance on the way", excess, _CLEARANCE_M)
            found += self._check_leaving(path, from_row)
        return found

    def _check_leaving(self, path: Vector, from_row: Numbers) -> list[Breach]:
        """Check that who moves inside of a half-space leaves it.

        What counts is where the ramp after a granted step would end. MuJoCo tells the
        places of frames to the last digits, and distances to other solids do not.
        """
        limits = self._limits
        found: list[Breach] = []
        for step in np.flatnonzero(from_row == np.arange(len(path) - 1)):
            way = path[step + 1] - path[step]
            speed = np.abs(way) / limits.period_s
            stop_s = float(np.max(speed / limits.joint_acceleration_radps2))
            end = path[step] + way * (1.0 + 0.5 * stop_s / limits.period_s)
            before, after = self._measure_planes(path[step]), self._measure_planes(end)
            turns = np.abs(end - path[step])
            can_move = np.array(
                [turns[:frame].sum() > _STILL_RAD for _, frame in self._planes()],
                np.bool_,
            )
            lingers = can_move & (before < 0.0) & ~(after > before)
            if lingers.any():
                excess = float((before - after)[lingers].max())
                found.append(
                    Breach(int(step) + 1, "moves inside and does not leave", excess)
                )
        return found

    def _planes(self) -> list[tuple[int, int]]:
        """Return pairs with half-spaces, each with the frame of its capsule."""
        bodies = self._bodies
        return [
            (pair, int(bodies.frame[capsule]))
            for pair, (capsule, zone) in enumerate(bodies.against_zone)
            if bodies.zone_kind[zone] == HALF_SPACE
        ]

    def _measure_planes(self, q: Vector) -> Vector:
        self._place(q)
        pairs = [self._bodies.against_zone[pair] for pair, _ in self._planes()]
        return np.array([self._measure_zone(*pair) for pair in pairs])

    def _check_joints(
        self, path: Vector, restarts: NDArray[np.bool_] | None
    ) -> list[Breach]:
        limits = self._limits
        qd = np.diff(path, axis=0) / limits.period_s
        before = np.vstack([np.zeros(6), qd[:-1]])
        if restarts is not None:
            before[restarts] = 0.0
        qdd = (qd - before) / limits.period_s
        return [
            *_ratchet("position above", path - limits.joint_max_rad, _ANGLE_RAD),
            *_ratchet("position below", limits.joint_min_rad - path, _ANGLE_RAD),
            *_cap("joint speed", np.abs(qd) - limits.joint_speed_radps, _SPEED),
            *_cap(
                "joint acceleration",
                np.abs(qdd) - limits.joint_acceleration_radps2,
                _ACCELERATION,
            ),
        ]

    def _check_jerk(
        self, path: Vector, restarts: NDArray[np.bool_] | None, from_row: Numbers
    ) -> list[Breach]:
        """Check third differences of four setpoints; a ramp may begin and end harder.

        Once the arm has come to rest, by a ramp or for want of setpoints, what was
        before that counts for nothing.
        """
        begins = np.zeros(len(path), np.bool_)
        if restarts is not None:
            begins[:-1] = restarts
        is_hold = from_row < np.arange(len(path) - 1)
        padded = np.vstack([path[:1], path[:1], path])
        found: list[Breach] = []
        limit = self._limits.joint_jerk_radps3 * (1.0 + _JERK_ROUNDING)
        for step in np.flatnonzero(~is_hold):
            four = padded[step : step + 4].copy()
            is_after_ramp = step > 0 and is_hold[step - 1]
            if begins[step] or (is_after_ramp and (four[1] == four[2]).all()):
                four[:2] = four[2]
            elif step > 0 and begins[step - 1]:
                four[0] = four[1]
            jerk = np.diff(four, n=3, axis=0)[0] / self._limits.period_s**3
            worst = float(np.max(np.abs(jerk) - limit))
            if not worst <= 0.0:
                found.append(Breach(int(step) + 1, "joint jerk", worst))
        return found

    def _check_load(
        self, path: Vector, wrenches: Vector, from_row: Numbers
    ) -> list[Breach]:
        """Check that no granted step is quick under a load that lasts.

        The smoothed load is the sum of all readings so far, each with the weight that
        its age leaves it; what is no number is left out.
        """
        limits = self._limits
        is_number = np.asarray((np.abs(wrenches) < _LARGEST).all(axis=1))
        known = np.where(is_number[:, None], wrenches, 0.0)
        loads = np.maximum(
            np.linalg.norm(known[:, :3], axis=1) / limits.tcp_force_n,
            np.linalg.norm(known[:, 3:], axis=1) / limits.tcp_torque_nm,
        )[is_number]
        kept = _SMOOTHING_S / (limits.period_s + _SMOOTHING_S)
        weights = (1.0 - kept) * kept ** np.arange(max(len(loads), 1))
        smooth = np.concatenate([[0.0], np.convolve(loads, weights)[: len(loads)]])
        load = smooth[np.cumsum(is_number)]
        speed = np.abs(np.diff(path, axis=0)).sum(axis=1) / limits.period_s
        is_granted = from_row == np.arange(len(path) - 1)
        is_quick = (load > 1.0 + _LOAD_ROUNDING) & ~(speed <= _CREEP_RADPS + 1e-9)
        return [
            *(
                Breach(int(step) + 1, "motion under load", float(load[step] - 1.0))
                for step in np.flatnonzero(is_granted & is_quick)
            ),
            *(
                Breach(int(step) + 1, "a load that is no number", np.nan)
                for step in np.flatnonzero(is_granted & ~is_number)
            ),
        ]

    def _check_tool(self, tcp: Vector, from_row: Numbers) -> list[Breach]:
        limits = self._limits
        speed = np.linalg.norm(np.diff(tcp, axis=0), axis=1) / limits.period_s
        return [
            *_cap("tool speed", (speed - limits.tcp_speed_mps)[:, None], _SPEED),
            *_ratchet(
                "workspace above", tcp - limits.workspace_max_m, _PLACE_M, from_row
            ),
            *_ratchet(
                "workspace below", limits.workspace_min_m - tcp, _PLACE_M, from_row
            ),
        ]

    def find_sigma(self, q: Vector) -> float:
        """Return the smallest singular value of the tool point's Jacobian."""
        self._place(q)
        mujoco.mj_comPos(self._model, self._state)
        jacobian = np.zeros((6, 6))
        mujoco.mj_jacSite(
            self._model, self._state, jacobian[:3], jacobian[3:], self._tcp
        )
        return float(np.linalg.svd(jacobian, compute_uv=False)[-1])

    def _check_singular(self, path: Vector, from_row: Numbers) -> list[Breach]:
        """Check what was granted; a ramp to rest may come as near as it comes."""
        lack = self._limits.singular_value - np.array(
            [self.find_sigma(q) for q in path]
        )
        excess = lack[1:] - np.maximum(lack[:-1], 0.0)
        excess[from_row < np.arange(len(path) - 1)] = -1.0
        return _cap("singular value", excess[:, None], _SINGULAR)

    def _place(self, q: Vector) -> None:
        self._state.qpos[:] = q
        mujoco.mj_kinematics(self._model, self._state)

    def _measure_zone(self, capsule: int, zone: int) -> float:
        bodies = self._bodies
        radius = float(bodies.radius[capsule])
        if radius <= 0.0:
            return _FAR_M
        margin = float(bodies.zone_margin[zone])
        if bodies.zone_kind[zone] == HALF_SPACE:
            pose = bodies.base_from_zone[zone]
            heights = (self._ends(capsule) - pose[:, 3]) @ pose[:, 2]
            return float(heights.min()) - radius - margin
        distance = self._distance(f"capsule_{capsule}", f"zone_{zone}")
        if -radius < distance < 0.0 and self._enters(capsule, zone):
            # MuJoCo meets a capsule and a box at edges and ends, so it says of an axis
            # that goes through a box that it passes beside it.
            distance = -radius
        # Once the capsule's axis is inside, depth is a matter of definition.
        return max(distance, -radius) - margin

    def _enters(self, capsule: int, zone: int) -> bool:
        """Say whether a capsule's axis meets a solid, by rays from both of its ends.

        A ray from inside meets the solid's surface on its way out.
        """
        geom = self._model.geom(f"zone_{zone}").id
        one, other = self._ends(capsule)
        to_solid = [
            mujoco.mju_rayGeom(
                self._state.geom_xpos[geom],
                self._state.geom_xmat[geom],
                self._model.geom_size[geom],
                begin,
                end - begin,
                int(self._model.geom_type[geom]),
            )
            for begin, end in ((one, other), (other, one))
        ]
        # In lengths of the axis, -1 for never. Of one that is inside from end to end
        # both rays leave beyond the other end.
        return any(0.0 <= share <= 1.0 for share in to_solid) or min(to_solid) > 1.0

    def _measure_self(self, one: int, other: int) -> float:
        if self._bodies.radius[one] <= 0.0 or self._bodies.radius[other] <= 0.0:
            return _FAR_M
        return self._distance(f"capsule_{one}", f"capsule_{other}")

    def _distance(self, one: str, other: str) -> float:
        return float(
            mujoco.mj_geomDistance(
                self._model,
                self._state,
                self._model.geom(one).id,
                self._model.geom(other).id,
                _FAR_M,
                None,
            )
        )

    def _ends(self, capsule: int) -> Vector:
        """Return both ends of a capsule's axis, shape (2, 3) [m]."""
        geom = self._model.geom(f"capsule_{capsule}").id
        middle = self._state.geom_xpos[geom]
        axis = self._state.geom_xmat[geom].reshape(3, 3)[:, 2]
        is_sphere = self._model.geom_type[geom] == mujoco.mjtGeom.mjGEOM_SPHERE
        half = 0.0 if is_sphere else self._model.geom_size[geom][1]
        return np.array([middle - half * axis, middle + half * axis])


def _cap(what: str, excess: Vector, tolerance: float) -> list[Breach]:
    """Name the rows in which an excess, shape (n, m), is too large or no number."""
    worst = np.max(excess, axis=1)
    return [
        Breach(int(step) + 1, what, float(worst[step]))
        for step in np.flatnonzero(~(worst <= tolerance))
    ]


def _ratchet(
    what: str, excess: Vector, tolerance: float, from_row: Numbers | None = None
) -> list[Breach]:
    """As `_cap` for rows 1 to n, where the excess of an earlier row is permitted.

    That is the row before, if `from_row` does not say another for each.
    """
    before = excess[:-1] if from_row is None else excess[from_row]
    return _cap(what, excess[1:] - np.maximum(before, 0.0), tolerance)


def _name(what: str, path: Vector) -> list[Breach]:
    broken = np.flatnonzero(~np.isfinite(path).all(axis=1))
    return [Breach(int(step), what, np.nan) for step in broken]
