"""One physics tick of the cell, and the records that go out. No process, no clock."""

from dataclasses import dataclass
from typing import Final, cast

import mujoco
import numpy as np

from ops.settings import Settings
from sim2real.scene.build import TIMESTEP_S, Scene, is_solved
from sim2real.scene.handles import ArmHandles
from sim2real.virtual_cell.links import JOINT_STATE, WORLD_STATE, PartZone
from sim2real.virtual_cell.monitor import Monitor, MonitorSample, Violation
from sim2real.virtual_cell.part_flow import LineOrder, PartFlow
from sim2real.virtual_cell.world_contacts import (
    ContactReader,
    ContactReport,
    FlangeSensor,
)
from sim2real.virtual_cell.world_scene import build_world_scene
from sim2real.virtual_cell.world_servo import GripperDrive, JointServo, JointTarget

ROBOT_COLLISION_N: Final = 150.0
"""Filtered contact force at which the robot stops itself (UR's own setting)."""

# The robot looks for the flag once a tick; this long it stays up at least.
_COLLISION_HOLD_TICKS: Final = 25
# After any of these the simulator starts over by itself, from a state nobody set.
_DIVERGENCES: Final = (
    mujoco.mjtWarning.mjWARN_BADQPOS,
    mujoco.mjtWarning.mjWARN_BADQVEL,
    mujoco.mjtWarning.mjWARN_BADQACC,
    mujoco.mjtWarning.mjWARN_BADCTRL,
)


@dataclass(frozen=True, eq=False)
class TickResult:
    """What one tick brought.

    Attributes:
        contacts: see `ContactReport`.
        violations: onsets seen by the monitor.
        has_diverged: the physics gave up; the state after it means nothing.
    """

    contacts: ContactReport
    violations: list[Violation]
    has_diverged: bool = False


class WorldCell:
    """The scene with everything that acts in it.

    Attributes:
        scene: model and state.
        flow: the parts.
        monitor: the witness of the limits.
        ticks: physics steps since start.
        unsolved_ticks: those whose contact forces were given up before they were found.
    """

    def __init__(self, settings: Settings) -> None:
        self.scene = build_world_scene(settings)
        self._arm = _arm_of(self.scene)
        # A second stream, so that the pool does not depend on what is done with it.
        rng = np.random.default_rng([settings.virtual_cell.seed, 1])
        self.flow = PartFlow(self.scene, rng)
        self.flow.fill(settings.virtual_cell.parts_in_bin)
        self.monitor = Monitor(settings.safety)
        self.ticks = 0
        self.unsolved_ticks = 0
        self._servo = JointServo(self.scene)
        self._gripper = GripperDrive(self.scene)
        self._contacts = ContactReader(self.scene)
        self._flange = FlangeSensor(self.scene)
        self._first_geoms = [int(g[0]) for g in self.scene.part_handles.geoms]
        self._velocity = np.zeros(6)
        self._collision_until = -1
        self._joint_record = np.zeros((), JOINT_STATE)
        self._world_record = np.zeros((), WORLD_STATE)

    def step(
        self, target: JointTarget | None, order: LineOrder | None, now_ns: int
    ) -> TickResult:
        """Advance the physics by one tick that begins at `now_ns`."""
        scene = self.scene
        self._servo.step(target, now_ns)
        self._gripper.step(target)
        mujoco.mj_step(scene.model, scene.data)
        self.unsolved_ticks += not is_solved(scene)
        self.ticks += 1
        contacts = self._contacts.read()
        if any(scene.data.warning[kind].number for kind in _DIVERGENCES):
            found = [self.monitor.note_divergence(self.ticks)]
            return TickResult(contacts, found, has_diverged=True)
        if max(contacts.fixture_force_n, contacts.self_force_n) > ROBOT_COLLISION_N:
            self._collision_until = self.ticks + _COLLISION_HOLD_TICKS
        self.flow.step(self.ticks, order, contacts.grasped_part)
        violations = self.monitor.check(self._sample(target, contacts))
        return TickResult(contacts, violations)

    def make_joint_record(self, contacts: ContactReport, now_ns: int) -> np.void:
        """Return what the robot controller measures after a tick."""
        data, record = self.scene.data, self._joint_record
        record["stamp_ns"] = now_ns
        record["tick"] = self.ticks
        record["q"] = data.qpos[self._arm.qpos]
        record["qd"] = data.qvel[self._arm.qvel]
        record["tau"] = data.actuator_force[self._arm.actuators]
        record["flange_wrench"] = self._flange.sense(contacts.flange_wrench)
        record["gripper_position"] = self._gripper.read_position()
        record["gripper_velocity"] = self._gripper.read_velocity()
        record["gripper_contact"] = contacts.grasped_part >= 0
        record["collision"] = self.ticks < self._collision_until
        return cast(np.void, record[()])

    def make_world_record(self, real_time_factor: float, now_ns: int) -> np.void:
        """Return what camera, line PLC and report look at."""
        scene, record, flow = self.scene, self._world_record, self.flow
        record["stamp_ns"] = now_ns
        record["tick"] = self.ticks
        record["sim_time_s"] = self.ticks * TIMESTEP_S
        record["qpos"][: scene.model.nq] = scene.data.qpos
        record["part_rgba"] = scene.model.geom_rgba[self._first_geoms]
        record["part_zone"] = flow.zones
        record["parts_in_bin"] = flow.count(PartZone.BIN)
        record["parts_on_outfeed"] = flow.count(PartZone.OUTFEED)
        record["parts_lost"] = flow.lost
        record["refills"] = flow.refills
        record["real_time_factor"] = real_time_factor
        record["limit_violations"] = self.monitor.count
        last = self.monitor.last
        record["violation_kind"] = b"" if last is None else last.kind.encode()
        return cast(np.void, record[()])

    def make_report(self, real_time_factor: float) -> dict[str, object]:
        """Return the figures for a person, JSON-able."""
        counts = self.monitor.counts
        return {
            "limit_violations": self.monitor.count,
            "violations_by_kind": {str(k): n for k, n in counts.items() if n},
            "peak_forces_n": {
                name: {"force_n": round(force_n, 1), "where": where}
                for name, (force_n, where) in self.monitor.peaks.items()
            },
            "real_time_factor": real_time_factor,
            "parts_in_bin": self.flow.count(PartZone.BIN),
            "parts_on_outfeed": self.flow.count(PartZone.OUTFEED),
            "parts_lost": self.flow.lost,
            "refills": self.flow.refills,
            "ticks": self.ticks,
            "unsolved_ticks": self.unsolved_ticks,
        }

    def _sample(
        self, target: JointTarget | None, contacts: ContactReport
    ) -> MonitorSample:
        model, data = self.scene.model, self.scene.data
        site = self._arm.tcp_site
        mujoco.mj_objectVelocity(
            model, data, mujoco.mjtObj.mjOBJ_SITE, site, self._velocity, 0
        )
        return MonitorSample(
            tick=self.ticks,
            q=data.qpos[self._arm.qpos],
            qd=data.qvel[self._arm.qvel],
            q_target=None if target is None else target.q,
            target_stamp_ns=0 if target is None else target.stamp_ns,
            tcp_position_m=data.site_xpos[site],
            tcp_speed_mps=float(np.linalg.norm(self._velocity[3:])),
            fixture_force_n=contacts.fixture_force_n,
            fixture=contacts.fixture,
            self_force_n=contacts.self_force_n,
            body_force_n=contacts.body_force_n,
            body=contacts.body,
        )


def _arm_of(scene: Scene) -> ArmHandles:
    if scene.arm is None:
        raise ValueError("the world needs a scene with an arm")
    return scene.arm
