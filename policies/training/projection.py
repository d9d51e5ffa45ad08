"""The guard's projection as layers of a network, with gradients.

`safety.projection` decides on the running cell; these layers compute the same, batched,
so that a policy is trained on what will become of its wishes. They are told the guard's
limits as plain arrays. A wish that is refused leaves the arm where it is, and tells by
a loss how far it is from being granted.

Clamps have their true gradients: none beyond a limit. There the losses point back, or
`straight=True` passes gradients through as if nothing had been cut.
"""

from dataclasses import dataclass, fields
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from policies.training.kinematics import (
    compute_damped_step,
    compute_length,
    compute_pose_error,
    compute_smallest_singular_value,
    compute_tool,
)

# Those of `safety.projection`; a test compares them.
IK_ITERATIONS = 5
IK_DAMPING = 0.03
LONGEST_STEP_RAD = 0.5
REACHED_M = 1e-4
REACHED_RAD = 1e-3
ROTATION_TOLERANCE = 1e-5
LARGEST_NUMBER = 1e6
ROUNDING = 2.0**-30
BRAKING_SHARE = 0.999
LEAST_BRAKING = 0.25

LEVER_M = 0.5
"""A radian counts in losses like this many metres, half of the arm's reach."""

Numbers = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class ProjectionLimits:
    """What the projection holds to, as plain arrays.

    Attributes:
        period_s: control period.
        joint_min_rad: shape (6,).
        joint_max_rad: shape (6,).
        joint_speed_radps: shape (6,).
        joint_acceleration_radps2: shape (6,).
        workspace_min_m: lower corner of the TCP's box, shape (3,).
        workspace_max_m: upper corner, shape (3,).
        singular_value: the smallest one of the TCP Jacobian must be above it.
        flange_from_tcp: tool, shape (3, 4).
        joint_jerk_radps3: shape (6,); None limits none.
        increment_rad: joint-limit matrix, shape (6, 6); None stands for full speed of
            its own joint for each action.
    """

    period_s: float
    joint_min_rad: Numbers
    joint_max_rad: Numbers
    joint_speed_radps: Numbers
    joint_acceleration_radps2: Numbers
    workspace_min_m: Numbers
    workspace_max_m: Numbers
    singular_value: float
    flange_from_tcp: Numbers
    joint_jerk_radps3: Numbers | None = None
    increment_rad: Numbers | None = None

    @classmethod
    def from_packed(cls, limits: NDArray[Any]) -> "ProjectionLimits":
        """Read the limits of a guard, a structured array of length 1."""
        names = set(limits.dtype.names or ())
        return cls(
            **{
                field.name: limits[field.name][0]
                for field in fields(cls)
                if field.name in names
            }
        )


class IncrementAnswer(NamedTuple):
    """What became of normalised increments.

    Attributes:
        q: joint positions to request, or the present ones, shape (..., 6) [rad].
        is_granted: whether there is a permitted velocity at all, shape (...).
        loss: what was cut off, in terms of the joints' speed limits, their sum; 0 where
            nothing was, and where nothing is permitted anyway, shape (...).
    """

    q: Tensor
    is_granted: Tensor
    loss: Tensor


class PoseAnswer(NamedTuple):
    """What became of tool poses.

    Attributes:
        q: joint positions of the pose, or the present ones, shape (..., 6) [rad].
        is_granted: whether it was, shape (...).
        residual_m: distance left after the last step, shape (...).
        residual_rad: angle left, shape (...).
        singular_value: the smallest one there, shape (...).
        loss: how far the pose is from being granted [m], 0 where it is, shape (...).
    """

    q: Tensor
    is_granted: Tensor
    residual_m: Tensor
    residual_rad: Tensor
    singular_value: Tensor
    loss: Tensor


class _Constants(nn.Module):
    """Holds numbers as tensors, which convert and are exported in full precision.

    The exporter rounds plain numbers of Python to single precision.
    """

    def _keep(self, name: str, value: Any) -> None:
        tensor = torch.as_tensor(np.array(value, dtype=np.float64))
        self.register_buffer(name, tensor, persistent=False)


class BrakingSpeed(_Constants):
    """The speed from which some room is enough to come to rest, joint by joint."""

    line: Tensor
    edge: Tensor
    slope: Tensor
    twice: Tensor
    tangent: Tensor
    corner: Tensor

    def __init__(
        self, rate: Numbers, period_s: float, reaction_s: float, lead_s: Numbers
    ) -> None:
        """Take numbers as `safety.velocity_box.compute_braking_speed` does."""
        super().__init__()
        rate = rate * BRAKING_SHARE
        tangent = rate * (reaction_s - 0.5 * period_s)
        slope = rate * (0.5 * period_s + lead_s)
        self._keep("line", reaction_s + lead_s)
        self._keep("edge", (reaction_s + lead_s) * tangent)
        self._keep("slope", slope)
        self._keep("twice", 2.0 * rate)
        self._keep("tangent", tangent * tangent)
        self._keep("corner", (slope + tangent) ** 2)

    def forward(self, room: Tensor) -> Tensor:
        """Return speeds for the room that is left, both of shape (..., 6)."""
        square = self.slope * self.slope + self.twice * room - self.tangent
        # Nearer, where the line counts, there may be no root.
        root = torch.sqrt(torch.maximum(square, self.corner))
        return torch.where(room > self.edge, root - self.slope, room / self.line)


class IncrementProjection(_Constants):
    """Normalised joint increments, -1..1, onto what one cycle permits."""

    low: Tensor
    high: Tensor
    increment: Tensor
    speed: Tensor
    jerk: Tensor
    period: Tensor
    change: Tensor
    turn: Tensor

    def __init__(self, limits: ProjectionLimits, *, straight: bool = False) -> None:
        super().__init__()
        self._straight = straight
        period_s = float(limits.period_s)
        speed = np.asarray(limits.joint_speed_radps, np.float64)
        rate = np.asarray(limits.joint_acceleration_radps2, np.float64)
        jerk = 2.0 * rate / period_s
        if limits.joint_jerk_radps3 is not None:
            jerk = np.minimum(jerk, limits.joint_jerk_radps3)
        increment = limits.increment_rad
        if increment is None:
            increment = np.diag(speed * period_s)
        braking = jerk * period_s - rate
        is_quick = braking >= LEAST_BRAKING * rate
        braking = np.where(is_quick, braking, LEAST_BRAKING * rate)
        lead_s = np.where(is_quick, 0.0, 2.0 * rate / jerk)
        reaction_s = period_s + 0.5 * float(np.max(speed / rate))
        self._keep("low", np.asarray(limits.joint_min_rad) + ROUNDING)
        self._keep("high", np.asarray(limits.joint_max_rad) - ROUNDING)
        self._keep("increment", increment)
        self._keep("speed", speed)
        self._keep("jerk", jerk)
        self._keep("period", period_s)
        self._keep("change", rate * period_s)
        self._keep("turn", jerk * period_s)
        self.brake_speed = BrakingSpeed(jerk, period_s, period_s, np.zeros(6))
        self.brake_position = BrakingSpeed(braking, period_s, reaction_s, lead_s)

    def forward(
        self, q: Tensor, qd: Tensor, qdd: Tensor, action: Tensor
    ) -> IncrementAnswer:
        """Project a batch; all are (..., 6): state [rad, rad/s, rad/s2] and wish."""
        usable = _is_usable(q, qd, qdd, action)
        hold = q
        q, qd, qdd, action = (_where_usable(usable, x) for x in (q, qd, qdd, action))
        # What is beyond the range of actions counts as cut off, too.
        ones = torch.ones_like(action)
        clipped = _clamp(action, -ones, ones)
        asked = self._carry(clipped, action)
        wish = (asked[..., None, :] * self.increment).sum(-1) / self.period
        low, high = self.compute_box(q, qd, qdd)
        is_granted = usable & (low <= high).all(-1)
        velocity = _clamp(wish, low, high)
        cut = (wish - velocity).abs() / self.speed + (action - clipped).abs()
        step = self._carry(velocity, wish) * self.period
        granted = is_granted[..., None]
        return IncrementAnswer(
            torch.where(granted, q + step, hold),
            is_granted,
            torch.where(granted, cut, torch.zeros_like(cut)).sum(-1),
        )

    def compute_box(self, q: Tensor, qd: Tensor, qdd: Tensor) -> tuple[Tensor, Tensor]:
        """Return the lowest and highest velocities permitted, (..., 6) [rad/s]."""
        period = self.period
        down = self.brake_speed(self.speed + qd)
        up = self.brake_speed(self.speed - qd)
        lows = (
            qd - self.change,
            qd + (qdd - self.turn) * period,
            torch.maximum(qd - period * down, -self.speed),
            -self.brake_position(torch.relu(q - self.low)),
        )
        highs = (
            qd + self.change,
            qd + (qdd + self.turn) * period,
            torch.minimum(qd + period * up, self.speed),
            self.brake_position(torch.relu(self.high - q)),
        )
        return torch.stack(lows).amax(0), torch.stack(highs).amin(0)

    def _carry(self, clamped: Tensor, wish: Tensor) -> Tensor:
        if not self._straight:
            return clamped
        # The difference is exactly zero, and carries the gradient.
        return clamped.detach() + (wish - wish.detach())


class PoseProjection(_Constants):
    """Tool poses onto joint positions near the present ones."""

    joint_min_rad: Tensor
    joint_max_rad: Tensor
    workspace_min_m: Tensor
    workspace_max_m: Tensor
    lowest_sigma: Tensor
    flange_from_tcp: Tensor
    reached_m: Tensor
    reached_rad: Tensor

    def __init__(self, limits: ProjectionLimits) -> None:
        super().__init__()
        self._keep("joint_min_rad", limits.joint_min_rad)
        self._keep("joint_max_rad", limits.joint_max_rad)
        self._keep("workspace_min_m", limits.workspace_min_m)
        self._keep("workspace_max_m", limits.workspace_max_m)
        self._keep("lowest_sigma", limits.singular_value)
        self._keep("flange_from_tcp", limits.flange_from_tcp)
        self._keep("reached_m", REACHED_M)
        self._keep("reached_rad", REACHED_RAD)

    def forward(self, q: Tensor, base_from_tcp: Tensor) -> PoseAnswer:
        """Project a batch.

        Args:
            q: joint positions to start from, shape (..., 6) [rad].
            base_from_tcp: wishes, shape (..., 3, 4).
        """
        usable = _is_usable(q, base_from_tcp.flatten(-2))
        hold = q
        q = _where_usable(usable, q)
        target = torch.where(
            usable[..., None, None],
            base_from_tcp,
            torch.eye(3, 4, dtype=q.dtype, device=q.device),
        )
        goal = q
        for _ in range(IK_ITERATIONS):
            tcp, jacobian = compute_tool(goal, self.flange_from_tcp)
            error = compute_pose_error(tcp, target)
            step = compute_damped_step(jacobian, error, IK_DAMPING)
            longest = step.abs().amax(-1, keepdim=True).clamp(min=LONGEST_STEP_RAD)
            goal = goal + step * (LONGEST_STEP_RAD / longest)
        tcp, jacobian = compute_tool(goal, self.flange_from_tcp)
        error = compute_pose_error(tcp, target)
        residual_m = compute_length(error[..., :3])
        residual_rad = compute_length(error[..., 3:])
        sigma = compute_smallest_singular_value(jacobian)
        reach = torch.relu(residual_m - self.reached_m)
        reach = reach + LEVER_M * torch.relu(residual_rad - self.reached_rad)
        place = _outside(tcp[..., 3], self.workspace_min_m, self.workspace_max_m)
        turn = _outside(goal, self.joint_min_rad, self.joint_max_rad)
        loss = reach + place + LEVER_M * turn
        loss = loss + torch.relu(self.lowest_sigma - sigma)
        is_granted = (
            usable
            & (_compute_rotation_error(target) <= ROTATION_TOLERANCE)
            & (residual_m <= self.reached_m)
            & (residual_rad <= self.reached_rad)
            & _is_inside(goal, self.joint_min_rad, self.joint_max_rad)
            & _is_inside(tcp[..., 3], self.workspace_min_m, self.workspace_max_m)
            & (sigma > self.lowest_sigma)
        )
        return PoseAnswer(
            torch.where(is_granted[..., None], goal, hold),
            is_granted,
            residual_m,
            residual_rad,
            sigma,
            torch.where(usable, loss, torch.zeros_like(loss)),
        )


def _is_usable(*tensors: Tensor) -> Tensor:
    """Tell which samples hold numbers that an arm can have; NaN and infinity fail."""
    usable = torch.stack([(x.abs() < LARGEST_NUMBER).all(-1) for x in tensors])
    return usable.all(0)


def _where_usable(usable: Tensor, numbers: Tensor) -> Tensor:
    # Zeros in place of what is none, for its gradient would spoil those of others.
    return torch.where(usable[..., None], numbers, torch.zeros_like(numbers))


def _outside(value: Tensor, low: Tensor, high: Tensor) -> Tensor:
    return (torch.relu(low - value) + torch.relu(value - high)).sum(-1)


def _is_inside(value: Tensor, low: Tensor, high: Tensor) -> Tensor:
    return ((value >= low) & (value <= high)).all(-1)


def _compute_rotation_error(transform: Tensor) -> Tensor:
    """Return how far the columns of (..., 3, 4) are from a rotation, shape (...)."""
    rotation = transform[..., :3].detach()
    unit = torch.eye(3, dtype=rotation.dtype, device=rotation.device)
    product = rotation.transpose(-1, -2) @ rotation - unit
    worst = product.abs().amax((-1, -2))
    cross = torch.linalg.cross(rotation[..., 0], rotation[..., 1])
    volume = (cross * rotation[..., 2]).sum(-1)
    # The columns of a mirror image are right in all but this.
    return torch.where(volume > 0.0, worst, worst.clamp(min=2.0))


def _clamp(wish: Tensor, low: Tensor, high: Tensor) -> Tensor:
    return torch.minimum(torch.maximum(wish, low), high)
