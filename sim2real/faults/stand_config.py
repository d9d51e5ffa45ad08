"""Addresses and configuration files of a test stand.

The virtual cell listens on one loopback address, the controller is told another: what
lies between them is a wire, and can be disturbed. No other machine is ever named, so
a configuration of a real cell cannot reach its devices from here.
"""

import copy
import socket
from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any, Final

import yaml

from cell.contracts.errors import ConfigError
from ops.config_file import read_config_file
from ops.exit_codes import PortTakenError
from ops.settings import Settings, parse_settings
from ops.strict_yaml import parse_strict_yaml

_RTDE_PORT: Final = 30004
_PAIRS: Final = range(2, 200, 2)
_KINDS: Final = {"arm": "rtde", "gripper": "robotiq_urcap", "plc": "modbus"}
# Kills are what a stand is for; the limit itself is tried on its own.
RESTARTS: Final = 10_000


class Wire(Enum):
    """A connection that can be disturbed."""

    LINE = "plc"
    ROBOT = "arm"
    GRIPPER = "gripper"
    CAMERA = "overhead"
    WRIST = "wrist"


CAMERAS: Final = (Wire.CAMERA, Wire.WRIST)
"""Wires that a feed of pictures comes in on."""


@dataclass(frozen=True)
class StandFiles:
    """What a stand is started with.

    Attributes:
        cell: configuration of the virtual cell.
        controller: configuration of the controller.
        cell_runtime: shared memory of the virtual cell.
        runtime: shared memory of the controller.
        logs: folder with the controller's logs.
        cell_logs: folder with those of the virtual cell.
        settings: those of the controller.
        cell_host: address of the virtual cell.
        wire_host: address at which the controller finds disturbed wires.
    """

    cell: Path
    controller: Path
    cell_runtime: Path
    runtime: Path
    logs: Path
    cell_logs: Path
    settings: Settings
    cell_host: str
    wire_host: str


@contextmanager
def lend_hosts() -> Iterator[tuple[str, str]]:
    """Lend two neighbouring loopback addresses that nobody else uses.

    Raises:
        PortTakenError: all of them are in use.
    """
    for number in _PAIRS:
        pair = (f"127.77.0.{number}", f"127.77.0.{number + 1}")
        with ExitStack() as stack:
            claim = stack.enter_context(
                socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            )
            try:
                # A name in the kernel's abstract space; nothing to clean up.
                claim.bind(f"\0cellward-stand-{number}")
            except OSError:
                continue
            if all(_is_free(host) for host in pair):
                yield pair
                return
    raise PortTakenError("every loopback address for a test stand is in use")


def write_stand_files(
    base: Path,
    folder: Path,
    memory: Path,
    hosts: tuple[str, str],
    wires: frozenset[Wire],
    restart_limit: int | None = RESTARTS,
) -> StandFiles:
    """Write both configurations.

    Args:
        base: configuration to take everything else from.
        folder: for files.
        memory: for shared memory.
        hosts: address of the virtual cell, address of the disturbed wires.
        wires: which connections go through the second address.
        restart_limit: of the controller's processes; None for that of the base.

    Raises:
        ConfigError: the configuration has devices that the virtual cell lacks.
    """
    name = str(base)
    tree = parse_strict_yaml(read_config_file(base), name).root
    cell_tree = _point_at(tree, hosts[0], set(Wire) - set(CAMERAS))
    for camera_name, camera in cell_tree["cameras"].items():
        _check_kind(f"cameras.{camera_name}", camera, "software")
        camera["host"] = hosts[0]
    cell_tree["virtual_cell"] |= {"enabled": True, "autostart": False}
    controller_tree = _point_at(cell_tree, hosts[1], wires)
    controller_tree["virtual_cell"]["enabled"] = False
    paths = {}
    for role, content in (("cell", cell_tree), ("controller", controller_tree)):
        content["runtime"] = {
            **content.get("runtime", {}),
            "directory": str(memory / role),
            "state_directory": str(folder / role),
        }
        if restart_limit is not None:
            content["runtime"]["restart_limit"] = restart_limit
        path = paths[role] = folder / f"{role}.yaml"
        path.touch(mode=0o600)
        path.write_text(yaml.safe_dump(content), encoding="utf-8")
        settings = parse_settings(path.read_bytes(), str(path))
    return StandFiles(
        cell=paths["cell"],
        controller=paths["controller"],
        cell_runtime=memory / "cell",
        runtime=memory / "controller",
        logs=folder / "controller" / "log",
        cell_logs=folder / "cell" / "log",
        settings=settings,
        cell_host=hosts[0],
        wire_host=hosts[1],
    )


def _point_at(
    tree: dict[str, Any], host: str, wires: AbstractSet[Wire]
) -> dict[str, Any]:
    """Return a copy in which the devices behind `wires` are at `host`."""
    pointed = copy.deepcopy(tree)
    for wire in wires:
        section = _find_section(pointed, wire)
        section["host"] = host
    return pointed


def _find_section(tree: dict[str, Any], wire: Wire) -> dict[str, Any]:
    if wire in CAMERAS:
        section, kind = tree["cameras"].get(wire.value, {}), "software"
        key = f"cameras.{wire.value}"
    else:
        section, kind, key = tree[wire.value], _KINDS[wire.value], wire.value
    _check_kind(key, section, kind)
    found: dict[str, Any] = section
    return found


def _check_kind(key: str, section: dict[str, Any], kind: str) -> None:
    if section.get("kind") != kind:
        raise ConfigError(
            f"{key}.kind is {section.get('kind')}: faults are tried on the virtual "
            f"cell, where it is {kind}; name its configuration with --config"
        )


def _is_free(host: str) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, _RTDE_PORT))
        except OSError:
            return False
    return True
