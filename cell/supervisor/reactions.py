"""How a cause acts on the state machine in each state. Pure."""

from collections.abc import Iterable, Mapping
from typing import Final

from cell.supervisor.cause_table import FACTS
from cell.supervisor.causes import Cause, Clears, Reaction
from cell.supervisor.states import Command, State

_PRODUCING = frozenset(
    {
        State.STARTING,
        State.EXECUTE,
        State.UNHOLDING,
        State.SUSPENDING,
        State.SUSPENDED,
        State.UNSUSPENDING,
        State.COMPLETING,
    }
)
_RESTING_READY = frozenset({State.IDLE, State.COMPLETED})
_LATCHED = frozenset({State.HOLDING, State.HELD})


def compute_reaction(cause: Cause, state: State, *, is_moving: bool) -> Command | None:
    """Return the command with which the cell reacts to a cause in a state.

    Held is left alone by causes that would only hold, and so is a stopped cell by all
    but interventions at the robot. In Idle nothing moves, so only what disarms the
    servo process ends Idle: otherwise a Start would find an arm that cannot follow.
    """
    facts = FACTS[cause]
    if facts.in_stopped:
        is_over = state in (State.ABORTING, State.ABORTED)
        return None if is_over else Command.ABORT
    reaction = facts.moving if is_moving else facts.still
    if state in _PRODUCING:
        return _COMMANDS[reaction]
    if state in _LATCHED:
        return Command.ABORT if reaction is Reaction.ABORT else None
    if state in _RESTING_READY and facts.disarms:
        return Command.STOP
    return None


_COMMANDS: Final[Mapping[Reaction, Command | None]] = {
    Reaction.NONE: None,
    Reaction.SUSPEND: Command.SUSPEND,
    Reaction.HOLD: Command.HOLD,
    Reaction.ABORT: Command.ABORT,
}


def needs_person(cause: Cause) -> bool:
    """Say whether production may go on only after somebody released it."""
    return FACTS[cause].clears is not Clears.BY_ITSELF


def is_self_clearing(causes: Iterable[Cause]) -> bool:
    """Say whether every cause of a stop may end it by going away."""
    return all(not needs_person(cause) for cause in causes)
