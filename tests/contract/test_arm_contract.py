"""One suite for every arm: kinematic, and a robot controller through the client."""

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import numpy.ma
import pytest

from cell.config import PoseConfig, RtdeArmConfig, SimArmConfig
from cell.contracts.drivers import ArmDriver
from cell.contracts.errors import (
    DriverError,
    DriverTimeoutError,
    DriverUnreachableError,
)
from cell.contracts.geometry import Pose, Vector
from cell.contracts.robot import ArmState, RobotMode, SafetyBit
from cell.drivers.arm.opening import open_arm
from cell.kinematics import compute_base_from_tcp
from tests.fakes.virtual_ur import running_virtual_ur, wait_until

HOME = (-2.2814, -1.569, 1.6197, -1.6216, -1.5708, -0.7106)
TOOL = PoseConfig(position_m=(0.0, 0.0, 0.1565), rotvec_rad=(0.0, 0.0, 0.0))
PERIOD_S = 0.002
# numpy loads it on a first use; while an arm is armed nothing can be loaded or opened.
LOADED_EARLY = (numpy.ma,)
SHARED: dict[str, Any] = {
    "flange_from_tcp": TOOL,
    "gripper_mass_kg": 0.95,
    "home_q_rad": HOME,
}


@pytest.fixture(scope="module", autouse=True)
def kinematics_compiled() -> None:
    """Compile what the tests call while an arm is armed, in whatever order they run."""
    compute_base_from_tcp(np.array(HOME), TOOL.pose())


@contextmanager
def sim_arm() -> Iterator[ArmDriver]:
    with open_arm(SimArmConfig(**SHARED), time.monotonic_ns) as arm:
        yield arm


@contextmanager
def rtde_arm(directory: Path) -> Iterator[ArmDriver]:
    with running_virtual_ur(directory, "--plant", "ideal") as controller:
        config = RtdeArmConfig(host=controller.host, watchdog_hz=1.0, **SHARED)
        with ExitStack() as scope:
            arms: list[ArmDriver] = []

            def is_open() -> bool:
                # A controller that has just started on a busy machine answers late.
                with suppress(DriverTimeoutError):
                    arms.append(
                        scope.enter_context(open_arm(config, time.monotonic_ns))
                    )
                return bool(arms)

            assert wait_until(is_open, 10.0)
            yield arms[0]


@pytest.fixture(params=["sim", "rtde"])
def arm(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[ArmDriver]:
    """Return a connected arm that nobody has armed yet."""
    context = sim_arm() if request.param == "sim" else rtde_arm(tmp_path)
    with context as connected:
        yield connected


def stream(arm: ArmDriver, target: Vector, duration_s: float) -> ArmState:
    """Lead the arm to a target at half a radian a second, then hold it there."""
    q = arm.read_state().q
    # In setpoints, not in time: a busy machine takes longer to send as many.
    for _ in range(round(duration_s / PERIOD_S)):
        q = q + np.clip(target - q, -0.5 * PERIOD_S, 0.5 * PERIOD_S)
        arm.send_joint_target(q, PERIOD_S)
        time.sleep(PERIOD_S)
    return arm.read_state()


def test_a_sample_tells_a_consistent_state(arm: ArmDriver) -> None:
    state = arm.read_state()

    assert np.allclose(state.q, HOME, atol=1e-3)
    assert state.robot_mode == RobotMode.RUNNING
    assert state.safety_status_bits == 1 << SafetyBit.NORMAL
    assert state.speed_fraction == 1.0
    assert not state.program_running
    assert 0 < state.stamp_ns <= time.monotonic_ns()


def test_samples_get_newer_by_the_clock_of_the_robot(arm: ArmDriver) -> None:
    first = arm.read_state()

    assert wait_until(lambda: arm.read_state().robot_time_s > first.robot_time_s)
    assert arm.read_state().stamp_ns > first.stamp_ns


def test_before_arming_no_setpoint_is_taken(arm: ArmDriver) -> None:
    with pytest.raises(DriverError):
        arm.send_joint_target(np.array(HOME), PERIOD_S)


def test_after_arming_the_tool_pose_is_that_of_the_tool(arm: ArmDriver) -> None:
    tool = Pose.from_rotvec([0.0, 0.0, 0.2], [0.0, 0.0, 0.0])

    arm.arm(tool, 1.0)
    state = stream(arm, np.array(HOME), 0.05)

    expected = compute_base_from_tcp(state.q, tool)
    gap = state.base_from_tcp.inverse() @ expected
    assert np.linalg.norm(gap.position_m) < 1e-4
    assert np.linalg.norm(gap.as_rotvec()) < 1e-4
    assert state.program_running


def test_the_joints_go_where_setpoints_lead_them(arm: ArmDriver) -> None:
    arm.arm(TOOL.pose(), 1.0)
    target = np.array(HOME) + np.array([0.1, 0.0, 0.0, 0.0, 0.0, -0.1])

    state = stream(arm, target, 0.8)

    assert np.allclose(state.q, target, atol=2e-3)


def test_a_mass_is_told_between_setpoints(arm: ArmDriver) -> None:
    arm.arm(TOOL.pose(), 1.0)
    stream(arm, np.array(HOME), 0.02)

    arm.set_payload(1.3)

    assert stream(arm, np.array(HOME), 0.02).program_running


def test_a_setpoint_that_is_no_number_is_refused(arm: ArmDriver) -> None:
    arm.arm(TOOL.pose(), 1.0)

    with pytest.raises(DriverError):
        arm.send_joint_target(np.full(6, np.nan), PERIOD_S)


def test_silence_ends_the_program_by_the_watchdog_of_the_robot(
    arm: ArmDriver,
) -> None:
    arm.arm(TOOL.pose(), 1.0)
    stream(arm, np.array(HOME), 0.02)

    assert wait_until(lambda: not arm.read_state().program_running, 5.0)
    with pytest.raises(DriverError):
        arm.send_joint_target(np.array(HOME), PERIOD_S)


def test_a_stop_ends_the_program_and_may_be_repeated(arm: ArmDriver) -> None:
    arm.arm(TOOL.pose(), 1.0)
    stream(arm, np.array(HOME), 0.02)

    arm.stop()
    arm.stop()

    assert wait_until(lambda: not arm.read_state().program_running)


def test_after_a_stop_it_can_be_armed_again(arm: ArmDriver) -> None:
    arm.arm(TOOL.pose(), 1.0)
    stream(arm, np.array(HOME), 0.02)
    arm.stop()
    assert wait_until(lambda: not arm.read_state().program_running)

    arm.arm(TOOL.pose(), 1.2)

    assert stream(arm, np.array(HOME), 0.1).program_running


def test_after_close_nothing_works_and_close_may_be_repeated(arm: ArmDriver) -> None:
    arm.close()
    arm.close()
    arm.stop()

    with pytest.raises(DriverUnreachableError):
        arm.read_state()
