"""Every reason why the cell will not start now, in words for a person. Pure.

An empty bin or a full outfeed is not among them: the cell starts and waits.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from cell.contracts.servo import ServoPhase
from cell.supervisor.cause_table import FACTS
from cell.supervisor.causes import Cause
from cell.supervisor.decision import Finding
from cell.supervisor.states import State

# A robot in use may be free again: nobody knows before Reset tries.
_DONE_BY_RESET = (
    Cause.SERVO_FAULT,
    Cause.ARM_NOT_RELEASED,
    Cause.ARM_IN_USE,
    Cause.GRIPPER_FAULT,
)
# Making the arm ready may open its connection anew, which takes a few seconds; when
# that does not work, the servo process says why.
_BRIEFLY_AWAY = (Cause.SERVO_LOST, Cause.ROBOT_LINK_LOST)
_BEFORE_RESET = (State.STOPPED, State.ABORTED, State.CLEARING, State.COMPLETED)


@dataclass(frozen=True)
class Unmet:
    """One reason why the cell will not start.

    Attributes:
        what: is missing.
        remedy: what a person does about it.
    """

    what: str
    remedy: str


def compute_unmet(
    findings: Iterable[Finding],
    servo_phase: ServoPhase | None,
    state: State,
    *,
    is_making_ready: bool = False,
) -> tuple[Unmet, ...]:
    """Return what is missing; empty when a start would work.

    Before Reset an arm that waits to be armed is not missing anything: Reset arms it.

    Args:
        findings: from `conditions.find_missing`.
        servo_phase: of the servo process, None before it reported.
        state: present state.
        is_making_ready: arm and fingers are being released right now.
    """
    is_armed_later = state in _BEFORE_RESET or is_making_ready
    return tuple(
        _describe(finding.cause, finding.detail)
        for finding in findings
        if not (is_armed_later and _is_done_by_reset(finding.cause, servo_phase))
        and not (is_making_ready and _is_briefly_away(finding))
    )


def describe_finding(finding: Finding) -> str:
    """Return what happened, exactly, and what a person does about it."""
    unmet = _describe(finding.cause, finding.detail)
    return f"{unmet.what}: {unmet.remedy}"


def _is_done_by_reset(cause: Cause, servo_phase: ServoPhase | None) -> bool:
    if cause is Cause.ROBOT_LINK_LOST:
        # In FAULT the link is back and its loss is still latched.
        return servo_phase is ServoPhase.FAULT
    return cause in _DONE_BY_RESET


def _is_briefly_away(finding: Finding) -> bool:
    return finding.cause in _BRIEFLY_AWAY and not finding.detail


def _describe(cause: Cause, detail: str) -> Unmet:
    facts = FACTS[cause]
    what = f"{facts.text} ({detail})" if detail else facts.text
    return Unmet(what, facts.remedy)
