"""Every reason why the cell will not start now, in words for a person. Pure.

An empty bin or a full outfeed is not among them: the cell starts and waits.
"""

from cell.contracts.servo import ServoPhase
from cell.supervisor.cause_table import FACTS
from cell.supervisor.causes import Cause
from cell.supervisor.conditions import Conditions, find_causes
from cell.supervisor.states import State

_DONE_BY_RESET = (Cause.SERVO_FAULT, Cause.ARM_NOT_RELEASED, Cause.GRIPPER_FAULT)
_BEFORE_RESET = (State.STOPPED, State.ABORTED, State.CLEARING, State.COMPLETED)


def compute_unmet(now: Conditions, state: State) -> tuple[str, ...]:
    """Return what is missing, with its remedy; empty when a start would work.

    Before Reset an arm that waits to be armed is not missing anything: Reset arms it.
    """
    return tuple(
        _describe(finding.cause, finding.detail)
        for finding in find_causes(now)
        if not (state in _BEFORE_RESET and _is_done_by_reset(now, finding.cause))
    )


def _is_done_by_reset(now: Conditions, cause: Cause) -> bool:
    if cause is Cause.ROBOT_LINK_LOST:
        # The link is back, its loss is still latched.
        return now.servo is not None and now.servo.phase is ServoPhase.FAULT
    return cause in _DONE_BY_RESET


def _describe(cause: Cause, detail: str) -> str:
    facts = FACTS[cause]
    what = f"{facts.text} ({detail})" if detail else facts.text
    return f"{what}: {facts.remedy}"
