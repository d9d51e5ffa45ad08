"""Mailboxes: what one side writes the other side reads, or nothing at all."""

import math
from pathlib import Path

import numpy as np
import pytest

from cell.contracts.errors import ConfigError
from cell.contracts.geometry import Pose
from cell.contracts.servo import (
    HoldReason,
    MotionMode,
    ServoCommand,
    ServoPhase,
    ServoState,
)
from cell.mailbox.beats import Beats
from cell.mailbox.seqlock import Mailbox
from cell.mailbox.servo_link import ServoLink
from cell.mailbox.text import TextMailbox

RECORD = np.dtype([("number", "<i8"), ("values", "<f8", (5,))])


def make_record(number: int) -> np.ndarray:
    record = np.zeros((), RECORD)
    record["number"] = number
    record["values"] = number / 2
    return record


def test_nothing_is_read_before_something_was_written(tmp_path: Path) -> None:
    mailbox = Mailbox.open(tmp_path / "box", RECORD)

    assert mailbox.read() is None
    assert mailbox.version() == 0


def test_the_other_side_reads_the_newest_record(tmp_path: Path) -> None:
    writer = Mailbox.open(tmp_path / "box", RECORD)
    reader = Mailbox.open(tmp_path / "box", RECORD)
    for number in range(5):
        writer.write(make_record(number))

    record = reader.read()

    assert record is not None
    assert record["number"] == 4
    assert (record["values"] == 2.0).all()
    assert reader.version() == writer.version() > 0


def test_what_was_read_does_not_change_any_more(tmp_path: Path) -> None:
    mailbox = Mailbox.open(tmp_path / "box", RECORD)
    mailbox.write(make_record(1))
    record = mailbox.read()
    mailbox.write(make_record(2))
    mailbox.write(make_record(3))

    assert record is not None
    assert record["number"] == 1


def test_a_new_writer_goes_on_where_the_last_one_ended(tmp_path: Path) -> None:
    first = Mailbox.open(tmp_path / "box", RECORD)
    first.write(make_record(1))
    version = first.version()
    first.close()

    second = Mailbox.open(tmp_path / "box", RECORD)

    read = second.read()
    assert read is not None
    assert read["number"] == 1
    second.write(make_record(2))
    assert second.version() != version


@pytest.mark.parametrize(
    "other",
    [
        np.dtype([("number", "<i8"), ("values", "<f8", (6,))]),
        np.dtype([("number", "<i8"), ("others", "<f8", (5,))]),
    ],
    ids=["size", "name"],
)
def test_a_file_of_another_layout_is_refused(
    tmp_path: Path, other: "np.dtype[np.void]"
) -> None:
    Mailbox.open(tmp_path / "box", RECORD)

    with pytest.raises(ConfigError, match="another version"):
        Mailbox.open(tmp_path / "box", other)


def test_a_record_of_another_layout_is_refused(tmp_path: Path) -> None:
    mailbox = Mailbox.open(tmp_path / "box", RECORD)

    with pytest.raises(TypeError):
        mailbox.write(np.zeros((), np.dtype([("number", "<i8")])))


def test_a_damaged_record_is_not_read(tmp_path: Path) -> None:
    mailbox = Mailbox.open(tmp_path / "box", RECORD)
    mailbox.write(make_record(1))
    content = bytearray((tmp_path / "box").read_bytes())
    position = content.rindex(np.float64(0.5).tobytes())
    with (tmp_path / "box").open("r+b") as file:
        file.seek(position)
        file.write(b"\xff")

    assert mailbox.read() is None
    mailbox.write(make_record(2))
    assert mailbox.read() is not None


def test_only_the_owner_can_open_a_mailbox(tmp_path: Path) -> None:
    Mailbox.open(tmp_path / "box", RECORD)

    assert (tmp_path / "box").stat().st_mode & 0o777 == 0o600


def test_a_text_arrives_with_every_character(tmp_path: Path) -> None:
    writer = TextMailbox(tmp_path / "status", 64)
    reader = TextMailbox(tmp_path / "status", 64)
    assert reader.read() is None

    writer.write('{"zustand": "läuft"}')

    assert reader.read() == '{"zustand": "läuft"}'
    assert reader.version() == writer.version()


def test_a_text_that_does_not_fit_is_refused_and_the_old_one_stays(
    tmp_path: Path,
) -> None:
    mailbox = TextMailbox(tmp_path / "status", 8)
    mailbox.write("short")

    with pytest.raises(ValueError, match="9 bytes"):
        mailbox.write("too long!")

    assert mailbox.read() == "short"
    mailbox.close()


def test_a_beat_is_seen_by_everybody_and_ages(tmp_path: Path) -> None:
    ours, theirs = Beats.open(tmp_path / "beats"), Beats.open(tmp_path / "beats")
    assert math.isinf(theirs.age_s("servo", 5))

    ours.beat("servo", 1_000_000_000)
    theirs.beat("camera", 2_000_000_000)

    assert theirs.age_s("servo", 3_000_000_000) == 2.0
    assert ours.age_s("camera", 3_000_000_000) == 1.0


def test_a_forgotten_beat_counts_as_silence(tmp_path: Path) -> None:
    beats = Beats.open(tmp_path / "beats")
    beats.beat("servo", 1)
    beats.forget("servo")
    beats.forget("nobody")

    assert math.isinf(beats.age_s("servo", 2))
    beats.close()


def test_a_name_too_long_and_a_name_too_many_are_refused(tmp_path: Path) -> None:
    beats = Beats.open(tmp_path / "beats")

    with pytest.raises(ValueError, match="longer"):
        beats.beat("x" * 25, 1)
    for number in range(64):
        beats.beat(f"process {number}", 1)
    with pytest.raises(ValueError, match="no slot left"):
        beats.beat("one more", 1)


def test_a_beats_file_of_another_version_is_refused(tmp_path: Path) -> None:
    (tmp_path / "beats").write_bytes(b"x" * 10)

    with pytest.raises(ConfigError, match="another version"):
        Beats.open(tmp_path / "beats")


def make_command(number: int) -> ServoCommand:
    return ServoCommand(
        stamp_ns=number,
        command_id=number,
        arm_id=3,
        mode=MotionMode.MOVE_LINEAR,
        q_target=np.arange(6.0),
        base_from_tcp=Pose.from_rotvec([1.0, 2.0, 3.0], [0.1, 0.2, 0.3]),
        speed_ratio=0.5,
        arrival_rad=0.08,
        payload_kg=0.3,
    )


def test_a_servo_command_survives_the_way(tmp_path: Path) -> None:
    ours, theirs = ServoLink.open(tmp_path), ServoLink.open(tmp_path)
    assert theirs.read_command() is None
    sent = make_command(7)

    ours.write_command(sent)
    got = theirs.read_command()

    assert got is not None
    assert (got.stamp_ns, got.command_id, got.arm_id, got.mode) == (7, 7, 3, sent.mode)
    assert (got.q_target == sent.q_target).all()
    assert (got.base_from_tcp.quat_wxyz == sent.base_from_tcp.quat_wxyz).all()
    assert (got.speed_ratio, got.arrival_rad, got.payload_kg) == (0.5, 0.08, 0.3)


def test_an_unchanged_command_is_the_same_object(tmp_path: Path) -> None:
    link = ServoLink.open(tmp_path)
    link.write_command(make_command(1))
    first = link.read_command()

    assert link.read_command() is first
    link.write_command(make_command(2))
    assert link.read_command() is not first


def test_a_servo_state_survives_the_way(tmp_path: Path) -> None:
    ours, theirs = ServoLink.open(tmp_path), ServoLink.open(tmp_path)
    assert theirs.read_state() is None
    counts = np.zeros(len(HoldReason))
    counts[HoldReason.WORKSPACE] = 2
    sent = ServoState(
        stamp_ns=1,
        cycle=2,
        phase=ServoPhase.MOVING,
        hold_reason=HoldReason.WORKSPACE,
        hold_count=2,
        hold_counts=counts,
        command_id=3,
        reached_id=4,
        arm_id=5,
        chunk_id=6,
        chunk_s=0.7,
        q=np.full(6, 6.0),
        qd=np.full(6, 7.0),
        q_command=np.full(6, 8.0),
        base_from_tcp=Pose.from_rotvec([1.0, 2.0, 3.0], [0.1, 0.2, 0.3]),
        force_tcp_n=np.full(6, 9.0),
        robot_mode=7,
        safety_status_bits=1,
        speed_fraction=0.8,
        arm_age_s=0.001,
        armed_cycles=13,
        late_cycles=10,
        unguarded_cycles=0,
        guard_p50_us=11.0,
        guard_p999_us=12.0,
        scheduler=1,
        period_s=0.002,
    )

    ours.write_state(sent)
    got = theirs.read_state()

    assert got is not None
    for name, value in vars(sent).items():
        other = getattr(got, name)
        if isinstance(value, Pose):
            assert (other.position_m == value.position_m).all()
        else:
            assert np.all(other == value), name
    ours.close()
