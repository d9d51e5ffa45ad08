"""How often the learned policy's own grasps are held up, and which stops are theirs."""

from typing import Final

from cell.contracts.servo import HoldReason
from cell.supervisor.causes import Cause
from cell.supervisor.motion_client import MotionClient

_OWN: Final = (Cause.PROTECTIVE_STOP, Cause.PLACE_NOT_CONFIRMED)


class InterventionRate:
    """Counts grasps that the guard held up, or that a collision ended.

    Attributes:
        attempts: grasps that were begun.
        count: those of them that met an intervention.
    """

    def __init__(self, motion: MotionClient) -> None:
        """Count from nothing; `motion` knows what the guard held up."""
        self.attempts = self.count = 0
        self._motion = motion
        self._holds_before: int | None = None
        self._was_stopped = False

    def begin(self) -> None:
        """Say that a grasp begins."""
        self.attempts += 1
        self._holds_before = self._motion.interventions.count
        self._was_stopped = False

    def note_stop(self) -> None:
        """Say that guard or robot have ended the present grasp."""
        self._was_stopped = True

    def end(self) -> None:
        """Say that the present grasp is over, if there is one."""
        before, self._holds_before = self._holds_before, None
        if before is not None:
            was_held = self._motion.interventions.count > before
            self.count += was_held or self._was_stopped

    def describe(self) -> dict[str, float | None]:
        """Return the entries for the status; None where nothing is known."""
        return {
            "learned_attempts": self.attempts,
            "learned_interventions": self.count,
            "intervention_ratio": self.count / self.attempts if self.attempts else None,
        }


def is_own_doing(cause: Cause, motion: MotionClient) -> bool:
    """Say whether a stop comes from what was carried out, and not from outside.

    Orders that were given up for the timing of others, for the line, for a person or
    for a link are no veto of the guard.
    """
    if cause is Cause.COMMAND_VETOED:
        return motion.interventions.is_holding
    if cause is Cause.SERVO_FAULT:
        state = motion.state
        return state is not None and state.hold_reason is HoldReason.TRACKING_ERROR
    return cause in _OWN
