"""The last word of the ladder on what the state machine does next."""

from dataclasses import dataclass, replace
from itertools import product
from typing import Any

import pytest

from cell.contracts.ladder import LadderRules, LadderState, Rung, Trace
from cell.supervisor.causes import Cause
from cell.supervisor.decision import Decision, Finding, Situation, decide, make_reason
from cell.supervisor.event_tail import EventTail
from cell.supervisor.machine import Machine
from cell.supervisor.reaction_desk import (
    MOTION_STATES,
    LadderBreachError,
    ReactionDesk,
    find_degrading,
    find_struck,
)
from cell.supervisor.rungs import FLAPPING, make_rules
from cell.supervisor.states import SC, Command, Mode, State, Trigger
from cell.supervisor.statistics import Statistics
from safety.ladder import Ladder

S = 1_000_000_000
NONE: frozenset[Cause] = frozenset()
HOLDING_CAUSE = Finding(Cause.PROCESS_LOST, "camera")
STOPPING_CAUSE = Finding(Cause.GRIPPER_LOST)
LATCHING_CAUSE = Finding(Cause.PROTECTIVE_STOP)


class Rig:
    """A desk between a machine and the ladder of the cell."""

    def __init__(
        self, state: State = State.EXECUTE, rules: LadderRules | None = None
    ) -> None:
        self.events: list[tuple[str, dict[str, object]]] = []
        self.machine = Machine(state, Mode.PRODUCTION, 0)
        self.statistics = Statistics()
        self.now_ns = 0
        self.desk = ReactionDesk(
            Ladder(rules or make_rules()),
            self.machine,
            EventTail(self.note),
            self.statistics,
        )

    def note(self, name: str, fields: dict[str, object]) -> None:
        self.events.append((name, fields))

    def turn(
        self,
        *findings: Finding,
        command: Command | None = None,
        by: str = "plc",
        **fields: Any,
    ) -> Decision:
        """Take one turn of the decision loop."""
        machine, desk = self.machine, self.desk
        is_moving = bool(fields.pop("is_moving", False))
        failure = fields.get("failure")
        desk.follow(findings, failure, NONE, self.now_ns, is_moving=is_moving)
        situation = Situation(
            state=machine.state,
            mode=machine.mode,
            is_moving=is_moving,
            findings=findings,
            struck=machine.struck,
            reason=machine.reason.cause if machine.reason else None,
            is_commanded=Cause.COMMANDED in machine.latched,
            may_return=desk.may_return(self.now_ns),
            quiet_s=0.0 if findings else 1e6,
            needs_acknowledgement=desk.needs_acknowledgement(),
            command=command,
            **fields,
        )
        decision = desk.vet(decide(situation), by, self.now_ns)
        if decision.joins is not None:
            machine.latch(decision.joins)
        if decision.trigger is not None:
            reason = make_reason(decision.finding, self.now_ns)
            machine.apply(decision.trigger, self.now_ns, reason)
        desk.check()
        return decision

    def hold(self, finding: Finding) -> None:
        """Bring the cell to Held, or Aborted, and let the cause go."""
        self.turn(finding)
        self.turn(ended=True)
        self.now_ns += S

    def names(self) -> list[str]:
        return [name for name, _ in self.events]


def test_a_hold_of_one_cause_ends_by_itself_as_before() -> None:
    rig = Rig()
    rig.hold(HOLDING_CAUSE)

    assert rig.turn().trigger is Command.UNHOLD
    assert rig.machine.state is State.UNHOLDING
    assert rig.desk.state.permits_motion


def test_a_hold_waits_for_its_own_cause_to_be_gone_for_a_while() -> None:
    rig = Rig()
    rig.hold(HOLDING_CAUSE)
    rig.now_ns -= S // 2

    assert rig.turn().trigger is None


@pytest.mark.parametrize("rate_hz", [1, 2, 5, 10, 20])
def test_a_cause_that_flaps_calls_a_person_once(rate_hz: int) -> None:
    rig = Rig()
    rig.hold(HOLDING_CAUSE)
    for _ in range(2 * FLAPPING.count):
        rig.turn(HOLDING_CAUSE)
        rig.now_ns += S // rate_hz // 2
        rig.turn()
        rig.now_ns += S // rate_hz // 2
    rig.now_ns += 1000 * S

    assert rig.turn().trigger is None
    assert rig.machine.state is State.HELD
    assert Cause.RETURNED_TOO_OFTEN in rig.machine.latched
    assert rig.names().count("needs_person") == 1
    assert rig.statistics.manual_assists == 1
    assert rig.turn(command=Command.UNHOLD).accepted is Command.UNHOLD
    assert rig.desk.state.permits_motion


def test_a_latch_waits_for_a_name() -> None:
    rig = Rig()
    rig.hold(LATCHING_CAUSE)
    assert rig.machine.state is State.ABORTED
    rig.desk.acknowledge(" ")
    assert rig.names()[-1] == "acknowledge_refused"
    assert rig.turn(command=Command.CLEAR).refusal

    rig.desk.acknowledge(" anna ")

    assert ("acknowledged", {"by": "anna"}) in rig.events
    assert rig.desk.describe()["acknowledged_by"] == "anna"
    assert rig.turn(command=Command.CLEAR).accepted is Command.CLEAR


def test_an_acknowledgement_counts_only_once_the_arm_has_come_to_rest() -> None:
    rig = Rig()
    rig.turn(LATCHING_CAUSE)
    assert rig.machine.state is State.ABORTING

    rig.desk.acknowledge("anna")

    assert rig.desk.needs_acknowledgement()
    why = {"why": "the arm has not come to rest yet"}
    assert rig.events[-1] == ("acknowledge_refused", why)
    assert "acknowledged" not in rig.names()


@pytest.mark.parametrize(
    ("state", "why"),
    [
        (State.EXECUTE, "only an aborted cell wants one, and this one is EXECUTE"),
        (State.HELD, "only an aborted cell wants one, and this one is HELD"),
        (State.ABORTED, "there is no fault"),
    ],
)
def test_an_acknowledgement_that_nothing_wants_is_refused(
    state: State, why: str
) -> None:
    rig = Rig(state)
    rig.machine.latched = {Cause.COMMANDED}

    rig.desk.acknowledge("anna")

    assert rig.events == [("acknowledge_refused", {"why": why})]


def test_a_second_acknowledgement_of_a_fault_is_one_as_well() -> None:
    rig = Rig()
    rig.hold(LATCHING_CAUSE)

    rig.desk.acknowledge("anna")
    rig.desk.acknowledge("berta")

    assert rig.names()[-2:] == ["acknowledged", "acknowledged"]


def test_either_of_machine_and_ladder_wants_the_acknowledgement() -> None:
    rig = Rig()
    rig.hold(LATCHING_CAUSE)
    rig.desk.acknowledge("anna")
    assert not rig.desk.needs_acknowledgement()
    rig.machine.is_acknowledged = False
    assert rig.desk.needs_acknowledgement()
    rig.machine.is_acknowledged = True

    rig.desk.state = replace(rig.desk.state, acknowledged_by="")

    assert rig.desk.needs_acknowledgement()


def test_a_command_into_motion_is_refused_while_the_ladder_stands() -> None:
    rig = Rig(State.HELD)
    rig.desk.state = LadderState(
        Rung.STOP, (Trace("gripper_lost", Rung.STOP), Trace("plc_lost", Rung.STOP))
    )
    granted = Decision(trigger=Command.UNHOLD, accepted=Command.UNHOLD)

    refused = rig.desk.vet(granted, " ", 0)

    assert refused.trigger is None
    assert refused.accepted is None
    assert "gripper is lost; the line PLC" in refused.refusal
    assert rig.desk.vet(granted, "plc", 0) is granted
    assert rig.desk.state == LadderState()


def test_a_return_of_the_machine_alone_stays_where_the_ladder_stands() -> None:
    rig = Rig(State.HELD)
    rig.desk.state = LadderState(Rung.STOP, (Trace("plc_lost", Rung.STOP),))

    decision = rig.desk.vet(Decision(trigger=Command.UNHOLD), "", 0)

    assert decision == Decision()


@pytest.mark.parametrize(
    "trigger", [None, SC, Command.HOLD, Command.ABORT, Command.STOP]
)
def test_whatever_leads_to_rest_passes_the_ladder(trigger: Trigger | None) -> None:
    rig = Rig()
    rig.desk.state = standing = LadderState(
        Rung.LATCH, (Trace("plc_lost", Rung.LATCH),)
    )
    decision = Decision(trigger=trigger)

    assert rig.desk.vet(decision, "plc", 0) is decision
    assert rig.desk.state == standing


@pytest.mark.parametrize("command", [Command.RESET, Command.START, Command.COMPLETE])
def test_what_was_left_of_an_earlier_stop_ends_with_the_commands_that_lead_on(
    command: Command,
) -> None:
    states = {Command.RESET: State.STOPPED, Command.START: State.IDLE}
    rig = Rig(states.get(command, State.HELD))
    rig.desk.state = LadderState(Rung.STOP, (Trace("plc_lost", Rung.STOP),))

    assert rig.turn(command=command).accepted is command
    assert rig.desk.state.permits_motion


def test_complete_is_no_way_out_of_a_stop_whose_cause_is_there() -> None:
    rig = Rig()
    lost = Finding(Cause.PLC_LOST)
    rig.turn(lost)
    rig.turn(lost, ended=True)
    assert rig.machine.state is State.HELD

    decision = rig.turn(lost, command=Command.COMPLETE)

    assert "the line PLC is silent" in decision.refusal
    assert rig.machine.state is State.HELD
    assert rig.turn(command=Command.COMPLETE).accepted is Command.COMPLETE


def test_a_cause_that_joins_a_stop_is_recorded_once_with_its_detail() -> None:
    rig = Rig()
    rig.hold(LATCHING_CAUSE)
    rig.desk.acknowledge("anna")

    rig.turn(Finding(Cause.PLC_LOST, "no answer"))
    rig.turn(Finding(Cause.PLC_LOST, "no answer"))

    joined: dict[str, object] = {"cause": "plc_lost", "detail": "no answer"}
    assert rig.events.count(("also", joined)) == 1
    assert rig.desk.needs_acknowledgement()


@pytest.mark.parametrize("state", sorted(MOTION_STATES))
def test_motion_against_the_ladder_ends_the_process_for_good(state: State) -> None:
    rig = Rig(state)
    rig.desk.state = LadderState(Rung.HOLD, (Trace("process_lost", Rung.HOLD),))

    with pytest.raises(LadderBreachError, match=f"{state.name} although a process"):
        rig.desk.check()

    assert rig.desk.state.rung is Rung.TERMINATE
    rig.machine.state = State.ABORTED
    with pytest.raises(LadderBreachError):
        rig.desk.check()


@pytest.mark.parametrize("state", sorted(set(State) - MOTION_STATES))
def test_at_rest_the_ladder_may_stand_as_high_as_it_likes(state: State) -> None:
    rig = Rig(state)
    rig.desk.state = LadderState(Rung.LATCH, (Trace("plc_lost", Rung.LATCH),))

    rig.desk.check()


def test_a_cause_from_before_the_first_turn_stands_on_its_rung() -> None:
    rig = Rig(State.ABORTED)

    rig.desk.strike(Cause.SUPERVISOR_RESTARTED, 0)

    assert rig.desk.describe() == {
        "rung": 4,
        "rung_name": "LATCH",
        "causes": ["supervisor_restarted"],
        "alarm_ids": [7001],
        "acknowledged_by": "",
    }
    assert rig.events == [("rung", {"from": "LOG", "to": "LATCH", "alarms": [7001]})]


def test_what_stops_nothing_makes_no_event() -> None:
    rig = Rig()
    rig.desk.follow((), None, frozenset({Cause.BLOCKED}), 0, is_moving=True)
    rig.desk.follow((), None, NONE, S, is_moving=True)

    assert rig.events == []


def test_a_cause_strikes_where_it_stops_something_or_joins_a_stop() -> None:
    cause = Cause.PLC_LOST
    strikes = {
        state
        for state in State
        if find_struck(state, [cause], is_moving=False) == {cause}
    }

    assert strikes == set(State) - {
        State.CLEARING,
        State.STOPPED,
        State.STOPPING,
        State.RESETTING,
        State.IDLE,
        State.COMPLETED,
    }


def test_only_alarms_and_obstacles_that_stop_nothing_degrade() -> None:
    alarms = [Finding(Cause.MODEL_INVALID), Finding(Cause.ARM_IN_USE)]

    assert find_degrading(alarms, None) == {Cause.MODEL_INVALID}
    assert find_degrading([], Cause.STARVED) == {Cause.STARVED}


# --- the cell as a whole, searched ---------------------------------------------------


@dataclass(frozen=True)
class Node:
    """All that decides about the future of machine and ladder."""

    state: State
    cause: Cause | None
    latched: frozenset[Cause]
    is_acknowledged: bool
    present: frozenset[Cause]
    seen: frozenset[tuple[Cause, int]]
    ladder: LadderState


RULES = make_rules()
# How often holds came is of no concern to a latch, and would make the graph endless.
TIMELESS = LadderRules(
    {name: replace(rule, flapping=None) for name, rule in RULES.causes.items()}
)
DISTURBANCES: list[tuple[Finding, ...]] = [
    (),
    (HOLDING_CAUSE,),
    (STOPPING_CAUSE,),
    (Finding(Cause.CAMERA_STALE),),
]


def freeze(rig: Rig) -> Node:
    machine = rig.machine
    traces = tuple(
        replace(trace, seen_ns=0 if trace.is_seen else -2 * S)
        for trace in rig.desk.state.traces
    )
    return Node(
        machine.state,
        machine.reason.cause if machine.reason else None,
        frozenset(machine.latched),
        machine.is_acknowledged,
        machine._present,
        frozenset(machine._seen.items()),
        replace(rig.desk.state, traces=traces),
    )


def thaw(node: Node) -> Rig:
    rig = Rig(node.state, TIMELESS)
    finding = None if node.cause is None else Finding(node.cause)
    rig.machine.reason = make_reason(finding, 0)
    rig.machine.latched = set(node.latched)
    rig.machine.is_acknowledged = node.is_acknowledged
    rig.machine._present = node.present
    rig.machine._seen = dict(node.seen)
    rig.desk.state = node.ladder
    return rig


def explore(starts: set[Node], finding: Finding) -> set[Node]:
    """Return all that can become of a cell, with every command and no name."""
    commands = [None, *(c for c in Command if c is not Command.UNDEFINED)]
    flags = [(False, False), (True, False), (False, True)]
    worlds = list(product([*DISTURBANCES, (finding,)], commands, flags))
    seen, queue = set(starts), list(starts)
    for node in queue:
        for findings, command, (ended, is_moving) in worlds:
            rig = thaw(node)
            rig.desk.acknowledge("")
            rig.turn(*findings, command=command, ended=ended, is_moving=is_moving)
            after = freeze(rig)
            if after not in seen:
                seen.add(after)
                queue.append(after)
    return seen


@pytest.mark.parametrize(
    "cause",
    [
        Cause.PROTECTIVE_STOP,
        Cause.SERVO_FAULT,
        Cause.PLC_LOST,
        Cause.SUPERVISOR_STALLED,
    ],
)
def test_no_command_leads_from_a_latch_to_motion_without_a_name(cause: Cause) -> None:
    finding = Finding(cause)
    starts = set()
    for state in sorted(MOTION_STATES):
        rig = Rig(state, TIMELESS)
        rig.turn(finding, is_moving=True)
        assert rig.desk.state.rung is Rung.LATCH
        starts.add(freeze(rig))

    reached = explore(starts, finding)

    assert len(reached) > 2
    assert {node.state for node in reached} == {State.ABORTING, State.ABORTED}
    assert not any(node.ladder.permits_motion for node in reached)


def test_no_command_leads_from_a_latch_of_a_resting_arm_to_motion_without_a_name() -> (
    None
):
    finding = Finding(Cause.SERVO_FAULT, latch_id=3)
    starts = set()
    for state in sorted(set(State) - MOTION_STATES):
        rig = Rig(state, TIMELESS)
        rig.turn(finding)
        assert rig.desk.state.rung is Rung.LATCH, state.name
        starts.add(freeze(rig))

    reached = explore(starts, finding)

    assert {node.state for node in reached} == {State.ABORTING, State.ABORTED}
    assert not any(node.ladder.permits_motion for node in reached)


def test_with_a_name_the_same_commands_lead_back_to_work() -> None:
    rig = Rig()
    rig.turn(LATCHING_CAUSE)
    rig.turn(ended=True)
    rig.desk.acknowledge("anna")
    for command in (Command.CLEAR, Command.RESET, Command.START):
        assert rig.turn(command=command).accepted is command
        rig.turn(ended=True)

    assert rig.machine.state is State.EXECUTE
    assert rig.desk.state == LadderState()
