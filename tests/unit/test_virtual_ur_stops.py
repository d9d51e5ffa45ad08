"""Stops and the gripper of the virtual controller over a scripted plant."""

from dataclasses import replace
from typing import Any

import pytest

from cell.contracts.robot import GripperObject, RobotMode
from sim2real.virtual_cell.ur.arm import Arm
from sim2real.virtual_cell.ur.frames import rotate
from sim2real.virtual_cell.ur.gripper_urcap import GripperUrcap
from sim2real.virtual_cell.ur.joint_motion import JointMove
from sim2real.virtual_cell.ur.kinematics import compute_flange
from sim2real.virtual_cell.ur.plant import GripperTarget, PlantSample, PlantTarget
from sim2real.virtual_cell.ur.safety_state import SafetyState

HOME = (0.3, -1.4, 1.6, -1.8, -1.57, 0.2)
TICK_NS = 2_000_000


class ScriptedPlant:
    """A plant that shows what the test writes into it."""

    def __init__(self) -> None:
        self.sample: PlantSample | None = None
        self.before: GripperTarget | None = None
        self.targets: list[PlantTarget] = []

    def read(self, now_ns: int) -> PlantSample | None:
        return self.sample

    def write(self, target: PlantTarget) -> None:
        self.targets.append(target)

    def recall_gripper(self) -> GripperTarget | None:
        return self.before


class Bench:
    """An arm on a scripted plant with a clock of its own."""

    def __init__(self) -> None:
        self.plant = ScriptedPlant()
        self.reports: list[str] = []
        self.safety = SafetyState(self.reports.append)
        self.arm = Arm(self.plant, self.safety)
        self.gripper = GripperUrcap(self.arm)
        self.now_ns = 10**9
        self.show(q=HOME)

    def show(self, **changes: Any) -> None:
        """Measure something from now on."""
        present = self.plant.sample or PlantSample(0, 0, HOME)
        self.plant.sample = replace(present, **changes)

    def run(self, ticks: int, *, is_alive: bool = True, follows: bool = True) -> None:
        for _ in range(ticks):
            self.now_ns += TICK_NS
            if is_alive and self.plant.sample is not None:
                tick = self.plant.sample.tick + 1
                self.show(stamp_ns=self.now_ns, tick=tick)
                if follows and self.plant.targets:
                    self.show(q=self.plant.targets[-1].q)
            self.arm.sense(self.now_ns)
            self.gripper.step(self.now_ns)
            self.arm.act(self.now_ns)


@pytest.fixture
def bench() -> Bench:
    bench = Bench()
    bench.run(1)
    return bench


def test_nothing_is_commanded_before_the_plant_has_shown_its_pose() -> None:
    bench = Bench()

    bench.run(10, is_alive=False)

    assert bench.plant.targets == []
    assert bench.safety.robot_mode is RobotMode.BOOTING


def test_the_first_target_is_the_measured_pose(bench: Bench) -> None:
    assert bench.plant.targets[0].q == HOME


def test_a_silent_plant_stops_the_arm_and_holds_its_target(bench: Bench) -> None:
    bench.run(300, is_alive=False)

    assert bench.safety.is_stopped
    assert bench.plant.targets[-1].q == HOME


def test_a_stop_cannot_be_unlocked_while_its_cause_lasts(bench: Bench) -> None:
    bench.run(4000, is_alive=False)

    assert not bench.arm.unlock(bench.now_ns)

    bench.run(1)
    assert bench.arm.unlock(bench.now_ns)


def test_a_stop_cannot_be_unlocked_within_five_seconds(bench: Bench) -> None:
    bench.arm.stop_protectively("test", bench.now_ns)
    bench.run(2499)
    assert not bench.arm.unlock(bench.now_ns)

    bench.run(1)

    assert bench.arm.unlock(bench.now_ns)


def test_a_plant_that_restarts_stops_the_arm_and_its_pose_is_adopted(
    bench: Bench,
) -> None:
    elsewhere = (0.0, -1.0, 1.0, -1.0, -1.0, 0.0)
    bench.run(50)
    bench.show(tick=0, q=elsewhere)

    bench.run(2, follows=False)

    assert bench.safety.is_stopped
    assert bench.plant.targets[-1].q == elsewhere


def test_a_deviation_from_the_path_stops_the_arm(bench: Bench) -> None:
    bench.show(q=(HOME[0] + 0.5, *HOME[1:]))

    bench.run(1, follows=False)

    assert any("deviates" in report for report in bench.reports)


def test_a_collision_stops_once_and_again_only_after_it_was_clear(
    bench: Bench,
) -> None:
    bench.show(collision=True)
    bench.run(2600)
    assert bench.safety.is_stopped

    assert bench.arm.unlock(bench.now_ns)
    bench.run(10)
    assert bench.safety.may_move

    bench.show(collision=False)
    bench.run(1)
    bench.show(collision=True)
    bench.run(1)
    assert bench.safety.is_stopped


def test_a_stop_adopts_the_measured_pose_once_the_arm_rests(bench: Bench) -> None:
    goal = (HOME[0] + 1.0, *HOME[1:])
    bench.arm.motion.start(JointMove(HOME, goal, 1.0, 5.0))
    bench.run(200)
    bench.arm.stop_protectively("test", bench.now_ns)
    stuck = bench.plant.targets[-1].q
    bench.show(q=stuck)

    bench.run(100, follows=False)

    assert bench.plant.targets[-1].q == stuck


def test_an_emergency_stop_takes_the_power_only_at_rest(bench: Bench) -> None:
    goal = (HOME[0] + 1.0, *HOME[1:])
    bench.arm.motion.start(JointMove(HOME, goal, 1.0, 5.0))
    bench.run(200)
    bench.safety.press_emergency_stop()

    bench.run(100)

    released = [target for target in bench.plant.targets if target.brakes_released]
    assert not bench.plant.targets[-1].brakes_released
    assert max(map(abs, released[-1].qd)) < 0.1
    assert bench.safety.robot_mode is RobotMode.POWER_OFF


def test_the_weight_of_the_set_payload_does_not_show_as_a_force(bench: Bench) -> None:
    bench.arm.payload_kg = 2.0
    bench.arm.payload_cog = (0.0, 0.1, 0.05)
    axes = compute_flange(HOME).axes
    cog = rotate(axes, (0.0, 0.1, 0.05))
    weight = -2.0 * 9.80665
    hanging = (0.0, 0.0, weight, cog[1] * weight, -cog[0] * weight, 0.0)
    bench.show(flange_wrench=hanging)
    bench.run(1)

    wrench = bench.arm.compute_tcp_wrench(bench.arm.compute_tcp(HOME))

    assert wrench == pytest.approx((0.0,) * 6, abs=1e-9)


def test_zeroing_the_sensor_hides_what_pushes_now(bench: Bench) -> None:
    bench.show(flange_wrench=(1.0, 2.0, 3.0, 0.1, 0.2, 0.3))
    bench.run(1)
    bench.arm.zero_wrench()
    bench.show(flange_wrench=(1.0, 2.0, 8.0, 0.1, 0.2, 0.3))
    bench.run(1)

    wrench = bench.arm.compute_tcp_wrench(compute_flange(HOME))

    assert wrench == pytest.approx((0.0, 0.0, 5.0, 0.0, 0.0, 0.0))


def move_gripper(bench: Bench, position: int) -> None:
    bench.gripper.write(
        {"POS": position, "SPE": 255, "FOR": 100, "GTO": 1}, bench.now_ns
    )


def read_object(bench: Bench) -> int:
    return int(bench.gripper.read("OBJ"))


def test_position_speed_and_force_reach_the_fingers(bench: Bench) -> None:
    bench.gripper.write({"POS": 255, "SPE": 51, "FOR": 102, "GTO": 1}, bench.now_ns)
    bench.run(1)

    target = bench.plant.targets[-1].gripper
    assert (target.position, target.speed, target.force) == (1.0, 0.2, 0.4)


def test_a_held_part_stays_held_while_the_controller_restarts() -> None:
    bench = Bench()
    bench.plant.before = GripperTarget(position=1.0, speed=1.0, force=0.4)
    bench.show(gripper_position=0.5, gripper_velocity=0.0, gripper_contact=True)

    bench.run(100)

    assert bench.plant.targets[0].gripper == bench.plant.before
    assert bench.gripper.read("PRE") == "255"
    assert read_object(bench) == GripperObject.STOPPED_CLOSING


def test_contact_while_closing_is_an_object(bench: Bench) -> None:
    move_gripper(bench, 255)
    assert read_object(bench) == GripperObject.MOVING
    bench.show(gripper_position=0.3, gripper_velocity=1.0)
    bench.run(50)
    bench.show(gripper_position=0.5, gripper_velocity=0.0, gripper_contact=True)
    bench.run(50)

    assert read_object(bench) == GripperObject.STOPPED_CLOSING


def test_a_stall_without_contact_takes_longer_to_be_an_object(bench: Bench) -> None:
    move_gripper(bench, 255)
    bench.show(gripper_position=0.5, gripper_velocity=0.0)
    bench.run(60)
    assert read_object(bench) == GripperObject.MOVING

    bench.run(100)

    assert read_object(bench) == GripperObject.STOPPED_CLOSING


def test_fingers_that_meet_each_other_have_arrived(bench: Bench) -> None:
    move_gripper(bench, 255)
    bench.show(gripper_position=0.97, gripper_velocity=0.0)
    bench.run(1)

    assert read_object(bench) == GripperObject.AT_POSITION


def test_a_part_that_slips_out_shows_as_moving_and_then_as_arrived(
    bench: Bench,
) -> None:
    move_gripper(bench, 255)
    bench.show(gripper_position=0.5, gripper_velocity=0.0, gripper_contact=True)
    bench.run(100)
    assert read_object(bench) == GripperObject.STOPPED_CLOSING

    bench.show(gripper_position=0.7, gripper_velocity=1.0, gripper_contact=False)
    bench.run(1)
    assert read_object(bench) == GripperObject.MOVING
    bench.show(gripper_position=1.0, gripper_velocity=0.0)
    bench.run(1)
    assert read_object(bench) == GripperObject.AT_POSITION


def test_fingers_blocked_while_opening_say_so(bench: Bench) -> None:
    bench.show(gripper_position=1.0)
    bench.run(1)
    move_gripper(bench, 0)
    bench.show(gripper_position=0.6, gripper_velocity=0.0)
    bench.run(150)

    assert read_object(bench) == GripperObject.STOPPED_OPENING
