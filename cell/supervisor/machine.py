"""The present PackML state, how it came about, and how long each state lasted."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from cell.contracts.errors import FaultCode
from cell.contracts.units import s_from_ns
from cell.supervisor.cause_table import FACTS
from cell.supervisor.causes import Cause
from cell.supervisor.reactions import is_self_clearing
from cell.supervisor.states import (
    SC,
    Mode,
    State,
    Trigger,
    may_change_mode,
    next_state,
)

_NO_LATCHES: Mapping[Cause, int] = MappingProxyType({})

STOP_FAMILY = frozenset(
    {
        State.HOLDING,
        State.HELD,
        State.SUSPENDING,
        State.SUSPENDED,
        State.ABORTING,
        State.ABORTED,
        State.STOPPING,
        State.STOPPED,
    }
)
"""States that have a reason."""

LATCHING = frozenset(
    {
        State.SUSPENDING,
        State.SUSPENDED,
        State.HOLDING,
        State.HELD,
        State.ABORTING,
        State.ABORTED,
    }
)
"""States in which causes join the stop that is under way."""

# How bad it is to be there; a reason gives way to one that leads further down.
_DEPTH = {
    State.SUSPENDING: 1,
    State.SUSPENDED: 1,
    State.HOLDING: 2,
    State.HELD: 2,
    State.STOPPING: 3,
    State.STOPPED: 3,
    State.ABORTING: 4,
    State.ABORTED: 4,
}


@dataclass(frozen=True)
class Reason:
    """Why the cell is not in Execute.

    Attributes:
        cause: the first one; later ones do not replace it. Where the cell waits for the
            line, the obstacle that is there.
        detail: what exactly, for a person.
        since_ns: monotonic clock when it struck.
    """

    cause: Cause
    detail: str
    since_ns: int

    @property
    def fault_code(self) -> FaultCode:
        """Number for the PLC fault word."""
        return FACTS[self.cause].code

    def describe(self) -> str:
        """Return one sentence for a person."""
        if self.cause is Cause.COMMANDED:
            return self.detail
        text = FACTS[self.cause].text
        return f"{text}: {self.detail}" if self.detail else text


@dataclass
class Machine:
    """Applies triggers; keeps first-out reason and the time in each state.

    Attributes:
        state: present state.
        mode: present unit mode.
        reason: first cause of the present stop, None while there is none.
        latched: every cause that struck during the present stop.
        is_acknowledged: a person acknowledged since the stop began.
        entered_ns: monotonic clock when the state was entered.
        durations_s: time spent by mode and state, without the present stay [s].
        struck: causes that came up with the newest picture.
    """

    state: State
    mode: Mode
    entered_ns: int
    reason: Reason | None = None
    latched: set[Cause] = field(default_factory=set)
    is_acknowledged: bool = False
    durations_s: dict[tuple[Mode, State], float] = field(
        default_factory=lambda: defaultdict(float)
    )
    struck: frozenset[Cause] = frozenset()
    _present: frozenset[Cause] = frozenset()
    _seen: dict[Cause, int] = field(default_factory=dict)

    def apply(self, trigger: Trigger, now_ns: int, reason: Reason | None) -> bool:
        """Take a trigger; say whether the state changed.

        A stop keeps the reason of its beginning; only one that leads further down
        (say from Held to Aborting) replaces it.
        """
        target = next_state(self.state, trigger, self.mode)
        if target is None:
            return False
        self._keep_reason(target, reason, is_completion=trigger is SC)
        self.durations_s[self.mode, self.state] += s_from_ns(now_ns - self.entered_ns)
        self.state, self.entered_ns = target, now_ns
        return True

    def latch(self, cause: Cause) -> bool:
        """Remember that a cause struck during the present stop; say if it is new.

        What strikes after an acknowledgement has not been seen by anybody yet.
        """
        if self.state not in LATCHING:
            return False
        if FACTS[cause].code != FaultCode.NONE:
            self.is_acknowledged = False
        is_new = cause not in self.latched
        self.latched.add(cause)
        return is_new

    def wait_for(self, reason: Reason) -> None:
        """Take over what a suspended cell waits for; what it was stays latched."""
        if self.state is State.SUSPENDED:
            self.latch(reason.cause)
            self.reason = reason

    def follow(
        self, present: frozenset[Cause], latches: Mapping[Cause, int] = _NO_LATCHES
    ) -> list[Cause]:
        """Latch the causes that came up since the last call; return the new ones.

        Args:
            present: causes of the newest picture.
            latches: the number of each of them that is a latch of its own. Such a one
                came up when its number is new, and is known however often it is out
                of sight.
        """
        latched = {c for c, number in latches.items() if number != self._seen.get(c)}
        self.struck = (present - self._present - set(latches)) | latched
        self._present, self._seen = present, {**self._seen, **latches}
        return [cause for cause in sorted(self.struck) if self.latch(cause)]

    def acknowledge(self) -> None:
        """Take note that a person has seen the present fault."""
        if self.state is State.ABORTED:
            self.is_acknowledged = True

    def needs_acknowledgement(self) -> bool:
        """Say whether Clear has to wait for a person."""
        return self.has_fault() and not self.is_acknowledged

    def has_fault(self) -> bool:
        """Say whether a cause of the present stop has a fault word."""
        return any(FACTS[cause].code != FaultCode.NONE for cause in self.latched)

    def may_return(self) -> bool:
        """Say whether this stop may end by itself once its causes are gone."""
        return bool(self.latched) and is_self_clearing(self.latched)

    def change_mode(self, mode: Mode) -> bool:
        """Change the unit mode where that is allowed; say whether it happened."""
        if not may_change_mode(self.state, self.mode, mode):
            return False
        self.mode = mode
        return True

    def _keep_reason(
        self, target: State, reason: Reason | None, *, is_completion: bool
    ) -> None:
        if target not in STOP_FAMILY:
            self._forget()
        elif not is_completion and _is_deeper(self.state, target):
            self._forget()
            self.reason = reason
            if reason is not None:
                self.latched.add(reason.cause)

    def _forget(self) -> None:
        self.reason = None
        self.latched = set()
        self.is_acknowledged = False


def _is_deeper(source: State, target: State) -> bool:
    return _DEPTH.get(target, 0) > _DEPTH.get(source, 0)
