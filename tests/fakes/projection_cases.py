"""States and wishes for the projection: ordinary, at every edge, singular, nonsense."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cell.contracts.geometry import Pose
from cell.kinematics.kernels import (
    compose,
    fill_frames,
    fill_jacobian,
    smallest_singular_value,
)
from safety.limits import make_limits
from safety.projection import PROJECTION, project_increment, project_pose
from safety.projection_limits import make_projection_limits
from tests.fakes.motion_oracle import HOME_Q, OVER_BIN_Q, PERIOD_S, SAFETY, TOOL_Z_M

Vector = NDArray[np.float64]

TOOL = Pose(np.array([0.0, 0.0, TOOL_Z_M]), np.array([1.0, 0.0, 0.0, 0.0]))
JERK_RADPS3 = 5000.0
QUICK_JERK_RADPS3 = 20_000.0
"""Turns full acceleration into more than a quarter of full braking within a cycle."""


def make_packed(
    jerk_radps3: float | None = None, increment_rad: Vector | None = None
) -> NDArray[Any]:
    """Return the limits of a projection, with the jerk that is asked for or none."""
    guard = with_jerk(make_limits(SAFETY, TOOL, PERIOD_S), jerk_radps3 or 1e6)
    return make_projection_limits(guard, increment_rad)


def with_jerk(limits: NDArray[Any], jerk_radps3: float) -> NDArray[Any]:
    """Return limits that hold a jerk, whether or not they had one."""
    names = [name for name in limits.dtype.names or () if name != "joint_jerk_radps3"]
    kinds = [(name, limits.dtype[name]) for name in names]
    changed = np.zeros(1, np.dtype([*kinds, ("joint_jerk_radps3", "<f8", (6,))]))
    for name in names:
        changed[name] = limits[name]
    changed["joint_jerk_radps3"] = jerk_radps3
    return changed


def answer_increment(
    packed: NDArray[Any], q: Vector, qd: Vector, qdd: Vector, action: Vector
) -> Any:
    """Return one `PROJECTION` of the runtime kernel."""
    out = np.zeros(1, PROJECTION)
    project_increment(q, qd, qdd, action, packed, out)
    return out[0]


def answer_pose(packed: NDArray[Any], q: Vector, base_from_tcp: Vector) -> Any:
    """Return one `PROJECTION` of the runtime kernel."""
    out = np.zeros(1, PROJECTION)
    project_pose(q, base_from_tcp, packed, out)
    return out[0]


def compute_tcp_transform(packed: NDArray[Any], q: Vector) -> Vector:
    """Return the tool pose, shape (3, 4)."""
    frames, tcp = np.empty((7, 3, 4)), np.empty((3, 4))
    fill_frames(q, frames)
    compose(frames[6], packed["flange_from_tcp"][0].copy(), tcp)
    return tcp


def compute_sigma(packed: NDArray[Any], q: Vector) -> float:
    """Return the smallest singular value of the TCP Jacobian."""
    frames, jacobian = np.empty((7, 3, 4)), np.empty((6, 6))
    fill_frames(q, frames)
    fill_jacobian(frames, compute_tcp_transform(packed, q), jacobian)
    return smallest_singular_value(jacobian)


@dataclass(frozen=True, eq=False)
class Increments:
    """States and actions, each of shape (n, 6)."""

    q: Vector
    qd: Vector
    qdd: Vector
    action: Vector


def draw_increments(
    rng: np.random.Generator, count: int, packed: NDArray[Any]
) -> Increments:
    """Draw states of every kind, most of them within a hair of some limit."""
    lim = packed[0]
    low, high = lim["joint_min_rad"], lim["joint_max_rad"]
    top, rate = lim["joint_speed_radps"], lim["joint_acceleration_radps2"]
    shape = (count, 6)
    q = rng.uniform(low, high, shape)
    near = _draw_hair(rng, shape)
    q = np.where(rng.random(shape) < 0.2, high - near, q)
    q = np.where(rng.random(shape) < 0.2, low + near, q)
    # Few beyond their position limit, or every sample would have one.
    q = np.where(rng.random(shape) < 0.01, high + near, q)
    calm = rng.random((count, 1)) < 0.5
    qd = rng.uniform(-top, top, shape) * np.where(calm, 0.05, 1.0)
    qd = np.where(rng.random(shape) < 0.1, rng.choice([-1, 1], shape) * top, qd)
    qd = np.where(rng.random(shape) < 0.02, qd * (1.0 + _draw_hair(rng, shape)), qd)
    qd = np.where(rng.random(shape) < 0.1, 0.0, qd)
    qdd = rng.uniform(-rate, rate, shape) * np.where(calm, 0.1, 1.0)
    qdd = np.where(rng.random(shape) < 0.1, rng.choice([-1, 1], shape) * rate, qdd)
    action = rng.uniform(-1.5, 1.5, shape)
    gentle = (qd + rng.uniform(-1.2, 1.2, shape) * rate * lim["period_s"]) / top
    action = np.where(rng.random((count, 1)) < 0.5, gentle, action)
    action = np.where(rng.random(shape) < 0.1, rng.choice([-1, 0, 1], shape), action)
    drawn = Increments(q, qd, qdd, action)
    for numbers in (q, qd, qdd, action):
        spoil(rng, numbers, 0.0005)
    return drawn


@dataclass(frozen=True, eq=False)
class Poses:
    """Joint positions (n, 6) and wished tool poses (n, 3, 4)."""

    q: Vector
    base_from_tcp: Vector


def draw_poses(rng: np.random.Generator, count: int, packed: NDArray[Any]) -> Poses:
    """Draw starts and targets: near, far, out of reach, singular and at every face."""
    lim = packed[0]
    kinds = rng.integers(8, size=count)
    q = np.empty((count, 6))
    targets = np.empty((count, 3, 4))
    for i, kind in enumerate(kinds.tolist()):
        goal = _draw_goal(rng, kind, packed)
        way = rng.normal(size=6) * 10.0 ** rng.uniform(-4.0, 0.0)
        q[i] = goal - way * rng.choice([0.0, 1.0], p=[0.1, 0.9])
        targets[i] = compute_tcp_transform(packed, goal)
        if kind == 5:
            # Next to a face of the workspace, from either side.
            axis = int(rng.integers(3))
            face = lim[("workspace_min_m", "workspace_max_m")[int(rng.integers(2))]]
            shift = _draw_hair(rng, (1,))[0] * rng.choice([-1.0, 1.0])
            targets[i, axis, 3] = face[axis] + shift
        elif kind == 6:
            targets[i, :, 3] = rng.uniform(-1.5, 1.5, 3)
        elif kind == 7:
            targets[i] = _draw_transform(rng)
    mirrored = rng.random(count) < 0.002
    targets[mirrored, :, 0] *= -1.0
    targets[rng.random(count) < 0.002, :, :3] *= 1.001
    spoil(rng, q, 0.0003)
    spoil(rng, targets, 0.0003)
    return Poses(q, targets)


def spoil(rng: np.random.Generator, numbers: Vector, share: float) -> None:
    """Put what is no number, or too large to be one, in a few places."""
    where = rng.random(numbers.shape) < share
    numbers[where] = rng.choice([np.nan, np.inf, -np.inf, 1e7, -1e300], where.sum())


def _draw_goal(rng: np.random.Generator, kind: int, packed: NDArray[Any]) -> Vector:
    """Draw joint positions; by kind ordinary, singular, or at a limit."""
    lim = packed[0]
    home = (HOME_Q, OVER_BIN_Q)[int(rng.integers(2))]
    goal = home + rng.normal(size=6) * 10.0 ** rng.uniform(-3.0, -0.3)
    if kind == 1:
        return np.asarray(rng.uniform(lim["joint_min_rad"], lim["joint_max_rad"]))
    if kind == 2:
        # Wrist, elbow or both nearly straight.
        goal[4] = rng.choice([0.0, 1.0]) * 10.0 ** rng.uniform(-8.0, -0.3)
        goal[2] = goal[2] * rng.choice([1.0, 1e-3])
    elif kind == 3:
        _turn_wrist_to_the_edge(rng, goal, packed)
    elif kind == 4:
        joint = int(rng.integers(6))
        limit = lim[("joint_min_rad", "joint_max_rad")[int(rng.integers(2))]][joint]
        shift = _draw_hair(rng, (1,))[0] * rng.choice([-1.0, 1.0])
        goal[joint] = limit + shift
    return np.asarray(goal)


def _turn_wrist_to_the_edge(
    rng: np.random.Generator, goal: Vector, packed: NDArray[Any]
) -> None:
    """Bisect to where the smallest singular value meets its limit, then step beside."""
    straight, bent = 0.0, -1.5
    for _ in range(40):
        goal[4] = 0.5 * (straight + bent)
        if compute_sigma(packed, goal) > packed["singular_value"][0]:
            bent = float(goal[4])
        else:
            straight = float(goal[4])
    goal[4] += _draw_hair(rng, (1,))[0] * rng.choice([-1.0, 1.0])


def _draw_hair(rng: np.random.Generator, shape: tuple[int, ...]) -> Vector:
    """Draw small distances, evenly over their orders of magnitude."""
    return np.asarray(10.0 ** rng.uniform(-8.0, -1.5, shape))


def _draw_transform(rng: np.random.Generator) -> Vector:
    quat = rng.normal(size=4)
    pose = Pose(rng.uniform(-0.7, 0.7, 3), quat / np.linalg.norm(quat))
    return np.ascontiguousarray(pose.as_matrix()[:3])
