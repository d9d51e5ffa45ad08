"""Wire format of the frame feed: images of one camera over a TCP connection.

The sender greets with its lenses and units, then sends pairs of a colour and a depth
image for as long as the connection lives. A receiver that is slow misses pairs; it
never gets half of one.

    greeting: magic (8 bytes), length (u32), JSON of `FeedGreeting`
    pair:     magic (u32), number (u64), device time in us (i64),
              bytes of colour (u32), bytes of depth (u32), colour, depth

All numbers are little-endian. Colour is RGB, 8 bits each; depth is 16 bits in units
of `depth_unit_m`, 0 where there is none.
"""

import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Final, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, ValidationError

from cell.contracts.geometry import Pose
from cell.contracts.model import Section
from cell.contracts.observation import Intrinsics

_GREETING: Final = struct.Struct("<8sI")
_GREETING_MAGIC: Final = b"CWFEED1\n"
_PAIR: Final = struct.Struct("<IQqII")
_PAIR_MAGIC: Final = 0x52494150  # "PAIR"
_MAX_GREETING_BYTES: Final = 16_384

Receive = Callable[[int], bytearray]
"""Returns exactly that many bytes, or raises `OSError`."""


class FeedFormatError(ValueError):
    """The bytes are not those of a frame feed; the message says why."""


class LensConfig(Section):
    """Pinhole model of one imager, see `Intrinsics`."""

    width_px: Annotated[int, Field(ge=16, le=4096)]
    height_px: Annotated[int, Field(ge=16, le=4096)]
    fx_px: Annotated[float, Field(gt=0.0, le=1e5)]
    fy_px: Annotated[float, Field(gt=0.0, le=1e5)]
    cx_px: Annotated[float, Field(ge=0.0, le=4096.0)]
    cy_px: Annotated[float, Field(ge=0.0, le=4096.0)]

    @classmethod
    def from_intrinsics(cls, lens: Intrinsics) -> Self:
        """Copy from the contract's type."""
        return cls(
            width_px=lens.width_px,
            height_px=lens.height_px,
            fx_px=lens.fx_px,
            fy_px=lens.fy_px,
            cx_px=lens.cx_px,
            cy_px=lens.cy_px,
        )

    def intrinsics(self) -> Intrinsics:
        """Return the contract's type."""
        return Intrinsics(
            width_px=self.width_px,
            height_px=self.height_px,
            fx_px=self.fx_px,
            fy_px=self.fy_px,
            cx_px=self.cx_px,
            cy_px=self.cy_px,
        )


class FeedGreeting(Section):
    """What a sender says about its camera before the first pair.

    Attributes:
        camera: its name.
        serial: number of the very device; empty from a sender that does not say.
        rate_hz: pairs per second.
        color: lens of the colour imager.
        depth: lens of the depth imager.
        color_from_depth_position_m: depth imager's origin in the colour frame.
        color_from_depth_rotvec_rad: its orientation there.
        depth_unit_m: one step of a depth value.
    """

    camera: Annotated[str, Field(min_length=1, max_length=16)]
    serial: Annotated[str, Field(max_length=32)] = ""
    rate_hz: Annotated[float, Field(gt=0.0, le=120.0)]
    color: LensConfig
    depth: LensConfig
    color_from_depth_position_m: tuple[float, float, float]
    color_from_depth_rotvec_rad: tuple[float, float, float]
    depth_unit_m: Annotated[float, Field(ge=1e-6, le=0.01)]

    def color_from_depth(self) -> Pose:
        """Return the pose of the depth imager in the colour frame."""
        return Pose.from_rotvec(
            self.color_from_depth_position_m, self.color_from_depth_rotvec_rad
        )


@dataclass(frozen=True, eq=False)
class FeedPair:
    """One pair as it travels.

    Attributes:
        number: rises by one for every pair the sender made.
        device_time_us: the sender's own clock at exposure.
        rgb: shape (height, width, 3), uint8, of the colour imager.
        depth: shape (height, width), uint16, of the depth imager, in `depth_unit_m`.
    """

    number: int
    device_time_us: int
    rgb: NDArray[np.uint8]
    depth: NDArray[np.uint16]


def encode_greeting(greeting: FeedGreeting) -> bytes:
    """Return the bytes that open a connection."""
    text = greeting.model_dump_json().encode()
    return _GREETING.pack(_GREETING_MAGIC, len(text)) + text


def encode_pair(pair: FeedPair) -> bytes:
    """Return the bytes of one pair."""
    rgb, depth = pair.rgb.tobytes(), pair.depth.astype("<u2", copy=False).tobytes()
    header = _PAIR.pack(
        _PAIR_MAGIC, pair.number, pair.device_time_us, len(rgb), len(depth)
    )
    return b"".join((header, rgb, depth))


def receive_greeting(receive: Receive) -> FeedGreeting:
    """Read the greeting.

    Raises:
        FeedFormatError: the other side is no frame feed.
        OSError: the connection broke.
    """
    magic, length = _GREETING.unpack(receive(_GREETING.size))
    if magic != _GREETING_MAGIC or length > _MAX_GREETING_BYTES:
        raise FeedFormatError("the other side does not speak the frame feed")
    try:
        return FeedGreeting.model_validate_json(bytes(receive(length)))
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"]) or "greeting"
        raise FeedFormatError(f"greeting: {key}: {first['msg']}") from error


def receive_pair(receive: Receive, greeting: FeedGreeting) -> FeedPair:
    """Read the next pair.

    Raises:
        FeedFormatError: it is not a pair, or its images have other sizes than the
            greeting said.
        OSError: the connection broke.
    """
    magic, number, device_time_us, rgb_bytes, depth_bytes = _PAIR.unpack(
        receive(_PAIR.size)
    )
    color, depth = greeting.color, greeting.depth
    expected = (
        _PAIR_MAGIC,
        color.width_px * color.height_px * 3,
        depth.width_px * depth.height_px * 2,
    )
    if (magic, rgb_bytes, depth_bytes) != expected:
        raise FeedFormatError(
            f"pair with {rgb_bytes} bytes of colour and {depth_bytes} of depth, "
            f"expected {expected[1]} and {expected[2]}"
        )
    rgb = np.frombuffer(receive(rgb_bytes), np.uint8)
    values = np.frombuffer(receive(depth_bytes), "<u2")
    return FeedPair(
        number=number,
        device_time_us=device_time_us,
        rgb=rgb.reshape(color.height_px, color.width_px, 3),
        depth=values.reshape(depth.height_px, depth.width_px),
    )
