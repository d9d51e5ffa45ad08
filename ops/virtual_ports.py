"""The addresses that the virtual cell listens on, and whether they can be had."""

import errno
import socket
import time
from collections.abc import Sequence

from cell.contracts.errors import ConfigError
from ops.exit_codes import PortTakenError
from ops.settings import Settings

_UR_PORTS = (30004, 30003, 29999)
_pause = time.sleep  # noqa: TID251  (before anything else runs)


def check_ports(addresses: Sequence[tuple[str, int]], wait_s: float) -> None:
    """Make sure that nobody else listens on the ports of the virtual cell.

    A controller that was just killed may still be closing them, hence the wait.

    Raises:
        PortTakenError: naming the first port that stays taken.
        ConfigError: an address or a port cannot be had here at all.
    """
    deadline_s = time.monotonic() + wait_s
    for host, port in addresses:
        while _is_taken(host, port):
            if time.monotonic() > deadline_s:
                raise PortTakenError(
                    f"port {port} on {host} is taken by another program; stop it "
                    f"(ss -ltnp 'sport = :{port}' names it) or change the "
                    "configuration"
                )
            _pause(0.1)


def compute_virtual_addresses(settings: Settings) -> list[tuple[str, int]]:
    """Return the addresses and TCP ports that the virtual cell listens on."""
    addresses: list[tuple[str, int]] = []
    if settings.arm.kind == "rtde":
        addresses += [(settings.arm.host, port) for port in _UR_PORTS]
    if settings.gripper.kind == "robotiq_urcap":
        addresses.append((settings.gripper.host, settings.gripper.port))
    if settings.plc.kind == "modbus":
        addresses.append((settings.plc.host, settings.plc.port))
    addresses += [
        (camera.host, camera.port)
        for camera in settings.cameras.values()
        if camera.kind == "software"
    ]
    return addresses


def describe_virtual_devices(settings: Settings) -> list[str]:
    """Return a line for each device that the virtual cell stands in for."""
    lines = []
    if settings.arm.kind == "rtde":
        names = zip(("RTDE", "script", "dashboard"), _UR_PORTS, strict=True)
        ports = ", ".join(f"{name} {port}" for name, port in names)
        lines.append(f"robot            {settings.arm.host}: {ports}")
    if settings.gripper.kind == "robotiq_urcap":
        gripper = settings.gripper
        lines.append(f"gripper          {gripper.host}: URCap socket {gripper.port}")
    if settings.plc.kind == "modbus":
        plc = settings.plc
        address = f"Modbus TCP {plc.port}, device {plc.device_id}"
        lines.append(f"line PLC         {plc.host}: {address}")
    lines += [
        f"{f'camera {name}':16} {camera.host}: frames {camera.port}"
        for name, camera in settings.cameras.items()
        if camera.kind == "software"
    ]
    return lines


def _is_taken(host: str, port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                return True
            raise ConfigError(_describe(host, port, error)) from error
    return False


def _describe(host: str, port: int, error: OSError) -> str:
    if error.errno == errno.EACCES:
        return (
            f"port {port} on {host} is reserved for root; choose one above 1023, or "
            "give the interpreter CAP_NET_BIND_SERVICE"
        )
    if error.errno == errno.EADDRNOTAVAIL:
        return (
            f"{host} is not an address of this machine, so the virtual cell cannot "
            "listen there; use 127.0.0.1"
        )
    return (
        f"the virtual cell cannot listen on {host}:{port} ({error.strerror}); change "
        "host or port"
    )
