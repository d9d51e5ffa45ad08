"""The RealSense driver on a software device, against feeds that misbehave."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import pytest

from cell.config import PoseConfig, SoftwareCameraConfig
from cell.contracts.drivers import CameraDriver
from cell.contracts.errors import (
    DriverError,
    DriverStaleError,
    DriverTimeoutError,
    DriverUnreachableError,
    FaultCode,
)
from cell.drivers.camera.frame_feed import FeedPair, encode_greeting
from cell.drivers.camera.opening import open_camera
from cell.drivers.camera.realsense import (
    RealsenseCamera,
    StreamRequest,
    open_stream,
)
from cell.drivers.camera.realsense_sdk import load_sdk
from cell.drivers.camera.software_feed import CameraIdentityError, open_feed
from tests.fakes.frame_sender import (
    FOCAL_PX,
    HEIGHT_PX,
    RATE_HZ,
    WIDTH_PX,
    FrameSender,
    make_greeting,
    make_pair,
    open_sender,
)

pytestmark = pytest.mark.alone

TIMEOUT_S = 5.0
PLACE = PoseConfig(position_m=(0.0, 0.0, 1.0), rotvec_rad=(3.14, 0.0, 0.0))


@contextmanager
def camera_of(port: int) -> Iterator[CameraDriver]:
    config = SoftwareCameraConfig(
        host="127.0.0.1", port=port, rate_hz=RATE_HZ, base_from_camera=PLACE
    )
    with open_camera("overhead", config, PLACE.pose) as camera:
        yield camera


def read_until_failure(
    camera: CameraDriver, timeout_s: float = TIMEOUT_S
) -> DriverError:
    for _ in range(300):
        try:
            camera.read_frame(timeout_s)
        except DriverError as error:
            return error
    raise AssertionError("the camera went on as if nothing had happened")


def show_a_step(number: int) -> FeedPair:
    """Left half at 0.4 m, right half at 0.6 m, as the wider depth lens sees them."""
    pair = make_pair(number)
    depth = np.where(np.arange(WIDTH_PX) < WIDTH_PX / 2, 4000, 6000)
    steps = np.broadcast_to(depth, (HEIGHT_PX, WIDTH_PX)) + number % 2
    return replace(pair, depth=steps.astype(np.uint16))


def test_depth_is_aligned_to_colour_and_in_metres() -> None:
    with open_sender(show_a_step) as sender, camera_of(sender.port) as camera:
        frame = camera.read_frame(TIMEOUT_S)

    assert (frame.depth_m > 0).all()
    assert frame.depth_m[:, : WIDTH_PX // 2 - 2] == pytest.approx(0.4, abs=2e-4)
    assert frame.depth_m[:, WIDTH_PX // 2 + 2 :] == pytest.approx(0.6, abs=2e-4)
    assert frame.intrinsics.fx_px == pytest.approx(FOCAL_PX)
    assert frame.intrinsics.cx_px == pytest.approx((WIDTH_PX - 1) / 2)


def test_pairs_at_irregular_times_stay_pairs() -> None:
    def stutter(number: int) -> FeedPair | None:
        return make_pair(number) if number % 7 not in {2, 3} else None

    with open_sender(stutter) as sender, camera_of(sender.port) as camera:
        frames = [camera.read_frame(TIMEOUT_S) for _ in range(30)]

    for frame in frames:
        shown = int(frame.rgb[0, 0, 0])
        assert frame.depth_m[0, 0] == pytest.approx(0.5 + 1e-4 * (shown % 50), abs=1e-5)


def test_silence_is_a_timeout_and_no_longer_than_asked_for() -> None:
    with open_sender(lambda _number: None) as sender, camera_of(sender.port) as camera:
        begin_s = time.monotonic()
        with pytest.raises(
            DriverTimeoutError, match=r"overhead: no answer within 0\.3"
        ):
            camera.read_frame(0.3)

        assert time.monotonic() - begin_s >= 0.3


def test_an_image_that_no_longer_changes_is_noticed() -> None:
    def freeze(number: int) -> FeedPair:
        still = make_pair(min(number, 5))
        return replace(still, number=number)

    with open_sender(freeze) as sender, camera_of(sender.port) as camera:
        failure = read_until_failure(camera)

    assert isinstance(failure, DriverStaleError)
    assert "does not change" in str(failure)


def test_a_frame_number_that_stands_still_is_noticed() -> None:
    def repeat(number: int) -> FeedPair:
        return replace(make_pair(number), number=min(number, 5))

    with open_sender(repeat) as sender, camera_of(sender.port) as camera:
        failure = read_until_failure(camera, 1.0)

    assert isinstance(failure, DriverStaleError)
    assert "number" in str(failure)


@pytest.mark.parametrize("jump_us", [50 * 365 * 86_400 * 10**6, -3_000_000])
def test_a_device_clock_that_jumps_is_refused(jump_us: int) -> None:
    # A camera that is slow to open must not first look after the jump.
    has_looked = threading.Event()

    def jump(number: int) -> FeedPair:
        pair = make_pair(number)
        shift_us = jump_us * has_looked.is_set()
        return replace(pair, device_time_us=pair.device_time_us + shift_us)

    with open_sender(jump) as sender, camera_of(sender.port) as camera:
        camera.read_frame(TIMEOUT_S)
        has_looked.set()
        failure = read_until_failure(camera)

    assert "clock" in str(failure)


def test_a_device_clock_that_stands_gives_no_frame() -> None:
    def stand(number: int) -> FeedPair:
        return replace(make_pair(number), device_time_us=1_000_000)

    with open_sender(stand) as sender, camera_of(sender.port) as camera:
        failure = read_until_failure(camera, 1.0)

    # The SDK pairs no images of one moment: to us that is silence.
    assert isinstance(failure, DriverTimeoutError)


def test_an_image_with_nothing_but_a_clock_painted_into_it_is_noticed() -> None:
    def paint(number: int) -> FeedPair:
        depth = np.full((HEIGHT_PX, WIDTH_PX), 5000, np.uint16)
        depth[0, 0] = 4000 + number
        return replace(make_pair(number), depth=depth)

    with open_sender(paint) as sender, camera_of(sender.port) as camera:
        failure = read_until_failure(camera)

    assert isinstance(failure, DriverStaleError)
    assert "does not change" in str(failure)


def test_a_feed_that_ends_is_named_and_can_be_opened_again_at_its_return(
    free_port: int,
) -> None:
    port = free_port
    with open_sender(port=port) as sender, camera_of(port) as camera:
        camera.read_frame(TIMEOUT_S)
        end_feed(sender)
        failure = read_until_failure(camera)

    assert isinstance(failure, DriverUnreachableError)
    assert f"127.0.0.1:{port}" in str(failure)
    with open_sender(port=port), camera_of(port) as camera:
        assert camera.read_frame(TIMEOUT_S).number == 1


def end_feed(sender: FrameSender) -> None:
    """Close the connection from the sender's thread."""

    def close(_number: int) -> None:
        sender.drop_clients()

    sender.make = close


def test_images_of_another_size_than_announced_are_refused() -> None:
    def shrink(number: int) -> FeedPair:
        pair = make_pair(number)
        return replace(pair, rgb=pair.rgb[:-1]) if number > 10 else pair

    with open_sender(shrink) as sender, camera_of(sender.port) as camera:
        failure = read_until_failure(camera)

    assert "bytes of colour" in str(failure)


@pytest.mark.parametrize(
    "greeting",
    [
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        encode_greeting(make_greeting()).replace(b'"rate_hz":30.0', b'"rate_hz":-3.0'),
        encode_greeting(make_greeting()).replace(b'"camera"', b'"kamera"'),
    ],
    ids=["http", "rate", "key"],
)
def test_something_else_on_the_port_is_no_feed(greeting: bytes) -> None:
    with (
        open_sender(greeting=greeting) as sender,
        pytest.raises(DriverError, match=rf"127\.0\.0\.1:{sender.port}: .*cameras"),
        camera_of(sender.port),
    ):
        pass


def numbered(serial: str) -> bytes:
    return encode_greeting(make_greeting().model_copy(update={"serial": serial}))


def configure(port: int, serial: str) -> SoftwareCameraConfig:
    return SoftwareCameraConfig(
        host="127.0.0.1",
        port=port,
        serial=serial,
        rate_hz=RATE_HZ,
        base_from_camera=PLACE,
    )


@pytest.mark.parametrize(("told", "shown"), [("8002", "8002"), ("", r"\(none\)")])
def test_another_camera_behind_the_feed_is_refused_with_both_numbers(
    told: str, shown: str
) -> None:
    with (
        open_sender(greeting=numbered(told)) as sender,
        pytest.raises(
            CameraIdentityError,
            match=rf"number {shown}, cameras\.overhead\.serial is 8001: look whether",
        ) as caught,
        open_camera("overhead", configure(sender.port, "8001"), PLACE.pose),
    ):
        pass

    assert caught.value.code is FaultCode.CAMERA_WRONG_DEVICE


@pytest.mark.parametrize("expected", ["8001", ""])
def test_the_configured_camera_and_any_where_none_is_named_stream(
    expected: str,
) -> None:
    with (
        open_sender(greeting=numbered("8001")) as sender,
        open_camera("overhead", configure(sender.port, expected), PLACE.pose) as camera,
    ):
        assert camera.read_frame(TIMEOUT_S).number == 1


def test_the_software_device_tells_the_number_as_a_hardware_camera_does() -> None:
    with (
        open_sender(greeting=numbered("8001")) as sender,
        open_feed("overhead", "127.0.0.1", sender.port, "8001") as feed,
    ):
        info = load_sdk().camera_info.serial_number
        assert feed.device.get_info(info) == "8001"


def test_a_port_that_accepts_and_stays_silent_is_given_up() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        pytest.raises(DriverUnreachableError, match="does not greet"),
        camera_of(server.getsockname()[1]),
    ):
        pass


def test_a_feed_slower_than_asked_for_is_refused_with_the_key() -> None:
    config = SoftwareCameraConfig(
        host="127.0.0.1", port=1, rate_hz=60.0, base_from_camera=PLACE
    )
    with open_sender() as sender:
        asked = config.model_copy(update={"port": sender.port})
        with (
            pytest.raises(DriverError, match=r"60 Hz.*rate_hz"),
            open_camera("overhead", asked, PLACE.pose),
        ):
            pass


def test_the_depth_filters_of_the_sdk_run_when_asked_for() -> None:
    request = StreamRequest(RATE_HZ, filters=("spatial", "temporal", "hole_filling"))
    with (
        open_sender(show_a_step) as sender,
        open_feed("overhead", "127.0.0.1", sender.port) as feed,
        open_stream(
            "overhead", feed.device, request, PLACE.pose, feed.check_link
        ) as camera,
        feed.pumping(),
    ):
        frame = camera.read_frame(TIMEOUT_S)

    assert frame.depth_m[:, : WIDTH_PX // 2 - 8] == pytest.approx(0.4, abs=1e-3)


def test_an_error_of_the_sdk_becomes_one_of_ours() -> None:
    class BrokenSyncer:
        def try_wait_for_frames(self, timeout_ms: int) -> tuple[bool, object]:
            raise RuntimeError("device in a bad state")

    camera = RealsenseCamera(
        "overhead",
        BrokenSyncer(),
        StreamRequest(RATE_HZ),
        PLACE.pose,
        check_link=lambda: None,
    )

    with pytest.raises(DriverError, match="overhead: fails while streaming: device in"):
        camera.read_frame(TIMEOUT_S)
