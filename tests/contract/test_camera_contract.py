"""What every camera driver does, whatever is behind it.

A RealSense camera on USB takes part when CELLWARD_REALSENSE_SERIAL names it.
"""

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import numpy as np
import pytest

from cell.config import (
    PoseConfig,
    RealsenseCameraConfig,
    ReplayCameraConfig,
    SoftwareCameraConfig,
)
from cell.contracts.drivers import CameraDriver
from cell.contracts.errors import DriverError, DriverUnreachableError
from cell.drivers.camera.opening import open_camera
from cell.drivers.camera.recording import record_frames
from tests.fakes.frame_sender import open_sender

TIMEOUT_S = 5.0
PLACE = PoseConfig(position_m=(-0.2, 0.48, 0.85), rotvec_rad=(3.0, 0.1, 0.0))

OpenCamera = Callable[[], AbstractContextManager[CameraDriver]]


@contextmanager
def software_camera(_folder: Path) -> Iterator[OpenCamera]:
    with open_sender() as sender:
        config = SoftwareCameraConfig(
            host="127.0.0.1", port=sender.port, base_from_camera=PLACE
        )
        yield lambda: open_camera("overhead", config, PLACE.pose)


@contextmanager
def replayed_camera(folder: Path) -> Iterator[OpenCamera]:
    with software_camera(folder) as opener, opener() as camera:
        record_frames(camera, folder / "recording", 5, TIMEOUT_S)
    config = ReplayCameraConfig(
        directory=str(folder / "recording"), base_from_camera=PLACE
    )
    yield lambda: open_camera("overhead", config, PLACE.pose)


@contextmanager
def usb_camera(_folder: Path) -> Iterator[OpenCamera]:
    config = RealsenseCameraConfig(
        serial=os.environ["CELLWARD_REALSENSE_SERIAL"], base_from_camera=PLACE
    )
    yield lambda: open_camera("overhead", config, PLACE.pose)


@pytest.fixture(
    params=[
        pytest.param(software_camera, id="software"),
        pytest.param(replayed_camera, id="replay"),
        pytest.param(
            usb_camera,
            id="usb",
            marks=pytest.mark.skipif(
                "CELLWARD_REALSENSE_SERIAL" not in os.environ,
                reason="needs a camera on USB: set CELLWARD_REALSENSE_SERIAL",
            ),
        ),
    ]
)
def opener(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[OpenCamera]:
    with request.param(tmp_path) as opened:
        yield opened


def test_a_frame_is_one_aligned_pair_with_its_optics(opener: OpenCamera) -> None:
    with opener() as camera:
        frame = camera.read_frame(TIMEOUT_S)

    lens = frame.intrinsics
    assert frame.camera == "overhead"
    assert frame.rgb.shape == (lens.height_px, lens.width_px, 3)
    assert frame.depth_m.shape == (lens.height_px, lens.width_px)
    assert frame.rgb.dtype.name == "uint8"
    assert frame.depth_m.dtype.name == "float32"
    assert lens.fx_px > 0
    assert lens.fy_px > 0
    assert np.isfinite(frame.depth_m).all()
    assert (frame.depth_m >= 0).all()
    assert frame.base_from_camera.as_matrix() == pytest.approx(PLACE.pose().as_matrix())


def test_stamps_are_those_of_arrival_and_numbers_rise(opener: OpenCamera) -> None:
    before_ns = time.monotonic_ns()
    with opener() as camera:
        frames = [camera.read_frame(TIMEOUT_S) for _ in range(8)]
    after_ns = time.monotonic_ns()

    stamps = [before_ns, *(frame.stamp_ns for frame in frames), after_ns]
    numbers = [frame.number for frame in frames]
    assert stamps == sorted(stamps)
    assert numbers == sorted(set(numbers))


def test_a_frame_keeps_its_content_when_later_ones_are_read(opener: OpenCamera) -> None:
    with opener() as camera:
        first = camera.read_frame(TIMEOUT_S)
        rgb, depth_m = first.rgb.copy(), first.depth_m.copy()
        for _ in range(4):
            camera.read_frame(TIMEOUT_S)

    assert np.array_equal(first.rgb, rgb)
    assert np.array_equal(first.depth_m, depth_m)


def test_a_camera_can_be_opened_again_and_leaves_no_thread(opener: OpenCamera) -> None:
    threads = set(threading.enumerate())

    for _ in range(3):
        with opener() as camera:
            camera.read_frame(TIMEOUT_S)

    assert set(threading.enumerate()) <= threads


@pytest.mark.parametrize(
    "config",
    [
        SoftwareCameraConfig(host="127.0.0.1", port=1, base_from_camera=PLACE),
        ReplayCameraConfig(directory="/nonexistent/folder", base_from_camera=PLACE),
        RealsenseCameraConfig(serial="000", base_from_camera=PLACE),
    ],
    ids=["software", "replay", "usb"],
)
def test_a_camera_that_is_not_there_says_where_and_what_to_do(
    config: SoftwareCameraConfig | ReplayCameraConfig | RealsenseCameraConfig,
) -> None:
    expected = {
        "software": r"127\.0\.0\.1:1 .*cameras\.overhead",
        "replay": r"/nonexistent/folder.*cameras\.overhead\.directory",
        "realsense": r"serial number 000.*cameras\.overhead\.serial",
    }[config.kind]

    with (
        pytest.raises(DriverUnreachableError, match=expected) as caught,
        open_camera("overhead", config, PLACE.pose),
    ):
        pass

    assert isinstance(caught.value, DriverError)
    assert caught.value.device == "overhead"
