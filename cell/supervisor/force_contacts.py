"""Too much force at the tool: how a motion ended by it is told, and how many are many.

Pure. A grasp that meets too much force in the bin is given up without a person; one
after the other is a bin, a camera or a model that somebody has to look at.
"""

from collections import deque
from collections.abc import Sequence
from typing import Final

from cell.contracts.servo import HoldReason
from cell.supervisor.causes import Cause, CauseError
from cell.supervisor.rungs import RETURNS


class ForceError(CauseError):
    """The guard refused a motion again and again, each time because of the force."""


def make_veto(reasons: Sequence[HoldReason]) -> CauseError:
    """Return the error that says why the guard refused a motion, one reason a try."""
    is_force = all(reason is HoldReason.TCP_FORCE for reason in reasons)
    kind = ForceError if is_force else CauseError
    return kind(Cause.COMMAND_VETOED, reasons[-1].name)


class ForceContacts:
    """Counts grasps given up because of force; a success does not clear them.

    As many are let pass as disturbances that end by themselves.
    """

    LIMIT: Final = RETURNS

    def __init__(self) -> None:
        self._times_ns: deque[int] = deque(maxlen=self.LIMIT.count)

    def note(self, now_ns: int) -> bool:
        """Count one at `now_ns`; say if a person is needed, and begin anew if so."""
        self._times_ns.append(now_ns)
        is_spent = self.LIMIT.is_spent(tuple(self._times_ns), now_ns)
        if is_spent:
            self._times_ns.clear()
        return is_spent
