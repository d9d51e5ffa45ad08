"""Ports of the virtual cell: taken, reserved, or not of this machine."""

import errno
import socket
from pathlib import Path

import pytest

from cell.contracts.errors import ConfigError
from ops.exit_codes import PortTakenError
from ops.settings import load_settings
from ops.virtual_ports import (
    check_ports,
    compute_virtual_addresses,
    describe_virtual_devices,
)
from tests.running_cell import write_config


def test_a_port_of_another_program_is_named() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]

        with pytest.raises(PortTakenError, match=f"port {port} on .* is taken"):
            check_ports([("127.0.0.1", port)], 0.0)


def test_an_address_of_another_machine_is_not_called_taken() -> None:
    with pytest.raises(ConfigError, match="is not an address of this machine"):
        check_ports([("192.0.2.1", 15020)], 3600.0)


def test_a_reserved_port_is_not_called_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_self: object, _address: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(socket.socket, "bind", refuse)

    with pytest.raises(ConfigError, match=r"port 502 on .* is reserved for root"):
        check_ports([("127.0.0.1", 502)], 3600.0)


def test_every_address_that_is_listened_on_is_told(tmp_path: Path) -> None:
    settings = load_settings(write_config(tmp_path, "127.0.0.1"))

    text = "\n".join(describe_virtual_devices(settings))

    addresses = compute_virtual_addresses(settings)
    assert len(addresses) == 7
    for _, port in addresses:
        assert str(port) in text


def test_free_ports_are_fine(tmp_path: Path, free_port: int) -> None:
    check_ports([("127.0.0.1", free_port)], 0.0)
