"""What a cell remembers after its host or the whole machine has gone down."""

import json
from pathlib import Path
from typing import Any

import pytest

from cell.mailbox.text import TextMailbox
from cell.supervisor.causes import Cause
from cell.supervisor.states import State
from cell.supervisor.statistics import Statistics
from cell.supervisor.status import make_first_machine, parse_previous
from ops import last_status
from ops.last_status import (
    FILE_NAME,
    StatusKeeper,
    read_last_status,
    write_status_file,
)
from ops.runtime_directory import clear_stale
from ops.telemetry import STATUS_CAPACITY
from ops.wiring import StatusRecord


def status(state: str, placed: int = 3, stamp_ns: int = 1) -> dict[str, Any]:
    return {
        "stamp_ns": stamp_ns,
        "state": state,
        "state_reason": "the robot is in protective stop",
        "cause": "protective_stop",
        "placed": placed,
        "events": ["much text"],
    }


@pytest.fixture
def state(tmp_path: Path) -> Path:
    folder = tmp_path / "state"
    folder.mkdir()
    return folder


@pytest.fixture
def runtime(runtime_directory: Path) -> Path:
    clear_stale(runtime_directory)
    return runtime_directory


def publish(runtime: Path, tree: dict[str, Any]) -> None:
    mailbox = TextMailbox(runtime / "status", STATUS_CAPACITY)
    mailbox.write(json.dumps(tree))
    mailbox.close()


def first_state(tree: Any) -> State:
    return make_first_machine(parse_previous(json.dumps(tree)), 0).state


def test_a_first_start_has_nothing_to_remember(state: Path, runtime: Path) -> None:
    last = read_last_status(state, runtime)

    assert last.tree == {}
    assert last.damage == ""


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("ABORTED", State.ABORTED),
        ("HELD", State.ABORTED),
        ("EXECUTE", State.ABORTED),
        ("STOPPED", State.STOPPED),
        ("IDLE", State.STOPPED),
    ],
)
def test_what_was_latched_is_latched_after_a_power_cut(
    state: Path, runtime: Path, name: str, expected: State
) -> None:
    write_status_file(state / FILE_NAME, status(name))

    last = read_last_status(state, runtime)

    assert first_state(last.tree) is expected
    counts = Statistics()
    counts.restore(dict(last.tree))
    assert counts.placed == 3


def test_shared_memory_is_newer_when_the_host_died_first(
    state: Path, runtime: Path
) -> None:
    write_status_file(state / FILE_NAME, status("EXECUTE", stamp_ns=5))
    publish(runtime, status("ABORTED", placed=4, stamp_ns=6))

    assert read_last_status(state, runtime).tree["placed"] == 4


def test_the_file_is_newer_than_an_old_mailbox(state: Path, runtime: Path) -> None:
    publish(runtime, status("STOPPED", stamp_ns=5))
    write_status_file(state / FILE_NAME, status("ABORTED", stamp_ns=6))

    assert read_last_status(state, runtime).tree["state"] == "ABORTED"


def test_a_mailbox_from_before_the_machine_started_is_not_read(
    state: Path, runtime: Path
) -> None:
    publish(runtime, status("STOPPED", stamp_ns=10**18))
    (runtime / ".cellward").write_text("another boot")
    write_status_file(state / FILE_NAME, status("ABORTED", stamp_ns=1))

    assert read_last_status(state, runtime).tree["state"] == "ABORTED"


@pytest.mark.parametrize("damage", [b"", b"{}", b"\xff" * 100, None])
def test_a_damaged_record_counts_as_aborted_and_is_named_once(
    state: Path, runtime: Path, damage: bytes | None
) -> None:
    path = state / FILE_NAME
    write_status_file(path, status("STOPPED"))
    whole = path.read_bytes()
    path.write_bytes(
        whole.replace(b"STOPPED", b"STOPPEE") if damage is None else damage
    )

    last = read_last_status(state, runtime)

    assert str(path) in last.damage
    machine = make_first_machine(parse_previous(json.dumps(last.tree)), 0)
    assert machine.state is State.ABORTED
    assert machine.needs_acknowledgement()
    assert machine.reason is not None
    assert machine.reason.cause is Cause.SUPERVISOR_RESTARTED
    assert str(path) in machine.reason.describe()
    assert read_last_status(state, runtime).damage == ""


def test_a_state_of_another_version_counts_as_damage(
    state: Path, runtime: Path
) -> None:
    write_status_file(state / FILE_NAME, status("LEVITATING"))

    assert "none that this version knows" in read_last_status(state, runtime).damage


def test_a_second_interruption_keeps_the_first_story() -> None:
    tree = status("ABORTED")
    for _ in range(3):
        machine = make_first_machine(parse_previous(json.dumps(tree)), 0)
        assert machine.reason is not None
        tree["state_reason"] = machine.reason.describe()

    assert tree["state_reason"].count("it was in") == 1
    assert "the robot is in protective stop" in tree["state_reason"]


def test_a_change_of_state_is_written_and_mere_counts_wait(
    state: Path, runtime: Path
) -> None:
    now_s = [100.0]
    keeper = StatusKeeper(state, lambda: now_s[0])
    keeper.note(status("EXECUTE", placed=1))
    keeper.note(status("ABORTED", placed=1))
    keeper.note(status("ABORTED", placed=2))
    keeper.close()

    tree = read_last_status(state, runtime).tree
    assert (tree["state"], tree["placed"]) == ("ABORTED", 1)
    assert "events" not in tree


def test_counts_are_written_every_few_seconds(state: Path, runtime: Path) -> None:
    now_s = [100.0]
    keeper = StatusKeeper(state, lambda: now_s[0])
    keeper.note(status("EXECUTE", placed=1))
    now_s[0] += 10.0
    keeper.note(status("EXECUTE", placed=2))
    keeper.close()

    assert read_last_status(state, runtime).tree["placed"] == 2


def test_a_disk_that_takes_nothing_stops_nobody(
    state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(last_status, "write_status_file", fail)
    keeper = StatusKeeper(state, lambda: 0.0)
    assert keeper.complaint == ""
    keeper.note(status("ABORTED"))
    keeper.close()

    assert not (state / FILE_NAME).exists()
    assert str(state / FILE_NAME) in keeper.complaint
    assert "No space left on device" in keeper.complaint
    assert "free space there" in keeper.complaint


def test_the_supervisor_reads_its_own_life_before_an_earlier_one(
    runtime: Path,
) -> None:
    (runtime / "previous").write_text("earlier")
    mailbox = TextMailbox(runtime / "status", STATUS_CAPACITY)
    record = StatusRecord(mailbox, runtime / "previous")

    assert record.read() == "earlier"
    record.write("now")
    assert record.read() == "now"
    assert StatusRecord(mailbox, runtime / "none").read() == "now"
    mailbox.close()


def test_without_a_record_there_was_no_earlier_life(runtime: Path) -> None:
    mailbox = TextMailbox(runtime / "status", STATUS_CAPACITY)

    assert StatusRecord(mailbox, runtime / "none").read() is None
    mailbox.close()


def spoil(path: Path) -> None:
    """Leave no slot of a mailbox whole."""
    content = bytearray(path.read_bytes())
    where = content.index(b"STOPPED")
    while where >= 0:
        content[where] ^= 1
        where = content.find(b"STOPPED")
    path.write_bytes(content)


@pytest.mark.parametrize("damage", ["mailbox", "no text", "no file"])
def test_what_an_earlier_life_left_and_nobody_can_read_is_no_rest(
    runtime: Path, damage: str
) -> None:
    previous = runtime / "previous"
    if damage == "mailbox":
        previous.write_text(json.dumps(status("STOPPED")))
        publish(runtime, status("STOPPED"))
        spoil(runtime / "status")
    elif damage == "no text":
        previous.write_bytes(b"\xff")
    else:
        previous.mkdir()
    mailbox = TextMailbox(runtime / "status", STATUS_CAPACITY)

    text = StatusRecord(mailbox, previous).read()

    assert text == ""
    assert make_first_machine(parse_previous(text), 0).state is State.ABORTED
    mailbox.close()


def test_shared_memory_that_nobody_can_read_gives_way_to_the_file(
    state: Path, runtime: Path
) -> None:
    publish(runtime, status("STOPPED"))
    spoil(runtime / "status")

    lost = read_last_status(state, runtime)
    assert first_state(lost.tree) is State.ABORTED
    assert "shared memory cannot be read" in lost.damage

    write_status_file(state / FILE_NAME, status("IDLE"))
    assert first_state(read_last_status(state, runtime).tree) is State.STOPPED
