"""A recorded stretch of frames: a folder with an index and one file for each frame.

`index.jsonl` holds one line for each frame, written after the frame's own file, so a
recording that was cut off is complete up to its last line. Images are plain `.npz`
arrays; nothing in a recording can carry code.
"""

import zipfile
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Final

import numpy as np
from pydantic import Field, ValidationError

from cell.contracts.drivers import CameraDriver
from cell.contracts.errors import DriverError, DriverUnreachableError
from cell.contracts.geometry import Pose
from cell.contracts.model import Section
from cell.contracts.observation import RgbdFrame
from cell.drivers.camera.frame_feed import LensConfig

_INDEX: Final = "index.jsonl"


class RecordedFrame(Section):
    """One line of the index.

    Attributes:
        file: name of the images' file in the folder.
        offset_ns: time since the first frame.
        number: frame number when recorded.
        lens: of both images.
        position_m: of the camera in base; None when it was not known.
        quat_wxyz: orientation of the camera in base.
    """

    file: Annotated[str, Field(pattern=r"^[0-9]{6,12}\.npz$")]
    offset_ns: Annotated[int, Field(ge=0)]
    number: int
    lens: LensConfig
    position_m: tuple[float, float, float] | None
    quat_wxyz: tuple[float, float, float, float] | None

    def base_from_camera(self) -> Pose:
        """Return the recorded pose, not-a-number throughout when there is none."""
        if self.position_m is None or self.quat_wxyz is None:
            return Pose(np.full(3, np.nan), np.full(4, np.nan))
        return Pose(np.array(self.position_m), np.array(self.quat_wxyz))


def record_frames(
    camera: CameraDriver,
    directory: Path,
    count: int,
    timeout_s: float,
    note: Callable[[int], None] = lambda _done: None,
) -> None:
    """Write the next `count` frames of a camera into a new folder.

    Args:
        camera: an open camera.
        directory: must not hold a recording yet.
        count: how many frames.
        timeout_s: longest wait for one frame.
        note: called with the number of frames written so far.

    Raises:
        DriverError: the camera failed, or the folder holds a recording already.
    """
    directory.mkdir(parents=True, exist_ok=True)
    index = directory / _INDEX
    if index.exists():
        raise DriverError("recording", f"{directory} holds one already: name another")
    first_ns: int | None = None
    for done in range(count):
        frame = camera.read_frame(timeout_s)
        first_ns = frame.stamp_ns if first_ns is None else first_ns
        line = _describe(frame, done, frame.stamp_ns - first_ns)
        np.savez(directory / line.file, rgb=frame.rgb, depth_m=frame.depth_m)
        with index.open("a", encoding="utf-8") as file:
            file.write(line.model_dump_json() + "\n")
        note(done + 1)


def read_index(name: str, directory: Path) -> list[RecordedFrame]:
    """Return the index of a recording, in the order of time.

    Raises:
        DriverUnreachableError: there is no recording in the folder.
        DriverError: its index is damaged; the message names the line.
    """
    try:
        text = (directory / _INDEX).read_text(encoding="utf-8")
    except OSError as error:
        raise DriverUnreachableError(
            name,
            f"no recording in {directory} ({error.strerror}): correct "
            f"cameras.{name}.directory",
        ) from error
    frames: list[RecordedFrame] = []
    for number, line in enumerate(text.splitlines(), start=1):
        try:
            frames.append(RecordedFrame.model_validate_json(line))
        except ValidationError as error:
            detail = error.errors()[0]["msg"]
            raise DriverError(
                name, f"{directory / _INDEX}, line {number}: {detail}"
            ) from error
    if not frames:
        raise DriverUnreachableError(name, f"the recording in {directory} is empty")
    if any(b.offset_ns <= a.offset_ns for a, b in pairwise(frames)):
        raise DriverError(name, f"{directory / _INDEX}: times do not rise")
    return frames


def read_recorded(
    name: str, directory: Path, line: RecordedFrame, stamp_ns: int, number: int
) -> RgbdFrame:
    """Load the images of one line as a frame with a new stamp and number.

    Raises:
        DriverError: the file is missing, damaged or of another size.
    """
    path = directory / line.file
    try:
        # Opened here, for numpy leaves a damaged archive open.
        with path.open("rb") as file, np.load(file, allow_pickle=False) as images:
            rgb, depth_m = images["rgb"], images["depth_m"]
    except (OSError, KeyError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise DriverError(name, f"{path} cannot be read: {error}") from error
    size = (line.lens.height_px, line.lens.width_px)
    if rgb.shape != (*size, 3) or depth_m.shape != size:
        raise DriverError(name, f"{path}: images of {rgb.shape}, index says {size}")
    return RgbdFrame(
        camera=name,
        stamp_ns=stamp_ns,
        number=number,
        rgb=rgb.astype(np.uint8, copy=False),
        depth_m=depth_m.astype(np.float32, copy=False),
        intrinsics=line.lens.intrinsics(),
        base_from_camera=line.base_from_camera(),
    )


def _describe(frame: RgbdFrame, index: int, offset_ns: int) -> RecordedFrame:
    x, y, z = (float(value) for value in frame.base_from_camera.position_m)
    qw, qx, qy, qz = (float(value) for value in frame.base_from_camera.quat_wxyz)
    is_known = bool(np.isfinite([x, y, z, qw, qx, qy, qz]).all())
    return RecordedFrame(
        file=f"{index:06d}.npz",
        offset_ns=offset_ns,
        number=frame.number,
        lens=LensConfig.from_intrinsics(frame.intrinsics),
        position_m=(x, y, z) if is_known else None,
        quat_wxyz=(qw, qx, qy, qz) if is_known else None,
    )
