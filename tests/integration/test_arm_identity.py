"""The driver and the servo process meet a robot that is not the configured one."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from cell.config import PoseConfig, RtdeArmConfig
from cell.contracts.errors import Complaint, FaultCode
from cell.contracts.servo import HoldReason, ServoPhase
from cell.drivers.arm.identity import ArmIdentityError
from cell.drivers.arm.opening import open_arm
from cell.drivers.arm.rtde import RtdeArm
from cell.mailbox import complaint
from cell.mailbox.complaint import ComplaintBox
from sim2real.virtual_cell.ur.dashboard import OTHER_SERIAL_NUMBER, SERIAL_NUMBER
from sim2real.virtual_cell.ur.faults import UrFault, request_fault
from tests.fakes.virtual_ur import VirtualUr, running_virtual_ur, wait_until
from tests.integration.servo_process import running_servo

TOOL = PoseConfig(position_m=(0.0, 0.0, 0.1565), rotvec_rad=(0.0, 0.0, 0.0))
HOME = (-2.2814, -1.569, 1.6197, -1.6216, -1.5708, -0.7106)


@pytest.fixture(scope="module")
def robot(tmp_path_factory: pytest.TempPathFactory) -> Iterator[VirtualUr]:
    directory = tmp_path_factory.mktemp("ur-identity")
    with running_virtual_ur(directory, "--plant", "ideal") as running:
        yield running


def configure(robot: VirtualUr, serial_number: str) -> RtdeArmConfig:
    return RtdeArmConfig(
        host=robot.host,
        serial_number=serial_number,
        flange_from_tcp=TOOL,
        gripper_mass_kg=0.95,
        home_q_rad=HOME,
    )


def test_no_link_is_opened_to_another_robot(robot: VirtualUr) -> None:
    with (
        pytest.raises(ArmIdentityError, match=SERIAL_NUMBER) as caught,
        open_arm(configure(robot, OTHER_SERIAL_NUMBER), time.monotonic_ns),
    ):
        pass

    assert OTHER_SERIAL_NUMBER in str(caught.value)


def test_a_robot_is_compared_again_before_its_control_is_taken(
    robot: VirtualUr,
) -> None:
    # As if the address had changed hands since the link was opened.
    arm = RtdeArm(configure(robot, OTHER_SERIAL_NUMBER), time.monotonic_ns, print)
    assert wait_until(lambda: arm.read_state().robot_mode > 0)
    try:
        with pytest.raises(ArmIdentityError):
            arm.arm(TOOL.pose(), 1.0)
        assert not arm.read_state().program_running
    finally:
        arm.close()


@pytest.mark.slow
def test_a_robot_that_was_exchanged_is_not_released_and_the_right_one_is_found_again(
    tmp_path: Path,
) -> None:
    with (
        running_virtual_ur(tmp_path, "--plant", "ideal") as robot,
        running_servo(tmp_path, robot.host) as servo,
    ):
        servo.release()
        box = ComplaintBox(servo.runtime, complaint.SERVO)

        def read_refusal() -> Complaint | None:
            said = box.read()
            is_meant = said and said.code is FaultCode.ARM_WRONG_ROBOT
            return said if is_meant else None

        request_fault(robot.runtime, UrFault.OTHER_ROBOT, 1.0)
        state = servo.vouch_until(lambda _: read_refusal() is not None, 30.0)
        said = read_refusal()

        request_fault(robot.runtime, UrFault.OTHER_ROBOT, 0.0)
        found = servo.wait_until_connected()
        box.close()

        assert state.phase is ServoPhase.CONNECTING
        assert said is not None
        assert SERIAL_NUMBER in said.text
        assert OTHER_SERIAL_NUMBER in said.text
        # A person releases it, as after every lost link.
        assert (found.phase, found.hold_reason) == (
            ServoPhase.FAULT,
            HoldReason.LINK_LOST,
        )
