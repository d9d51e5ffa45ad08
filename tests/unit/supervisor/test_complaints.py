"""What other processes complain about reaches the person and the line."""

from dataclasses import replace

import pytest

from cell.contracts.errors import Complaint, FaultCode
from cell.contracts.servo import HoldReason, ServoPhase
from cell.supervisor.cause_table import FACTS
from cell.supervisor.causes import Cause
from cell.supervisor.conditions import (
    Conditions,
    explain,
    find_alarms,
    find_causes,
)
from cell.supervisor.decision import Finding
from tests.fakes.servo import RESTING_SERVO
from tests.unit.supervisor.test_conditions import WELL

ABSENT = Complaint(FaultCode.DRIVER_UNREACHABLE, "arm: no controller at 10.0.0.1")
IN_USE = Complaint(FaultCode.ARM_IN_USE, "arm: another client controls the robot")
OLD = Complaint(FaultCode.ARM_WRONG_VERSION, "arm: software 3.15 is not supported")
OTHER = Complaint(FaultCode.ARM_WRONG_ROBOT, "arm: serial number 2, not 1")
NO_FEED = Complaint(FaultCode.DRIVER_UNREACHABLE, "overhead: no feed at 10.0.0.2:1")
SWAPPED = Complaint(FaultCode.CAMERA_WRONG_DEVICE, "overhead: serial 2, not 1")
DARK = Complaint(FaultCode.DRIVER_STALE, "overhead: the same picture again and again")
DAMAGED = Complaint(FaultCode.MODEL_INVALID, "model.onnx: sha256 differs")
MISSING = Complaint(FaultCode.MODEL_MISSING, "model.onnx: file is missing")

CONNECTING = replace(
    WELL,
    servo=replace(RESTING_SERVO, phase=ServoPhase.CONNECTING),
    is_servo_ready=False,
)
REFUSED = replace(
    WELL,
    servo=replace(
        RESTING_SERVO, phase=ServoPhase.FAULT, hold_reason=HoldReason.ROBOT_NOT_READY
    ),
    is_servo_ready=False,
)
BLIND = replace(WELL, frame_age_s=9.0)


@pytest.mark.parametrize(
    ("conditions", "finding"),
    [
        (
            replace(CONNECTING, servo_complaint=ABSENT),
            Finding(Cause.ROBOT_LINK_LOST, ABSENT.text),
        ),
        (
            replace(CONNECTING, servo_complaint=OLD),
            Finding(Cause.ARM_WRONG_VERSION, OLD.text),
        ),
        (
            replace(CONNECTING, servo_complaint=OTHER),
            Finding(Cause.ARM_WRONG_ROBOT, OTHER.text),
        ),
        (
            replace(REFUSED, servo_complaint=IN_USE),
            Finding(Cause.ARM_IN_USE, IN_USE.text),
        ),
        (
            replace(REFUSED, servo_complaint=ABSENT),
            Finding(Cause.SERVO_FAULT, f"FAULT, ROBOT_NOT_READY: {ABSENT.text}"),
        ),
        (
            replace(BLIND, camera_complaint=NO_FEED),
            Finding(Cause.CAMERA_UNREACHABLE, NO_FEED.text),
        ),
        (
            replace(BLIND, camera_complaint=SWAPPED),
            Finding(Cause.CAMERA_WRONG_DEVICE, SWAPPED.text),
        ),
        (
            replace(BLIND, camera_complaint=DARK),
            Finding(Cause.CAMERA_STALE, DARK.text),
        ),
    ],
)
def test_a_complaint_says_what_exactly_is_wrong(
    conditions: Conditions, finding: Finding
) -> None:
    assert find_causes(conditions) == (finding,)


def test_a_complaint_without_its_trouble_stops_nothing() -> None:
    complaining = replace(
        WELL, servo_complaint=ABSENT, camera_complaint=NO_FEED, policy_complaint=DAMAGED
    )

    assert find_causes(complaining) == ()


@pytest.mark.parametrize(
    ("complaint", "cause", "code"),
    [
        (DAMAGED, Cause.MODEL_INVALID, 111),
        (MISSING, Cause.MODEL_MISSING, 110),
    ],
)
def test_an_unusable_model_is_an_alarm_with_its_own_fault_word(
    complaint: Complaint, cause: Cause, code: int
) -> None:
    alarms = find_alarms(replace(WELL, policy_complaint=complaint))

    assert alarms == (Finding(cause, complaint.text),)
    assert FACTS[cause].code == code


def test_pictures_unlike_training_are_an_alarm_beside_a_withdrawn_policy() -> None:
    novel = Finding(Cause.PICTURES_NOVEL, "novelty 31.4")
    withdrawn = Finding(Cause.POLICY_WITHDRAWN, "grasps succeed less often")
    seen = replace(WELL, novel=novel.detail)

    assert find_alarms(seen) == (novel,)
    assert find_alarms(replace(seen, withdrawn=withdrawn.detail)) == (withdrawn, novel)
    assert find_causes(seen) == ()
    assert FACTS[Cause.PICTURES_NOVEL].code == 511


@pytest.mark.parametrize(
    ("complaint", "cause"),
    [
        (IN_USE, Cause.ARM_IN_USE),
        (OLD, Cause.ARM_WRONG_VERSION),
        (OTHER, Cause.ARM_WRONG_ROBOT),
        (ABSENT, Cause.ARM_NOT_READY),
    ],
)
def test_an_arm_that_did_not_become_ready_is_explained(
    complaint: Complaint, cause: Cause
) -> None:
    vague = Finding(Cause.ARM_NOT_READY, "servo FAULT")

    explained = explain(vague, replace(REFUSED, servo_complaint=complaint))

    assert explained == Finding(cause, complaint.text)
    assert explain(vague, REFUSED) == vague


def test_a_link_that_is_lost_to_another_robot_is_explained() -> None:
    explained = explain(
        Finding(Cause.ROBOT_LINK_LOST), replace(CONNECTING, servo_complaint=OTHER)
    )

    assert explained == Finding(Cause.ARM_WRONG_ROBOT, OTHER.text)
    assert FACTS[Cause.ARM_WRONG_ROBOT].code == 212


def test_another_robot_is_an_alarm_also_while_nothing_moves() -> None:
    alarms = find_alarms(replace(CONNECTING, servo_complaint=OTHER))

    assert alarms == (Finding(Cause.ARM_WRONG_ROBOT, OTHER.text),)


def test_what_has_nothing_to_do_with_a_complaint_stays_as_it_is() -> None:
    failure = Finding(Cause.CHUNK_REFUSED, "out of reach")

    assert explain(failure, replace(WELL, servo_complaint=IN_USE)) == failure
    assert explain(None, replace(WELL, servo_complaint=IN_USE)) is None


def test_a_camera_that_was_swapped_in_production_is_named() -> None:
    stale = Finding(Cause.CAMERA_STALE, "the newest frame is 2.1 s old")

    explained = explain(stale, replace(BLIND, camera_complaint=SWAPPED))

    assert explained == Finding(Cause.CAMERA_WRONG_DEVICE, SWAPPED.text)
    assert FACTS[Cause.CAMERA_WRONG_DEVICE].code == 232


def test_a_camera_lost_in_production_is_named_with_its_address() -> None:
    stale = Finding(Cause.CAMERA_STALE, "the newest frame is 2.1 s old")

    explained = explain(stale, replace(BLIND, camera_complaint=NO_FEED))

    assert explained == Finding(Cause.CAMERA_UNREACHABLE, NO_FEED.text)
