"""The question to the controller, answered by every kind of stranger."""

import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from cell.contracts.errors import (
    DriverError,
    DriverTimeoutError,
    DriverUnreachableError,
    FaultCode,
)
from cell.drivers.arm import probe
from cell.drivers.arm.probe import (
    ArmVersionError,
    check_controller_version,
    read_controller_version,
)


@contextmanager
def stranger(monkeypatch: pytest.MonkeyPatch, answer: bytes | None) -> Iterator[None]:
    """Listen where a controller would, and answer with the given bytes or never."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        monkeypatch.setattr(probe, "RTDE_PORT", server.getsockname()[1])
        done = threading.Event()

        def serve() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(64)
                if answer is None:
                    done.wait(5.0)
                else:
                    connection.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join()


def test_a_controller_tells_its_version(monkeypatch: pytest.MonkeyPatch) -> None:
    answer = struct.pack(">HBIIII", 19, ord("v"), 5, 12, 2, 1)

    with stranger(monkeypatch, answer):
        assert read_controller_version("127.0.0.1", 2.0) == (5, 12, 2, 1)


@pytest.mark.parametrize(
    "answer", [b"", b"\0\x13", b"HTTP/1.1 400 Bad Request\r\n\r\n", bytes(19)]
)
def test_what_does_not_speak_rtde_is_named(
    monkeypatch: pytest.MonkeyPatch, answer: bytes
) -> None:
    with (
        stranger(monkeypatch, answer),
        pytest.raises(DriverError, match="does not speak RTDE"),
    ):
        read_controller_version("127.0.0.1", 2.0)


def test_a_controller_that_hangs_times_out(monkeypatch: pytest.MonkeyPatch) -> None:
    with stranger(monkeypatch, None), pytest.raises(DriverTimeoutError):
        read_controller_version("127.0.0.1", 0.05)


def test_where_nobody_listens_the_address_is_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    monkeypatch.setattr(probe, "RTDE_PORT", port)

    with pytest.raises(DriverUnreachableError, match=rf"127.0.0.1:{port}"):
        read_controller_version("127.0.0.1", 0.5)


@pytest.mark.parametrize("version", [(5, 11, 0, 0), (5, 12, 2, 1), (5, 22, 9, 9)])
def test_tested_versions_are_accepted(version: tuple[int, int, int, int]) -> None:
    check_controller_version(version, "192.168.1.10")


@pytest.mark.parametrize(
    "version", [(3, 15, 0, 0), (5, 10, 9, 0), (5, 23, 0, 0), (10, 10, 0, 0)]
)
def test_versions_that_nobody_tried_are_refused_with_what_to_install(
    version: tuple[int, int, int, int],
) -> None:
    remedy = r"at 192\.168\.1\.10 .* install PolyScope 5\.11 to 5\.22"
    with pytest.raises(ArmVersionError, match=remedy) as caught:
        check_controller_version(version, "192.168.1.10")

    assert caught.value.code is FaultCode.ARM_WRONG_VERSION
