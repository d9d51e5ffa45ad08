"""Watchdog, protective stop, emergency stop, safeguard and speed slider."""

import time
from collections.abc import Iterator

import pytest
from dashboard_client import DashboardClient
from rtde_control import RTDEControlInterface
from rtde_receive import RTDEReceiveInterface

from sim2real.virtual_cell.ur.faults import UrFault, request_fault
from tests.fakes.virtual_ur import VirtualUr, running_virtual_ur, wait_until

pytestmark = pytest.mark.alone

UNLOCK_WAIT_S = 0.8  # long enough to be too early on a busy machine as well


@pytest.fixture(scope="module")
def robot(tmp_path_factory: pytest.TempPathFactory) -> Iterator[VirtualUr]:
    options = ("--plant", "ideal", "--unlock-wait-s", str(UNLOCK_WAIT_S))
    with running_virtual_ur(tmp_path_factory.mktemp("ur-stops"), *options) as running:
        yield running


@pytest.fixture(scope="module")
def dashboard(robot: VirtualUr) -> Iterator[DashboardClient]:
    client = DashboardClient(robot.host)
    client.connect()
    yield client
    client.disconnect()


@pytest.fixture(scope="module")
def connected(robot: VirtualUr) -> Iterator[RTDEControlInterface]:
    interface = RTDEControlInterface(robot.host)
    yield interface
    interface.disconnect()


@pytest.fixture
def control(
    robot: VirtualUr,
    connected: RTDEControlInterface,
    receive: RTDEReceiveInterface,
    dashboard: DashboardClient,
) -> RTDEControlInterface:
    """The control interface with its program running and no stop active."""
    request_fault(robot.runtime, UrFault.RELEASE)
    assert wait_until(lambda: receive.getSafetyMode() in {1, 3})
    if receive.isProtectiveStopped():
        unlock(dashboard)
    if "RUNNING" not in dashboard.robotmode():
        dashboard.powerOn()
        dashboard.brakeRelease()
    assert wait_until(lambda: receive.getSafetyMode() == 1)
    # A new program: a watchdog that an earlier test armed ends with the old one.
    connected.stopScript()
    assert wait_until(lambda: not connected.isProgramRunning())
    assert connected.reuploadScript()
    assert wait_until(connected.isProgramRunning)
    assert connected.moveJ([0.3, -1.4, 1.6, -1.8, -1.57, 0.2], 3.0, 20.0)
    return connected


def unlock(dashboard: DashboardClient) -> None:
    def has_unlocked() -> bool:
        try:
            dashboard.unlockProtectiveStop()
        except RuntimeError:
            return False
        return True

    assert wait_until(has_unlocked)


def start_moving(control: RTDEControlInterface, receive: RTDEReceiveInterface) -> None:
    goal = receive.getActualQ()
    goal[0] += 2.0
    assert control.moveJ(goal, 1.5, 10.0, True)
    assert wait_until(lambda: receive.getActualQd()[0] > 1.0)


def is_at_rest(receive: RTDEReceiveInterface) -> bool:
    return bool(max(map(abs, receive.getActualQd())) < 1e-3)


def stays_at_rest(receive: RTDEReceiveInterface, time_s: float = 0.2) -> bool:
    resting = receive.getActualQ()
    time.sleep(time_s)
    now = receive.getActualQ()
    return bool(max(abs(a - b) for a, b in zip(resting, now, strict=True)) < 1e-3)


def test_a_fed_watchdog_lets_the_program_run(control: RTDEControlInterface) -> None:
    assert control.setWatchdog(2.0)

    # Twice as long as the watchdog waits, with kicks five times as often.
    for _ in range(10):
        time.sleep(0.1)
        assert control.kickWatchdog()

    assert control.isProgramRunning()


def test_servo_targets_feed_the_watchdog_and_kicks_do_not_end_servoing(
    control: RTDEControlInterface, receive: RTDEReceiveInterface
) -> None:
    q = receive.getActualQ()
    assert control.setWatchdog(2.0)

    # Longer than the watchdog waits.
    for cycle in range(250):
        q[0] += 0.0005
        assert control.servoJ(q, 0.0, 0.0, 0.002, 0.05, 500)
        if cycle == 50:
            control.kickWatchdog()
        time.sleep(0.004)

    assert control.isProgramRunning()
    assert receive.getActualQ()[0] > q[0] - 0.02


def test_an_expired_watchdog_stops_the_arm_until_a_new_upload(
    control: RTDEControlInterface, receive: RTDEReceiveInterface
) -> None:
    assert control.setWatchdog(10.0)
    assert control.speedJ([0.5, 0.0, 0.0, 0.0, 0.0, 0.0], 4.0, 0.0)

    assert wait_until(lambda: not control.isProgramRunning())

    assert wait_until(lambda: is_at_rest(receive))
    assert not control.servoJ(receive.getActualQ(), 0.0, 0.0, 0.002, 0.05, 500)
    assert control.reuploadScript()
    assert wait_until(control.isProgramRunning)
    assert stays_at_rest(receive)
    assert control.moveJ(receive.getActualQ(), 1.0, 1.0)


def test_a_protective_stop_ends_a_blocking_move_and_reports_itself(
    robot: VirtualUr,
    control: RTDEControlInterface,
    receive: RTDEReceiveInterface,
    dashboard: DashboardClient,
) -> None:
    start_moving(control, receive)

    request_fault(robot.runtime, UrFault.PROTECTIVE_STOP)

    assert wait_until(receive.isProtectiveStopped)
    assert receive.getSafetyMode() == 3
    assert receive.getSafetyStatusBits() & 1 == 0
    assert wait_until(lambda: is_at_rest(receive))
    assert not control.moveJ([0.0] * 6, 1.0, 1.0)
    assert "PROTECTIVE_STOP" in dashboard.safetystatus()
    assert not control.isProgramRunning()


def test_the_program_can_trigger_a_protective_stop(
    control: RTDEControlInterface, receive: RTDEReceiveInterface
) -> None:
    control.triggerProtectiveStop()

    assert wait_until(receive.isProtectiveStopped)


def test_unlocking_too_early_is_refused_and_later_accepted(
    control: RTDEControlInterface,
    receive: RTDEReceiveInterface,
    dashboard: DashboardClient,
) -> None:
    control.triggerProtectiveStop()
    assert wait_until(receive.isProtectiveStopped)

    with pytest.raises(RuntimeError, match="Cannot unlock"):
        dashboard.unlockProtectiveStop()

    unlock(dashboard)
    assert wait_until(lambda: not receive.isProtectiveStopped())


def test_after_unlocking_nothing_moves_before_a_new_upload(
    robot: VirtualUr,
    control: RTDEControlInterface,
    receive: RTDEReceiveInterface,
    dashboard: DashboardClient,
) -> None:
    start_moving(control, receive)
    request_fault(robot.runtime, UrFault.PROTECTIVE_STOP)
    assert wait_until(lambda: receive.isProtectiveStopped() and is_at_rest(receive))

    unlock(dashboard)

    assert wait_until(lambda: not receive.isProtectiveStopped())
    assert receive.getRuntimeState() == 1
    assert not control.isProgramRunning()
    assert stays_at_rest(receive)
    assert control.reuploadScript()
    assert wait_until(control.isProgramRunning)
    assert stays_at_rest(receive)
    assert control.moveJ(receive.getActualQ(), 1.0, 1.0)


def test_an_upload_during_a_stop_does_not_run(
    control: RTDEControlInterface, receive: RTDEReceiveInterface
) -> None:
    control.triggerProtectiveStop()
    assert wait_until(receive.isProtectiveStopped)

    control.reuploadScript()

    time.sleep(0.1)
    assert not control.isProgramRunning()


def test_a_servo_target_that_jumps_stops_the_robot(
    control: RTDEControlInterface, receive: RTDEReceiveInterface
) -> None:
    target = receive.getActualQ()
    target[1] += 0.3

    control.servoJ(target, 0.0, 0.0, 0.002, 0.05, 500)

    assert wait_until(receive.isProtectiveStopped)
    assert stays_at_rest(receive)


def test_servo_targets_faster_than_the_joints_stop_the_robot(
    control: RTDEControlInterface, receive: RTDEReceiveInterface
) -> None:
    target = receive.getActualQ()
    start_rad, started = target[0], time.monotonic()
    fastest = 0.0

    while not receive.isProtectiveStopped() and time.monotonic() < started + 2.0:
        # By the clock, so that turns which come late make the arm no slower.
        target[0] = start_rad + 4.5 * (time.monotonic() - started)
        control.servoJ(target, 0.0, 0.0, 0.002, 0.03, 1000)
        fastest = max(fastest, receive.getTargetQd()[0])
        time.sleep(0.002)

    assert receive.isProtectiveStopped()
    assert fastest <= 3.3


def test_an_emergency_stop_takes_the_power_and_needs_power_on_and_brake_release(
    robot: VirtualUr,
    control: RTDEControlInterface,
    receive: RTDEReceiveInterface,
    dashboard: DashboardClient,
) -> None:
    start_moving(control, receive)

    request_fault(robot.runtime, UrFault.EMERGENCY_STOP)

    assert wait_until(receive.isEmergencyStopped)
    assert receive.getSafetyMode() == 7
    assert wait_until(lambda: receive.getRobotMode() == 3)
    assert wait_until(lambda: is_at_rest(receive))
    dashboard.powerOn()
    assert "POWER_OFF" in dashboard.robotmode()

    request_fault(robot.runtime, UrFault.RELEASE)
    assert wait_until(lambda: not receive.isEmergencyStopped())
    dashboard.powerOn()
    assert wait_until(lambda: receive.getRobotMode() == 5)
    dashboard.brakeRelease()
    assert wait_until(lambda: receive.getRobotMode() == 7)
    assert not control.isProgramRunning()
    assert stays_at_rest(receive)


def test_an_opened_safeguard_stops_the_arm_and_closing_it_moves_nothing(
    robot: VirtualUr, control: RTDEControlInterface, receive: RTDEReceiveInterface
) -> None:
    start_moving(control, receive)

    request_fault(robot.runtime, UrFault.SAFEGUARD_STOP)

    assert wait_until(lambda: receive.getSafetyStatusBits() & 1 << 4 != 0)
    assert receive.getSafetyMode() == 5
    assert wait_until(lambda: is_at_rest(receive))
    request_fault(robot.runtime, UrFault.RELEASE)
    assert wait_until(lambda: receive.getSafetyMode() == 1)
    assert stays_at_rest(receive)
    assert not control.isProgramRunning()


def test_the_speed_slider_scales_the_speed_of_a_move(
    robot: VirtualUr, control: RTDEControlInterface, receive: RTDEReceiveInterface
) -> None:
    start_moving(control, receive)

    request_fault(robot.runtime, UrFault.SPEED_SLIDER, 0.2)

    assert wait_until(lambda: receive.getTargetSpeedFraction() == 0.2)
    assert wait_until(lambda: abs(receive.getActualQd()[0] - 0.3) < 0.02)
    request_fault(robot.runtime, UrFault.SPEED_SLIDER, 1.0)
    assert wait_until(lambda: receive.getActualQd()[0] > 1.4)
    control.stopJ(10.0)


def test_pausing_at_the_dashboard_holds_the_arm_on_its_path_and_play_goes_on(
    control: RTDEControlInterface,
    receive: RTDEReceiveInterface,
    dashboard: DashboardClient,
) -> None:
    start_moving(control, receive)

    dashboard.pause()

    assert wait_until(lambda: receive.getRuntimeState() == 4)
    assert wait_until(lambda: is_at_rest(receive))
    assert "PAUSED" in dashboard.programState()
    dashboard.play()
    assert wait_until(lambda: receive.getActualQd()[0] > 1.0)
    control.stopJ(10.0)
