"""What the cell does next, and what it never does by itself."""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from cell.supervisor.cause_table import FACTS
from cell.supervisor.causes import Cause, Clears, Reaction
from cell.supervisor.decision import Finding, Situation, decide, make_reason
from cell.supervisor.machine import Machine
from cell.supervisor.reactions import needs_person
from cell.supervisor.states import SC, Command, Mode, State

MOTION_STATES = {
    State.STARTING,
    State.EXECUTE,
    State.UNHOLDING,
    State.UNSUSPENDING,
    State.COMPLETING,
}
PRODUCING = MOTION_STATES | {State.SUSPENDING, State.SUSPENDED}
STOPPING_CAUSES = [
    cause for cause, facts in FACTS.items() if facts.moving >= Reaction.HOLD
]
LATCHING_CAUSES = [cause for cause in STOPPING_CAUSES if needs_person(cause)]


def make_situation(state: State, **fields: Any) -> Situation:
    return Situation(state=state, mode=Mode.PRODUCTION, **fields)


def test_every_cause_has_its_row() -> None:
    assert set(FACTS) == set(Cause)


@pytest.mark.parametrize("cause", list(Cause))
def test_every_row_tells_a_person_what_happened_and_what_to_do(cause: Cause) -> None:
    facts = FACTS[cause]

    assert facts.text
    assert facts.remedy


@pytest.mark.parametrize("cause", LATCHING_CAUSES)
@pytest.mark.parametrize("is_moving", [True, False])
def test_a_present_cause_ends_production_at_once(cause: Cause, is_moving: bool) -> None:
    for state in PRODUCING:
        finding = Finding(cause)
        is_live = FACTS[cause].is_live
        situation = make_situation(
            state,
            is_moving=is_moving,
            findings=(finding,) if is_live else (),
            ended=not is_live,
            failure=None if is_live else finding,
        )

        decision = decide(situation)

        assert decision.trigger in (Command.ABORT, Command.HOLD), (state, cause)
        assert decision.finding == finding


def test_a_lost_line_aborts_a_moving_arm_and_holds_a_resting_one() -> None:
    lost = (Finding(Cause.PLC_LOST),)

    moving = decide(make_situation(State.EXECUTE, findings=lost, is_moving=True))
    still = decide(make_situation(State.EXECUTE, findings=lost, is_moving=False))

    assert moving.trigger is Command.ABORT
    assert still.trigger is Command.HOLD


@pytest.mark.parametrize("state", sorted(set(State) - {State.ABORTING, State.ABORTED}))
def test_a_protective_stop_aborts_in_every_state(state: State) -> None:
    decision = decide(make_situation(state, findings=(Finding(Cause.PROTECTIVE_STOP),)))

    assert decision.trigger is Command.ABORT


def test_an_abort_of_our_own_comes_before_any_command() -> None:
    situation = make_situation(
        State.EXECUTE,
        findings=(Finding(Cause.PROTECTIVE_STOP),),
        command=Command.COMPLETE,
    )

    assert decide(situation).trigger is Command.ABORT


def test_a_stop_command_comes_before_a_hold_of_our_own() -> None:
    situation = make_situation(
        State.EXECUTE,
        findings=(Finding(Cause.GRIPPER_LOST),),
        command=Command.STOP,
    )

    assert decide(situation).accepted is Command.STOP


def test_a_hold_overrides_state_complete() -> None:
    situation = make_situation(
        State.STARTING, findings=(Finding(Cause.GRIPPER_LOST),), ended=True
    )

    assert decide(situation).trigger is Command.HOLD


def test_a_servo_fault_in_idle_leads_back_to_stopped() -> None:
    situation = make_situation(State.IDLE, findings=(Finding(Cause.SERVO_FAULT),))

    assert decide(situation).trigger is Command.STOP


RESTING = [
    State.STOPPING,
    State.STOPPED,
    State.RESETTING,
    State.IDLE,
    State.COMPLETED,
    State.CLEARING,
]


@pytest.mark.parametrize("state", RESTING)
def test_what_nobody_can_explain_aborts_a_cell_at_rest_as_it_comes_up(
    state: State,
) -> None:
    found = Finding(Cause.SERVO_FAULT, latch_id=3)
    news = make_situation(
        state,
        findings=(found,),
        struck=frozenset({Cause.SERVO_FAULT}),
        command=Command.STOP,
    )
    known = make_situation(state, findings=(found,))
    explained = make_situation(
        state,
        findings=(Finding(Cause.SERVO_FAULT),),
        struck=frozenset({Cause.SERVO_FAULT}),
    )

    assert decide(news).trigger is Command.ABORT
    assert decide(known).trigger is not Command.ABORT
    assert decide(explained).trigger is not Command.ABORT


def test_a_failed_reset_leads_back_to_stopped_with_its_reason() -> None:
    failure = Finding(Cause.RESET_FAILED, "no camera")
    situation = make_situation(State.RESETTING, ended=True, failure=failure)

    decision = decide(situation)

    assert decision.trigger is Command.STOP
    assert decision.finding == failure


def test_clear_waits_for_an_acknowledgement() -> None:
    waiting = make_situation(
        State.ABORTED, command=Command.CLEAR, needs_acknowledgement=True
    )
    ready = make_situation(State.ABORTED, command=Command.CLEAR)

    assert decide(waiting).trigger is None
    assert "acknowledged" in decide(waiting).refusal
    assert decide(ready).accepted is Command.CLEAR


def test_clear_is_refused_while_the_robot_is_stopped_by_somebody() -> None:
    situation = make_situation(
        State.ABORTED,
        command=Command.CLEAR,
        findings=(Finding(Cause.EMERGENCY_STOP),),
    )

    assert decide(situation).refusal == FACTS[Cause.EMERGENCY_STOP].text


def test_unhold_is_refused_while_its_cause_is_present() -> None:
    situation = make_situation(
        State.HELD, command=Command.UNHOLD, findings=(Finding(Cause.CAMERA_STALE),)
    )

    assert decide(situation).trigger is None


def test_unhold_releases_what_only_a_release_can_end() -> None:
    situation = make_situation(
        State.HELD, command=Command.UNHOLD, findings=(Finding(Cause.ROBOT_LINK_LOST),)
    )

    assert decide(situation).accepted is Command.UNHOLD


def test_start_names_every_unmet_permissive() -> None:
    situation = make_situation(
        State.IDLE, command=Command.START, unmet=("no camera", "no policy")
    )

    assert decide(situation).refusal == "no camera; no policy"


def test_an_illegal_command_is_refused_by_name() -> None:
    decision = decide(make_situation(State.EXECUTE, command=Command.START))

    assert decision.trigger is None
    assert "START" in decision.refusal
    assert "EXECUTE" in decision.refusal


def test_an_obstacle_suspends_and_its_end_resumes() -> None:
    blocked = make_situation(State.EXECUTE, is_at_gate=True, obstacle=Cause.BLOCKED)
    waiting = make_situation(
        State.SUSPENDED, reason=Cause.BLOCKED, obstacle=Cause.BLOCKED
    )
    free = make_situation(State.SUSPENDED, reason=Cause.BLOCKED)

    assert decide(blocked).trigger is Command.SUSPEND
    assert decide(waiting).trigger is None
    assert decide(free).trigger is Command.UNSUSPEND


def test_a_commanded_suspend_waits_for_the_opposite_command() -> None:
    assert decide(make_situation(State.SUSPENDED, reason=Cause.COMMANDED)) == decide(
        make_situation(State.IDLE)
    )


@pytest.mark.parametrize(
    ("reason", "obstacle", "waits_for"),
    [
        (Cause.ZONE_NOT_PERMITTED, Cause.STARVED, Cause.STARVED),
        (Cause.BLOCKED, Cause.HANDSHAKE_TIMEOUT, Cause.HANDSHAKE_TIMEOUT),
        (Cause.BLOCKED, Cause.BLOCKED, None),
        (Cause.BLOCKED, None, None),
        (Cause.COMMANDED, Cause.BLOCKED, None),
    ],
)
def test_a_suspended_cell_takes_over_another_obstacle_but_no_command(
    reason: Cause, obstacle: Cause | None, waits_for: Cause | None
) -> None:
    situation = make_situation(State.SUSPENDED, reason=reason, obstacle=obstacle)

    taken = decide(situation).waits_for

    assert (taken and taken.cause) == waits_for


def test_suspending_ends_when_the_cycle_stands_at_a_gate() -> None:
    assert decide(make_situation(State.SUSPENDING)).trigger is None
    assert decide(make_situation(State.SUSPENDING, is_at_gate=True)).trigger is SC


def test_a_self_clearing_hold_ends_after_a_quiet_second() -> None:
    def held(quiet_s: float, *, may_return: bool = True) -> Situation:
        return make_situation(
            State.HELD,
            reason=Cause.CAMERA_STALE,
            may_return=may_return,
            quiet_s=quiet_s,
        )

    assert decide(held(0.5)).trigger is None
    assert decide(held(1.5)).trigger is Command.UNHOLD
    assert decide(held(1.5, may_return=False)).trigger is None


@dataclass(frozen=True)
class Node:
    """The part of a machine that decides about its future."""

    state: State
    cause: Cause | None
    latched: frozenset[Cause]
    is_acknowledged: bool

    def make_machine(self) -> Machine:
        machine = Machine(self.state, Mode.PRODUCTION, 0)
        finding = None if self.cause is None else Finding(self.cause)
        machine.reason = make_reason(finding, 0)
        machine.latched = set(self.latched)
        machine.is_acknowledged = self.is_acknowledged
        return machine


def freeze(machine: Machine) -> Node:
    return Node(
        machine.state,
        machine.reason.cause if machine.reason else None,
        frozenset(machine.latched),
        machine.is_acknowledged,
    )


def make_worlds(cause: Cause, node: Node) -> Iterator[Situation]:
    """Yield everything that may happen around the cell with nobody there."""
    machine = node.make_machine()
    disturbances = [(), (Finding(cause),), (Finding(Cause.CAMERA_STALE),)]
    flags = [False, True]
    for findings, ended, is_moving, is_at_gate, is_quiet in itertools.product(
        disturbances, flags, flags, flags, flags
    ):
        yield Situation(
            state=node.state,
            mode=Mode.PRODUCTION,
            is_moving=is_moving,
            findings=findings,
            ended=ended,
            is_at_gate=is_at_gate,
            reason=node.cause,
            may_return=machine.may_return(),
            quiet_s=1e6 if is_quiet and not findings else 0.0,
            needs_acknowledgement=machine.needs_acknowledgement(),
        )


def explore(start: Node, cause: Cause) -> set[Node]:
    """Return all that can become of a cell to which no command is given."""
    seen, queue = {start}, [start]
    while queue:
        node = queue.pop()
        for situation in make_worlds(cause, node):
            machine = node.make_machine()
            for finding in situation.findings:
                if FACTS[finding.cause].is_live:
                    machine.latch(finding.cause)
            decision = decide(situation)
            if decision.trigger is not None:
                reason = make_reason(decision.finding, 0)
                machine.apply(decision.trigger, 0, reason)
            after = freeze(machine)
            if after not in seen:
                seen.add(after)
                queue.append(after)
    return seen


@pytest.mark.parametrize("cause", LATCHING_CAUSES)
@pytest.mark.parametrize("is_moving", [True, False])
def test_nothing_moves_again_by_itself_after_a_cause_that_needs_a_person(
    cause: Cause, is_moving: bool
) -> None:
    for state in PRODUCING:
        machine = Machine(state, Mode.PRODUCTION, 0)
        finding = Finding(cause)
        situation = make_situation(
            state,
            is_moving=is_moving,
            findings=(finding,) if FACTS[cause].is_live else (),
            ended=True,
            failure=finding,
        )
        decision = decide(situation)
        assert decision.trigger is not None
        machine.apply(decision.trigger, 0, make_reason(decision.finding, 0))

        reached = {node.state for node in explore(freeze(machine), cause)}

        assert not reached & MOTION_STATES, (state, cause)


def test_a_latching_cause_during_a_self_clearing_hold_needs_a_person_from_then_on() -> (
    None
):
    machine = Machine(State.EXECUTE, Mode.PRODUCTION, 0)
    machine.apply(Command.HOLD, 0, make_reason(Finding(Cause.CAMERA_STALE), 0))
    assert machine.may_return()

    machine.latch(Cause.PLC_LOST)

    reached = {node.state for node in explore(freeze(machine), Cause.PLC_LOST)}
    assert not reached & MOTION_STATES


def test_a_self_clearing_hold_does_come_back() -> None:
    machine = Machine(State.EXECUTE, Mode.PRODUCTION, 0)
    machine.apply(Command.HOLD, 0, make_reason(Finding(Cause.CAMERA_STALE), 0))

    reached = {node.state for node in explore(freeze(machine), Cause.CAMERA_STALE)}

    assert State.EXECUTE in reached


def test_the_causes_that_clear_by_themselves_are_exactly_these() -> None:
    self_clearing = {c for c, f in FACTS.items() if f.clears is Clears.BY_ITSELF}

    assert self_clearing == {
        Cause.PROCESS_LOST,
        Cause.CAMERA_STALE,
        Cause.CAMERA_UNREACHABLE,
        Cause.CAMERA_BLIND,
        Cause.POLICY_UNAVAILABLE,
        Cause.POLICY_TIMEOUT,
        Cause.STARVED,
        Cause.BLOCKED,
        Cause.ZONE_NOT_PERMITTED,
        Cause.HANDSHAKE_TIMEOUT,
    }
