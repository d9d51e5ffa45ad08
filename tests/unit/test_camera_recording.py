"""Recording frames, and playing them back with their true timing."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from cell.contracts.errors import (
    DriverError,
    DriverStaleError,
    DriverTimeoutError,
    DriverUnreachableError,
)
from cell.contracts.geometry import Pose
from cell.contracts.observation import Intrinsics, RgbdFrame
from cell.drivers.camera.recording import read_index, record_frames
from cell.drivers.camera.replay import ReplayCamera

OFFSETS_S = (0.0, 0.07, 0.11, 0.5)
UNKNOWN = Pose(np.full(3, np.nan), np.full(4, np.nan))


def make_frame(index: int) -> RgbdFrame:
    rng = np.random.default_rng(index)
    return RgbdFrame(
        camera="overhead",
        stamp_ns=5_000_000_000 + round(1e9 * OFFSETS_S[index]),
        number=100 + index,
        rgb=rng.integers(0, 256, (18, 24, 3), dtype=np.uint8),
        depth_m=rng.random((18, 24), dtype=np.float32),
        intrinsics=Intrinsics(24, 18, 10.5, 11.5, 3.5, 2.5),
        base_from_camera=Pose.from_rotvec((0.1, 0.2, 0.3), (3.0, 0.0, 0.1)),
    )


class FakeCamera:
    def __init__(self, frames: list[RgbdFrame]) -> None:
        self._frames = iter(frames)

    def read_frame(self, timeout_s: float) -> RgbdFrame:
        return next(self._frames)


class FakeTime:
    def __init__(self) -> None:
        self.ns = 77_000_000_000

    def now_ns(self) -> int:
        return self.ns

    def wait_until_ns(self, deadline_ns: int) -> None:
        self.ns = max(self.ns, deadline_ns)


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    folder = tmp_path / "recording"
    frames = [make_frame(index) for index in range(len(OFFSETS_S))]
    record_frames(FakeCamera(frames), folder, len(frames), 1.0)
    return folder


def replay(folder: Path, time: FakeTime, *, loop: bool = False) -> ReplayCamera:
    return ReplayCamera(
        "overhead",
        folder,
        read_index("overhead", folder),
        loop=loop,
        now_ns=time.now_ns,
        wait_until_ns=time.wait_until_ns,
    )


def test_frames_come_back_equal_at_their_recorded_times(recording: Path) -> None:
    time = FakeTime()
    start_ns = time.ns
    camera = replay(recording, time)

    for index, offset_s in enumerate(OFFSETS_S):
        frame, recorded = camera.read_frame(1.0), make_frame(index)
        assert frame.stamp_ns - start_ns == round(1e9 * offset_s)
        assert frame.number == index + 1
        assert frame.intrinsics == recorded.intrinsics
        assert np.array_equal(frame.rgb, recorded.rgb)
        assert np.array_equal(frame.depth_m, recorded.depth_m)
        assert frame.base_from_camera.as_matrix() == pytest.approx(
            recorded.base_from_camera.as_matrix()
        )


def test_the_end_of_a_recording_is_a_stream_that_went_stale(recording: Path) -> None:
    camera = replay(recording, FakeTime())
    for _ in OFFSETS_S:
        camera.read_frame(1.0)

    with pytest.raises(DriverStaleError, match="ended"):
        camera.read_frame(1.0)


def test_a_loop_starts_over_after_one_mean_period(recording: Path) -> None:
    time = FakeTime()
    start_ns = time.ns
    camera = replay(recording, time, loop=True)

    frames = [camera.read_frame(1.0) for _ in range(2 * len(OFFSETS_S))]

    round_s = 0.5 + 0.5 / 3
    stamps = [(frame.stamp_ns - start_ns) / 1e9 for frame in frames]
    assert stamps[4:] == pytest.approx([round_s + offset for offset in OFFSETS_S])
    assert np.array_equal(frames[5].rgb, frames[1].rgb)
    assert [frame.number for frame in frames] == list(range(1, 9))


def test_a_late_reader_misses_frames(recording: Path) -> None:
    time = FakeTime()
    camera = replay(recording, time)

    time.ns += 200_000_000

    assert camera.read_frame(1.0).number == 3


def test_a_frame_beyond_the_timeout_is_a_timeout(recording: Path) -> None:
    time = FakeTime()
    camera = replay(recording, time)
    for _ in range(3):
        camera.read_frame(1.0)

    with pytest.raises(DriverTimeoutError):
        camera.read_frame(0.1)
    assert camera.read_frame(1.0).number == 4


def test_an_unknown_pose_stays_unknown(tmp_path: Path) -> None:
    frame = replace(make_frame(0), base_from_camera=UNKNOWN)
    record_frames(FakeCamera([frame]), tmp_path / "one", 1, 1.0)

    read = replay(tmp_path / "one", FakeTime()).read_frame(1.0)

    assert np.isnan(read.base_from_camera.position_m).all()
    assert np.isnan(read.base_from_camera.quat_wxyz).all()


def test_a_recording_is_never_written_over(recording: Path) -> None:
    with pytest.raises(DriverError, match="name another"):
        record_frames(FakeCamera([make_frame(0)]), recording, 1, 1.0)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"number":', '"nummer":'),
        ("000001.npz", "../etc/passwd"),
        ("000001.npz", "a.pkl"),
        ('"fx_px":10.5', '"fx_px":NaN'),
        ('"offset_ns":70000000', '"offset_ns":120000000'),
    ],
)
def test_a_damaged_index_is_refused_with_its_line(
    recording: Path, old: str, new: str
) -> None:
    index = recording / "index.jsonl"
    text = index.read_text()
    assert old in text
    index.write_text(text.replace(old, new))

    with pytest.raises(DriverError, match=r"index\.jsonl"):
        read_index("overhead", recording)


def test_an_empty_or_missing_recording_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(DriverUnreachableError, match="no recording"):
        read_index("overhead", tmp_path)
    (tmp_path / "index.jsonl").touch()
    with pytest.raises(DriverUnreachableError, match="empty"):
        read_index("overhead", tmp_path)


@pytest.mark.parametrize("damage", ["missing", "cut", "text", "size", "object"])
def test_a_damaged_image_is_refused_with_its_name(recording: Path, damage: str) -> None:
    path = recording / "000000.npz"
    content = path.read_bytes()
    path.unlink()
    if damage == "cut":
        path.write_bytes(content[: len(content) // 2])
    elif damage == "text":
        path.write_text("no archive")
    elif damage == "size":
        np.savez(path, rgb=np.zeros((17, 24, 3), np.uint8), depth_m=np.zeros((18, 24)))
    elif damage == "object":
        np.savez(path, rgb=np.array([{}], dtype=object), depth_m=np.zeros((18, 24)))

    with pytest.raises(DriverError, match=r"000000\.npz"):
        replay(recording, FakeTime()).read_frame(1.0)
