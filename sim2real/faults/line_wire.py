"""What can be wrong with the Modbus messages between cell and line PLC."""

import socket
import struct
from dataclasses import dataclass
from typing import Final

from cell.drivers.plc.registers import BLOCK_WORDS, IMAGE_WORDS, REGISTERS, Block
from sim2real.faults.chaos_rule import Passage
from sim2real.faults.framing import MBAP_BYTES

_READ, _WRITE = 3, 16
_READ_DATA: Final = MBAP_BYTES + 2
"""After function code and byte count of an answer to a read."""
_WRITE_DATA: Final = MBAP_BYTES + 6
"""After function code, address, count and byte count of a request to write."""
_HEARTBEAT: Final = next(
    entry.offset for entry in REGISTERS[Block.PLC_TO_CELL] if entry.name == "heartbeat"
)
_LINE_HEARTBEAT: Final = _READ_DATA + 2 * _HEARTBEAT
_OWN_HEARTBEAT_READ: Final = _READ_DATA + 2 * (BLOCK_WORDS + _HEARTBEAT)
_OWN_HEARTBEAT_SENT: Final = _WRITE_DATA + 2 * _HEARTBEAT
_IMAGE_BYTES: Final = _READ_DATA + 2 * IMAGE_WORDS
_BLOCK_BYTES: Final = _READ_DATA + 2 * BLOCK_WORDS
"""Length of an answer that holds both blocks, or the cell's alone."""
_WORD: Final = struct.Struct(">H")
_STEP_BACK: Final = 100


def read_function(message: bytes) -> int:
    """Return the function code of a Modbus TCP message, 0 where there is none."""
    return message[MBAP_BYTES] if len(message) > MBAP_BYTES else 0


def clear_transaction(message: bytes, _link: int) -> Passage:
    """Give a message the transaction number 0."""
    return Passage(b"\0\0" + message[2:])


def raise_transaction(message: bytes, _link: int) -> Passage:
    """Give a message the transaction number after its own."""
    number = (int.from_bytes(message[:2], "big") + 1) & 0xFFFF
    return Passage(_WORD.pack(number) + message[2:])


def spoil_transaction(message: bytes, link: int) -> Passage:
    """Give a message the number 0 or one that is wrong, by turns."""
    is_even = message[1] % 2 == 0
    return (clear_transaction if is_even else raise_transaction)(message, link)


def swallow_writes(message: bytes, _link: int) -> Passage:
    """Acknowledge requests to write, and do not pass them on."""
    if read_function(message) != _WRITE:
        return Passage(message)
    # Transaction and protocol; length; unit, function, address and count.
    return Passage(reply=message[:4] + _WORD.pack(6) + message[6:12])


@dataclass
class BackwardHeartbeat:
    """Sets the line's counter back by 100 in every answer from now on."""

    def __call__(self, message: bytes, _link: int) -> Passage:
        """Change an answer to a read that holds the counter."""
        if read_function(message) != _READ or len(message) != _IMAGE_BYTES:
            return Passage(message)
        (value,) = _WORD.unpack_from(message, _LINE_HEARTBEAT)
        earlier = _WORD.pack((value - _STEP_BACK) & 0xFFFF)
        return Passage(_replace(message, _LINE_HEARTBEAT, earlier))


@dataclass
class FrozenOwnHeartbeat:
    """Keeps the cell's counter from the line; the cell reads back what it wrote."""

    _frozen: bytes | None = None
    _written: bytes = b""

    def to_line(self, message: bytes, _link: int) -> Passage:
        """Write the same counter again and again."""
        if read_function(message) != _WRITE or len(message) < _OWN_HEARTBEAT_SENT + 2:
            return Passage(message)
        self._written = message[_OWN_HEARTBEAT_SENT : _OWN_HEARTBEAT_SENT + 2]
        if self._frozen is None:
            self._frozen = self._written
        return Passage(_replace(message, _OWN_HEARTBEAT_SENT, self._frozen))

    def to_cell(self, message: bytes, _link: int) -> Passage:
        """Put the true counter back into the answer."""
        offset = _OWN_HEARTBEAT_READ
        if len(message) == _BLOCK_BYTES:
            offset = _LINE_HEARTBEAT
        elif len(message) != _IMAGE_BYTES:
            return Passage(message)
        if read_function(message) != _READ or not self._written:
            return Passage(message)
        return Passage(_replace(message, offset, self._written))


class SecondMaster:
    """Another Modbus client that writes one register of the cell's block."""

    def __init__(self, address: tuple[str, int], device_id: int) -> None:
        """Connect.

        Raises:
            OSError: nothing listens there.
        """
        self._link = socket.create_connection(address, 1.0)
        self._device_id = device_id
        self._number = 0

    def write(self, register: int, value: int) -> None:
        """Write one register, as any client may that reaches the port."""
        self._number = (self._number + 1) & 0xFFFF
        body = struct.pack(
            ">BBHHBH", self._device_id, _WRITE, register, 1, 2, value & 0xFFFF
        )
        self._link.sendall(struct.pack(">HHH", self._number, 0, len(body)) + body)
        self._link.recv(256)

    def close(self) -> None:
        """Disconnect."""
        self._link.close()


def _replace(message: bytes, offset: int, content: bytes) -> bytes:
    return message[:offset] + content + message[offset + len(content) :]
