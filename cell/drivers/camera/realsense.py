"""RGB-D camera through the RealSense SDK: hardware and software device alike.

Streams go through the SDK's own syncer, its alignment of depth to colour and, when
asked for, its depth filters. A pair is stamped with our monotonic clock on arrival.

Not covered: lens distortion of the colour imager; the SDK reports it as close to zero
on D400 cameras, and our pinhole intrinsics leave it out.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Final, Literal
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from cell.contracts.errors import (
    DriverError,
    DriverStaleError,
    DriverTimeoutError,
    DriverUnreachableError,
)
from cell.contracts.geometry import Pose
from cell.contracts.observation import Intrinsics, RgbdFrame
from cell.contracts.units import ns_from_s, s_from_ns
from cell.drivers.camera.realsense_sdk import load_sdk
from cell.drivers.camera.stream_check import (
    PairFacts,
    StreamCheck,
    StreamFault,
    compute_changed_ratio,
)

PoseSource = Callable[[], Pose]
"""Returns `base_from_camera` now; not-a-number throughout when it is not known."""

DepthFilter = Literal["spatial", "temporal", "hole_filling"]

# The wait is cut into slices, so that a lost link is noticed before the deadline.
_SLICE_S: Final = 0.1
# Colour and depth of one pair were exposed within half a period of each other.
_MAX_SKEW_PERIODS: Final = 0.5
# Every so many rows and columns are looked at for noise.
_STRIDE: Final = 4


@dataclass(frozen=True)
class StreamRequest:
    """Which streams to open; None takes what the device offers first.

    Attributes:
        rate_hz: slowest acceptable rate.
        width_px: of both images, as the device offers them.
        height_px: of both images.
        filters: depth filters of the SDK, in this order.
    """

    rate_hz: float
    width_px: int | None = None
    height_px: int | None = None
    filters: Sequence[DepthFilter] = ()


@contextmanager
def open_stream(
    name: str,
    device: Any,
    request: StreamRequest,
    pose: PoseSource,
    check_link: Callable[[], None],
) -> Iterator["RealsenseCamera"]:
    """Start colour and depth of an `rs.device` and stop them at the end.

    Args:
        name: of the camera in the configuration.
        device: any device of the SDK.
        request: which streams.
        pose: source of `base_from_camera`.
        check_link: raises `DriverError` once the device is gone.

    Raises:
        DriverError: the device refuses the streams.
    """
    started: list[Any] = []
    try:
        with _wrapped_errors(name, "does not start streaming"):
            syncer = load_sdk().syncer(1)
            for sensor, wanted in _choose_profiles(name, device, request):
                sensor.open(wanted if len(wanted) > 1 else wanted[0])
                started.append(sensor)
                sensor.start(syncer)
            camera = RealsenseCamera(name, syncer, request, pose, check_link)
        yield camera
    finally:
        for sensor in started:
            # A device that is gone cannot be stopped; there is nothing left to do.
            with suppress(RuntimeError):
                sensor.stop()
            with suppress(RuntimeError):
                sensor.close()


class RealsenseCamera:
    """Satisfies `CameraDriver` on a started device."""

    def __init__(
        self,
        name: str,
        syncer: Any,
        request: StreamRequest,
        pose: PoseSource,
        check_link: Callable[[], None],
    ) -> None:
        sdk = load_sdk()
        self._name = name
        self._syncer = syncer
        self._align = sdk.align(sdk.stream.color)
        self._filters = [_make_filter(kind) for kind in request.filters]
        self._max_skew_ms = 1e3 * _MAX_SKEW_PERIODS / request.rate_hz
        self._pose = pose
        self._check_link = check_link
        self._check = StreamCheck()
        self._sample: NDArray[np.uint16] | None = None
        self._number = 0

    def read_frame(self, timeout_s: float) -> RgbdFrame:
        """Return the next aligned pair.

        Raises:
            DriverTimeoutError: none arrived within `timeout_s`.
            DriverStaleError: pairs arrive, but their content no longer advances.
            DriverError: the link is gone, or a pair cannot be right.
        """
        with _wrapped_errors(self._name, "fails while streaming"):
            return self._read_frame(timeout_s)

    def _read_frame(self, timeout_s: float) -> RgbdFrame:
        deadline_ns = time.monotonic_ns() + ns_from_s(timeout_s)
        repeated = 0
        while True:
            self._check_link()
            left_s = s_from_ns(deadline_ns - time.monotonic_ns())
            if left_s <= 0:
                raise self._silence(timeout_s, repeated)
            whole, frames = self._syncer.try_wait_for_frames(
                max(1, round(1e3 * min(left_s, _SLICE_S)))
            )
            pair = _split(frames, self._max_skew_ms) if whole else None
            if pair is None:
                continue
            stamp_ns = time.monotonic_ns()
            fault = self._check.check(self._note_facts(pair[0], stamp_ns))
            if fault is StreamFault.REPEATED:
                repeated += 1
            elif fault is StreamFault.NONE:
                return self._make_frame(frames, stamp_ns)
            elif fault is StreamFault.STILL:
                continue
            elif fault is StreamFault.FROZEN:
                raise DriverStaleError(self._name, fault.value)
            else:
                raise DriverError(self._name, f"{fault.value}; reopen the camera")

    def _note_facts(self, depth: Any, stamp_ns: int) -> PairFacts:
        steps = np.asanyarray(depth.get_data())
        before, self._sample = self._sample, steps[::_STRIDE, ::_STRIDE].copy()
        return PairFacts(
            number=depth.get_frame_number(),
            device_time_s=depth.get_timestamp() / 1e3,
            digest=crc32(steps.data.cast("B")),
            stamp_ns=stamp_ns,
            changed_ratio=compute_changed_ratio(before, self._sample),
        )

    def _silence(self, timeout_s: float, repeated: int) -> DriverError:
        if repeated:
            return DriverStaleError(self._name, StreamFault.REPEATED.value)
        return DriverTimeoutError(self._name, timeout_s)

    def _make_frame(self, frames: Any, stamp_ns: int) -> RgbdFrame:
        for depth_filter in self._filters:
            frames = depth_filter.process(frames).as_frameset()
        aligned = self._align.process(frames)
        depth, color = aligned.get_depth_frame(), aligned.get_color_frame()
        rgb = np.array(color.get_data(), dtype=np.uint8)
        steps = np.asanyarray(depth.get_data())
        if steps.shape != rgb.shape[:2]:
            raise DriverError(
                self._name, f"aligned depth is {steps.shape}, colour {rgb.shape[:2]}"
            )
        self._number += 1
        return RgbdFrame(
            camera=self._name,
            stamp_ns=stamp_ns,
            number=self._number,
            rgb=rgb,
            depth_m=steps * np.float32(depth.get_units()),
            intrinsics=_intrinsics(color),
            base_from_camera=self._pose(),
        )


@contextmanager
def _wrapped_errors(name: str, what: str) -> Iterator[None]:
    """Turn the SDK's own errors, which are all of one type, into ours."""
    try:
        yield
    except RuntimeError as error:
        raise DriverError(name, f"{what}: {error}") from error


def find_device(name: str, serial: str) -> Any:
    """Return the connected camera with this serial number.

    Raises:
        DriverUnreachableError: there is none; the message lists those that are there.
    """
    sdk = load_sdk()
    try:
        devices = list(sdk.context().query_devices())
        serials = [item.get_info(sdk.camera_info.serial_number) for item in devices]
    except RuntimeError as error:
        raise DriverUnreachableError(
            name, f"the USB devices cannot be listed: {error}"
        ) from error
    if serial in serials:
        return devices[serials.index(serial)]
    raise DriverUnreachableError(
        name,
        f"no RealSense camera with serial number {serial} (connected: "
        f"{', '.join(serials) or 'none'}): check the cable and cameras.{name}.serial",
    )


def _choose_profiles(
    name: str, device: Any, request: StreamRequest
) -> list[tuple[Any, list[Any]]]:
    """Pick one depth and one colour profile and group them by their sensor."""
    sdk = load_sdk()
    wanted = {sdk.stream.depth: sdk.format.z16, sdk.stream.color: sdk.format.rgb8}
    chosen: dict[Any, tuple[int, Any, Any]] = {}
    for index, sensor in enumerate(device.query_sensors()):
        for profile in sensor.get_stream_profiles():
            kind = profile.stream_type()
            known = chosen.get(kind)
            if wanted.get(kind) != profile.format() or not _fits(profile, request):
                continue
            if known is None or profile.fps() < known[2].fps():
                chosen[kind] = (index, sensor, profile)
    missing = [kind.name for kind in wanted if kind not in chosen]
    if missing:
        raise DriverError(
            name,
            f"offers no {' or '.join(missing)} stream with at least "
            f"{request.rate_hz:g} Hz at {request.width_px}x{request.height_px}: "
            f"change rate_hz, width_px or height_px of cameras.{name}",
        )
    ordered = sorted(chosen.values(), key=lambda item: item[0])
    groups = [list(group) for _, group in groupby(ordered, key=lambda item: item[0])]
    return [(group[0][1], [item[2] for item in group]) for group in groups]


def _fits(profile: Any, request: StreamRequest) -> bool:
    video = profile.as_video_stream_profile()
    return (
        request.width_px in {None, video.width()}
        and request.height_px in {None, video.height()}
        and profile.fps() >= request.rate_hz
    )


def _make_filter(kind: DepthFilter) -> Any:
    sdk = load_sdk()
    makers = {
        "spatial": sdk.spatial_filter,
        "temporal": sdk.temporal_filter,
        "hole_filling": sdk.hole_filling_filter,
    }
    return makers[kind]()


def _split(frames: Any, max_skew_ms: float) -> tuple[Any, Any] | None:
    """Return depth and colour of a set, None when it is no pair of one moment."""
    depth, color = frames.get_depth_frame(), frames.get_color_frame()
    # A set holds what the syncer had: the first ones after a start lack an image.
    if not depth or not color:
        return None
    if abs(depth.get_timestamp() - color.get_timestamp()) > max_skew_ms:
        return None
    return depth, color


def _intrinsics(color: Any) -> Intrinsics:
    lens = color.profile.as_video_stream_profile().intrinsics
    return Intrinsics(lens.width, lens.height, lens.fx, lens.fy, lens.ppx, lens.ppy)
