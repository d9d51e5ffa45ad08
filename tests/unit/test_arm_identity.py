"""Another robot than the configured one is refused, and nobody stands in for it."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Self

import pytest

from cell.contracts.errors import (
    DriverError,
    DriverTimeoutError,
    DriverUnreachableError,
    FaultCode,
)
from cell.drivers.arm import identity
from cell.drivers.arm.identity import (
    ArmIdentityError,
    check_serial_number,
    read_serial_number,
    require_robot,
)

OURS, OTHER = "20215500001", "20225500042"
GREETING = b"Connected: Universal Robots Dashboard Server\n"


@contextmanager
def dashboard(
    monkeypatch: pytest.MonkeyPatch, *pieces: bytes, greeting: bytes = GREETING
) -> Iterator[list[bytes]]:
    """Greet, wait for a question, answer in these pieces, then stay silent."""
    asked: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as server:
        monkeypatch.setattr(identity, "DASHBOARD_PORT", server.getsockname()[1])
        done = threading.Event()

        def serve() -> None:
            connection, _ = server.accept()
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with connection:
                connection.sendall(greeting)
                if pieces:
                    asked.append(connection.recv(64))
                for piece in pieces:
                    connection.sendall(piece)
                if pieces[-1:] != (b"",):
                    done.wait(5.0)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield asked
        finally:
            done.set()
            thread.join()


def test_a_controller_tells_its_serial_number(monkeypatch: pytest.MonkeyPatch) -> None:
    with dashboard(monkeypatch, b"20215", b"500001\r\n") as asked:
        assert read_serial_number("127.0.0.1", 2.0) == OURS

    assert asked == [b"get serial number\n"]


def test_the_configured_robot_is_accepted(monkeypatch: pytest.MonkeyPatch) -> None:
    with dashboard(monkeypatch, f"{OURS}\n".encode()):
        require_robot("127.0.0.1", OURS, 2.0)


def test_another_robot_is_refused_with_both_numbers_and_what_to_do(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with (
        dashboard(monkeypatch, f"{OTHER}\n".encode()),
        pytest.raises(ArmIdentityError, match="connect that robot") as caught,
    ):
        require_robot("127.0.0.1", OURS, 2.0)

    assert OTHER in str(caught.value)
    assert f"arm.serial_number is {OURS}" in str(caught.value)
    assert caught.value.code is FaultCode.ARM_WRONG_ROBOT


@pytest.mark.parametrize("found", [f"{OURS}0", OURS[:-1], ""])
def test_a_number_that_only_begins_alike_is_another(found: str) -> None:
    with pytest.raises(ArmIdentityError):
        check_serial_number(found, OURS, "192.168.1.10")


def test_without_a_configured_number_nobody_is_asked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("a connection was opened")

    monkeypatch.setattr(socket, "create_connection", refuse)

    require_robot("127.0.0.1", "", 2.0)


@pytest.mark.parametrize(
    ("greeting", "answer"),
    [
        (GREETING, b"could not understand: 'get serial number'\n"),
        (GREETING, b"\n"),
        (GREETING, b""),
        (b"SSH-2.0-OpenSSH_9.2\n", b"20215500001\n"),
    ],
)
def test_what_tells_no_serial_number_is_no_robot(
    monkeypatch: pytest.MonkeyPatch, greeting: bytes, answer: bytes
) -> None:
    with (
        dashboard(monkeypatch, answer, greeting=greeting),
        pytest.raises(DriverError, match="tells no serial number") as caught,
    ):
        require_robot("127.0.0.1", OURS, 2.0)

    assert not isinstance(caught.value, ArmIdentityError)


def test_a_server_that_greets_and_falls_silent_times_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with (
        dashboard(monkeypatch),
        pytest.raises(DriverTimeoutError, match=r"arm\.host"),
    ):
        read_serial_number("127.0.0.1", 0.05)


class Dribble:
    """A connection that brings one byte each 0.3 s of a clock that it is."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.limits_s: list[float] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def settimeout(self, limit_s: float) -> None:
        self.limits_s.append(limit_s)

    def recv(self, _: int) -> bytes:
        self.now_s += 0.3
        return b"2"


def test_pieces_that_never_end_do_not_stretch_the_deadline(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    dribble = Dribble()
    monkeypatch.setattr(identity, "monotonic", lambda: dribble.now_s)
    monkeypatch.setattr(socket, "create_connection", lambda *_args, **_options: dribble)

    with pytest.raises(DriverTimeoutError):
        read_serial_number("127.0.0.1", 1.0)

    assert dribble.limits_s == pytest.approx([1.0, 0.7, 0.4, 0.1])


def test_a_dashboard_server_that_is_switched_off_is_named_with_the_remedy(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    monkeypatch.setattr(identity, "DASHBOARD_PORT", port)

    with pytest.raises(DriverUnreachableError, match="permit the service") as caught:
        require_robot("127.0.0.1", OURS, 0.5)

    assert "arm.serial_number" in str(caught.value)
    assert caught.value.code is FaultCode.DRIVER_UNREACHABLE
