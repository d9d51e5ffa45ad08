"""Records of a camera's place."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from calibration.records import ExtrinsicsRecord, read_extrinsics, write_extrinsics
from cell.contracts.errors import ConfigError

SOLVED = datetime(2026, 11, 1, tzinfo=UTC)
RECORD = ExtrinsicsRecord(
    camera="overhead",
    parent="base",
    position_m=(-0.2, 0.48, 0.85),
    rotvec_rad=(3.1, 0.02, -0.01),
    residual_m=0.0004,
    residual_rad=0.001,
    samples=20,
    solved_at=SOLVED,
    valid_days=30,
)


def test_a_record_survives_the_way_to_disk_and_back(tmp_path: Path) -> None:
    path = tmp_path / "overhead.json"

    write_extrinsics(RECORD, path)

    assert read_extrinsics(path) == RECORD
    assert [file.name for file in tmp_path.iterdir()] == ["overhead.json"]


def test_the_pose_is_that_of_the_optical_frame_in_its_parent() -> None:
    pose = RECORD.parent_from_camera()

    assert pose.position_m == pytest.approx([-0.2, 0.48, 0.85])
    assert pose.as_rotvec() == pytest.approx(np.array([3.1, 0.02, -0.01]))


@pytest.mark.parametrize(
    ("days", "is_valid"), [(-0.1, False), (0, True), (30, True), (30.1, False)]
)
def test_a_record_is_valid_from_its_day_until_its_age(
    days: float, is_valid: bool
) -> None:
    assert RECORD.is_valid_at(SOLVED + timedelta(days=days)) is is_valid


@pytest.mark.parametrize(
    ("old", "new", "key"),
    [
        ('"samples": 20', '"samples": 2', "samples"),
        ('"samples": 20', '"samples": "20"', "samples"),
        ("0.0004", "NaN", "residual_m"),
        ('"camera"', '"kamera"', "camera"),
        ("2026-11-01T00:00:00Z", "2026-11-01T00:00:00", "solved_at"),
        ("3.1,\n    0.02", "5.0,\n    5.0", "one turn"),
        ('"version": 1', '"version": 2', "version"),
    ],
)
def test_a_damaged_record_is_refused_by_key(
    tmp_path: Path, old: str, new: str, key: str
) -> None:
    path = tmp_path / "overhead.json"
    write_extrinsics(RECORD, path)
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))

    with pytest.raises(ConfigError, match=key):
        read_extrinsics(path)


def test_a_missing_record_asks_for_a_calibration(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="calibrate again"):
        read_extrinsics(tmp_path / "none.json")
