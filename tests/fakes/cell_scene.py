"""Scenes and worlds of the shipped configuration, and a driver without processes."""

from pathlib import Path

import numpy as np

from cell.contracts.geometry import Pose, Vector
from cell.kinematics.inverse import solve_ik
from ops.settings import Settings, load_settings
from sim2real.scene.build import Scene, build_scene
from sim2real.scene.geometry import SceneGeometry
from sim2real.scene.parts import sample_parts
from sim2real.virtual_cell.part_flow import LineOrder
from sim2real.virtual_cell.world_cell import TickResult, WorldCell
from sim2real.virtual_cell.world_pace import TICK_NS
from sim2real.virtual_cell.world_servo import JointTarget

ROOT = Path(__file__).resolve().parents[2]


def shipped_settings(seed: int = 0, parts_in_bin: int = 12) -> Settings:
    """The configuration of the repository with another bin."""
    settings = load_settings(ROOT / "config.yaml")
    virtual = settings.virtual_cell.model_copy(
        update={"seed": seed, "parts_in_bin": parts_in_bin}
    )
    return settings.model_copy(update={"virtual_cell": virtual})


def shipped_geometry() -> SceneGeometry:
    return SceneGeometry.from_settings(shipped_settings())


def make_scene(seed: int = 0, parts: int = 24) -> Scene:
    return build_scene(
        sample_parts(parts, np.random.default_rng(seed)), shipped_geometry()
    )


class DrivenWorld:
    """A world with a controller that moves it along smooth joint ramps."""

    def __init__(self, seed: int = 0, parts_in_bin: int = 12) -> None:
        self.world = WorldCell(shipped_settings(seed, parts_in_bin))
        self.geometry = self.world.scene.geometry
        self.q = np.array(self.geometry.home_q_rad)
        self.closed = 0.0
        self.order = LineOrder(0, 0, 0)
        self.now_ns = 0
        self.target: JointTarget | None = None
        self.result: TickResult = self.tick(self.q)

    def tick(self, q: Vector, qd: Vector | None = None) -> TickResult:
        self.now_ns += TICK_NS
        self.target = JointTarget(
            stamp_ns=self.now_ns,
            q=q,
            qd=np.zeros(6) if qd is None else qd,
            gripper_position=self.closed,
            gripper_speed=1.0,
            gripper_force=0.4,
            brakes_released=True,
        )
        self.result = self.world.step(self.target, self.order, self.now_ns)
        return self.result

    def move(self, q_end: Vector, seconds: float) -> None:
        start, previous = self.q, self.q
        steps = round(seconds / 0.002)
        for step in range(1, steps + 1):
            s = step / steps
            q = start + (q_end - start) * (10 * s**3 - 15 * s**4 + 6 * s**5)
            self.tick(q, (q - previous) / 0.002)
            previous = q
        self.q = q_end

    def hold(self, seconds: float) -> None:
        for _ in range(round(seconds / 0.002)):
            self.tick(self.q)

    def joints_at(self, position_m: Vector, yaw_rad: float = 0.0) -> Vector:
        """Joint positions of a tool-down pose."""
        return self.joints_of(Pose.tool_down(position_m.tolist(), yaw_rad))

    def joints_of(self, pose: Pose) -> Vector:
        q = solve_ik(pose, self.geometry.flange_from_tcp, self.q)
        assert q is not None
        return q

    def joint_record(self) -> np.void:
        return self.world.make_joint_record(self.result.contacts, self.now_ns)
