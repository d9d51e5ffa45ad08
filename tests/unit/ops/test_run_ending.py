"""When a run ends by itself, and with what."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import pytest

from cell.contracts.errors import ModelError
from cell.drivers.clock import MonotonicClock
from cell.mailbox.beats import Beats
from ops.exit_codes import ExitCode, RestartLimitError
from ops.host import ChildStatus, ProcessHost, Refusal
from ops.last_status import LastStatus, StatusKeeper
from ops.process_table import PRODUCT, VIRTUAL_CELL, ProcessSpec
from ops.processes.shell import ProcessContext
from ops.run_session import RunRequest, Session
from ops.telemetry import TelemetryReader
from ops.wiring import _make_find_given_up, _make_find_lost_process


@dataclass
class FakeHost:
    """A host whose one child is down from the start."""

    child: ChildStatus
    polls: int = 0
    specs: tuple[ProcessSpec, ...] = PRODUCT

    def poll(self) -> None:
        self.polls += 1

    def statuses(self) -> list[ChildStatus]:
        return [self.child]

    def list_complaints(self) -> list[str]:
        return ["no spare of process it can be kept"]

    def stop(self, _sleep: object) -> None:
        return None


class FakeKeeper:
    def __init__(self, complaint: str) -> None:
        self.complaint = complaint

    def note(self, *_: object, **__: object) -> None:
        return None


def make_child(*, is_essential: bool, refusal: Refusal | None = None) -> ChildStatus:
    return ChildStatus("it", None, 6, True, "exit code 1", refusal, is_essential)


def run(
    child: ChildStatus, tmp_path: Path, duration_s: float, complaint: str = ""
) -> FakeHost:
    host = FakeHost(child)
    report = tmp_path / "report.json"
    request = RunRequest(tmp_path, duration_s, 0, report, is_live=False)
    session = Session(
        cast("ProcessHost", host), TelemetryReader(tmp_path), request, tmp_path
    )
    kind = ModelError if child.refusal else RestartLimitError
    with pytest.raises(kind, match="process it"):
        session.run(cast("StatusKeeper", FakeKeeper(complaint)), LastStatus({}), ())
    return host


def test_a_run_goes_on_beside_a_process_the_cell_can_stand_without(
    tmp_path: Path,
) -> None:
    host = run(make_child(is_essential=False), tmp_path, 0.3)

    assert host.polls > 2


@pytest.mark.parametrize("kept", ["", "the disk is full"])
def test_what_the_host_complains_of_stands_among_the_alarms_of_the_report(
    kept: str, tmp_path: Path
) -> None:
    run(make_child(is_essential=False), tmp_path, 0.1, kept)

    report = json.loads((tmp_path / "report.json").read_text())
    assert report["alarms"] == [
        *("no spare of process it can be kept",),
        *filter(None, [kept]),
    ]


@pytest.mark.parametrize(
    "child",
    [
        make_child(is_essential=True),
        make_child(is_essential=False, refusal=Refusal(ExitCode.MODEL, "no model")),
    ],
    ids=["essential", "refused"],
)
def test_a_run_ends_at_once_without_what_it_cannot_do_without(
    child: ChildStatus, tmp_path: Path
) -> None:
    host = run(child, tmp_path, 60.0)

    assert host.polls == 1


def test_only_the_supervisor_and_the_virtual_cell_end_a_run() -> None:
    essential = {spec.name for spec in PRODUCT + VIRTUAL_CELL if spec.is_essential}

    assert essential == {"supervisor", *(spec.name for spec in VIRTUAL_CELL)}


def test_the_supervisor_tells_who_ended_from_who_stays_down(tmp_path: Path) -> None:
    beats, clock = Beats.open(tmp_path / "beats"), MonotonicClock()
    context = cast("ProcessContext", _Context(beats))
    find_lost_process = _make_find_lost_process(context, clock)
    find_given_up = _make_find_given_up(context)
    for name in ("camera", "policy", "servo", "guardian"):
        beats.beat(name, clock.now_ns())
    found = [(find_lost_process(), find_given_up())]

    beats.forget("camera")
    found.append((find_lost_process(), find_given_up()))
    for name in ("camera", "servo", "guardian"):
        beats.give_up(name)
    found.append((find_lost_process(), find_given_up()))
    beats.close()

    down = "ended too often, or for good"
    assert found == [("", ""), ("camera", ""), ("", f"camera {down}, servo {down}")]


@dataclass
class _Context:
    beats: Beats
