"""Every cause that the decision loop sees itself, and what it does to other stops."""

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import fields, replace
from typing import Any

import pytest

from cell.contracts.errors import Complaint, FaultCode
from cell.contracts.robot import RobotMode, SafetyBit
from cell.contracts.servo import HoldReason, ServoPhase
from cell.supervisor.cause_table import FACTS
from cell.supervisor.causes import Cause
from cell.supervisor.conditions import Conditions, find_causes
from cell.supervisor.decision import Finding
from cell.supervisor.reaction_desk import MOTION_STATES
from cell.supervisor.reactions import needs_person
from cell.supervisor.states import Command, State
from tests.fakes.servo import RESTING_SERVO
from tests.unit.supervisor.test_conditions import WELL
from tests.unit.supervisor.test_reaction_desk import Rig, S

SERVOS = [
    None,
    *(replace(RESTING_SERVO, safety_status_bits=1 << bit) for bit in SafetyBit),
    *(replace(RESTING_SERVO, robot_mode=int(mode)) for mode in RobotMode),
    *(
        replace(RESTING_SERVO, phase=phase, hold_reason=reason)
        for phase in ServoPhase
        for reason in HoldReason
    ),
]
COMPLAINTS = [None, *(Complaint(code, "why") for code in FaultCode)]
EITHER = [False, True]
SAID = ["", "why"]
VALUES: dict[str, Sequence[Any]] = {
    "servo": SERVOS,
    "is_servo_fresh": EITHER,
    "is_servo_ready": EITHER,
    "is_making_ready": EITHER,
    "is_plc_valid": EITHER,
    "has_plc_restarted": EITHER,
    "is_map_mismatched": EITHER,
    "plc_detail": SAID,
    "is_gripper_lost": EITHER,
    "is_gripper_faulty": EITHER,
    "gripper_detail": SAID,
    "frame_age_s": [0.05, 9.0],
    "is_policy_ready": EITHER,
    "lost_process": SAID,
    "given_up": SAID,
    "has_stalled": EITHER,
    "is_speed_zero": EITHER,
    "lost_write": SAID,
    "servo_complaint": COMPLAINTS,
    "camera_complaint": COMPLAINTS,
    "policy_complaint": COMPLAINTS,
    "guardian_complaint": COMPLAINTS,
    "withdrawn": SAID,
    "novel": SAID,
}


def list_pictures() -> Iterator[Conditions]:
    """Return pictures with any two of their facts changed, also of an unready arm."""
    for base in (WELL, replace(WELL, is_servo_ready=False)):
        for first, second in itertools.combinations(VALUES, 2):
            for one, other in itertools.product(VALUES[first], VALUES[second]):
                yield replace(base, **{first: one, second: other})


SEEN = frozenset(
    finding.cause for picture in list_pictures() for finding in find_causes(picture)
)
LIVE = frozenset(cause for cause in Cause if FACTS[cause].is_live)
FOR_A_PERSON = sorted(cause for cause in SEEN if needs_person(cause))


def test_the_pictures_show_every_fact_and_every_cause_that_is_reacted_to() -> None:
    assert set(VALUES) == {field.name for field in fields(Conditions)}
    assert LIVE <= SEEN


def test_only_what_goes_away_by_itself_is_seen_without_a_reaction() -> None:
    unanswered = SEEN - LIVE

    assert not any(needs_person(cause) for cause in unanswered)
    assert unanswered == {
        Cause.CAMERA_STALE,
        Cause.CAMERA_UNREACHABLE,
        Cause.POLICY_UNAVAILABLE,
    }


def hold_for_camera() -> Rig:
    rig = Rig()
    rig.turn(ended=True, failure=Finding(Cause.CAMERA_UNREACHABLE, "unplugged"))
    rig.turn(Finding(Cause.CAMERA_UNREACHABLE), ended=True)
    assert rig.machine.state is State.HELD
    return rig


def suspend_for_parts() -> Rig:
    rig = Rig()
    rig.turn(obstacle=Cause.STARVED)
    rig.turn(obstacle=Cause.STARVED, is_at_gate=True)
    assert rig.machine.state is State.SUSPENDED
    return rig


def find_return(rig: Rig) -> State:
    """Let nothing be the matter for a minute; return where that led."""
    for _ in range(60):
        rig.turn(ended=True)
        rig.now_ns += S
    return rig.machine.state


def test_both_stops_end_by_themselves_where_nothing_joins_them() -> None:
    assert find_return(hold_for_camera()) in MOTION_STATES
    assert find_return(suspend_for_parts()) in MOTION_STATES


@pytest.mark.parametrize("cause", FOR_A_PERSON)
@pytest.mark.parametrize("stop", [hold_for_camera, suspend_for_parts])
def test_a_stop_that_a_cause_for_a_person_joins_waits_for_the_person(
    stop: Callable[[], Rig], cause: Cause
) -> None:
    rig = stop()

    rig.turn(Finding(cause), obstacle=Cause.STARVED, is_at_gate=True)
    rig.now_ns += S

    assert find_return(rig) in (State.HELD, State.ABORTED)


def test_a_wrong_camera_seen_while_the_right_one_is_away_waits_for_an_unhold() -> None:
    rig = hold_for_camera()

    rig.turn(Finding(Cause.CAMERA_WRONG_DEVICE, "serial 2, not 1"))
    rig.turn(Finding(Cause.CAMERA_UNREACHABLE, "unplugged"))
    assert find_return(rig) is State.HELD

    joined: dict[str, object] = {
        "cause": "camera_wrong_device",
        "detail": "serial 2, not 1",
    }
    assert ("also", joined) in rig.events
    assert rig.turn(command=Command.UNHOLD).accepted is Command.UNHOLD
