"""Receive, IO and raw RTDE connections to the virtual controller."""

import os
import signal
import socket
import struct
import time
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from rtde_io import RTDEIOInterface
from rtde_receive import RTDEReceiveInterface

from ops.exit_codes import ExitCode
from sim2real.scene.force_noise import FORCE_SIGMA_N, FORCE_ZERO_SIGMA_N
from sim2real.virtual_cell.ur.faults import UrFault, request_fault
from tests.fakes.virtual_ur import (
    VirtualUr,
    running_virtual_ur,
    start_virtual_ur,
    wait_until,
)

pytestmark = pytest.mark.alone


@pytest.fixture(scope="module")
def robot(tmp_path_factory: pytest.TempPathFactory) -> Iterator[VirtualUr]:
    directory = tmp_path_factory.mktemp("ur-streams")
    with running_virtual_ur(directory, "--plant", "ideal") as running:
        yield running


@pytest.fixture(scope="module")
def io(robot: VirtualUr) -> Iterator[RTDEIOInterface]:
    interface = RTDEIOInterface(robot.host)
    yield interface
    interface.disconnect()


class RawRtde:
    """A hand-made RTDE client, for what the library does not let out."""

    def __init__(self, host: str, receive_buffer: int = 1 << 16) -> None:
        self.socket = socket.socket()
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.settimeout(10.0)
        self.socket.connect((host, 30004))

    def send(self, kind: str, payload: bytes = b"") -> None:
        header = struct.pack(">HB", 3 + len(payload), ord(kind))
        self.socket.sendall(header + payload)

    def read(self) -> tuple[str, bytes]:
        size, kind = struct.unpack(">HB", self._read_exactly(3))
        return chr(kind), self._read_exactly(size - 3)

    def ask(self, kind: str, payload: bytes = b"") -> bytes:
        self.send(kind, payload)
        answer_kind, answer = self.read()
        assert answer_kind == kind
        return answer

    def _read_exactly(self, count: int) -> bytes:
        content = b""
        while len(content) < count:
            chunk = self.socket.recv(count - len(content))
            assert chunk, "the controller closed the connection"
            content += chunk
        return content


@pytest.fixture
def raw(robot: VirtualUr) -> Iterator[RawRtde]:
    client = RawRtde(robot.host)
    with closing(client.socket):
        yield client


def test_the_default_list_of_the_receive_interface_decodes(
    receive: RTDEReceiveInterface,
) -> None:
    assert receive.isConnected()
    assert receive.getRobotMode() == 7
    assert receive.getSafetyMode() == 1
    assert receive.getSafetyStatusBits() == 1
    assert receive.getRuntimeState() == 1
    assert receive.getRobotStatus() & 1
    assert receive.getJointMode() == [253] * 6
    assert receive.getTargetSpeedFraction() == 1.0
    assert receive.getSpeedScaling() == 1.0
    assert receive.getActualQ() == receive.getTargetQ()
    # Nothing presses on the tool; the sensor has noise all the same. Six sigma of
    # noise and zero together: by chance less often than once in 10^8 reads.
    noise_n = 6.0 * np.hypot(FORCE_SIGMA_N, FORCE_ZERO_SIGMA_N)
    assert np.abs(receive.getActualTCPForce()).max() < noise_n
    assert receive.getFtRawWrench() == [0.0] * 6
    assert receive.getJointTemperatures() == [32.0] * 6
    assert receive.getActualMainVoltage() == 48.0
    assert len(receive.getPayloadInertia()) == 6


def test_the_timestamp_advances_with_the_clock(receive: RTDEReceiveInterface) -> None:
    def measure_gap_s() -> float:
        started, stamp = time.monotonic(), receive.getTimestamp()
        assert wait_until(lambda: receive.getTimestamp() > stamp + 0.5, 10.0)
        passed_s = receive.getTimestamp() - stamp
        return abs(time.monotonic() - started - float(passed_s))

    # A stall of this machine spoils a measurement, a wrong clock spoils all of them.
    assert wait_until(lambda: measure_gap_s() < 0.1, 15.0)


def test_a_subset_at_125_hz_comes_in_steps_of_exactly_8_ms(raw: RawRtde) -> None:
    assert raw.ask("V", struct.pack(">H", 2)) == b"\x01"
    names = b"timestamp,actual_q,"
    assert raw.ask("O", struct.pack(">d", 125.0) + names) == b"\x01DOUBLE,VECTOR6D"
    assert raw.ask("S") == b"\x01"

    stamps = []
    for _ in range(20):
        kind, payload = raw.read()
        assert kind == "U"
        assert len(payload) == 1 + 8 + 48
        stamps.append(struct.unpack_from(">d", payload, 1)[0])

    steps = {round((b - a) * 1000) for a, b in pairwise(stamps)}
    # A stall of this machine skips ticks, but never splits a step.
    assert all(step % 8 == 0 for step in steps)
    assert 8 in steps


def test_a_subset_works_through_the_library(robot: VirtualUr) -> None:
    interface = RTDEReceiveInterface(robot.host, 125.0, ["timestamp", "actual_q"])

    assert interface.getTimestamp() > 0.0
    assert len(interface.getActualQ()) == 6
    interface.disconnect()


def test_an_unknown_output_is_refused_by_name(robot: VirtualUr) -> None:
    with pytest.raises(RuntimeError, match="actual_qqq"):
        RTDEReceiveInterface(robot.host, 500.0, ["timestamp", "actual_qqq"])


def test_the_version_is_that_of_the_dashboard(raw: RawRtde) -> None:
    assert struct.unpack(">4I", raw.ask("v"))[:2] == (5, 12)


def test_protocol_version_1_gets_types_without_a_recipe_number(raw: RawRtde) -> None:
    assert raw.ask("V", struct.pack(">H", 1)) == b"\x01"

    assert raw.ask("O", b"timestamp,robot_mode") == b"DOUBLE,INT32"


def test_an_unknown_protocol_version_is_not_accepted(raw: RawRtde) -> None:
    assert raw.ask("V", struct.pack(">H", 9)) == b"\x00"


def test_pause_is_answered_before_anything_was_started(raw: RawRtde) -> None:
    assert raw.ask("P") == b"\x01"


def test_an_input_in_use_is_free_again_when_its_owner_leaves(
    robot: VirtualUr, raw: RawRtde
) -> None:
    owner = RawRtde(robot.host)
    with closing(owner.socket):
        assert owner.ask("I", b"input_int_register_3,") == b"\x01INT32"
        assert raw.ask("I", b"input_int_register_3") == b"\x00IN_USE"

    # The close above arrives before anything sent after it.
    assert raw.ask("I", b"input_int_register_3") == b"\x02INT32"


def test_input_packages_of_the_wrong_length_keep_the_connection(raw: RawRtde) -> None:
    raw.ask("I", b"input_int_register_4,input_double_register_4")

    raw.send("U", b"\x01" + struct.pack(">i", 7))
    raw.send("U", b"\x01" + struct.pack(">id", 7, 1.0) + b"surplus")
    raw.send("U", b"\x09")
    raw.send("U", b"")

    assert raw.ask("P") == b"\x01"


def test_a_package_smaller_than_its_header_ends_the_connection(raw: RawRtde) -> None:
    raw.socket.sendall(b"\x00\x01U")

    assert raw.socket.recv(16) == b""


def test_a_client_that_does_not_read_loses_packages_and_disturbs_nobody(
    robot: VirtualUr, receive: RTDEReceiveInterface
) -> None:
    slow = RawRtde(robot.host, receive_buffer=8192)
    names = ",".join(f"output_double_register_{n}" for n in range(1, 48))
    recipe = f"timestamp,{names}".encode()
    with closing(slow.socket):
        slow.ask("V", struct.pack(">H", 2))
        slow.ask("O", struct.pack(">d", 500.0) + recipe)
        assert slow.ask("S") == b"\x01"
        stamp = receive.getTimestamp()

        assert wait_until(lambda: receive.getTimestamp() > stamp + 1.0)

        stamps: list[float] = []
        while not stamps or stamps[-1] < stamp + 1.0:
            kind, payload = slow.read()
            assert kind == "U"
            assert len(payload) == 1 + 48 * 8  # whole packages only
            stamps.append(struct.unpack_from(">d", payload, 1)[0])
        longest = max(b - a for a, b in pairwise(stamps))
        assert longest > 0.2


def test_the_speed_slider_shows_in_the_target_fraction(
    io: RTDEIOInterface, receive: RTDEReceiveInterface
) -> None:
    assert io.setSpeedSlider(0.25)
    assert wait_until(lambda: receive.getTargetSpeedFraction() == 0.25)
    assert wait_until(lambda: abs(receive.getSpeedScaling() - 0.25) < 1e-9)

    assert io.setSpeedSlider(1.0)
    assert wait_until(lambda: receive.getSpeedScaling() == 1.0)


def test_digital_outputs_show_in_their_bits(
    io: RTDEIOInterface, receive: RTDEReceiveInterface
) -> None:
    io.setStandardDigitalOut(3, True)
    io.setConfigurableDigitalOut(1, True)
    io.setToolDigitalOut(1, True)
    expected = 1 << 3 | 1 << 9 | 1 << 17
    assert wait_until(lambda: receive.getActualDigitalOutputBits() == expected)

    io.setStandardDigitalOut(3, False)

    assert wait_until(lambda: not receive.getDigitalOutState(3))
    assert receive.getDigitalOutState(9)


def test_analog_outputs_show_in_volt_and_ampere(
    io: RTDEIOInterface, receive: RTDEReceiveInterface
) -> None:
    io.setAnalogOutputVoltage(0, 0.5)
    io.setAnalogOutputCurrent(1, 0.25)

    assert wait_until(lambda: receive.getStandardAnalogOutput0() == 5.0)
    assert wait_until(lambda: abs(receive.getStandardAnalogOutput1() - 0.008) < 1e-9)


def has_outputs(receive: RTDEReceiveInterface, mask: int, expected: int) -> bool:
    return bool(receive.getActualDigitalOutputBits() & mask == expected)


def test_io_calls_are_not_held_back_by_delayed_acknowledges(
    io: RTDEIOInterface, receive: RTDEReceiveInterface
) -> None:
    delays = []
    for turn in range(20):
        level = turn % 2 == 0
        started = time.monotonic()
        io.setStandardDigitalOut(5, not level)
        io.setStandardDigitalOut(5, level)
        expected = int(level) << 5
        assert wait_until(partial(has_outputs, receive, 1 << 5, expected))
        delays.append(time.monotonic() - started)

    # Delayed acknowledges would cost every turn 40 ms; a busy machine costs some.
    assert sorted(delays)[3] < 0.02


def test_a_receive_interface_reconnects_after_its_connection_was_dropped(
    robot: VirtualUr,
) -> None:
    interface = RTDEReceiveInterface(robot.host)
    interface.disconnect()
    assert not interface.isConnected()

    assert interface.reconnect()

    stamp = interface.getTimestamp()
    assert wait_until(lambda: interface.getTimestamp() > stamp)
    interface.disconnect()


def test_a_client_sees_its_controller_die_and_reconnects_to_the_next_one(
    tmp_path: Path,
) -> None:
    with running_virtual_ur(tmp_path, "--plant", "ideal") as first:
        interface = RTDEReceiveInterface(first.host)
        first.process.kill()
        first.process.wait()
        assert wait_until(lambda: not interface.isConnected())
        interface.disconnect()

        with running_virtual_ur(tmp_path, "--plant", "ideal", host=first.host):
            assert interface.reconnect()
            stamp = interface.getTimestamp()
            assert wait_until(lambda: interface.getTimestamp() > stamp)
            interface.disconnect()


def test_a_frozen_stream_stands_still_and_goes_on(
    robot: VirtualUr, receive: RTDEReceiveInterface
) -> None:
    request_fault(robot.runtime, UrFault.FREEZE_RTDE, 0.6)

    def is_frozen() -> bool:
        stamp = receive.getTimestamp()
        time.sleep(0.1)
        return bool(receive.getTimestamp() == stamp)

    assert wait_until(is_frozen)
    stamp = receive.getTimestamp()
    assert wait_until(lambda: receive.getTimestamp() > stamp + 0.4)


def test_a_taken_address_is_said_in_one_sentence(
    robot: VirtualUr, tmp_path: Path
) -> None:
    process = start_virtual_ur(tmp_path, robot.host, "--plant", "ideal")

    _, spoken = process.communicate(timeout=20.0)

    assert process.returncode == ExitCode.PORT_TAKEN
    assert f"cannot listen on {robot.host}" in spoken.decode()
    assert "Traceback" not in spoken.decode()


def test_the_controller_drops_its_clients_on_request_and_ends_in_order(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    directory = tmp_path_factory.mktemp("ur-end")
    with running_virtual_ur(directory, "--plant", "ideal") as running:
        running.process.send_signal(signal.SIGINT)
        client = RawRtde(running.host)
        with closing(client.socket):
            assert client.ask("P") == b"\x01"  # Ctrl-C is the host's business
            request_fault(running.runtime, UrFault.DROP_CONNECTIONS)
            assert client.socket.recv(16) == b""

        client = RawRtde(running.host)
        with closing(client.socket):
            assert client.ask("P") == b"\x01"
            os.kill(running.process.pid, signal.SIGTERM)
            assert client.socket.recv(16) == b""

        assert running.process.wait(5.0) == 0
