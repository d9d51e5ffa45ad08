"""Reasons and times of the state machine."""

from cell.contracts.errors import FaultCode
from cell.supervisor.causes import Cause
from cell.supervisor.machine import Machine, Reason
from cell.supervisor.states import SC, Command, Mode, State

SECOND = 1_000_000_000


def make_machine(state: State = State.EXECUTE) -> Machine:
    return Machine(state, Mode.PRODUCTION, 0)


def test_the_first_cause_of_a_stop_is_kept() -> None:
    machine = make_machine()
    machine.apply(Command.HOLD, 1, Reason(Cause.CAMERA_STALE, "3 s old", 1))
    machine.latch(Cause.PLC_LOST)
    machine.apply(SC, 2, None)

    assert machine.reason == Reason(Cause.CAMERA_STALE, "3 s old", 1)
    assert machine.latched == {Cause.CAMERA_STALE, Cause.PLC_LOST}


def test_a_worse_stop_has_its_own_reason() -> None:
    machine = make_machine(State.HELD)
    machine.reason = Reason(Cause.CAMERA_STALE, "", 0)

    machine.apply(Command.ABORT, 1, Reason(Cause.PROTECTIVE_STOP, "", 1))

    assert machine.reason is not None
    assert machine.reason.cause is Cause.PROTECTIVE_STOP
    assert machine.reason.fault_code is FaultCode.PROTECTIVE_STOP


def test_a_reason_ends_with_its_stop() -> None:
    machine = make_machine(State.HELD)
    machine.reason = Reason(Cause.CAMERA_STALE, "", 0)
    machine.latched = {Cause.CAMERA_STALE}

    machine.apply(Command.UNHOLD, 1, None)

    assert not machine.latched
    assert not machine.may_return()


def test_an_acknowledgement_counts_only_after_the_abort() -> None:
    machine = make_machine()
    seen = []
    machine.acknowledge()
    machine.apply(Command.ABORT, 1, Reason(Cause.PROTECTIVE_STOP, "", 1))
    machine.acknowledge()
    machine.apply(SC, 2, None)
    seen.append(machine.needs_acknowledgement())
    machine.acknowledge()
    seen.append(machine.needs_acknowledgement())

    assert seen == [True, False]


def test_a_commanded_abort_needs_no_acknowledgement() -> None:
    machine = make_machine()
    machine.apply(Command.ABORT, 1, Reason(Cause.COMMANDED, "Abort was commanded", 1))
    machine.apply(SC, 2, None)

    assert not machine.needs_acknowledgement()


def test_a_refused_trigger_changes_nothing() -> None:
    machine = make_machine(State.IDLE)

    assert not machine.apply(Command.UNHOLD, 5, None)
    assert machine.state is State.IDLE
    assert machine.entered_ns == 0


def test_times_are_kept_by_mode_and_state() -> None:
    machine = make_machine()
    machine.apply(Command.SUSPEND, 3 * SECOND, None)
    machine.apply(SC, 4 * SECOND, None)

    assert machine.durations_s[Mode.PRODUCTION, State.EXECUTE] == 3.0
    assert machine.durations_s[Mode.PRODUCTION, State.SUSPENDING] == 1.0


def test_a_machine_without_a_cause_does_not_return_by_itself() -> None:
    assert not make_machine(State.HELD).may_return()


def test_a_fault_after_the_acknowledgement_wants_its_own() -> None:
    machine = make_machine(State.ABORTED)
    machine.latched = {Cause.EMERGENCY_STOP}
    machine.follow(frozenset({Cause.EMERGENCY_STOP}))
    machine.acknowledge()

    struck = machine.follow(frozenset({Cause.EMERGENCY_STOP, Cause.PROTECTIVE_STOP}))

    assert struck == [Cause.PROTECTIVE_STOP]
    assert machine.needs_acknowledgement()


def test_a_latch_that_is_out_of_sight_for_a_while_is_no_news() -> None:
    fault = frozenset({Cause.SERVO_FAULT})
    machine = make_machine(State.ABORTED)
    machine.follow(fault, {Cause.SERVO_FAULT: 4})
    assert machine.struck == fault
    machine.acknowledge()

    for present in (frozenset({Cause.SERVO_LOST}), fault):
        latches = {Cause.SERVO_FAULT: 4} if present is fault else {}
        machine.follow(present, latches)
        assert Cause.SERVO_FAULT not in machine.struck
    assert machine.is_acknowledged is (Cause.SERVO_LOST not in machine.latched)


def test_a_latch_with_another_number_is_another_one_even_at_once() -> None:
    fault = frozenset({Cause.SERVO_FAULT})
    machine = make_machine(State.ABORTED)
    # Explained at first, as after a protective stop that was unlocked.
    machine.follow(fault)
    for number in (4, 5):
        machine.follow(fault, {Cause.SERVO_FAULT: number})
        assert machine.struck == fault
        machine.acknowledge()
        machine.follow(fault, {Cause.SERVO_FAULT: number})
        assert machine.struck == frozenset()
        assert machine.is_acknowledged


def test_a_fault_that_comes_back_after_the_acknowledgement_wants_another() -> None:
    machine = make_machine(State.ABORTED)
    machine.follow(frozenset({Cause.EMERGENCY_STOP}))
    machine.acknowledge()
    machine.follow(frozenset())
    assert not machine.needs_acknowledgement()

    machine.follow(frozenset({Cause.EMERGENCY_STOP}))

    assert machine.needs_acknowledgement()


def test_a_commanded_hold_keeps_a_stop_that_would_end_by_itself() -> None:
    machine = make_machine()
    machine.apply(Command.HOLD, 1, Reason(Cause.CAMERA_STALE, "", 1))
    assert machine.may_return()

    machine.latch(Cause.COMMANDED)

    assert not machine.may_return()
