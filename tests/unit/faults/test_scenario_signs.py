"""By which sign a supervisor is taken to be back."""

from types import SimpleNamespace
from typing import Any

import pytest

from sim2real.faults.evidence import LogLine
from sim2real.faults.scenario import supervisor_returns

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
