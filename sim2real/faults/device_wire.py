"""What can be wrong with the messages of gripper and camera."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from sim2real.faults.chaos_rule import Passage
from sim2real.faults.framing import PAIR

_PAIR_MAGIC: Final = 0x52494150
Image = NDArray[np.uint8]


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
class WideGrip:
    """Whatever stops the closing fingers is as wide as two parts side by side.

    The gripper tells its position before what its fingers met, so the position waits
    for the answer after it.

    Attributes:
        position: count of the gripper, 0 open, 255 closed.
    """

    position: int
    _waiting: dict[int, bytes] = field(default_factory=dict)

    def __call__(self, line: bytes, link: int) -> Passage:
        """Change `POS` where `OBJ 2` follows it."""
        if line.startswith(b"POS "):
            self._waiting[link] = line
            return Passage()
        before = self._waiting.pop(link, b"")
        if before and line.strip() == b"OBJ 2":
            before = b"POS %d\n" % self.position
        return Passage(before + line)


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


@dataclass
class SpoiltPictures:
    """Spoils each pair in another way: half of it, too much light, out of focus.

    Attributes:
        shape: of a colour image: height, width, channels.
    """

    shape: tuple[int, ...]
    _count: int = 0

    def __call__(self, message: bytes, link: int) -> Passage:
        """Change a pair; a greeting passes."""
        if not is_pair(message):
            return Passage(message)
        self._count += 1
        if self._count % len(SPOILS) == 0:
            return halve_pictures(message, link)
        *_, rgb_bytes, _depth_bytes = PAIR.unpack_from(message)
        start = PAIR.size
        rgb = np.frombuffer(message, np.uint8, rgb_bytes, start).reshape(self.shape)
        spoil = overexpose if self._count % len(SPOILS) == 1 else blur
        content = bytearray(message)
        content[start : start + rgb_bytes] = spoil(rgb).tobytes()
        return Passage(bytes(content))


@dataclass
class NearerPictures:
    """Depth images in which everything lies nearer by some steps.

    A healthy picture in every respect, of a bin that no network has seen.

    Attributes:
        steps: of the depth image.
    """

    steps: int

    def __call__(self, message: bytes, _link: int) -> Passage:
        """Change a pair; a greeting passes."""
        if not is_pair(message):
            return Passage(message)
        *_, rgb_bytes, depth_bytes = PAIR.unpack_from(message)
        start = PAIR.size + rgb_bytes
        depth = np.frombuffer(message, "<u2", depth_bytes // 2, start)
        # Where there is no depth there is none nearer either.
        nearer = np.where(depth > self.steps, depth - np.uint16(self.steps), depth)
        return Passage(message[:start] + nearer.astype("<u2").tobytes())


SPOILS: Final = ("half missing", "overexposed", "blurred")
"""What `SpoiltPictures` does, by turns."""


def overexpose(rgb: Image) -> Image:
    """Return an image in which every pixel has had too much light."""
    return np.full_like(rgb, 255)


def blur(rgb: Image) -> Image:
    """Return an image out of focus: a box of 15 pixels, by sums along both sides."""
    soft = rgb.astype(np.float32)
    for axis in (0, 1):
        sums = np.cumsum(soft, axis=axis, dtype=np.float64)
        soft = ((np.roll(sums, -8, axis) - np.roll(sums, 7, axis)) / 15.0).astype(
            np.float32
        )
    # What came round from the other side is no part of it.
    inner = soft[8:-8, 8:-8].clip(0.0, 255.0).astype(np.uint8)
    return np.pad(inner, ((8, 8), (8, 8), (0, 0)), mode="edge")


def is_pair(message: bytes) -> bool:
    """Say whether a message of the feed is a pair of images."""
    return len(message) > PAIR.size and (
        int.from_bytes(message[:4], "little") == _PAIR_MAGIC
    )
