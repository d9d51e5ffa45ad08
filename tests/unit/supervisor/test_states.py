"""The PackML table against one that was written down independently of it."""

import itertools

import pytest

from cell.supervisor.states import (
    ACTING_STATES,
    SC,
    WAIT_STATES,
    Command,
    Lamp,
    Mode,
    State,
    Trigger,
    compute_stacklight,
    may_change_mode,
    next_state,
)

# One line per state, in the words of the standard. Columns: command > target.
ORACLE = """
CLEARING      ABORT>ABORTING SC>STOPPED
STOPPED       RESET>RESETTING ABORT>ABORTING
STARTING      STOP>STOPPING HOLD>HOLDING ABORT>ABORTING SC>EXECUTE
IDLE          START>STARTING STOP>STOPPING ABORT>ABORTING
SUSPENDED     STOP>STOPPING HOLD>HOLDING UNSUSPEND>UNSUSPENDING ABORT>ABORTING COMPLETE>COMPLETING
EXECUTE       STOP>STOPPING HOLD>HOLDING SUSPEND>SUSPENDING ABORT>ABORTING COMPLETE>COMPLETING
STOPPING      ABORT>ABORTING SC>STOPPED
ABORTING      SC>ABORTED
ABORTED       CLEAR>CLEARING
HOLDING       STOP>STOPPING ABORT>ABORTING SC>HELD
HELD          STOP>STOPPING UNHOLD>UNHOLDING ABORT>ABORTING COMPLETE>COMPLETING
UNHOLDING     STOP>STOPPING HOLD>HOLDING ABORT>ABORTING SC>EXECUTE
SUSPENDING    STOP>STOPPING HOLD>HOLDING ABORT>ABORTING SC>SUSPENDED
UNSUSPENDING  STOP>STOPPING HOLD>HOLDING ABORT>ABORTING SC>EXECUTE
RESETTING     STOP>STOPPING ABORT>ABORTING SC>IDLE
COMPLETING    STOP>STOPPING HOLD>HOLDING ABORT>ABORTING SC>COMPLETED
COMPLETED     RESET>RESETTING STOP>STOPPING ABORT>ABORTING
"""  # noqa: E501
NUMBERS = {
    "CLEARING": 1,
    "STOPPED": 2,
    "STARTING": 3,
    "IDLE": 4,
    "SUSPENDED": 5,
    "EXECUTE": 6,
    "STOPPING": 7,
    "ABORTING": 8,
    "ABORTED": 9,
    "HOLDING": 10,
    "HELD": 11,
    "UNHOLDING": 12,
    "SUSPENDING": 13,
    "UNSUSPENDING": 14,
    "RESETTING": 15,
    "COMPLETING": 16,
    "COMPLETED": 17,
}
NOT_IN_MANUAL = {
    "STARTING",
    "EXECUTE",
    "COMPLETING",
    "COMPLETED",
    "HOLDING",
    "HELD",
    "UNHOLDING",
    "SUSPENDING",
    "SUSPENDED",
    "UNSUSPENDING",
}
TRIGGERS: list[Trigger] = [*Command, SC]


def read_oracle() -> dict[tuple[str, str], str]:
    """Return target by state and trigger name."""
    table = {}
    for line in ORACLE.strip().splitlines():
        state, *cells = line.split()
        for cell in cells:
            trigger, target = cell.split(">")
            table[state, trigger] = target
    return table


def name_of(trigger: Trigger) -> str:
    """Return the oracle's word for a trigger."""
    return trigger.name


@pytest.mark.parametrize("mode", list(Mode))
def test_every_state_and_trigger_leads_where_the_standard_says(mode: Mode) -> None:
    oracle = read_oracle()
    for state, trigger in itertools.product(State, TRIGGERS):
        expected = oracle.get((state.name, name_of(trigger)))
        is_missing = mode is Mode.MANUAL and expected in NOT_IN_MANUAL
        if mode is Mode.INVALID or is_missing:
            expected = None

        target = next_state(state, trigger, mode)

        assert (target.name if target else None) == expected, (state, trigger, mode)


def test_states_have_the_numbers_of_the_2022_edition() -> None:
    assert {state.name: int(state) for state in State} == NUMBERS


def test_commands_have_the_numbers_of_the_2022_edition() -> None:
    names = "UNDEFINED RESET START STOP HOLD UNHOLD SUSPEND UNSUSPEND ABORT CLEAR"

    assert [c.name for c in sorted(Command)] == [*names.split(), "COMPLETE"]
    assert [int(c) for c in sorted(Command)] == list(range(11))


def test_only_a_command_leaves_a_wait_state() -> None:
    for state in WAIT_STATES:
        assert next_state(state, SC, Mode.PRODUCTION) is None


def test_every_acting_state_but_execute_completes_into_a_wait_state_or_execute() -> (
    None
):
    for state in ACTING_STATES - {State.EXECUTE}:
        target = next_state(state, SC, Mode.PRODUCTION)
        assert target in WAIT_STATES | {State.EXECUTE}


def test_abort_beats_everything_that_is_not_aborted_already() -> None:
    for state in set(State) - {State.ABORTING, State.ABORTED}:
        assert next_state(state, Command.ABORT, Mode.MANUAL) is State.ABORTING


def test_from_aborted_it_takes_three_commands_to_run() -> None:
    path = [State.ABORTED]
    for trigger in (Command.CLEAR, SC, Command.RESET, SC, Command.START, SC):
        target = next_state(path[-1], trigger, Mode.PRODUCTION)
        assert target is not None
        path.append(target)

    assert path[-1] is State.EXECUTE
    shortest = compute_fewest_commands(State.ABORTED, State.EXECUTE)
    assert shortest == 3


def compute_fewest_commands(start: State, goal: State) -> int:
    """Return the fewest commands between two states, SC counting nothing."""
    cost = {start: 0}
    queue = [start]
    while queue:
        state = min(queue, key=lambda s: cost[s])
        queue.remove(state)
        for trigger in TRIGGERS:
            target = next_state(state, trigger, Mode.PRODUCTION)
            step = cost[state] + (trigger is not SC)
            if target is not None and step < cost.get(target, 99):
                cost[target] = step
                queue.append(target)
    return cost[goal]


@pytest.mark.parametrize("state", list(State))
def test_mode_changes_only_in_stopped_idle_and_aborted(state: State) -> None:
    may = may_change_mode(state, Mode.PRODUCTION, Mode.MANUAL)

    assert may == (state.name in {"STOPPED", "IDLE", "ABORTED"})


def test_no_mode_changes_to_itself_or_to_invalid() -> None:
    assert not may_change_mode(State.STOPPED, Mode.MANUAL, Mode.MANUAL)
    assert not may_change_mode(State.STOPPED, Mode.MANUAL, Mode.INVALID)


def test_stacklight_shows_starved_and_blocked_apart() -> None:
    starved = compute_stacklight(State.SUSPENDED, is_starved=True)
    blocked = compute_stacklight(State.SUSPENDED, is_blocked=True)

    assert starved["amber"] is Lamp.FLASHING
    assert blocked["amber"] is Lamp.SOLID


@pytest.mark.parametrize("state", list(State))
def test_every_state_lights_at_least_one_lamp(state: State) -> None:
    assert set(compute_stacklight(state).values()) != {Lamp.OFF}
