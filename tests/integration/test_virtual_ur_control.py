"""The control interface of the unmodified client against the virtual controller."""

import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest
from rtde_control import Path as MovePath
from rtde_control import PathEntry, RTDEControlInterface
from rtde_io import RTDEIOInterface
from rtde_receive import RTDEReceiveInterface

from tests.fakes.virtual_ur import VirtualUr, running_virtual_ur, wait_until

pytestmark = pytest.mark.alone

CRASHING_CLIENT = """
import os, sys, signal
from rtde_control import RTDEControlInterface
from rtde_receive import RTDEReceiveInterface
control = RTDEControlInterface(sys.argv[1])
q = RTDEReceiveInterface(sys.argv[1]).getActualQ()
q[0] += 0.02
control.servoJ(q, 0, 0, 0.002, 0.05, 300)
print("streaming", flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture(scope="module")
def robot(tmp_path_factory: pytest.TempPathFactory) -> Iterator[VirtualUr]:
    directory = tmp_path_factory.mktemp("ur-control")
    with running_virtual_ur(directory, "--plant", "ideal") as running:
        yield running


@pytest.fixture(scope="module")
def control(robot: VirtualUr) -> Iterator[RTDEControlInterface]:
    interface = RTDEControlInterface(robot.host)
    yield interface
    interface.stopScript()
    interface.disconnect()


@pytest.fixture
def home(control: RTDEControlInterface, receive: RTDEReceiveInterface) -> list[float]:
    """A place from which every move of these tests is possible; the arm is there."""
    if not control.isProgramRunning():
        assert control.reuploadScript()
        assert wait_until(control.isProgramRunning)
    control.setTcp([0.0] * 6)
    q = [0.3, -1.4, 1.6, -1.8, -1.57, 0.2]
    assert control.moveJ(q, 3.0, 20.0)
    assert wait_until(lambda: is_near(receive.getActualQ(), q, 1e-4))
    return q


def is_near(a: list[float], b: list[float], tolerance: float) -> bool:
    return max(abs(x - y) for x, y in zip(a, b, strict=True)) < tolerance


def moved(q: list[float], **by: float) -> list[float]:
    return [angle + by.get(f"j{joint}", 0.0) for joint, angle in enumerate(q)]


def is_operation_running(control: RTDEControlInterface) -> bool:
    return bool(control.getAsyncOperationProgressEx().isAsyncOperationRunning())


def test_a_fresh_control_interface_uploads_its_program_and_finds_it_running(
    control: RTDEControlInterface,
) -> None:
    assert control.isConnected()
    assert control.isProgramRunning()


def test_a_blocking_joint_move_ends_at_its_goal(
    control: RTDEControlInterface, receive: RTDEReceiveInterface, home: list[float]
) -> None:
    goal = moved(home, j0=0.3, j3=-0.2)

    assert control.moveJ(goal, 2.0, 10.0)

    assert wait_until(lambda: is_near(receive.getActualQ(), goal, 1e-4))


def test_a_joint_move_takes_the_time_of_its_trapezoid(
    control: RTDEControlInterface, receive: RTDEReceiveInterface, home: list[float]
) -> None:
    goal = moved(home, j0=0.5)
    # Its clock stands still while the controller does not get its turns.
    started_s = receive.getTimestamp()

    control.moveJ(goal, 1.0, 4.0, True)

    assert wait_until(lambda: is_near(receive.getTargetQ(), goal, 1e-6), 10.0)
    # 0.5 rad at 1 rad/s with two ramps of 0.25 s: 0.75 s, never faster. Above, what
    # the order takes on its way and what a busy machine adds until we look.
    assert 0.74 < receive.getTimestamp() - started_s < 2.0
    assert wait_until(lambda: not is_operation_running(control))


def test_a_joint_move_to_a_pose_reaches_the_pose(
    control: RTDEControlInterface, receive: RTDEReceiveInterface, home: list[float]
) -> None:
    pose = receive.getActualTCPPose()
    pose[2] -= 0.05

    assert control.moveJ_IK(pose, 2.0, 10.0)

    assert wait_until(lambda: is_near(receive.getActualTCPPose(), pose, 1e-4))


def test_an_asynchronous_joint_move_returns_at_once_and_reports_its_end(
    control: RTDEControlInterface, receive: RTDEReceiveInterface, home: list[float]
) -> None:
    goal = moved(home, j1=0.2)

    assert control.moveJ(goal, 0.2, 5.0, True)

    assert wait_until(lambda: is_operation_running(control))
    assert not is_near(receive.getActualQ(), goal, 1e-3)
    assert wait_until(lambda: not is_operation_running(control))
    assert wait_until(lambda: is_near(receive.getActualQ(), goal, 1e-3))


def test_stop_joint_ends_an_asynchronous_move_on_the_way(
    control: RTDEControlInterface, receive: RTDEReceiveInterface, home: list[float]
) -> None:
    goal = moved(home, j0=1.0)
    control.moveJ(goal, 1.0, 5.0, True)
    assert wait_until(lambda: abs(receive.getActualQd()[0]) > 0.5)

    control.stopJ(10.0)

    assert wait_until(lambda: abs(receive.getActualQd()[0]) < 1e-3)
    assert receive.getActualQ()[0] < goal[0] - 0.2
    assert not is_operation_running(control)


def test_a_straight_line_keeps_the_tool_on_the_line(
    control: RTDEControlInterface, receive: RTDEReceiveInterface, home: list[float]
) -> None:
    start = receive.getActualTCPPose()
    goal = moved(start, j1=0.12)
    assert control.moveL(goal, 0.25, 1.2, True)
    assert wait_until(lambda: is_operation_running(control))
    seen = []

    while is_operation_running(control):
        seen.append(receive.getTargetTCPPose())

    assert len(seen) > 20
    across = max(math.hypot(p[0] - start[0], p[2] - start[2]) for p in seen)
    assert across < 1e-4
    assert wait_until(lambda: is_near(receive.getActualTCPPose(), goal, 1e-4))


def test_stop_line_ends_an_asynchronous_line(
    control: RTDEControlInterface, receive: RTDEReceiveInterface, home: list[float]
) -> None:
    goal = moved(receive.getActualTCPPose(), j1=0.15)
    control.moveL(goal, 0.1, 1.0, True)
    assert wait_until(lambda: receive.getActualTCPSpeed()[1] > 0.05)

    control.stopL(2.0)

    assert wait_until(lambda: abs(receive.getActualTCPSpeed()[1]) < 1e-3)
    assert receive.getActualTCPPose()[1] < goal[1] - 0.02


def test_a_line_to_joints_reaches_them(
    control: RTDEControlInterface, receive: RTDEReceiveInterface, home: list[float]
) -> None:
    goal = moved(home, j0=0.1)

    assert control.moveL_FK(goal, 0.5, 2.0)

    assert wait_until(lambda: is_near(receive.getActualQ(), goal, 1e-4))


def test_a_joint_path_runs_through_its_waypoints_and_counts_them(
    control: RTDEControlInterface, receive: RTDEReceiveInterface, home: list[float]
) -> None:
    waypoints = [moved(home, j0=0.1), moved(home, j0=0.1, j1=0.1), home]

    # Slow enough that nobody who is held up for a moment misses a leg.
    assert control.moveJ([[*w, 0.15, 5.0, 0.0] for w in waypoints], True)

    progress = []
    assert wait_until(lambda: is_operation_running(control))
    while (status := control.getAsyncOperationProgressEx()).isAsyncOperationRunning():
        progress.append(status.progress())
    assert sorted(set(progress)) == [0, 1, 2]
    assert progress == sorted(progress)
    assert wait_until(lambda: is_near(receive.getActualQ(), home, 1e-4))


def test_a_blocking_mixed_path_ends_at_its_last_pose(
    control: RTDEControlInterface, receive: RTDEReceiveInterface, home: list[float]
) -> None:
    goal = moved(receive.getActualTCPPose(), j2=0.04)
    path = MovePath()
    path.addEntry(
        PathEntry(
            PathEntry.eMoveType.MoveJ,
            PathEntry.ePositionType.PositionJoints,
            [*moved(home, j5=0.2), 2.0, 10.0, 0.0],
        )
    )
    path.addEntry(
        PathEntry(
            PathEntry.eMoveType.MoveL,
            PathEntry.ePositionType.PositionTcpPose,
            [*goal, 0.3, 2.0, 0.0],
        )
    )

    assert control.movePath(path, False)

    assert wait_until(lambda: is_near(receive.getActualTCPPose(), goal, 1e-4))


def test_servoing_at_500_hz_tracks_a_wave_without_a_stop(
    control: RTDEControlInterface, receive: RTDEReceiveInterface, home: list[float]
) -> None:
    deviations = []
    for cycle in range(500):
        period = control.initPeriod()
        target = moved(home, j0=0.2 * (1.0 - math.cos(cycle * 0.002 * 3.0)))
        assert control.servoJ(target, 0.0, 0.0, 0.002, 0.03, 1000)
        deviations.append(abs(receive.getTargetQ()[0] - target[0]))
        control.waitPeriod(period)

    # The lag is the look-ahead time, at 0.6 rad/s at most; the rest is late cycles,
    # of which a busy machine makes a few long ones.
    assert sorted(deviations)[450] < 0.06
    assert not receive.isProtectiveStopped()
    assert control.isProgramRunning()
    control.servoStop()


def test_a_servo_target_is_held_without_overshoot(
    control: RTDEControlInterface, receive: RTDEReceiveInterface, home: list[float]
) -> None:
    goal = moved(home, j0=0.1)

    control.servoJ(goal, 0.0, 0.0, 0.002, 0.05, 600)

    seen = []

    def has_seen_rest() -> bool:
        seen.append(receive.getActualQ())
        return len(seen) > 100 and is_near(seen[-100], goal, 1e-3)

    assert wait_until(has_seen_rest, 10.0)
    assert max(q[0] for q in seen) <= goal[0] + 1e-6
    assert is_near(seen[-1], goal, 1e-3)
    control.servoStop()


def test_servo_line_tracks_a_pose(
    control: RTDEControlInterface, receive: RTDEReceiveInterface, home: list[float]
) -> None:
    goal = moved(receive.getActualTCPPose(), j2=0.02)

    assert control.servoL(goal, 0.0, 0.0, 0.002, 0.05, 600)

    assert wait_until(lambda: is_near(receive.getActualTCPPose(), goal, 1e-4))
    control.servoStop()


def test_servo_stop_brings_the_arm_to_rest_where_it_is(
    control: RTDEControlInterface, receive: RTDEReceiveInterface, home: list[float]
) -> None:
    for cycle in range(150):
        control.servoJ(moved(home, j0=0.002 * cycle), 0.0, 0.0, 0.002, 0.03, 1000)
        time.sleep(0.002)

    assert control.servoStop(10.0)

    assert wait_until(lambda: abs(receive.getActualQd()[0]) < 1e-3)
    resting = receive.getActualQ()
    time.sleep(0.1)
    assert is_near(receive.getActualQ(), resting, 1e-4)


def test_joint_speed_persists_until_it_is_stopped(
    control: RTDEControlInterface, receive: RTDEReceiveInterface, home: list[float]
) -> None:
    assert control.speedJ([0.4, 0.0, 0.0, 0.0, 0.0, 0.0], 4.0, 0.002)
    assert wait_until(lambda: abs(receive.getActualQd()[0] - 0.4) < 0.01)
    time.sleep(0.1)
    assert abs(receive.getTargetQd()[0] - 0.4) < 1e-6

    assert control.speedStop(10.0)

    assert wait_until(lambda: abs(receive.getActualQd()[0]) < 1e-3)


def test_tool_speed_moves_the_tool_along_its_axis(
    control: RTDEControlInterface, receive: RTDEReceiveInterface, home: list[float]
) -> None:
    start = receive.getActualTCPPose()

    assert control.speedL([0.0, 0.0, 0.1, 0.0, 0.0, 0.0], 1.0, 0.0)

    assert wait_until(lambda: abs(receive.getActualTCPSpeed()[2] - 0.1) < 0.005)
    control.speedStop(5.0)
    end = receive.getActualTCPPose()
    assert end[2] > start[2] + 0.003
    assert abs(end[0] - start[0]) < 1e-3


def test_jogging_moves_until_it_is_stopped(
    control: RTDEControlInterface, receive: RTDEReceiveInterface, home: list[float]
) -> None:
    assert control.jogStart(
        [0.0, 0.0, 0.05, 0.0, 0.0, 0.0], RTDEControlInterface.FEATURE_BASE
    )
    assert wait_until(lambda: receive.getActualTCPSpeed()[2] > 0.04)

    assert control.jogStop()

    assert wait_until(lambda: abs(receive.getActualTCPSpeed()[2]) < 1e-3)


def test_circular_servoing_goes_to_its_pose(
    control: RTDEControlInterface, receive: RTDEReceiveInterface, home: list[float]
) -> None:
    goal = moved(receive.getActualTCPPose(), j2=0.02)

    assert control.servoC(goal, 0.25, 1.2, 0.0)

    assert wait_until(lambda: is_near(receive.getActualTCPPose(), goal, 1e-4))
    # The client does not clear this command: its next call fails and clears it.
    assert not control.servoStop()
    assert control.servoStop()


def test_forward_and_inverse_kinematics_agree_with_the_tool(
    control: RTDEControlInterface, receive: RTDEReceiveInterface, home: list[float]
) -> None:
    tool = [0.0, 0.0, 0.15, 0.0, 0.0, 0.3]
    assert control.setTcp(tool)

    assert control.getTCPOffset() == tool
    pose = control.getForwardKinematics()
    assert is_near(pose, receive.getActualTCPPose(), 1e-3)
    assert is_near(control.getForwardKinematics(home, tool), pose, 1e-3)
    near = moved(home, j0=0.1, j3=-0.1)
    assert is_near(control.getInverseKinematics(pose, near), home, 1e-3)
    assert is_near(control.getInverseKinematics(pose), home, 1e-3)
    assert control.getInverseKinematicsHasSolution(pose)
    assert not control.getInverseKinematicsHasSolution([2.0, *pose[1:]])


def test_pose_trans_chains_two_poses(
    control: RTDEControlInterface, home: list[float]
) -> None:
    quarter = [1.0, 0.0, 0.0, 0.0, 0.0, math.pi / 2]

    chained = control.poseTrans(quarter, [0.5, 0.0, 0.0, 0.0, 0.0, 0.0])

    assert is_near(chained, [1.0, 0.5, 0.0, 0.0, 0.0, math.pi / 2], 1e-9)


def test_limits_and_steadiness_are_answered(
    control: RTDEControlInterface, receive: RTDEReceiveInterface, home: list[float]
) -> None:
    assert control.isJointsWithinSafetyLimits(home)
    assert not control.isJointsWithinSafetyLimits(moved(home, j0=7.0))
    assert control.isPoseWithinSafetyLimits(receive.getActualTCPPose())
    assert not control.isPoseWithinSafetyLimits([3.0, 0.0, 0.0, 0.0, 0.0, 0.0])
    assert wait_until(control.isSteady)


def test_queries_that_answer_late_have_their_value_on_the_second_call(
    control: RTDEControlInterface, receive: RTDEReceiveInterface, home: list[float]
) -> None:
    control.getStepTime()
    assert wait_until(lambda: abs(control.getStepTime() - 0.002) < 1e-9)
    assert wait_until(
        lambda: is_near(
            control.getActualToolFlangePose(), receive.getActualTCPPose(), 1e-6
        )
    )
    assert wait_until(
        lambda: is_near(control.getActualJointPositionsHistory(1), home, 1e-3)
    )
    assert wait_until(lambda: control.getJointTorques() == [0.0] * 6)
    assert wait_until(lambda: control.toolContact([0.0] * 6) == 0)


def test_payload_is_reported(
    control: RTDEControlInterface, receive: RTDEReceiveInterface, home: list[float]
) -> None:
    assert control.setPayload(1.25, [0.01, 0.02, 0.03])

    assert wait_until(lambda: receive.getPayload() == 1.25)
    assert receive.getPayloadCog() == [0.01, 0.02, 0.03]
    assert control.setTargetPayload(0.95, [0.0, 0.0, 0.05], [0.1] * 6)
    assert wait_until(lambda: receive.getPayload() == 0.95)


def test_force_freedrive_and_contact_commands_keep_the_handshake(
    control: RTDEControlInterface, home: list[float]
) -> None:
    frame = [0.0] * 6
    assert control.forceMode(frame, [0, 0, 1, 0, 0, 0], frame, 2, [0.1] * 6)
    assert control.forceModeSetDamping(0.1)
    assert control.forceModeSetGainScaling(1.0)
    assert control.forceModeStop()
    assert control.zeroFtSensor()
    assert control.freedriveMode()
    assert control.getFreedriveStatus() == 0
    assert control.endFreedriveMode()
    assert control.teachMode()
    assert control.endTeachMode()
    assert control.startContactDetection([0.0] * 6)
    assert not control.readContactDetection()
    assert not control.stopContactDetection()
    assert control.setGravity([0.0, 0.0, 9.82])


def test_a_custom_script_function_runs_and_the_control_script_returns(
    control: RTDEControlInterface, receive: RTDEReceiveInterface, home: list[float]
) -> None:
    assert control.sendCustomScriptFunction("greet", 'textmsg("hello")\n')

    assert wait_until(control.isProgramRunning)
    assert control.moveJ(moved(home, j0=0.02), 2.0, 10.0)


def test_stop_script_ends_the_program_and_a_new_upload_starts_it_again(
    control: RTDEControlInterface, home: list[float]
) -> None:
    control.stopScript()
    assert wait_until(lambda: not control.isProgramRunning())
    assert not control.moveJ(home, 2.0, 10.0)

    assert control.reuploadScript()

    assert wait_until(control.isProgramRunning)
    assert control.moveJ(home, 2.0, 10.0)


def test_a_second_control_interface_is_refused_because_the_inputs_are_in_use(
    robot: VirtualUr, control: RTDEControlInterface, home: list[float]
) -> None:
    with pytest.raises(RuntimeError, match="in use"):
        RTDEControlInterface(robot.host)

    assert control.moveJ(moved(home, j0=0.02), 2.0, 10.0)


def test_a_disconnected_interface_reconnects_and_moves_again(
    control: RTDEControlInterface, home: list[float]
) -> None:
    control.disconnect()
    assert not control.isConnected()

    assert control.reconnect()

    assert control.isConnected()
    assert wait_until(control.isProgramRunning)
    assert control.moveJ(moved(home, j0=0.02), 2.0, 10.0)


def test_a_new_client_takes_over_after_a_client_that_crashed_while_servoing(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    directory = tmp_path_factory.mktemp("ur-crash")
    with running_virtual_ur(directory, "--plant", "ideal") as robot:
        crashed = subprocess.run(
            [sys.executable, "-c", CRASHING_CLIENT, robot.host],
            check=False,
            timeout=30,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONFAULTHANDLER": ""},
        )
        assert crashed.returncode == -signal.SIGKILL
        assert crashed.stdout == b"streaming\n"
        receive = RTDEReceiveInterface(robot.host)
        assert receive.getRuntimeState() == 2

        control = RTDEControlInterface(robot.host)

        goal = moved(receive.getActualQ(), j0=0.05)
        assert control.moveJ(goal, 2.0, 10.0)
        assert wait_until(lambda: is_near(receive.getActualQ(), goal, 1e-4))
        control.disconnect()
        receive.disconnect()


def test_the_upper_range_of_registers_serves_the_whole_control_interface(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    directory = tmp_path_factory.mktemp("ur-upper")
    with running_virtual_ur(directory, "--plant", "ideal") as robot:
        receive = RTDEReceiveInterface(robot.host, use_upper_range_registers=True)
        control = RTDEControlInterface(
            robot.host,
            flags=RTDEControlInterface.FLAG_UPLOAD_SCRIPT
            | RTDEControlInterface.FLAG_UPPER_RANGE_REGISTERS,
        )

        goal = moved(receive.getActualQ(), j0=0.05)
        assert control.moveJ(goal, 2.0, 10.0)
        assert wait_until(lambda: is_near(receive.getActualQ(), goal, 1e-4))
        assert is_near(control.getForwardKinematics(), receive.getActualTCPPose(), 1e-3)
        assert control.servoJ(moved(goal, j0=0.02), 0, 0, 0.002, 0.05, 500)
        assert wait_until(
            lambda: is_near(receive.getActualQ(), moved(goal, j0=0.02), 1e-3)
        )
        assert control.servoStop()
        io = RTDEIOInterface(robot.host, use_upper_range_registers=True)
        assert io.setInputIntRegister(42, 5)
        assert io.setInputDoubleRegister(46, 2.5)
        io.disconnect()
        control.disconnect()
        receive.disconnect()
