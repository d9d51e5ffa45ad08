"""The URCap socket of the gripper, as a plain socket client uses it."""

import socket
from collections.abc import Iterator
from contextlib import closing

import pytest
from dashboard_client import DashboardClient

from sim2real.virtual_cell.ur.faults import UrFault, request_fault
from tests.fakes.virtual_ur import VirtualUr, running_virtual_ur, wait_until

PART_AT = 150


class GripperClient:
    """One request, one read, as the vendor's class does it."""

    def __init__(self, host: str) -> None:
        self.socket = socket.create_connection((host, 63352), timeout=2.0)

    def ask(self, request: str) -> str:
        self.socket.sendall(request.encode() + b"\n")
        return self.socket.recv(1024).decode()

    def read(self, name: str) -> int:
        answered, value = self.ask(f"GET {name}").split()
        assert answered == name
        return int(value)


@pytest.fixture(scope="module")
def robot(tmp_path_factory: pytest.TempPathFactory) -> Iterator[VirtualUr]:
    options = ("--plant", "ideal", "--ideal-part-at", str(PART_AT / 255))
    with running_virtual_ur(tmp_path_factory.mktemp("ur-grip"), *options) as running:
        yield running


@pytest.fixture
def gripper(robot: VirtualUr) -> Iterator[GripperClient]:
    client = GripperClient(robot.host)
    with closing(client.socket):
        activate(client)
        assert client.ask("SET POS 0 SPE 255 FOR 100 GTO 1") == "ack"
        assert wait_until(lambda: client.read("OBJ") == 3)
        yield client


def activate(client: GripperClient) -> None:
    if client.read("STA") == 3:
        return
    assert client.ask("SET ACT 0") == "ack"
    assert client.ask("SET ATR 0") == "ack"
    assert wait_until(lambda: client.read("STA") == 0 and client.read("ACT") == 0)
    assert client.ask("SET ACT 1") == "ack"
    assert wait_until(lambda: client.read("STA") == 3)


def test_resetting_and_activating_goes_through_its_states(
    gripper: GripperClient,
) -> None:
    assert gripper.ask("SET ACT 0") == "ack"
    assert gripper.read("STA") == 0

    assert gripper.ask("SET ACT 1") == "ack"

    assert gripper.read("STA") == 1
    assert wait_until(lambda: gripper.read("STA") == 3)


def test_a_move_reads_as_moving_from_the_acknowledge_on(
    gripper: GripperClient,
) -> None:
    assert gripper.ask("SET POS 100 SPE 40 FOR 50 GTO 1") == "ack"

    assert gripper.read("OBJ") == 0
    assert gripper.read("PRE") == 100
    assert gripper.read("SPE") == 40
    assert gripper.read("FOR") == 50


def test_a_move_without_resistance_ends_at_its_position(
    gripper: GripperClient,
) -> None:
    gripper.ask("SET POS 100 SPE 255 FOR 50 GTO 1")

    assert wait_until(lambda: gripper.read("OBJ") == 3)
    assert abs(gripper.read("POS") - 100) <= 2


def test_closing_on_a_part_reports_an_object(gripper: GripperClient) -> None:
    gripper.ask("SET POS 255 SPE 255 FOR 50 GTO 1")

    assert wait_until(lambda: gripper.read("OBJ") != 0)
    assert gripper.read("OBJ") == 2
    assert abs(gripper.read("POS") - PART_AT) <= 2


def test_opening_again_reports_arrival(gripper: GripperClient) -> None:
    gripper.ask("SET POS 255 SPE 255 FOR 50 GTO 1")
    assert wait_until(lambda: gripper.read("OBJ") == 2)

    gripper.ask("SET POS 0 SPE 255 FOR 50 GTO 1")

    assert gripper.read("OBJ") == 0
    assert wait_until(lambda: gripper.read("OBJ") == 3)


def test_several_queries_in_one_segment_are_answered_in_one(
    gripper: GripperClient,
) -> None:
    answer = gripper.ask("GET ACT\nGET GTO\nGET FLT\nGET STA")

    assert answer == "ACT 1\nGTO 1\nFLT 0\nSTA 3\n"


def test_a_request_split_over_segments_is_answered_once_it_is_whole(
    gripper: GripperClient,
) -> None:
    gripper.socket.sendall(b"GET S")
    gripper.socket.sendall(b"TA\n")

    assert gripper.socket.recv(64) == b"STA 3\n"


def test_nonsense_is_answered_and_changes_nothing(gripper: GripperClient) -> None:
    for request in ("SET", "SET POS", "SET POS x", "SET FOO 1", "HELLO", "GET FOO"):
        assert "ack" not in gripper.ask(request)

    assert gripper.read("STA") == 3


def test_automatic_release_opens_and_leaves_a_fault_until_reset(
    gripper: GripperClient,
) -> None:
    gripper.ask("SET POS 100 SPE 255 FOR 50 GTO 1")
    assert wait_until(lambda: gripper.read("OBJ") == 3)

    gripper.ask("SET ARD 1 ATR 1")

    assert gripper.read("FLT") == 15
    assert wait_until(lambda: gripper.read("POS") < 5)
    gripper.ask("SET POS 100 GTO 1")
    assert gripper.read("PRE") == 0
    gripper.ask("SET ACT 0")
    gripper.ask("SET ATR 0")
    assert gripper.read("FLT") == 0


def test_without_power_nothing_can_be_read_and_activation_is_lost(
    robot: VirtualUr, gripper: GripperClient
) -> None:
    request_fault(robot.runtime, UrFault.EMERGENCY_STOP)
    assert wait_until(lambda: gripper.ask("GET POS") == "POS ?\n")

    request_fault(robot.runtime, UrFault.RELEASE)
    dashboard = DashboardClient(robot.host)
    dashboard.connect()

    def has_power() -> bool:
        dashboard.brakeRelease()
        return "RUNNING" in dashboard.robotmode()

    assert wait_until(has_power)
    assert gripper.read("STA") == 0
    dashboard.disconnect()
