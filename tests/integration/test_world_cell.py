"""A whole world, ticked by hand: picks, forces, collisions, the witness."""

import json
from pathlib import Path

import numpy as np
import pytest
import structlog

from cell.contracts.geometry import Pose, Vector
from cell.mailbox.seqlock import Mailbox
from sim2real.virtual_cell.links import JOINT_STATE, PartZone
from sim2real.virtual_cell.monitor import ViolationKind
from sim2real.virtual_cell.part_flow import LineOrder
from sim2real.virtual_cell.ur.arm import Arm
from sim2real.virtual_cell.ur.plant import MailboxPlant
from sim2real.virtual_cell.ur.safety_state import SafetyState
from sim2real.virtual_cell.world import (
    PhysicsDivergedError,
    WorldLinks,
    step_world,
)
from sim2real.virtual_cell.world_pace import Pace
from tests.fakes.cell_scene import DrivenWorld, shipped_settings
from tests.fakes.grasp_oracle import OracleGrasp, plan_oracle_grasp

GRIPPER_KG = shipped_settings().arm.gripper_mass_kg


def pick(driven: DrivenWorld) -> OracleGrasp:
    grasp = plan_oracle_grasp(driven.world.scene)
    assert grasp is not None
    above = raised(grasp.base_from_tcp, 0.12)
    driven.move(driven.joints_of(above), 1.5)
    driven.move(grasp.q, 0.6)
    driven.closed = 1.0
    driven.hold(0.6)
    driven.move(driven.joints_of(above), 0.6)
    driven.hold(0.3)
    return grasp


def raised(pose: Pose, height_m: float) -> Pose:
    return Pose(pose.position_m + np.array([0.0, 0.0, height_m]), pose.quat_wxyz)


def test_a_part_is_picked_weighed_placed_and_taken_without_a_violation() -> None:
    driven = DrivenWorld(seed=0)

    grasp = pick(driven)
    record = driven.joint_record()
    mass_kg = driven.world.scene.parts[grasp.part].mass_kg
    hanging_kg = GRIPPER_KG + mass_kg
    assert record["gripper_contact"] == 1
    assert 0.05 < record["gripper_position"] < 0.95
    assert record["flange_wrench"][2] == pytest.approx(-9.81 * hanging_kg, abs=0.4)
    assert driven.world.flow.zones[grasp.part] == PartZone.GRIPPER

    outfeed = driven.geometry.base_from_outfeed.position_m
    height = float(grasp.base_from_tcp.position_m[2]) + 0.05
    driven.move(driven.joints_at(outfeed + np.array([0.0, 0.0, 0.15])), 1.5)
    driven.move(driven.joints_at(np.array([*outfeed[:2], height])), 0.6)
    driven.closed = 0.0
    driven.hold(0.4)
    driven.move(driven.joints_at(outfeed + np.array([0.0, 0.0, 0.15])), 0.6)
    assert driven.world.flow.zones[grasp.part] == PartZone.OUTFEED
    assert driven.joint_record()["gripper_contact"] == 0

    driven.order = LineOrder(0, 0, take_id=1)
    driven.hold(0.1)
    assert driven.world.flow.count(PartZone.OUTFEED) == 0
    assert driven.world.monitor.count == 0


def feel(driven: DrivenWorld, runtime: Path, payload_kg: float) -> Vector:
    """Return force and torque at the tool as the robot reports them."""
    state = Mailbox.open(runtime / "vc_joint_state", JOINT_STATE)
    record = driven.joint_record()
    state.write(record)
    state.close()
    arm = Arm(MailboxPlant(runtime), SafetyState(lambda _: None))
    arm.set_tcp([0.0, 0.0, 0.168, 0.0, 0.0, 0.0])
    arm.payload_kg, arm.payload_cog = payload_kg, (0.0, 0.0, 0.05)
    arm.sense(int(record["stamp_ns"]))
    return np.array(arm.compute_tcp_wrench(arm.compute_tcp(record["q"].tolist())))


def test_the_robot_feels_nothing_when_it_knows_its_gripper_and_weighs_a_part(
    runtime_directory: Path,
) -> None:
    driven = DrivenWorld(seed=0)
    driven.hold(0.5)
    empty = feel(driven, runtime_directory, GRIPPER_KG)
    untold = feel(driven, runtime_directory, 0.0)

    grasp = pick(driven)
    mass_kg = driven.world.scene.parts[grasp.part].mass_kg
    loaded = feel(driven, runtime_directory, GRIPPER_KG)
    told = feel(driven, runtime_directory, GRIPPER_KG + mass_kg)

    assert empty[:3] == pytest.approx(np.zeros(3), abs=0.1)
    assert empty[3:] == pytest.approx(np.zeros(3), abs=0.05)
    assert untold[2] == pytest.approx(-9.81 * GRIPPER_KG, abs=0.1)
    assert loaded[2] == pytest.approx(-9.81 * mass_kg, abs=0.4)
    assert told[2] == pytest.approx(0.0, abs=0.4)


def test_a_physics_that_diverges_is_witnessed_and_ends_the_world(
    runtime_directory: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # the simulator writes a log where it stands
    driven = DrivenWorld()
    links = WorldLinks(runtime_directory)
    driven.world.scene.data.qvel[0] = np.nan

    with pytest.raises(PhysicsDivergedError):
        step_world(driven.world, links, Pace(0), structlog.get_logger())

    report = json.loads(links.report.read() or "{}")
    assert report["violations_by_kind"] == {ViolationKind.DIVERGED: 1}
    assert links.joint_state.read() is None
    links.close()


def test_fingers_that_close_on_nothing_report_no_contact() -> None:
    driven = DrivenWorld()

    driven.closed = 1.0
    driven.hold(0.8)

    record = driven.joint_record()
    assert record["gripper_contact"] == 0
    assert record["gripper_position"] > 0.97


def test_pressing_the_table_is_witnessed_and_stops_the_robot() -> None:
    driven = DrivenWorld()
    start = driven.joints_at(np.array([0.05, 0.62, 0.10]))
    driven.move(start, 1.5)
    assert driven.world.monitor.count == 0

    driven.move(driven.joints_at(np.array([0.05, 0.62, -0.015])), 1.0)

    counts = driven.world.monitor.counts
    assert counts[ViolationKind.FIXTURE_COLLISION] == 1
    assert driven.joint_record()["collision"] == 1
    assert driven.joint_record()["flange_wrench"][2] > 100.0
    last = driven.world.monitor.last
    assert last is not None


def test_fingers_on_a_fixture_are_told_from_the_rest_of_the_robot() -> None:
    driven = DrivenWorld()
    driven.move(driven.joints_at(np.array([0.15, 0.68, 0.10])), 1.5)

    driven.move(driven.joints_at(np.array([0.15, 0.68, -0.009])), 1.0)

    assert driven.result.contacts.fixture_force_n > 5.0
    assert driven.result.contacts.fixture == "table"
    assert driven.result.contacts.body_force_n == 0.0
    assert driven.world.monitor.counts[ViolationKind.BODY_COLLISION] == 0


def test_a_touch_of_anything_but_the_fingers_is_witnessed_by_name() -> None:
    driven = DrivenWorld()
    # The tool looks away from the base, the wrist camera hangs below it.
    frame = np.eye(4)
    frame[:3, :3] = np.column_stack([(-1, 0, 0), (0, 0, 1), (0, 1, 0)])
    frame[:3, 3] = 0.10, 0.72, 0.25
    driven.move(driven.joints_of(Pose.from_matrix(frame)), 2.5)
    assert driven.world.monitor.counts[ViolationKind.BODY_COLLISION] == 0

    frame[2, 3] = 0.085
    driven.move(driven.joints_of(Pose.from_matrix(frame)), 1.5)

    assert driven.world.monitor.counts[ViolationKind.BODY_COLLISION] == 1
    force_n, where = driven.world.monitor.peaks["body"]
    assert force_n > 1.0
    assert where == "wrist_3_link on outfeed_plate"
    assert where in json.dumps(driven.world.make_report(real_time_factor=1.0))


def test_leaving_the_workspace_is_witnessed() -> None:
    driven = DrivenWorld()

    driven.move(driven.joints_at(np.array([0.45, 0.40, 0.30])), 1.2)
    assert driven.world.monitor.count == 0
    driven.move(driven.joints_at(np.array([0.55, 0.40, 0.30])), 1.2)

    counts = driven.world.monitor.counts
    assert counts[ViolationKind.WORKSPACE] == 1
    assert driven.world.monitor.count == 1


def test_folding_the_arm_into_itself_is_witnessed() -> None:
    driven = DrivenWorld()
    folded = np.array(driven.geometry.home_q_rad)
    folded[2:4] = 2.4, 0.0  # the hand comes to lie against the upper arm

    driven.move(folded, 2.5)

    assert driven.world.monitor.counts[ViolationKind.SELF_COLLISION] >= 1


def test_too_fast_a_joint_is_witnessed_by_its_target_and_its_motion() -> None:
    driven = DrivenWorld()
    turned = np.array(driven.geometry.home_q_rad)
    turned[5] += 2.0

    driven.move(turned, 1.0)

    counts = driven.world.monitor.counts
    assert counts[ViolationKind.JOINT_SPEED] == 1
    assert counts[ViolationKind.JOINT_SPEED_TARGET] == 1


def test_two_worlds_with_one_seed_stay_equal_tick_by_tick() -> None:
    states = []
    for _ in range(2):
        driven = DrivenWorld(seed=6)
        pick(driven)
        states.append(driven.world.scene.data.qpos.copy())

    assert np.array_equal(states[0], states[1])


def test_records_say_what_camera_and_line_need() -> None:
    driven = DrivenWorld(seed=1, parts_in_bin=9)
    driven.hold(0.1)

    record = driven.world.make_world_record(real_time_factor=0.99, now_ns=77)

    model = driven.world.scene.model
    assert record["stamp_ns"] == 77
    assert record["parts_in_bin"] == 9
    assert record["qpos"][: model.nq] == pytest.approx(driven.world.scene.data.qpos)
    assert record["limit_violations"] == 0
    assert record["real_time_factor"] == 0.99
    assert (record["part_zone"] == PartZone.BIN).sum() == 9
