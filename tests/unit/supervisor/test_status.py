"""The status says why, since when it was worse, and what leads back."""

import json

import pytest

from cell.supervisor.causes import Cause
from cell.supervisor.machine import Machine, Reason
from cell.supervisor.states import Mode, State
from cell.supervisor.status import (
    describe_machine,
    make_first_machine,
    parse_previous,
)


def stopped(state: State, cause: Cause, detail: str, *later: Cause) -> Machine:
    machine = Machine(state, Mode.PRODUCTION, 0)
    machine.reason = Reason(cause, detail, 0)
    machine.latched = {cause, *later}
    return machine


@pytest.mark.parametrize(
    ("state", "way_back"),
    [
        (State.ABORTED, "Clear, Reset and Start"),
        (State.STOPPED, "Reset and Start"),
        (State.HELD, "Unhold"),
        (State.SUSPENDED, "Unsuspend"),
    ],
)
def test_what_leads_back_from_a_command_depends_on_the_state(
    state: State, way_back: str
) -> None:
    tree = describe_machine(
        stopped(state, Cause.COMMANDED, "it was commanded"), is_starved=False
    )

    assert tree["clears"] == way_back
    assert tree["remedy"] == f"give {way_back}"


def test_later_causes_are_named_up_to_a_few_and_listed_whole() -> None:
    later = (Cause.GRIPPER_LOST, Cause.PLC_LOST, Cause.ROBOT_LINK_LOST)

    tree = describe_machine(
        stopped(State.ABORTED, Cause.PROTECTIVE_STOP, "joint 3", *later),
        is_starved=False,
    )

    assert tree["state_reason"].endswith(" and 1 more")
    assert tree["state_reason"].startswith(tree["first_reason"] + "; since then: ")
    assert tree["since_then"] == sorted(later)


def test_the_story_of_a_stop_does_not_grow_with_every_start() -> None:
    machine = stopped(State.ABORTED, Cause.PROTECTIVE_STOP, "joint 3", Cause.PLC_LOST)
    told = []
    for _ in range(4):
        status = json.dumps(describe_machine(machine, is_starved=False))
        machine = make_first_machine(parse_previous(status), 0)
        machine.latched |= {Cause.GRIPPER_LOST, Cause.PLC_LOST}
        assert machine.reason is not None
        told.append(machine.reason.describe())

    assert "it was in ABORTED because" in told[0]
    assert "joint 3" in told[0]
    assert "since then" not in told[0]
    assert told == [told[0]] * 4
