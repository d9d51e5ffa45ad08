"""The status document: what the supervisor says of itself, as JSON.

The servo process's own figures are not in it: whoever wants them reads its mailbox.
"""

import json
import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from cell.supervisor.cause_table import FACTS
from cell.supervisor.causes import Cause, Clears
from cell.supervisor.machine import Machine, Reason
from cell.supervisor.reactions import needs_person
from cell.supervisor.states import Mode, State, compute_stacklight

_HARMLESS = frozenset({State.STOPPED, State.IDLE, State.COMPLETED, State.RESETTING})
"""States in which nothing can have been in work when the process ended."""

_WAYS_BACK = {
    State.ABORTING: "Clear, Reset and Start",
    State.ABORTED: "Clear, Reset and Start",
    State.STOPPING: "Reset and Start",
    State.STOPPED: "Reset and Start",
    State.HOLDING: "Unhold",
    State.HELD: "Unhold",
    State.SUSPENDING: "Unsuspend",
    State.SUSPENDED: "Unsuspend",
}
"""Commands that undo a command."""

_UNREADABLE = "what it left cannot be read"

_NAMED = 2
"""Later causes that the sentence names; `since_then` has all of them."""


@dataclass(frozen=True)
class PreviousLife:
    """What an earlier supervisor left behind.

    Attributes:
        figures: its status tree, for counts.
        state: its last state, None when there was none.
        reason: its first reason in words.
    """

    figures: dict[str, Any]
    state: State | None
    reason: str

    @property
    def was_interrupted(self) -> bool:
        """Whether it ended with something in work or latched."""
        return self.state is not None and self.state not in _HARMLESS


def parse_previous(text: str | None) -> PreviousLife:
    """Read an earlier status; what cannot be read is no record of a cell at rest.

    Args:
        text: None where there was no earlier life.
    """
    if text is None:
        return PreviousLife({}, None, "")
    try:
        tree = json.loads(text)
    except ValueError:
        tree = None
    figures = tree if isinstance(tree, dict) else {}
    name = figures.get("state")
    state = State.__members__.get(name) if isinstance(name, str) else None
    if state is None:
        return PreviousLife(figures, State.ABORTED, _UNREADABLE)
    reason = figures.get("first_reason") or figures.get("state_reason")
    return PreviousLife(figures, state, str(reason or ""))


def make_first_machine(previous: PreviousLife, now_ns: int) -> Machine:
    """Return Stopped, or Aborted where an earlier life was cut off in its work."""
    machine = Machine(State.STOPPED, Mode.PRODUCTION, now_ns)
    if previous.was_interrupted and previous.state is not None:
        machine.state = State.ABORTED
        detail = _describe_interruption(previous.state, previous.reason)
        machine.reason = Reason(Cause.SUPERVISOR_RESTARTED, detail, now_ns)
        machine.latched = {Cause.SUPERVISOR_RESTARTED}
    return machine


def _describe_interruption(state: State, reason: str) -> str:
    known = f"{FACTS[Cause.SUPERVISOR_RESTARTED].text}: "
    if reason.startswith(known):
        # Cut off again before anybody had looked: the first story stays.
        return reason.removeprefix(known)
    if reason == _UNREADABLE:
        return reason
    return f"it was in {state.name}" + (f" because {reason}" if reason else "")


def describe_machine(machine: Machine, *, is_starved: bool) -> dict[str, Any]:
    """Return state, mode, reason and lamps."""
    reason = machine.reason
    others = machine.latched - {reason.cause} if reason else set()
    lamps = compute_stacklight(
        machine.state, is_starved=is_starved, is_blocked=not is_starved
    )
    return {
        "state": machine.state.name,
        "state_number": int(machine.state),
        "mode": machine.mode.name,
        "state_reason": _describe_stop(reason, others),
        "first_reason": reason.describe() if reason else "",
        "cause": reason.cause.value if reason else None,
        "fault_code": int(reason.fault_code) if reason else 0,
        "remedy": _describe_remedy(machine),
        "clears": _describe_way_back(machine),
        "since_then": sorted(cause.value for cause in others),
        "is_acknowledged": machine.is_acknowledged,
        "stacklight": {name: lamp.value for name, lamp in lamps.items()},
        "state_s": {
            f"{mode.name}.{state.name}": round(seconds, 3)
            for (mode, state), seconds in machine.durations_s.items()
        },
    }


def _describe_stop(reason: Reason | None, others: Iterable[Cause]) -> str:
    """Return the first cause, and later ones that keep the cell from going on."""
    if reason is None:
        return ""
    later = sorted(FACTS[cause].text for cause in others if needs_person(cause))
    if not later:
        return reason.describe()
    names = ", ".join(later[:_NAMED])
    more = f" and {len(later) - _NAMED} more" if len(later) > _NAMED else ""
    return f"{reason.describe()}; since then: {names}{more}"


def _describe_way_back(machine: Machine) -> str:
    if machine.reason is None:
        return ""
    clears = FACTS[machine.reason.cause].clears
    is_commanded = clears is Clears.BY_COMMAND
    return (is_commanded and _WAYS_BACK.get(machine.state)) or str(clears.value)


def _describe_remedy(machine: Machine) -> str:
    if machine.reason is None:
        return ""
    facts = FACTS[machine.reason.cause]
    if facts.clears is Clears.BY_COMMAND:
        return f"give {_describe_way_back(machine)}"
    return facts.remedy


def round_age(age_s: float) -> float | None:
    """Return an age for JSON; None for something that never was."""
    return round(age_s, 3) if math.isfinite(age_s) else None


def dump(tree: dict[str, Any]) -> str:
    """Encode; NaN and infinity become null."""
    return json.dumps(_finite(tree), allow_nan=False, separators=(",", ":"))


def _finite(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict):
        return {key: _finite(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(entry) for entry in value]
    return value
