"""Cuts the byte streams of the cell's wires into messages, for whoever changes them.

Bytes that do not follow the protocol are passed on as they come: a proxy is no judge.
Layouts are written down here once more on purpose, so that a mistake in a driver is
not shared by what disturbs it.
"""

import struct
from typing import Final, Protocol

MBAP_BYTES: Final = 7
"""Header of Modbus TCP with the unit number."""
_MBAP_LENGTH_END: Final = 6
_MBAP_LONGEST: Final = 260
RTDE_HEADER: Final = struct.Struct(">HB")
"""Size of the whole package, type."""
_MQTT_LENGTH_BYTES: Final = 4
_MQTT_MORE: Final = 0x80
"""Another byte of the length follows."""
_GREETING_MAGIC: Final = b"CWFEED1\n"
_GREETING: Final = struct.Struct("<8sI")
PAIR: Final = struct.Struct("<IQqII")
"""Magic, number, device time [us], bytes of colour, bytes of depth."""


class Framer(Protocol):
    """Finds the messages in one direction of one connection."""

    def feed(self, chunk: bytes) -> list[bytes]:
        """Return the messages that `chunk` completes, in order."""
        ...


class RawFramer:
    """Every segment is a message."""

    def feed(self, chunk: bytes) -> list[bytes]:
        """Return the segment."""
        return [chunk]


class SizedFramer:
    """Messages that say their own size near their beginning."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._is_foreign = False

    def feed(self, chunk: bytes) -> list[bytes]:
        """Return the messages that `chunk` completes, in order."""
        if self._is_foreign:
            return [chunk]
        self._buffer += chunk
        messages: list[bytes] = []
        while (size := self.find_size(self._buffer)) is not None:
            if size <= 0:
                self._is_foreign = True
                messages.append(bytes(self._buffer))
                self._buffer.clear()
                return messages
            if len(self._buffer) < size:
                return messages
            messages.append(bytes(self._buffer[:size]))
            del self._buffer[:size]
        return messages

    def find_size(self, buffer: bytearray) -> int | None:
        """Return the size of the first message, 0 for nonsense, None for too little."""
        raise NotImplementedError


class MbapFramer(SizedFramer):
    """Modbus TCP."""

    def find_size(self, buffer: bytearray) -> int | None:
        """Return the size that the header names."""
        if len(buffer) < _MBAP_LENGTH_END:
            return None
        size = _MBAP_LENGTH_END + int.from_bytes(buffer[4:6], "big")
        return size if MBAP_BYTES < size <= _MBAP_LONGEST else 0


class RtdeFramer(SizedFramer):
    """The robot's RTDE packages."""

    def find_size(self, buffer: bytearray) -> int | None:
        """Return the size that the header names."""
        if len(buffer) < RTDE_HEADER.size:
            return None
        size = int.from_bytes(buffer[:2], "big")
        return size if size >= RTDE_HEADER.size else 0


class FeedFramer(SizedFramer):
    """The camera's frame feed: a greeting, then pairs."""

    def find_size(self, buffer: bytearray) -> int | None:
        """Return the size of a greeting or of a pair."""
        if len(buffer) < _GREETING.size:
            return None
        if buffer.startswith(_GREETING_MAGIC):
            _, length = _GREETING.unpack_from(buffer)
            return _GREETING.size + int(length)
        if len(buffer) < PAIR.size:
            return None
        *_, rgb_bytes, depth_bytes = PAIR.unpack_from(buffer)
        return PAIR.size + int(rgb_bytes) + int(depth_bytes)


class MqttFramer(SizedFramer):
    """MQTT control packets, whatever their version."""

    def find_size(self, buffer: bytearray) -> int | None:
        """Return the size that the fixed header names, seven bits a byte."""
        remaining = 0
        for index in range(_MQTT_LENGTH_BYTES):
            if len(buffer) <= 1 + index:
                return None
            digit = buffer[1 + index]
            remaining |= (digit & 0x7F) << 7 * index
            if digit < _MQTT_MORE:
                # Type 0 does not exist: such a stream is none of MQTT.
                return 2 + index + remaining if buffer[0] >> 4 else 0
        return 0


class LineFramer:
    """Lines of text; the gripper's `ack` comes without an end of line."""

    def __init__(self) -> None:
        self._buffer = b""

    def feed(self, chunk: bytes) -> list[bytes]:
        """Return the lines that `chunk` completes, ends of line included."""
        *lines, rest = (self._buffer + chunk).split(b"\n")
        messages = [line + b"\n" for line in lines]
        if rest == b"ack":
            messages.append(rest)
            rest = b""
        self._buffer = rest
        return messages
