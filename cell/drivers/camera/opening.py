"""Opens the camera that a configuration section describes."""

from collections.abc import Iterator
from contextlib import contextmanager

from cell.config import (
    CameraConfig,
    RealsenseCameraConfig,
    ReplayCameraConfig,
    SoftwareCameraConfig,
)
from cell.contracts.drivers import CameraDriver
from cell.contracts.errors import DriverUnreachableError
from cell.drivers.camera.realsense import (
    PoseSource,
    StreamRequest,
    find_device,
    open_stream,
)
from cell.drivers.camera.replay import open_replay
from cell.drivers.camera.software_feed import open_feed


@contextmanager
def open_camera(
    name: str, config: CameraConfig, pose: PoseSource
) -> Iterator[CameraDriver]:
    """Open a camera; it streams until the context ends.

    Args:
        name: key of the section under `cameras`.
        config: the section.
        pose: source of `base_from_camera`; a recording brings its own.

    Raises:
        DriverError: it cannot be opened; the message says what to do.
    """
    match config:
        case SoftwareCameraConfig():
            request = StreamRequest(config.rate_hz)
            with (
                open_feed(name, config.host, config.port, config.serial) as feed,
                open_stream(
                    name, feed.device, request, pose, feed.check_link
                ) as camera,
                feed.pumping(),
            ):
                yield camera
        case RealsenseCameraConfig():
            device = find_device(name, config.serial)

            def check_connected() -> None:
                if not device.is_connected():
                    raise DriverUnreachableError(
                        name, f"camera {config.serial} was unplugged: check the cable"
                    )

            request = StreamRequest(config.rate_hz, config.width_px, config.height_px)
            with open_stream(name, device, request, pose, check_connected) as camera:
                yield camera
        case ReplayCameraConfig():
            with open_replay(name, config.directory, loop=config.loop) as replay:
                yield replay
