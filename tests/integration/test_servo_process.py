"""The servo process against a robot controller, through the real client."""

import signal
import time
from pathlib import Path

import numpy as np
import pytest
from rtde_receive import RTDEReceiveInterface

from cell.contracts.chunk import TimedChunk
from cell.contracts.geometry import Pose, Vector
from cell.contracts.robot import SafetyBit
from cell.contracts.servo import HoldReason, MotionMode, ServoPhase, ServoState
from cell.kinematics import solve_ik
from sim2real.virtual_cell.ur.faults import UrFault, request_fault
from tests.fakes.cell_scene import shipped_settings
from tests.fakes.motion_oracle import HOME_Q
from tests.fakes.virtual_ur import running_virtual_ur, wait_until
from tests.integration.servo_process import ServoProcess, running_servo

pytestmark = [pytest.mark.alone, pytest.mark.slow, pytest.mark.timeout(180)]

GRIPPER_KG = shipped_settings().arm.gripper_mass_kg
SWING = np.array([0.9, 0.0, 0.0, 0.0, 0.0, 0.4])


def is_moving(state: ServoState) -> bool:
    return float(np.abs(state.qd).max()) > 0.3


def commanded_rest(servo: ServoProcess) -> bool:
    """Say whether the commanded position stood still for some cycles."""
    first = servo.link.read_state()
    time.sleep(0.01)
    second = servo.link.read_state()
    assert first is not None
    assert second is not None
    # A process that did not get its turns meanwhile has not come to rest by that.
    has_run = second.cycle >= first.cycle + 3
    return has_run and bool((first.q_command == second.q_command).all())


def set_moving(servo: ServoProcess) -> None:
    """Start for whichever end of the swing is further away."""
    state = servo.link.read_state()
    assert state is not None
    is_there = abs(float(state.q[0]) - HOME_Q[0]) > 0.4
    target = HOME_Q if is_there else HOME_Q + SWING
    servo.order(MotionMode.MOVE_JOINT, q_target=target)
    servo.vouch_until(is_moving)


def test_it_connects_waits_for_a_release_moves_and_ends_in_order(
    tmp_path: Path,
) -> None:
    with (
        running_virtual_ur(tmp_path, "--plant", "ideal") as ur,
        running_servo(tmp_path, ur.host) as servo,
    ):
        waiting = servo.wait_until_connected()
        assert waiting.hold_reason is HoldReason.NOT_ARMED
        ready = servo.release()
        wanted = servo.order(MotionMode.MOVE_JOINT, q_target=HOME_Q + SWING)
        there = servo.vouch_until(lambda s: s.reached_id >= wanted)
        wanted = servo.order(
            MotionMode.MOVE_LINEAR,
            base_from_tcp=there.base_from_tcp,
            payload_kg=0.3,
        )
        done = servo.vouch_until(lambda s: s.reached_id >= wanted)

        assert np.allclose(ready.q_command, HOME_Q, atol=0.01)
        assert np.allclose(done.q, HOME_Q + SWING, atol=0.01)
        assert done.unguarded_cycles == 0
        set_moving(servo)
        assert servo.end() == 0
        last = servo.link.read_state()
        assert last is not None
        assert last.phase is ServoPhase.STOPPED


def test_the_robot_is_told_the_mass_of_the_gripper_and_of_what_it_holds(
    tmp_path: Path,
) -> None:
    with (
        running_virtual_ur(tmp_path, "--plant", "ideal") as ur,
        running_servo(tmp_path, ur.host) as servo,
    ):
        receive = RTDEReceiveInterface(ur.host, 125.0, ["timestamp", "payload"])
        servo.release()
        assert wait_until(lambda: receive.getPayload() == GRIPPER_KG)

        wanted = servo.order(MotionMode.MOVE_JOINT, q_target=HOME_Q, payload_kg=0.3)
        servo.vouch_until(lambda s: s.reached_id >= wanted)

        assert wait_until(lambda: receive.getPayload() == GRIPPER_KG + 0.3)
        receive.disconnect()


def test_a_supervisor_that_goes_silent_stops_the_arm(tmp_path: Path) -> None:
    with (
        running_virtual_ur(tmp_path, "--plant", "ideal") as ur,
        running_servo(tmp_path, ur.host) as servo,
    ):
        servo.release()
        set_moving(servo)

        # Nobody vouches any more.
        assert wait_until(lambda: commanded_rest(servo))

        held = servo.link.read_state()
        assert held is not None
        assert held.hold_reason is HoldReason.COMMAND_STALE
        assert held.phase is not ServoPhase.FAULT


def test_a_controller_that_restarts_needs_a_release_and_a_full_initialisation(
    tmp_path: Path, loopback_address: str
) -> None:
    host = loopback_address
    with running_virtual_ur(tmp_path, "--plant", "ideal", host=host):
        servo = ServoProcess(tmp_path, host)
        servo.release()
        set_moving(servo)
    try:
        lost = servo.vouch_until(lambda s: s.hold_reason is HoldReason.LINK_LOST)
        assert lost.phase in (ServoPhase.FAULT, ServoPhase.CONNECTING)
        with running_virtual_ur(tmp_path, "--plant", "ideal", host=host):
            back = servo.wait_until_connected()
            assert back.phase is ServoPhase.FAULT
            resting = back.q
            for _ in range(40):
                state = servo.vouch()
                time.sleep(0.005)
            assert state is not None
            assert state.phase is ServoPhase.FAULT
            assert np.allclose(state.q, resting, atol=1e-3)
            ready = servo.release()
            assert np.allclose(ready.q_command, ready.q, atol=1e-3)
            wanted = servo.order(MotionMode.MOVE_JOINT, q_target=HOME_Q)
            servo.vouch_until(lambda s: s.reached_id >= wanted)
    finally:
        servo.end()


def test_a_controller_that_hangs_is_noticed_and_survived(tmp_path: Path) -> None:
    with (
        running_virtual_ur(tmp_path, "--plant", "ideal") as ur,
        running_servo(tmp_path, ur.host) as servo,
    ):
        servo.release()
        set_moving(servo)
        ur.process.send_signal(signal.SIGSTOP)
        try:
            lost = servo.vouch_until(lambda s: s.hold_reason is HoldReason.LINK_LOST)
            assert lost.phase in (ServoPhase.FAULT, ServoPhase.CONNECTING)
            # Longer than the client's own patience of 2.5 s.
            until = time.monotonic() + 4.0
            while time.monotonic() < until:
                servo.vouch()
                time.sleep(0.01)
        finally:
            ur.process.send_signal(signal.SIGCONT)
        assert servo.process.poll() is None
        assert servo.wait_until_connected().phase is ServoPhase.FAULT
        servo.release()
        wanted = servo.order(MotionMode.MOVE_JOINT, q_target=HOME_Q)
        servo.vouch_until(lambda s: s.reached_id >= wanted)


def test_a_servo_process_that_is_killed_leaves_the_stop_to_the_robot(
    tmp_path: Path,
) -> None:
    with (
        running_virtual_ur(tmp_path, "--plant", "ideal") as ur,
        running_servo(tmp_path, ur.host) as servo,
    ):
        released = servo.release()
        set_moving(servo)
        servo.kill()
        servo.restart()

        back = servo.wait_until_connected()

        assert back.phase is ServoPhase.FAULT
        assert back.hold_reason is HoldReason.NOT_ARMED
        assert back.arm_id >= released.arm_id
        assert float(np.abs(back.qd).max()) < 0.01
        servo.release()


def test_a_protective_stop_latches_and_is_not_unlocked_by_us(tmp_path: Path) -> None:
    with (
        running_virtual_ur(tmp_path, "--plant", "ideal") as ur,
        running_servo(tmp_path, ur.host) as servo,
    ):
        servo.release()
        set_moving(servo)
        request_fault(ur.runtime, UrFault.PROTECTIVE_STOP)

        latched = servo.vouch_until(
            lambda s: s.hold_reason is HoldReason.PROTECTIVE_STOP
        )
        assert latched.phase is ServoPhase.FAULT
        servo.command = type(servo.command)(
            **{**vars(servo.command), "arm_id": latched.arm_id + 1}
        )
        servo.order(MotionMode.HOLD)
        refused = servo.vouch_until(lambda s: s.arm_id == latched.arm_id + 1)
        assert refused.phase is ServoPhase.FAULT
        assert refused.safety_status_bits & 1 << SafetyBit.PROTECTIVE_STOP


def test_two_controllers_at_once_do_not_share_a_robot(tmp_path: Path) -> None:
    other_directory = tmp_path / "other"
    other_directory.mkdir()
    with (
        running_virtual_ur(tmp_path, "--plant", "ideal") as ur,
        running_servo(tmp_path, ur.host) as first,
        running_servo(other_directory, ur.host) as second,
    ):
        first.release()
        second.wait_until_connected()
        second.command = type(second.command)(**{**vars(second.command), "arm_id": 50})
        second.order(MotionMode.HOLD)

        refused = second.vouch_until(lambda s: s.arm_id == 50)

        assert refused.phase is ServoPhase.FAULT
        first.vouch_until(
            lambda s: s.phase is ServoPhase.READY and s.hold_reason is HoldReason.NONE
        )


def test_the_tool_goes_to_a_pose_over_the_bin(tmp_path: Path) -> None:
    tool = Pose.from_rotvec([0.0, 0.0, 0.1565], [0.0, 0.0, 0.0])
    above = Pose.tool_down([-0.2, 0.48, 0.2], 0.4)
    q_above = solve_ik(above, tool, HOME_Q)
    assert q_above is not None
    with (
        running_virtual_ur(tmp_path, "--plant", "ideal") as ur,
        running_servo(tmp_path, ur.host) as servo,
    ):
        servo.release()
        wanted = servo.order(MotionMode.MOVE_JOINT, q_target=q_above)
        servo.vouch_until(lambda s: s.reached_id >= wanted)
        below = Pose.tool_down([-0.2, 0.48, 0.1], 0.4)
        wanted = servo.order(MotionMode.MOVE_LINEAR, base_from_tcp=below)

        state = servo.vouch_until(lambda s: s.reached_id >= wanted)

        assert np.allclose(state.base_from_tcp.position_m, below.position_m, atol=2e-3)


def test_connections_that_the_controller_drops_are_made_anew(tmp_path: Path) -> None:
    with (
        running_virtual_ur(tmp_path, "--plant", "ideal") as ur,
        running_servo(tmp_path, ur.host) as servo,
    ):
        for _ in range(3):
            servo.release()
            set_moving(servo)
            request_fault(ur.runtime, UrFault.DROP_CONNECTIONS)
            servo.vouch_until(lambda s: s.phase is not ServoPhase.MOVING)
            back = servo.wait_until_connected()
            assert back.phase is ServoPhase.FAULT
        servo.release()
        assert servo.process.poll() is None


def test_data_that_freezes_is_noticed_though_the_client_reports_success(
    tmp_path: Path,
) -> None:
    with (
        running_virtual_ur(tmp_path, "--plant", "ideal") as ur,
        running_servo(tmp_path, ur.host) as servo,
    ):
        servo.release()
        set_moving(servo)
        request_fault(ur.runtime, UrFault.FREEZE_RTDE, 1.0)

        lost = servo.vouch_until(lambda s: s.hold_reason is HoldReason.LINK_LOST)

        assert lost.phase in (ServoPhase.FAULT, ServoPhase.CONNECTING)
        servo.wait_until_connected()
        servo.release()


def test_the_speed_slider_slows_a_motion_down(tmp_path: Path) -> None:
    with (
        running_virtual_ur(tmp_path, "--plant", "ideal") as ur,
        running_servo(tmp_path, ur.host) as servo,
    ):
        servo.release()
        request_fault(ur.runtime, UrFault.SPEED_SLIDER, 0.2)
        servo.vouch_until(lambda s: s.speed_fraction < 0.3)
        wanted = servo.order(MotionMode.MOVE_JOINT, q_target=HOME_Q + SWING)
        fastest = 0.0

        def note(state: ServoState) -> bool:
            nonlocal fastest
            fastest = max(fastest, float(np.abs(state.qd).max()))
            return state.reached_id >= wanted

        servo.vouch_until(note)

        assert 0.2 < fastest < 0.2 * 2.6 * 1.1


def test_chunks_and_increments_reach_the_robot_through_the_mailboxes(
    tmp_path: Path,
) -> None:
    wrist = np.eye(6)[5]
    with (
        running_virtual_ur(tmp_path, "--plant", "ideal") as ur,
        running_servo(tmp_path, ur.host) as servo,
    ):
        servo.release()
        refused = 0
        while (done := stream_two_chunks(servo, 0.6 * wrist, -0.05 * wrist)) is None:
            # One came after its seam, as it may on a machine under load.
            refused += 1
            assert refused < 10
            servo.order(MotionMode.MOVE_JOINT, q_target=HOME_Q, chunk=None)
            servo.vouch_until(lambda s: s.reached_id == servo.command.command_id)
        servo.order(MotionMode.INCREMENT, action=-0.1 * wrist, chunk_id=0, chunk=None)
        moving = servo.vouch_until(lambda s: s.qd[5] < -0.1)
        servo.order(MotionMode.HOLD)
        rested = servo.vouch_until(lambda s: s.reached_id == s.command_id)

    assert done.q[5] == pytest.approx(HOME_Q[5] + 0.55, abs=0.02)
    assert moving.hold_reason is HoldReason.NONE
    assert rested.q[5] < done.q[5]
    assert rested.unguarded_cycles == 0
    assert rested.hold_counts[HoldReason.CHUNK_SEAM] == refused


def stream_two_chunks(
    servo: ServoProcess, swing: Vector, shift: Vector
) -> ServoState | None:
    """Follow a chunk from home, spliced to one that ends elsewhere before it is over.

    Returns:
        The state at the end of the second; nothing where one was refused for its seam.
    """
    ratio = np.arange(1, 25)[:, None] / 24.0
    rows = HOME_Q + swing * ratio**3 * (10.0 - 15.0 * ratio + 6.0 * ratio**2)
    state = servo.vouch_until(lambda s: not s.qd.any())
    number = servo.command.command_id + 1
    first = TimedChunk(number, 0, 0.0, 0.05, np.vstack([state.q_command, rows]))
    servo.order(MotionMode.FOLLOW, chunk_id=number, chunk=first)
    half_way = servo.vouch_until(
        lambda s: s.chunk_s > 0.4 or s.reached_id == number or is_refused(s)
    )
    if is_refused(half_way):
        return None
    # The seam lies 0.3 s ahead; the rest of the way is the same but for its end.
    later = rows[13:] + np.linspace(0.0, 1.0, 11)[:, None] * shift
    second = TimedChunk(number + 1, number, 0.7, 0.05, later)
    servo.order(MotionMode.FOLLOW, chunk_id=number + 1, chunk=second)
    end = servo.vouch_until(lambda s: s.reached_id == number + 1 or is_refused(s))
    assert number in (half_way.chunk_id, half_way.reached_id)
    return None if is_refused(end) else end


def is_refused(state: ServoState) -> bool:
    return state.hold_reason is HoldReason.CHUNK_SEAM
