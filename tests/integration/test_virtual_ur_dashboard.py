"""Every query of the dashboard client against the virtual controller."""

from collections.abc import Iterator

import pytest
from dashboard_client import DashboardClient

from cell.drivers.arm.identity import read_serial_number
from tests.fakes.virtual_ur import VirtualUr, running_virtual_ur, wait_until


@pytest.fixture(scope="module")
def robot(tmp_path_factory: pytest.TempPathFactory) -> Iterator[VirtualUr]:
    directory = tmp_path_factory.mktemp("ur-dashboard")
    with running_virtual_ur(directory, "--plant", "ideal") as running:
        yield running


@pytest.fixture
def dashboard(robot: VirtualUr) -> Iterator[DashboardClient]:
    client = DashboardClient(robot.host)
    client.connect()
    yield client
    if client.isConnected():
        client.disconnect()


def test_the_identity_of_the_robot_is_answered(dashboard: DashboardClient) -> None:
    assert "5.12" in dashboard.polyscopeVersion()
    assert dashboard.getSerialNumber().isdigit()
    assert dashboard.getRobotModel() == "UR5"
    assert dashboard.isInRemoteControl()


def test_the_number_of_the_client_is_the_one_that_is_compared(
    robot: VirtualUr, dashboard: DashboardClient
) -> None:
    assert read_serial_number(robot.host, 2.0) == dashboard.getSerialNumber()


def test_modes_and_program_are_answered(dashboard: DashboardClient) -> None:
    assert dashboard.robotmode() == "Robotmode: RUNNING"
    assert dashboard.safetymode() == "Safetymode: NORMAL"
    assert dashboard.safetystatus() == "Safetystatus: NORMAL"
    assert dashboard.getLoadedProgram().startswith("Loaded program:")
    dashboard.isProgramSaved()


def test_a_program_is_loaded_played_paused_and_stopped(
    dashboard: DashboardClient,
) -> None:
    dashboard.loadURP("night.urp")
    assert dashboard.programState() == "STOPPED night.urp"
    assert not dashboard.running()

    dashboard.play()
    assert wait_until(dashboard.running)
    assert dashboard.programState() == "PLAYING night.urp"

    dashboard.pause()
    assert dashboard.programState() == "PAUSED night.urp"
    dashboard.play()
    assert wait_until(dashboard.running)

    dashboard.stop()
    assert wait_until(lambda: not dashboard.running())


def test_power_and_brakes_are_switched(dashboard: DashboardClient) -> None:
    dashboard.powerOff()
    assert wait_until(lambda: "POWER_OFF" in dashboard.robotmode())
    with pytest.raises(RuntimeError):
        dashboard.play()

    dashboard.powerOn()
    assert wait_until(lambda: "IDLE" in dashboard.robotmode())
    dashboard.brakeRelease()
    assert wait_until(lambda: "RUNNING" in dashboard.robotmode())


def test_messages_are_acknowledged(dashboard: DashboardClient) -> None:
    dashboard.popup("part stuck")
    dashboard.closePopup()
    dashboard.closeSafetyPopup()
    dashboard.addToLog("shift begins")
    dashboard.restartSafety()
    dashboard.unlockProtectiveStop()
    dashboard.shutdown()
    # The Python module has the method for it, but not the type of its argument.
    dashboard.send("setUserRole restricted\n")
    assert dashboard.receive() == "Setting user role: restricted"


def test_an_unknown_command_gets_one_line(dashboard: DashboardClient) -> None:
    dashboard.send("dance\n")

    assert "could not understand" in dashboard.receive()


def test_several_clients_are_served_and_quit_ends_one(
    robot: VirtualUr, dashboard: DashboardClient
) -> None:
    second = DashboardClient(robot.host)
    second.connect()

    second.quit()

    assert "RUNNING" in dashboard.robotmode()
