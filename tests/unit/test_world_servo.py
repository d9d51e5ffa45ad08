from dataclasses import replace

import mujoco
import numpy as np
import pytest

from cell.contracts.geometry import Vector
from sim2real.scene.build import Scene, build_scene, place_part
from sim2real.scene.parts import PartSpec
from sim2real.virtual_cell.world_pace import TICK_NS
from sim2real.virtual_cell.world_servo import GripperDrive, JointServo, JointTarget
from tests.fakes.cell_scene import shipped_geometry

HOME = np.array(shipped_geometry().home_q_rad)


@pytest.fixture
def scene() -> Scene:
    return build_scene([], shipped_geometry())


def order(tick: int, q: Vector, qd: Vector | None = None) -> JointTarget:
    return JointTarget(
        stamp_ns=tick * TICK_NS,
        q=q,
        qd=np.zeros(6) if qd is None else qd,
        gripper_position=0.0,
        gripper_speed=1.0,
        gripper_force=0.5,
        brakes_released=True,
    )


def sine(tick: int) -> tuple[Vector, Vector]:
    """A swing of two joints that peaks at 2 rad/s."""
    phase = 4.0 * tick * 0.002
    shape = np.array([1.0, 0.0, 0.0, 0.0, 0.0, 1.0])
    return HOME + 0.5 * (1 - np.cos(phase)) * shape, 2.0 * np.sin(phase) * shape


def run(scene: Scene, servo: JointServo, target: JointTarget | None, tick: int) -> None:
    servo.step(target, tick * TICK_NS)
    mujoco.mj_step(scene.model, scene.data)


def joints(scene: Scene) -> Vector:
    assert scene.arm is not None
    return np.array(scene.data.qpos[scene.arm.qpos])


def speeds(scene: Scene) -> Vector:
    assert scene.arm is not None
    return np.array(scene.data.qvel[scene.arm.qvel])


def test_the_arm_follows_two_radians_a_second_within_a_hundredth_of_a_radian(
    scene: Scene,
) -> None:
    servo = JointServo(scene)

    worst = 0.0
    for tick in range(1, 1500):
        q, qd = sine(tick)
        run(scene, servo, order(tick, q, qd), tick)
        worst = max(worst, float(np.abs(joints(scene) - q).max()))

    assert worst < 0.01


def test_the_arm_comes_to_rest_within_a_millimetre_of_its_target(scene: Scene) -> None:
    assert scene.arm is not None
    servo = JointServo(scene)
    for tick in range(1, 786):  # half a swing, at rest at its end
        run(scene, servo, order(tick, *sine(tick)), tick)
    end = sine(785)[0]

    for tick in range(786, 846):
        run(scene, servo, order(tick, end), tick)
    early = scene.data.site_xpos[scene.arm.tcp_site].copy()
    for tick in range(846, 1500):
        run(scene, servo, order(tick, end), tick)

    assert np.linalg.norm(early - scene.data.site_xpos[scene.arm.tcp_site]) < 1e-3
    assert np.abs(joints(scene) - end).max() < 1e-3


def test_late_and_bunched_targets_leave_no_mark_on_the_speed(scene: Scene) -> None:
    servo, rng = JointServo(scene), np.random.default_rng(0)
    seen = order(1, *sine(1))

    worst = 0.0
    for tick in range(1, 1500):
        if rng.random() < 0.5:  # the controller was not scheduled in the other ticks
            seen = order(tick, *sine(tick))
        run(scene, servo, seen, tick)
        worst = max(worst, float(np.abs(speeds(scene) - sine(tick)[1]).max()))

    assert worst < 0.3


def test_a_controller_that_falls_silent_in_motion_leaves_the_arm_at_rest(
    scene: Scene,
) -> None:
    servo = JointServo(scene)
    for tick in range(1, 196):
        run(scene, servo, order(tick, *sine(tick)), tick)
    last = order(195, *sine(195))
    assert np.abs(speeds(scene)).max() > 1.9

    for tick in range(196, 296):
        run(scene, servo, last, tick)
    stopped = joints(scene)
    for tick in range(296, 496):
        run(scene, servo, last, tick)

    assert np.abs(speeds(scene)).max() < 1e-3
    assert joints(scene) == pytest.approx(stopped, abs=1e-3)


def test_after_a_silence_the_arm_comes_back_without_a_jump(scene: Scene) -> None:
    servo = JointServo(scene)
    for tick in range(1, 156):
        run(scene, servo, order(tick, *sine(tick)), tick)

    steps, worst = [], 0.0
    for tick in range(156, 1500):
        # 60 ms without a new target, at nearly the highest speed.
        seen = 155 if tick < 186 else tick
        before = servo.qd.copy()
        run(scene, servo, order(seen, *sine(seen)), tick)
        steps.append(np.abs(servo.qd - before).max())
        if tick > 400:
            worst = max(worst, float(np.abs(joints(scene) - sine(tick)[0]).max()))

    # It brakes with 40 rad/s^2 and picks up the motion with no more.
    assert max(steps) == pytest.approx(40.0 * 0.002)
    assert worst < 0.01


def test_without_released_brakes_targets_move_nothing(scene: Scene) -> None:
    servo = JointServo(scene)

    for tick in range(1, 300):
        target = replace(order(tick, HOME + 0.5), brakes_released=False)
        run(scene, servo, target, tick)

    assert joints(scene) == pytest.approx(HOME, abs=1e-4)


def test_without_any_target_the_arm_stays_at_home(scene: Scene) -> None:
    servo = JointServo(scene)

    for tick in range(1, 300):
        run(scene, servo, None, tick)

    assert joints(scene) == pytest.approx(HOME, abs=1e-4)


def test_the_fingers_close_at_the_speed_they_are_told(scene: Scene) -> None:
    durations = []
    for speed in (0.0, 1.0):
        drive = GripperDrive(scene)
        mujoco.mj_resetData(scene.model, scene.data)
        target = replace(order(1, HOME), gripper_position=0.8, gripper_speed=speed)
        ticks = 0
        while drive.read_position() < 0.75 and ticks < 3000:
            drive.step(target)
            mujoco.mj_step(scene.model, scene.data)
            ticks += 1
        durations.append(ticks * 0.002)

    slow_s, fast_s = durations
    assert slow_s == pytest.approx(0.75 * 0.085 / 0.02, rel=0.1)
    assert fast_s == pytest.approx(0.75 * 0.085 / 0.15, rel=0.25)


def test_the_measured_finger_position_arrives_where_it_was_sent(scene: Scene) -> None:
    drive = GripperDrive(scene)

    for position in (0.3, 0.9, 0.0):
        for _ in range(1000):
            drive.step(replace(order(1, HOME), gripper_position=position))
            mujoco.mj_step(scene.model, scene.data)

        assert drive.read_position() == pytest.approx(position, abs=0.015)
        assert abs(drive.read_velocity()) < 0.01


def test_a_higher_force_setting_presses_harder() -> None:
    part = PartSpec("block", "cube", (0.04, 0.04, 0.04), 0.2, (1.0, 0.0, 0.0, 1.0))
    scene = build_scene([part], shipped_geometry())
    assert scene.arm is not None
    drive = GripperDrive(scene)
    tool = scene.data.site_xpos[scene.arm.tcp_site].tolist()
    place_part(scene, 0, tool, [1.0, 0.0, 0.0, 0.0])
    scene.model.body_gravcomp[scene.part_handles.bodies[0]] = 1.0
    scene.data.qvel[:] = 0.0

    presses = []
    for force in (0.0, 0.5, 1.0):
        for _ in range(500):
            drive.step(
                replace(order(1, HOME), gripper_position=1.0, gripper_force=force)
            )
            mujoco.mj_step(scene.model, scene.data)
        presses.append(float(scene.data.actuator_force[scene.arm.gripper_actuator]))

    assert presses == pytest.approx([2.0, 5.0, 8.0], rel=0.01)


def test_a_target_that_is_no_number_brakes_and_reaches_no_drive(scene: Scene) -> None:
    servo = JointServo(scene)
    for tick in range(1, 200):
        run(scene, servo, order(tick, *sine(tick)), tick)
    broken = HOME.copy()
    broken[3] = np.nan

    for tick in range(200, 300):
        run(scene, servo, order(tick, broken), tick)
        assert np.isfinite(scene.data.ctrl).all()

    assert np.abs(speeds(scene)).max() < 1e-2
