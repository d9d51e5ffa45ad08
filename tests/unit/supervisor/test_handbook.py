"""The handbook says of every cause what the table says, and leaves no hold out."""

from pathlib import Path

import pytest

from cell.contracts.servo import HoldReason
from cell.supervisor.cause_table import FACTS
from cell.supervisor.causes import Cause
from cell.supervisor.states import State

HANDBOOK = Path(__file__).resolve().parents[3] / "ops" / "handbook"
PAGE = HANDBOOK / "supervisor.md"


@pytest.mark.parametrize("cause", list(Cause))
def test_every_cause_has_its_row_in_the_handbook(cause: Cause) -> None:
    facts = FACTS[cause]
    rows = PAGE.read_text(encoding="utf-8").splitlines()
    row = next((line for line in rows if line.startswith(f"| `{cause.value}` |")), "")

    for content in (str(int(facts.code)), facts.clears.value, facts.text, facts.remedy):
        assert f"| {content} |" in row


@pytest.mark.parametrize("state", list(State))
def test_every_state_is_explained_in_the_handbook(state: State) -> None:
    assert state.name.capitalize() in PAGE.read_text(encoding="utf-8")


@pytest.mark.parametrize("reason", [r for r in HoldReason if r is not HoldReason.NONE])
def test_every_hold_is_explained_in_the_handbook(reason: HoldReason) -> None:
    rows = (HANDBOOK / "servo.md").read_text(encoding="utf-8").splitlines()
    first_cells = [line.split("|")[1] for line in rows if line.startswith("| ")]

    assert reason.name in ",".join(first_cells).replace(" ", "").split(",")
