"""The rung, the alarm and the ladder's rule of every cause, read off its row. Pure.

The table of causes stays the only place that says what a cause does; here its rows are
put into the words of the reaction ladder.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from cell.contracts.ladder import Budget, CauseRule, LadderRules, Rung
from cell.contracts.units import ns_from_s
from cell.supervisor.cause_table import FACTS
from cell.supervisor.causes import Cause, Clears, Reaction
from cell.supervisor.decision import RETURN_AFTER_S

FLAPPING: Final = Budget(count=5, window_ns=ns_from_s(10.0))
"""A fault that comes and goes once a second or faster needs a person within 5 s; a
process that is started again and fails again takes longer than 2 s each time."""

RETURNS: Final = Budget(count=10, window_ns=ns_from_s(600.0))
"""Slow flapping, and several causes that take turns."""

ALARM_IDS: Final[Mapping[Cause, int]] = MappingProxyType(
    {
        Cause.STARVED: 1,
        Cause.BLOCKED: 2,
        Cause.ZONE_NOT_PERMITTED: 3,
        Cause.RESET_FAILED: 5,
        Cause.COMMANDED: 6,
        Cause.MODEL_MISSING: 1100,
        Cause.MODEL_INVALID: 1110,
        Cause.GUARDIAN_INVALID: 1120,
        Cause.ROBOT_LINK_LOST: 2000,
        Cause.GRIPPER_LOST: 2001,
        Cause.CAMERA_UNREACHABLE: 2002,
        Cause.ARM_WRONG_VERSION: 2100,
        Cause.ARM_IN_USE: 2110,
        Cause.ARM_WRONG_ROBOT: 2120,
        Cause.PLC_LOST: 2200,
        Cause.PLC_RESTARTED: 2201,
        Cause.PLC_MAP_MISMATCH: 2210,
        Cause.HANDSHAKE_TIMEOUT: 2220,
        Cause.PLC_WRITE_LOST: 2230,
        Cause.LINE_SPEED_ZERO: 2240,
        Cause.CAMERA_STALE: 2300,
        Cause.CAMERA_BLIND: 2310,
        Cause.CAMERA_WRONG_DEVICE: 2320,
        Cause.GRIPPER_FAULT: 2400,
        Cause.PROTECTIVE_STOP: 3000,
        Cause.EMERGENCY_STOP: 3010,
        Cause.SAFEGUARD_STOP: 3020,
        Cause.ROBOT_FAULT: 3030,
        Cause.ROBOT_NOT_RUNNING: 3031,
        Cause.ARM_NOT_READY: 3032,
        Cause.COMMAND_VETOED: 4000,
        Cause.CHUNK_REFUSED: 4020,
        Cause.TARGET_UNREACHABLE: 4030,
        Cause.POLICY_UNAVAILABLE: 5000,
        Cause.POLICY_TIMEOUT: 5001,
        Cause.POLICY_OUTPUT_INVALID: 5010,
        Cause.POLICY_WITHDRAWN: 5100,
        Cause.PICTURES_NOVEL: 5110,
        Cause.PICK_FAILED_REPEATEDLY: 6000,
        Cause.NO_WAY_BACK: 6010,
        Cause.PLACE_NOT_CONFIRMED: 6020,
        Cause.MOTION_TIMEOUT: 6030,
        Cause.SUPERVISOR_STALLED: 7000,
        Cause.SUPERVISOR_RESTARTED: 7001,
        Cause.SERVO_LOST: 7010,
        Cause.SERVO_FAULT: 7011,
        Cause.ARM_NOT_RELEASED: 7012,
        Cause.RETURNED_TOO_OFTEN: 7020,
        Cause.PROCESS_GIVEN_UP: 7021,
        Cause.PROCESS_LOST: 7050,
    }
)
"""One number for each cause, stable once released: its fault word times ten, and a
digit that tells apart causes which share a fault word."""


_WORKS_ON_WITH_LESS: Final = (
    Clears.BY_RESTART,
    Clears.BY_EVIDENCE,
    Clears.BY_PICTURE,
)


def compute_rung(cause: Cause, reaction: Reaction) -> Rung:
    """Return the rung of a cause that asks the state machine for `reaction`."""
    clears = FACTS[cause].clears
    match reaction:
        case Reaction.ABORT:
            return Rung.LATCH
        case Reaction.HOLD:
            return Rung.HOLD if clears is Clears.BY_ITSELF else Rung.STOP
        case Reaction.SUSPEND:
            return Rung.DEGRADE
        case Reaction.NONE:
            return Rung.DEGRADE if clears in _WORKS_ON_WITH_LESS else Rung.LOG


def make_rule(cause: Cause) -> CauseRule:
    """Return the ladder's rule of a cause.

    What waits for the line at a gate may do so with every part: only holds can flap.
    """
    facts = FACTS[cause]
    moving = compute_rung(cause, facts.moving)
    still = compute_rung(cause, facts.still)
    return CauseRule(
        moving=moving,
        still=still,
        quiet_ns=ns_from_s(RETURN_AFTER_S),
        flapping=FLAPPING if Rung.HOLD in (moving, still) else None,
        is_mended_by_release=facts.disarms,
    )


def make_rules() -> LadderRules:
    """Return the rules of all causes."""
    return LadderRules({cause.value: make_rule(cause) for cause in Cause}, RETURNS)
