"""RTDE framing: a size, a type byte and a payload, all numbers big-endian."""

import struct
from enum import IntEnum

_HEADER = struct.Struct(">HB")


class PackageType(IntEnum):
    """Type byte of a package, ASCII of the protocol's mnemonic."""

    REQUEST_PROTOCOL_VERSION = ord("V")
    GET_CONTROLLER_VERSION = ord("v")
    TEXT_MESSAGE = ord("M")
    DATA = ord("U")
    SETUP_OUTPUTS = ord("O")
    SETUP_INPUTS = ord("I")
    START = ord("S")
    PAUSE = ord("P")


class FramingError(Exception):
    """Bytes that cannot be RTDE; the connection has to be closed."""


def make_package(kind: PackageType, payload: bytes) -> bytes:
    """Prefix a payload with its header."""
    return _HEADER.pack(_HEADER.size + len(payload), kind) + payload


def take_packages(inbox: bytearray) -> list[tuple[int, bytes]]:
    """Remove and return all complete packages as type byte and payload.

    Raises:
        FramingError: a package claims to be smaller than its own header.
    """
    packages = []
    start, available = 0, len(inbox)
    while available - start >= _HEADER.size:
        size, kind = _HEADER.unpack_from(inbox, start)
        if size < _HEADER.size:
            raise FramingError(f"package size {size}")
        if available - start < size:
            break
        packages.append((kind, bytes(inbox[start + _HEADER.size : start + size])))
        start += size
    if start:
        del inbox[:start]
    return packages


def parse_names(payload: bytes) -> list[str]:
    """Split a list of names; a trailing comma is allowed."""
    return [name for name in payload.decode("ascii", "replace").split(",") if name]
