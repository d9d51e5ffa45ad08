"""By which signs reactions are recognised."""

from types import SimpleNamespace
from typing import Any, cast

import pytest

from cell.supervisor.states import State
from sim2real.faults import line_scenarios, scenario
from sim2real.faults.evidence import Evidence, LogLine
from sim2real.faults.line_scenarios import LINE_SCENARIOS
from sim2real.faults.scenario import make_awaited_look, supervisor_returns

ONSET_NS, LATCHED_NS, SHOWN_NS, NOW_NS = 100, 200, 900, 1_000
LATCHED = LogLine(LATCHED_NS, "supervisor", "rung", {"to": "LATCH"})
SHOWN = LogLine(SHOWN_NS, "supervisor", "status_shown", {"state": "ABORTED"})
STATUS = {"stamp_ns": 890, "state": "ABORTED"}


def see(status: dict[str, Any], *lines: LogLine) -> Any:
    return SimpleNamespace(
        stand=SimpleNamespace(status=lambda: status),
        onset_ns=ONSET_NS,
        events=lambda: list(lines),
    )


def test_a_supervisor_is_back_with_its_first_status_not_with_its_first_line() -> None:
    assert supervisor_returns(see(STATUS, LATCHED, SHOWN), NOW_NS) == SHOWN_NS
    assert supervisor_returns(see(STATUS, LATCHED), NOW_NS) is None


@pytest.mark.parametrize(
    "status", [{}, STATUS | {"stamp_ns": ONSET_NS}, STATUS | {"state": "STOPPED"}]
)
def test_a_supervisor_that_shows_no_latched_state_is_not_back(
    status: dict[str, Any],
) -> None:
    assert supervisor_returns(see(status, LATCHED, SHOWN), NOW_NS) is None


def test_a_status_of_another_state_is_no_latched_one() -> None:
    stopped = LogLine(SHOWN_NS, "supervisor", "status_shown", {"state": "STOPPED"})

    assert supervisor_returns(see(STATUS, LATCHED, stopped), NOW_NS) is None


def test_a_look_waits_for_what_takes_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    lines: list[LogLine] = []
    given_back = LogLine(SHOWN_NS, "supervisor", "attempt", {"outcome": "wrong part"})
    monkeypatch.setattr(scenario, "pause", lambda _: lines.append(given_back))
    evidence = SimpleNamespace(events=lambda: lines)
    look = make_awaited_look("supervisor", "attempt", 60.0, outcome="wrong part")

    assert look(cast("Evidence", evidence)) == ""


def test_a_look_does_not_wait_for_ever() -> None:
    evidence = SimpleNamespace(events=list)
    look = make_awaited_look("supervisor", "attempt", 0.0, outcome="wrong part")

    assert look(cast("Evidence", evidence)) == "no event 'attempt'"


@pytest.mark.parametrize(
    ("is_fresh", "state", "noticed_ns"),
    [
        (True, State.EXECUTE, None),
        (False, State.EXECUTE, 300),
        (True, State.ABORTED, 300),
    ],
)
def test_the_line_knows_of_a_lost_cell_and_of_an_aborted_one(
    monkeypatch: pytest.MonkeyPatch,
    is_fresh: bool,
    state: State,
    noticed_ns: int | None,
) -> None:
    record = {"cell_is_fresh": is_fresh, "cell_state": int(state), "stamp_ns": 300}
    monkeypatch.setattr(line_scenarios, "read_line", lambda _: record)

    sign = LINE_SCENARIOS["F14"].sign

    assert sign(see(STATUS), NOW_NS) == noticed_ns
