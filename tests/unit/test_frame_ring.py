"""Frames in shared memory."""

import errno
import os
import struct
from pathlib import Path

import numpy as np
import pytest

from cell.contracts.errors import ConfigError, StorageError
from cell.contracts.geometry import Pose
from cell.contracts.observation import Intrinsics, RgbdFrame
from cell.mailbox.frames import FrameRing, FrameSource, frame_ring_path

HEIGHT, WIDTH = 12, 16
FIRST_SLOT = 64


def make_frame(number: int, height: int = HEIGHT, width: int = WIDTH) -> RgbdFrame:
    rng = np.random.default_rng(number)
    return RgbdFrame(
        camera="overhead",
        stamp_ns=1000 + number,
        number=number,
        rgb=rng.integers(0, 256, (height, width, 3), dtype=np.uint8),
        depth_m=rng.random((height, width), dtype=np.float32),
        intrinsics=Intrinsics(width, height, 40.5, 41.5, 7.25, 5.75),
        base_from_camera=Pose.from_rotvec((0.1, -0.2, 0.3 + number), (1.0, 2.0, 0.5)),
    )


def assert_same(read: RgbdFrame | None, written: RgbdFrame) -> None:
    assert read is not None
    assert (read.camera, read.stamp_ns, read.number, read.intrinsics) == (
        written.camera,
        written.stamp_ns,
        written.number,
        written.intrinsics,
    )
    assert np.array_equal(read.rgb, written.rgb)
    assert np.array_equal(read.depth_m, written.depth_m)
    for name in ("position_m", "quat_wxyz"):
        assert np.array_equal(
            getattr(read.base_from_camera, name),
            getattr(written.base_from_camera, name),
        )


def test_the_newest_frame_comes_back_with_optics_and_pose(tmp_path: Path) -> None:
    ring = FrameRing.open(tmp_path / "ring", HEIGHT, WIDTH)
    reader = FrameRing.open(tmp_path / "ring", HEIGHT, WIDTH)

    assert reader.read_newest() is None
    assert reader.newest_stamp_ns() == 0
    for number in range(1, 11):
        ring.write(make_frame(number))
        assert_same(reader.read_newest(), make_frame(number))
        assert reader.newest_stamp_ns() == 1000 + number
        assert reader.count() == number


def test_a_read_frame_is_a_copy_that_can_be_changed(tmp_path: Path) -> None:
    ring = FrameRing.open(tmp_path / "ring", HEIGHT, WIDTH)
    ring.write(make_frame(1))
    read = ring.read_newest()
    assert read is not None

    for number in range(2, 8):
        ring.write(make_frame(number))
    assert_same(read, make_frame(1))
    read.rgb[:] = 0
    read.depth_m[:] = 0

    assert_same(ring.read_newest(), make_frame(7))


def test_an_unknown_pose_travels_as_not_a_number(tmp_path: Path) -> None:
    ring = FrameRing.open(tmp_path / "ring", HEIGHT, WIDTH)
    frame = make_frame(1)
    frame.base_from_camera.position_m[:] = np.nan

    ring.write(frame)
    read = ring.read_newest()

    assert read is not None
    assert np.isnan(read.base_from_camera.position_m).all()


def test_a_writer_killed_half_way_leaves_the_previous_frame(tmp_path: Path) -> None:
    path = tmp_path / "ring"
    ring = FrameRing.open(path, HEIGHT, WIDTH)
    for number in (1, 2):
        ring.write(make_frame(number))
    slot_bytes = (path.stat().st_size - FIRST_SLOT) // 4
    with path.open("r+b") as file:  # what is left of the third write
        file.seek(FIRST_SLOT + 3 * slot_bytes)
        file.write(struct.pack("<Q", 5) + b"\xaa" * (slot_bytes // 2))

    successor = FrameRing.open(path, HEIGHT, WIDTH)

    assert_same(successor.read_newest(), make_frame(2))
    successor.write(make_frame(3))
    assert_same(ring.read_newest(), make_frame(3))


def test_content_that_does_not_fit_its_checksum_is_no_frame(tmp_path: Path) -> None:
    path = tmp_path / "ring"
    ring = FrameRing.open(path, HEIGHT, WIDTH)
    ring.write(make_frame(1))
    slot_bytes = (path.stat().st_size - FIRST_SLOT) // 4

    with path.open("r+b") as file:
        file.seek(FIRST_SLOT + slot_bytes + slot_bytes // 2)
        file.write(b"\x00\xff\x00\xff")

    assert ring.read_newest() is None


def test_a_frame_of_another_size_is_refused(tmp_path: Path) -> None:
    ring = FrameRing.open(tmp_path / "ring", HEIGHT, WIDTH)

    with pytest.raises(ValueError, match="16x12"):
        ring.write(make_frame(1, HEIGHT + 1))


def test_a_source_waits_for_a_ring_and_follows_its_replacement(tmp_path: Path) -> None:
    path = frame_ring_path(tmp_path, "overhead")
    source = FrameSource(path)
    assert source.read_newest() is None
    assert source.newest_stamp_ns() == 0

    FrameRing.open(path, HEIGHT, WIDTH).write(make_frame(1))
    assert_same(source.read_newest(), make_frame(1))
    larger = FrameRing.open(path, 2 * HEIGHT, WIDTH)
    assert source.read_newest() is None
    larger.write(make_frame(2, 2 * HEIGHT))

    assert_same(source.read_newest(), make_frame(2, 2 * HEIGHT))
    assert source.newest_stamp_ns() == 1002
    source.close()


def test_opening_leaves_no_drafts_behind(tmp_path: Path) -> None:
    for height in (HEIGHT, 2 * HEIGHT, HEIGHT):
        FrameRing.open(tmp_path / "ring", height, WIDTH).close()

    assert [file.name for file in tmp_path.iterdir()] == ["ring"]


@pytest.mark.parametrize("content", [b"", b"short", b"x" * 4096])
def test_a_file_that_is_no_ring_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "ring").write_bytes(content)

    with pytest.raises(ConfigError, match="delete its runtime directory"):
        FrameRing.open(tmp_path / "ring", HEIGHT, WIDTH)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EACCES, errno.EMFILE])
def test_a_ring_that_cannot_be_made_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as context:
        context.setattr(Path, "open", refuse)
        with pytest.raises(StorageError, match=os.strerror(number)) as caught:
            FrameRing.open(tmp_path / "ring", HEIGHT, WIDTH)

    assert str(tmp_path / "ring") in str(caught.value)
    assert list(tmp_path.iterdir()) == []
