"""A camera whose frames find no room in shared memory, hours after the start."""

import errno
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from cell.config import ReplayCameraConfig
from cell.contracts.drivers import CameraDriver
from cell.contracts.errors import Complaint, DriverUnreachableError, FaultCode
from cell.contracts.geometry import Pose
from cell.contracts.observation import Intrinsics, RgbdFrame
from cell.mailbox.complaint import ComplaintBox, name_camera_source
from cell.mailbox.frames import FrameSource, frame_ring_path
from ops.processes.camera import CameraLoop

PATIENCE_S = 10.0
WRIST = ReplayCameraConfig.model_validate(
    {
        "kind": "replay",
        "directory": "recording",
        "flange_from_camera": {
            "position_m": [0.0, 0.0, 0.1],
            "rotvec_rad": [0.0, 0.0, 0.0],
        },
    }
)


@dataclass
class ReadyCamera:
    """Has a picture whenever it is asked, unless one of another size takes its place.

    Attributes:
        height_px: of its pictures.
        openings: how often it was opened.
        next_height_px: of the pictures of the camera that is there now.
    """

    height_px: int = 12
    openings: int = 0
    next_height_px: int = 12

    @contextmanager
    def open(self, *_: object) -> Iterator[CameraDriver]:
        self.openings += 1
        yield self

    def read_frame(self, timeout_s: float) -> RgbdFrame:
        time.sleep(0.002)
        if self.next_height_px != self.height_px:
            self.height_px = self.next_height_px
            raise DriverUnreachableError("wrist", "unplugged")
        size = (self.height_px, 16)
        return RgbdFrame(
            camera="wrist",
            stamp_ns=time.monotonic_ns(),
            number=1,
            rgb=np.zeros((*size, 3), np.uint8),
            depth_m=np.ones(size, np.float32),
            intrinsics=Intrinsics(16, self.height_px, 10.0, 10.0, 8.0, 6.0),
            base_from_camera=Pose.identity(),
        )


def wait_until(condition: Callable[[], bool]) -> None:
    deadline_s = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline_s
        time.sleep(0.002)


def find_no_room(_descriptor: int, _start: int, _size: int) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@dataclass
class Bench:
    """A running loop over a camera that works."""

    camera: ReadyCamera
    loop: CameraLoop
    box: ComplaintBox
    frames: FrameSource

    def complaint(self) -> Complaint | None:
        return self.box.read()

    def says_full(self) -> bool:
        said = self.complaint()
        return said is not None and said.code is FaultCode.STORAGE_FULL

    def shows_height(self, height_px: int) -> bool:
        frame = self.frames.read_newest()
        return frame is not None and frame.depth_m.shape[0] == height_px


@contextmanager
def running(runtime: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    camera = ReadyCamera()
    monkeypatch.setattr("ops.processes.camera.open_camera", camera.open)
    bench = Bench(
        camera,
        CameraLoop("wrist", WRIST, runtime, Pose.identity),
        ComplaintBox(runtime, name_camera_source("wrist")),
        FrameSource(frame_ring_path(runtime, "wrist")),
    )
    bench.loop.start()
    try:
        yield bench
    finally:
        bench.loop.request_stop()
        bench.loop.join(PATIENCE_S)
        bench.box.close()
        bench.frames.close()


def test_frames_without_room_are_complained_about_and_come_once_there_is_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ComplaintBox(tmp_path, name_camera_source("wrist")).close()
    with monkeypatch.context() as full:
        full.setattr(os, "posix_fallocate", find_no_room)
        with running(tmp_path, monkeypatch) as bench:
            wait_until(lambda: bench.camera.openings > 2)
            said = bench.complaint()
            assert bench.loop.is_alive()
            assert bench.loop.failure is None

            full.undo()
            wait_until(lambda: bench.shows_height(12))
            wait_until(lambda: bench.complaint() is None)

    assert said is not None
    assert said.code is FaultCode.STORAGE_FULL
    assert str(tmp_path / "frames_wrist") in said.text
    assert f"free space in {tmp_path}" in said.text
    assert "recording" not in said.text


def test_a_camera_that_comes_back_in_another_size_waits_for_room_as_well(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with running(tmp_path, monkeypatch) as bench:
        wait_until(lambda: bench.shows_height(12))
        with monkeypatch.context() as full:
            full.setattr(os, "posix_fallocate", find_no_room)
            bench.camera.next_height_px = 24
            wait_until(bench.says_full)
            assert bench.loop.failure is None

        wait_until(lambda: bench.shows_height(24))
        wait_until(lambda: bench.complaint() is None)
