"""The newest camera frames of one writer, shared between processes.

A ring of slots in a mapped file. The writer fills the slot after the newest and then
publishes its count; each slot carries its own sequence number and a checksum, so a
reader never hands out a torn frame, and a writer killed half-way leaves the previous
frame readable. Image size, intrinsics and pose travel with every frame.

One writer at a time; any number of readers. Nobody ever waits for anybody.
"""

import mmap
import os
import struct
from pathlib import Path
from typing import Final, Self
from zlib import crc32

import numpy as np

from cell.contracts.errors import ConfigError, StorageError
from cell.contracts.geometry import Pose
from cell.contracts.observation import Intrinsics, RgbdFrame
from cell.mailbox.room import take_room

_MAGIC: Final = 0x31474E4952574331  # "1CWRING1"
_FILE_HEADER: Final = struct.Struct("<6Q")
_HEADER_BYTES: Final = 64
# Positions of 64-bit words in the file header.
_WORD_HEIGHT, _WORD_WIDTH, _WORD_SLOTS, _WORD_COUNT, _WORD_RETIRED = 1, 2, 3, 4, 5
_READ_TRIES: Final = 4
_NAME_BYTES: Final = 32

_SLOT: Final = np.dtype(
    [
        ("sequence", "<u8"),  # 2 x count when whole, odd while it is written
        ("checksum", "<u8"),
        ("stamp_ns", "<i8"),
        ("number", "<i8"),
        ("camera", f"S{_NAME_BYTES}"),
        ("fx_px", "<f8"),
        ("fy_px", "<f8"),
        ("cx_px", "<f8"),
        ("cy_px", "<f8"),
        ("position_m", "<f8", (3,)),
        ("quat_wxyz", "<f8", (4,)),
    ]
)
_SLOT_HEADER_BYTES: Final = -(-_SLOT.itemsize // 64) * 64
_CHECKED_FROM: Final = 16  # everything after sequence and checksum


class FrameRing:
    """Frames of one camera and one image size in shared memory."""

    def __init__(self, memory: mmap.mmap, height: int, width: int, slots: int) -> None:
        self.height_px = height
        self.width_px = width
        self._memory = memory
        self._words = memoryview(memory).cast("Q")
        self.slots = slots
        self._stride = _slot_stride(height, width)

    @classmethod
    def open(cls, path: Path, height: int, width: int, slots: int = 4) -> Self:
        """Create the ring, or attach to one of the same size.

        A ring of another size is retired and replaced: its readers see no frames any
        more, and `FrameSource` attaches to the new one by itself.

        Raises:
            ConfigError: the file is no ring at all.
            StorageError: it is new, and there is no room for it.
        """
        present = cls.attach(path)
        if present is not None:
            size = (present.height_px, present.width_px, present.slots)
            if size == (height, width, slots):
                return present
            present.retire()
            path.unlink(missing_ok=True)
        _create_file(path, height, width, slots)
        attached = cls.attach(path)
        if attached is None:
            raise ConfigError(f"{path} vanished while it was opened: start again")
        return attached

    @classmethod
    def attach(cls, path: Path) -> Self | None:
        """Attach to an existing ring of any size; None when there is no file yet.

        Raises:
            ConfigError: the file is no ring.
        """
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            return None
        try:
            header = os.pread(descriptor, _FILE_HEADER.size, 0)
            fields = _FILE_HEADER.unpack(header.ljust(_FILE_HEADER.size, b"\0"))
            magic, height, width, slots = fields[:4]
            size = _file_bytes(height, width, slots)
            if magic != _MAGIC or os.fstat(descriptor).st_size != size:
                raise ConfigError(
                    f"{path} is not a frame ring of this program: stop every process "
                    "of the cell and delete its runtime directory"
                )
            return cls(mmap.mmap(descriptor, size), height, width, slots)
        finally:
            os.close(descriptor)

    def write(self, frame: RgbdFrame) -> None:
        """Publish a copy of `frame`.

        Raises:
            ValueError: its images do not have the size of the ring.
        """
        size = (self.height_px, self.width_px)
        if frame.rgb.shape != (*size, 3) or frame.depth_m.shape != size:
            raise ValueError(
                f"ring holds {size[1]}x{size[0]} frames, got colour "
                f"{frame.rgb.shape} and depth {frame.depth_m.shape}"
            )
        count = self._words[_WORD_COUNT] + 1
        start = self._start_of(count)
        word = start >> 3
        self._words[word] = 2 * count - 1
        content = start + _SLOT_HEADER_BYTES
        checked = _encode_header(frame)
        self._memory[start + _CHECKED_FROM : start + _SLOT.itemsize] = checked
        checksum = crc32(checked, count & 0xFFFFFFFF)
        for plane in (frame.rgb, frame.depth_m.astype(np.float32, copy=False)):
            pixels = np.ascontiguousarray(plane).data.cast("B")
            self._memory[content : content + len(pixels)] = pixels
            checksum = crc32(pixels, checksum)
            content += len(pixels)
        self._words[word + 1] = checksum
        self._words[word] = 2 * count
        self._words[_WORD_COUNT] = count

    def read_newest(self) -> RgbdFrame | None:
        """Return a private copy of the newest frame.

        Returns:
            None when nothing was ever written, the ring was retired, or no whole
            frame could be had within a few tries.
        """
        for _ in range(_READ_TRIES):
            count = self._words[_WORD_COUNT]
            if count == 0 or self.is_retired():
                return None
            frame = self._read(count)
            if frame is not None:
                return frame
        return None

    def newest_stamp_ns(self) -> int:
        """Return the arrival stamp of the newest frame, 0 when there is none."""
        count = self._words[_WORD_COUNT]
        if count == 0 or self.is_retired():
            return 0
        return self._words[(self._start_of(count) >> 3) + 2]

    def count(self) -> int:
        """Return how many frames were ever written, across restarts of the writer."""
        return self._words[_WORD_COUNT]

    def is_retired(self) -> bool:
        """Return whether a ring of another size has taken this one's place."""
        return bool(self._words[_WORD_RETIRED])

    def retire(self) -> None:
        """Tell every reader to look for a new ring, and unmap."""
        self._words[_WORD_RETIRED] = 1
        self.close()

    def close(self) -> None:
        """Unmap. The file stays, so the other side keeps its frames."""
        self._words.release()
        self._memory.close()

    def _read(self, count: int) -> RgbdFrame | None:
        start = self._start_of(count)
        if self._words[start >> 3] != 2 * count:
            return None
        slot = self._memory[start : start + self._stride]
        checksum = int.from_bytes(slot[8:16], "little")
        pixels = self.height_px * self.width_px
        end = _SLOT_HEADER_BYTES + 7 * pixels
        view = memoryview(slot)
        computed = crc32(view[_CHECKED_FROM : _SLOT.itemsize], count & 0xFFFFFFFF)
        if crc32(view[_SLOT_HEADER_BYTES:end], computed) != checksum:
            return None
        return _decode(bytearray(slot), self.height_px, self.width_px)

    def _start_of(self, count: int) -> int:
        return _HEADER_BYTES + (count % self.slots) * self._stride


class FrameSource:
    """A reader's end: attaches as soon as there is a ring, and again when replaced."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._ring: FrameRing | None = None

    def read_newest(self) -> RgbdFrame | None:
        """Return a private copy of the newest frame, None when there is none."""
        ring = self._attached()
        return None if ring is None else ring.read_newest()

    def newest_stamp_ns(self) -> int:
        """Return the arrival stamp of the newest frame, 0 when there is none."""
        ring = self._attached()
        return 0 if ring is None else ring.newest_stamp_ns()

    def close(self) -> None:
        """Unmap."""
        if self._ring is not None:
            self._ring.close()
            self._ring = None

    def _attached(self) -> FrameRing | None:
        if self._ring is not None and self._ring.is_retired():
            self.close()
        if self._ring is None:
            self._ring = FrameRing.attach(self._path)
        return self._ring


def frame_ring_path(directory: Path, camera: str) -> Path:
    """Return where the frames of a camera are in the runtime directory."""
    return directory / f"frames_{camera}"


def _slot_stride(height: int, width: int) -> int:
    pixel_bytes = height * width * 7  # 3 of colour, 4 of depth
    return _SLOT_HEADER_BYTES + -(-pixel_bytes // 64) * 64


def _file_bytes(height: int, width: int, slots: int) -> int:
    return _HEADER_BYTES + slots * _slot_stride(height, width)


def _create_file(path: Path, height: int, width: int, slots: int) -> None:
    """Put a whole, empty ring at `path` in one step, so that nobody sees half of it."""
    draft = path.with_name(f"{path.name}.{os.getpid()}")
    try:
        with draft.open("wb") as file:
            take_room(file.fileno(), path, _file_bytes(height, width, slots))
            file.write(_FILE_HEADER.pack(_MAGIC, height, width, slots, 0, 0))
        draft.chmod(0o600)
        path.hardlink_to(draft)
    except FileExistsError:
        pass  # the other side was first; both attach to its file
    except OSError as error:
        raise StorageError(
            f"{path} cannot be made ({error.strerror}): look whether {path.parent} is "
            "there, can be written and has room"
        ) from error
    finally:
        draft.unlink(missing_ok=True)


def _encode_header(frame: RgbdFrame) -> bytes:
    lens = frame.intrinsics
    record = np.zeros((), _SLOT)
    record[()] = (
        0,
        0,
        frame.stamp_ns,
        frame.number,
        frame.camera.encode(),
        lens.fx_px,
        lens.fy_px,
        lens.cx_px,
        lens.cy_px,
        frame.base_from_camera.position_m,
        frame.base_from_camera.quat_wxyz,
    )
    return record.tobytes()[_CHECKED_FROM:]


def _decode(slot: bytearray, height: int, width: int) -> RgbdFrame:
    header = np.frombuffer(slot, _SLOT, 1)[0]
    pixels = height * width
    rgb = np.frombuffer(slot, np.uint8, 3 * pixels, _SLOT_HEADER_BYTES)
    depth = np.frombuffer(slot, "<f4", pixels, _SLOT_HEADER_BYTES + 3 * pixels)
    return RgbdFrame(
        camera=bytes(header["camera"]).decode(),
        stamp_ns=int(header["stamp_ns"]),
        number=int(header["number"]),
        rgb=rgb.reshape(height, width, 3),
        depth_m=depth.reshape(height, width),
        intrinsics=Intrinsics(
            width_px=width,
            height_px=height,
            fx_px=float(header["fx_px"]),
            fy_px=float(header["fy_px"]),
            cx_px=float(header["cx_px"]),
            cy_px=float(header["cy_px"]),
        ),
        base_from_camera=Pose(header["position_m"].copy(), header["quat_wxyz"].copy()),
    )
