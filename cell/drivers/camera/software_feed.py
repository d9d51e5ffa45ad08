"""Feeds an `rs.software_device` from a frame feed over TCP.

It stands where USB and firmware stand for a hardware camera; everything above it is
the same code.
"""

import math
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, Final

from cell.contracts.errors import DriverError, DriverUnreachableError, FaultCode
from cell.contracts.geometry import Pose
from cell.drivers.camera.frame_feed import (
    FeedFormatError,
    FeedGreeting,
    FeedPair,
    LensConfig,
    receive_greeting,
    receive_pair,
)
from cell.drivers.camera.realsense_sdk import load_sdk

_CONNECT_TIMEOUT_S: Final = 2.0
_JOIN_TIMEOUT_S: Final = 2.0
_RECEIVE_BUFFER_BYTES: Final = 1_048_576
_DEPTH_UID, _COLOR_UID = 1, 2
# The SDK's syncer pairs images that are between half a period and eight periods later
# than the last pair. It takes the period from this metadata; without it, from frame
# number / timestamp, which is nonsense for a clock that does not start at zero. Twice
# the true rate lets it bridge early and late pairs alike.
_SYNC_RATE_FACTOR: Final = 2.0


class SoftwareFeed:
    """An open feed and the software device that its pairs go into."""

    def __init__(
        self, name: str, address: str, link: socket.socket, greeting: FeedGreeting
    ) -> None:
        self._name = name
        self._address = address
        self._link = link
        self._greeting = greeting
        self._failure: DriverError | None = None
        sdk = load_sdk()
        self.device = sdk.software_device()
        if greeting.serial:
            # Where a hardware camera tells it as well.
            self.device.register_info(sdk.camera_info.serial_number, greeting.serial)
        self._sensors = {
            uid: self.device.add_sensor(label)
            for uid, label in ((_DEPTH_UID, "Depth"), (_COLOR_UID, "Color"))
        }
        self._profiles = self._add_streams(greeting)
        for sensor in self._sensors.values():
            sensor.set_metadata(
                sdk.frame_metadata_value.actual_fps,
                round(1e3 * _SYNC_RATE_FACTOR * greeting.rate_hz),
            )

    def check_link(self) -> None:
        """Raise the error that ended the feed, if it has ended.

        Raises:
            DriverError: the connection is gone or carried something else.
        """
        if self._failure is not None:
            raise self._failure

    @contextmanager
    def pumping(self) -> Iterator[None]:
        """Hand pairs to the device, whose streams must be started, until the end."""
        thread = threading.Thread(
            target=self._pump, name=f"feed-{self._name}", daemon=True
        )
        thread.start()
        try:
            yield
        finally:
            with suppress(OSError):  # the other side may have closed it already
                self._link.shutdown(socket.SHUT_RDWR)
            thread.join(_JOIN_TIMEOUT_S)

    def _pump(self) -> None:
        try:
            while True:
                self._inject(receive_pair(self._receive, self._greeting))
        except FeedFormatError as error:
            self._failure = DriverError(
                self._name, f"frame feed at {self._address}: {error}"
            )
        except (OSError, RuntimeError) as error:
            self._failure = DriverUnreachableError(
                self._name, f"frame feed at {self._address} ended: {error}"
            )

    def _inject(self, pair: FeedPair) -> None:
        self._inject_image(_DEPTH_UID, pair.depth, 2, pair)
        self._inject_image(_COLOR_UID, pair.rgb, 3, pair)

    def _inject_image(
        self, uid: int, pixels: Any, pixel_bytes: int, pair: FeedPair
    ) -> None:
        sdk = load_sdk()
        frame = sdk.software_video_frame()
        frame.pixels = pixels
        frame.bpp = pixel_bytes
        frame.stride = pixels.shape[1] * pixel_bytes
        frame.timestamp = pair.device_time_us / 1e3
        frame.domain = sdk.timestamp_domain.hardware_clock
        frame.frame_number = pair.number
        frame.profile = self._profiles[uid].as_video_stream_profile()
        if uid == _DEPTH_UID:
            frame.depth_units = self._greeting.depth_unit_m
        self._sensors[uid].on_video_frame(frame)

    def _receive(self, count: int) -> bytearray:
        return _receive_exactly(self._link, count)

    def _add_streams(self, greeting: FeedGreeting) -> dict[int, Any]:
        sdk = load_sdk()
        depth_sensor = self._sensors[_DEPTH_UID]
        depth_sensor.add_read_only_option(sdk.option.depth_units, greeting.depth_unit_m)
        profiles = {
            _DEPTH_UID: depth_sensor.add_video_stream(
                _make_stream(_DEPTH_UID, greeting.depth, greeting.rate_hz)
            ),
            _COLOR_UID: self._sensors[_COLOR_UID].add_video_stream(
                _make_stream(_COLOR_UID, greeting.color, greeting.rate_hz)
            ),
        }
        profiles[_DEPTH_UID].register_extrinsics_to(
            profiles[_COLOR_UID], _make_extrinsics(greeting.color_from_depth())
        )
        return profiles


class CameraIdentityError(DriverError):
    """The camera behind a feed is not the configured one."""

    code = FaultCode.CAMERA_WRONG_DEVICE


def check_serial(name: str, address: str, found: str, serial: str) -> None:
    """Refuse a camera with another serial number than the configured one.

    Args:
        name: of the camera in the configuration.
        address: of its feed, for the message.
        found: what the feed tells; empty when it tells nothing.
        serial: that of the configuration; empty accepts all.

    Raises:
        CameraIdentityError: it is another camera, or does not say which.
    """
    if serial and found != serial:
        raise CameraIdentityError(
            name,
            f"the camera at {address} has serial number {found or '(none)'}, "
            f"cameras.{name}.serial is {serial}: look whether cables or addresses are "
            "swapped, or enter its number after a calibration",
        )


@contextmanager
def open_feed(
    name: str, host: str, port: int, serial: str = ""
) -> Iterator[SoftwareFeed]:
    """Connect to a frame feed and build the software device for it.

    Args:
        name: of the camera in the configuration.
        host: of the sender.
        port: of the sender.
        serial: of the camera that is expected there; empty accepts all.

    Raises:
        CameraIdentityError: another camera sends there.
        DriverUnreachableError: nobody answers there, or does not greet in time.
        DriverError: it is not a frame feed.
    """
    address = f"{host}:{port}"
    remedy = f"start it (./cellward run, ./cellward sim) or correct cameras.{name}"
    try:
        link = socket.create_connection((host, port), _CONNECT_TIMEOUT_S)
    except OSError as error:
        raise DriverUnreachableError(
            name, f"no frame feed at {address} ({error.strerror or error}): {remedy}"
        ) from error
    with link:
        link.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER_BYTES)
        try:
            greeting = receive_greeting(lambda count: _receive_exactly(link, count))
        except FeedFormatError as error:
            raise DriverError(name, f"{address}: {error}; {remedy}") from error
        except OSError as error:
            raise DriverUnreachableError(
                name, f"frame feed at {address} does not greet ({error}): {remedy}"
            ) from error
        check_serial(name, address, greeting.serial, serial)
        link.settimeout(None)
        yield SoftwareFeed(name, address, link, greeting)


def _receive_exactly(link: socket.socket, count: int) -> bytearray:
    content = bytearray(count)
    view, got = memoryview(content), 0
    while got < count:
        more = link.recv_into(view[got:])
        if more == 0:
            raise ConnectionResetError("the sender closed the connection")
        got += more
    return content


def _make_stream(uid: int, lens: LensConfig, rate_hz: float) -> Any:
    sdk = load_sdk()
    is_depth = uid == _DEPTH_UID
    stream = sdk.video_stream()
    stream.type = sdk.stream.depth if is_depth else sdk.stream.color
    stream.fmt = sdk.format.z16 if is_depth else sdk.format.rgb8
    stream.bpp = 2 if is_depth else 3
    stream.uid = uid
    stream.index = 0
    stream.fps = math.ceil(rate_hz)
    stream.width, stream.height = lens.width_px, lens.height_px
    pinhole = sdk.intrinsics()
    pinhole.width, pinhole.height = lens.width_px, lens.height_px
    pinhole.fx, pinhole.fy = lens.fx_px, lens.fy_px
    pinhole.ppx, pinhole.ppy = lens.cx_px, lens.cy_px
    pinhole.model = sdk.distortion.none
    pinhole.coeffs = [0.0] * 5
    stream.intrinsics = pinhole
    return stream


def _make_extrinsics(color_from_depth: Pose) -> Any:
    matrix = color_from_depth.as_matrix()
    extrinsics = load_sdk().extrinsics()
    # The SDK stores rotations by columns.
    extrinsics.rotation = matrix[:3, :3].T.ravel().tolist()
    extrinsics.translation = matrix[:3, 3].tolist()
    return extrinsics
