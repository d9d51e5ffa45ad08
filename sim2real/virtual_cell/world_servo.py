"""The joint servo and the gripper's drive, as they behave inside the real devices.

Targets arrive through shared memory with the jitter of a shared machine; the real
controller has none. So the servo follows the targets' speed, pulls slowly towards their
position, and bridges short gaps. Where it had to brake it comes back to the targets'
speed no faster than it brakes: a step would be a jump that no drive can make.
"""

import math
from dataclasses import dataclass
from typing import Final

import numpy as np

from cell.contracts.geometry import Vector
from cell.contracts.units import s_from_ns
from sim2real.scene.build import TIMESTEP_S, Scene
from sim2real.scene.gripper import (
    MAX_APERTURE_M,
    compute_aperture_m,
    compute_control,
    compute_speed_mps,
    compute_torque_limit_nm,
)
from sim2real.scene.robot import compute_feed_forward

BRIDGE_S: Final = 0.04
"""A target may be this old; then the arm brakes and holds."""

_DECELERATION_RADPS2: Final = 40.0
_STEP_RADPS: Final = _DECELERATION_RADPS2 * TIMESTEP_S
# Share of the position error taken up in a tick, and the speed this may cost.
_PULL: Final = 0.05
_PULL_MAX_RADPS: Final = 0.3
# The finger drive trails its control by its damping over its stiffness.
_DRIVE_LAG_S: Final = 0.1
# The URCap's full stroke in position units, as the product converts it.
STROKE_M: Final = 0.085


@dataclass(frozen=True, eq=False)
class JointTarget:
    """One order of the robot controller.

    Attributes:
        stamp_ns: monotonic clock of the controller's tick.
        q: joint positions to hold, shape (6,) [rad].
        qd: their rate, shape (6,) [rad/s].
        gripper_position: 0 open .. 1 closed.
        gripper_speed: 0..1.
        gripper_force: 0..1.
        brakes_released: whether the drives may move the arm.
    """

    stamp_ns: int
    q: Vector
    qd: Vector
    gripper_position: float
    gripper_speed: float
    gripper_force: float
    brakes_released: bool


class JointServo:
    """Turns targets into position controls of the six joints."""

    def __init__(self, scene: Scene) -> None:
        if scene.arm is None:
            raise ValueError("a servo needs a scene with an arm")
        self._actuators = scene.arm.actuators
        self._data = scene.data
        self._feed_forward = compute_feed_forward(np.ones(6))
        self.q = np.array(scene.data.qpos[scene.arm.qpos])
        self.qd = np.zeros(6)
        self._has_braked = False

    def step(self, target: JointTarget | None, now_ns: int) -> None:
        """Write the controls of one tick that begins at `now_ns`."""
        age_s = np.inf if target is None else s_from_ns(now_ns - target.stamp_ns)
        if (
            target is None
            or not target.brakes_released
            or age_s > BRIDGE_S
            or not math.isfinite(sum(target.q) + sum(target.qd))
        ):
            self._brake()
        else:
            # A tick that is being caught up may lie before the stamp: age below zero.
            ahead_s = max(age_s, -BRIDGE_S)
            error = target.q + target.qd * ahead_s - self.q
            pull = error * (_PULL / TIMESTEP_S)
            np.clip(pull, -_PULL_MAX_RADPS, _PULL_MAX_RADPS, out=pull)
            self._go_at(target.qd + pull)
        self.q += self.qd * TIMESTEP_S
        self._data.ctrl[self._actuators] = self.q + self.qd * self._feed_forward

    def _go_at(self, wanted_radps: Vector) -> None:
        if self._has_braked:
            change = wanted_radps - self.qd
            self._has_braked = bool(np.abs(change).max() > _STEP_RADPS)
            wanted_radps = self.qd + np.clip(change, -_STEP_RADPS, _STEP_RADPS)
        self.qd = wanted_radps

    def _brake(self) -> None:
        self.qd = np.sign(self.qd) * np.maximum(np.abs(self.qd) - _STEP_RADPS, 0.0)
        self._has_braked = True


class GripperDrive:
    """Moves the fingers at the wanted speed with the wanted force."""

    def __init__(self, scene: Scene) -> None:
        if scene.arm is None:
            raise ValueError("a gripper drive needs a scene with an arm")
        self._scene = scene
        self._arm = scene.arm
        self._aperture_m = MAX_APERTURE_M
        self._force = -1.0

    def step(self, target: JointTarget | None) -> None:
        """Write the control of one tick; without a target the fingers stay."""
        if target is None:
            return
        wanted_m = (1.0 - min(max(target.gripper_position, 0.0), 1.0)) * STROKE_M
        reach_m = compute_speed_mps(target.gripper_speed) * TIMESTEP_S
        change_m = min(max(wanted_m - self._aperture_m, -reach_m), reach_m)
        self._aperture_m += change_m
        data = self._scene.data
        lead_m = change_m / TIMESTEP_S * _DRIVE_LAG_S
        data.ctrl[self._arm.gripper_actuator] = compute_control(
            min(max(self._aperture_m + lead_m, 0.0), MAX_APERTURE_M)
        )
        if target.gripper_force != self._force:
            self._force = target.gripper_force
            limit = compute_torque_limit_nm(target.gripper_force)
            self._scene.model.actuator_forcerange[self._arm.gripper_actuator] = (
                -limit,
                limit,
            )

    def read_position(self) -> float:
        """Return the measured position, 0 open .. 1 closed."""
        driver_rad = float(self._scene.data.qpos[self._arm.driver_qpos])
        return _position_of(driver_rad)

    def read_velocity(self) -> float:
        """Return the measured rate of the position [1/s]."""
        data = self._scene.data
        driver_rad = float(data.qpos[self._arm.driver_qpos])
        slope = (
            _position_of(driver_rad + 0.01) - _position_of(driver_rad - 0.01)
        ) / 0.02
        return slope * float(data.qvel[self._arm.driver_qvel])


def _position_of(driver_rad: float) -> float:
    return min(max(1.0 - compute_aperture_m(driver_rad) / STROKE_M, 0.0), 1.0)
