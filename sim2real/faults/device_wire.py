"""What can be wrong with the messages of gripper and camera."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from sim2real.faults.chaos_rule import Passage
from sim2real.faults.framing import PAIR

_PAIR_MAGIC: Final = 0x52494150


@dataclass
class StuckVariables:
    """Answers of the gripper always hold these values."""

    values: Mapping[str, str]

    def __call__(self, line: bytes, _link: int) -> Passage:
        """Change an answer such as `OBJ 3`."""
        name, _, text = line.decode("ascii", "replace").strip().partition(" ")
        if name in self.values and text:
            return Passage(f"{name} {self.values[name]}\n".encode())
        return Passage(line)


@dataclass
class RepeatedPicture:
    """Sends the first picture again and again, with the stamps of the true ones.

    Attributes:
        begun_ns: when it was first sent again, 0 before.
    """

    begun_ns: int = 0
    _images: bytes | None = None

    def __call__(self, message: bytes, _link: int) -> Passage:
        """Change a pair; a greeting passes."""
        if not is_pair(message):
            return Passage(message)
        if self._images is None:
            self._images = message[PAIR.size :]
        elif not self.begun_ns:
            self.begun_ns = time.monotonic_ns()
        return Passage(message[: PAIR.size] + self._images)


@dataclass
class StandingClock:
    """Stamps every picture with the device time of the first.

    Attributes:
        begun_ns: when that time was first sent again, 0 before.
    """

    begun_ns: int = 0
    _time_us: int | None = None

    def __call__(self, message: bytes, _link: int) -> Passage:
        """Change a pair; a greeting passes."""
        if not is_pair(message):
            return Passage(message)
        magic, number, time_us, rgb_bytes, depth_bytes = PAIR.unpack_from(message)
        if self._time_us is None:
            self._time_us = time_us
        elif not self.begun_ns:
            self.begun_ns = time.monotonic_ns()
        header = PAIR.pack(magic, number, self._time_us, rgb_bytes, depth_bytes)
        return Passage(header + message[PAIR.size :])


def halve_pictures(message: bytes, _link: int) -> Passage:
    """Empty the lower half of both images of a pair, as a torn transfer does."""
    if not is_pair(message):
        return Passage(message)
    *_, rgb_bytes, depth_bytes = PAIR.unpack_from(message)
    content = bytearray(message)
    start = PAIR.size
    for size in (rgb_bytes, depth_bytes):
        content[start + size // 2 : start + size] = bytes(size - size // 2)
        start += size
    return Passage(bytes(content))


def is_pair(message: bytes) -> bool:
    """Say whether a message of the feed is a pair of images."""
    return len(message) > PAIR.size and (
        int.from_bytes(message[:4], "little") == _PAIR_MAGIC
    )
