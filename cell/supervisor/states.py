"""The PackML state model (ISA-TR88.00.02-2022) as pure data, and one function on it.

Numbers are those of the 2022 edition. Nothing here knows time, devices or causes.
"""

from collections.abc import Mapping
from enum import Enum, IntEnum
from types import MappingProxyType
from typing import Final


class State(IntEnum):
    """The 17 states, with the numbers a PLC sees."""

    CLEARING = 1
    STOPPED = 2
    STARTING = 3
    IDLE = 4
    SUSPENDED = 5
    EXECUTE = 6
    STOPPING = 7
    ABORTING = 8
    ABORTED = 9
    HOLDING = 10
    HELD = 11
    UNHOLDING = 12
    SUSPENDING = 13
    UNSUSPENDING = 14
    RESETTING = 15
    COMPLETING = 16
    COMPLETED = 17


class Command(IntEnum):
    """`CntrlCmd`: what a person or the line PLC may ask for."""

    UNDEFINED = 0
    RESET = 1
    START = 2
    STOP = 3
    HOLD = 4
    UNHOLD = 5
    SUSPEND = 6
    UNSUSPEND = 7
    ABORT = 8
    CLEAR = 9
    COMPLETE = 10


class StateComplete(Enum):
    """SC: an acting state says that its work is done."""

    SC = "state complete"


SC: Final = StateComplete.SC
Trigger = Command | StateComplete


class Mode(IntEnum):
    """`UnitMode`. Maintenance picks at reduced speed; Manual never moves the arm."""

    INVALID = 0
    PRODUCTION = 1
    MAINTENANCE = 2
    MANUAL = 3


class Lamp(Enum):
    """One lamp of the stacklight."""

    OFF = "off"
    SOLID = "solid"
    FLASHING = "flashing"


WAIT_STATES: Final = frozenset(
    {
        State.STOPPED,
        State.IDLE,
        State.SUSPENDED,
        State.ABORTED,
        State.HELD,
        State.COMPLETED,
    }
)
"""States that only a command leaves."""

ACTING_STATES: Final = frozenset(State) - WAIT_STATES
"""States that do work. Execute is one, but has no SC: a command leaves it."""

MODE_CHANGE_STATES: Final = frozenset({State.STOPPED, State.IDLE, State.ABORTED})
"""Where the mode, and the active model, may change (mask 16#0214)."""

STATES_OF_MODE: Final[Mapping[Mode, frozenset[State]]] = MappingProxyType(
    {
        Mode.INVALID: frozenset(),
        Mode.PRODUCTION: frozenset(State),
        Mode.MAINTENANCE: frozenset(State),
        Mode.MANUAL: frozenset(
            {
                State.STOPPED,
                State.RESETTING,
                State.IDLE,
                State.STOPPING,
                State.ABORTING,
                State.ABORTED,
                State.CLEARING,
            }
        ),
    }
)

_HOLDABLE = (
    State.EXECUTE,
    State.SUSPENDED,
    State.STARTING,
    State.UNHOLDING,
    State.SUSPENDING,
    State.UNSUSPENDING,
    State.COMPLETING,
)
"""Wherever the arm may be moving for production, our own causes can hold it."""

_STOP_PROOF = frozenset(
    {State.ABORTING, State.ABORTED, State.CLEARING, State.STOPPING, State.STOPPED}
)
_ABORT_PROOF = frozenset({State.ABORTING, State.ABORTED})

_COMPLETIONS: Final = {
    State.CLEARING: State.STOPPED,
    State.STOPPING: State.STOPPED,
    State.ABORTING: State.ABORTED,
    State.RESETTING: State.IDLE,
    State.STARTING: State.EXECUTE,
    State.HOLDING: State.HELD,
    State.UNHOLDING: State.EXECUTE,
    State.SUSPENDING: State.SUSPENDED,
    State.UNSUSPENDING: State.EXECUTE,
    State.COMPLETING: State.COMPLETED,
}


def _make_transitions() -> dict[tuple[State, Trigger], State]:
    table: dict[tuple[State, Trigger], State] = {
        (State.ABORTED, Command.CLEAR): State.CLEARING,
        (State.STOPPED, Command.RESET): State.RESETTING,
        (State.COMPLETED, Command.RESET): State.RESETTING,
        (State.IDLE, Command.START): State.STARTING,
        (State.HELD, Command.UNHOLD): State.UNHOLDING,
        (State.EXECUTE, Command.SUSPEND): State.SUSPENDING,
        (State.SUSPENDED, Command.UNSUSPEND): State.UNSUSPENDING,
        (State.EXECUTE, Command.COMPLETE): State.COMPLETING,
        (State.HELD, Command.COMPLETE): State.COMPLETING,
        (State.SUSPENDED, Command.COMPLETE): State.COMPLETING,
    }
    table |= {(state, Command.HOLD): State.HOLDING for state in _HOLDABLE}
    table |= {(s, Command.ABORT): State.ABORTING for s in set(State) - _ABORT_PROOF}
    table |= {(s, Command.STOP): State.STOPPING for s in set(State) - _STOP_PROOF}
    table |= {(state, SC): target for state, target in _COMPLETIONS.items()}
    return table


TRANSITIONS: Final[Mapping[tuple[State, Trigger], State]] = MappingProxyType(
    _make_transitions()
)


def next_state(state: State, trigger: Trigger, mode: Mode) -> State | None:
    """Return the state that `trigger` leads to, None where it is not allowed.

    A mode that lacks the target state refuses the trigger; it never invents another.
    """
    target = TRANSITIONS.get((state, trigger))
    if target is None or target not in STATES_OF_MODE[mode]:
        return None
    return target


def may_change_mode(state: State, current: Mode, target: Mode) -> bool:
    """Say whether the unit may go from one mode to another in this state."""
    return (
        target is not current
        and state in MODE_CHANGE_STATES
        and state in STATES_OF_MODE[target]
    )


def compute_stacklight(
    state: State, *, is_starved: bool = False, is_blocked: bool = False
) -> dict[str, Lamp]:
    """Return the lamps and the horn for a state (table of TR88.00.02-2022)."""
    lamps = dict.fromkeys(("red", "amber", "blue", "green", "horn"), Lamp.OFF)
    lamps |= _LIGHTS[state]
    if state in (State.SUSPENDING, State.SUSPENDED):
        lamps["amber"] = Lamp.SOLID if is_blocked and not is_starved else Lamp.FLASHING
    return lamps


_LIGHTS: Final[Mapping[State, dict[str, Lamp]]] = {
    State.ABORTING: {"red": Lamp.FLASHING},
    State.ABORTED: {"red": Lamp.FLASHING},
    State.CLEARING: {"red": Lamp.FLASHING},
    State.STOPPED: {"red": Lamp.SOLID},
    State.STOPPING: {"red": Lamp.SOLID},
    State.RESETTING: {"red": Lamp.SOLID},
    State.COMPLETED: {"red": Lamp.SOLID},
    State.SUSPENDING: {},
    State.SUSPENDED: {},
    State.HOLDING: {"blue": Lamp.SOLID},
    State.HELD: {"blue": Lamp.SOLID},
    State.IDLE: {"green": Lamp.FLASHING},
    State.STARTING: {"green": Lamp.SOLID, "horn": Lamp.SOLID},
    State.EXECUTE: {"green": Lamp.SOLID},
    State.COMPLETING: {"green": Lamp.SOLID},
    State.UNHOLDING: {"green": Lamp.SOLID, "horn": Lamp.SOLID},
    State.UNSUSPENDING: {"green": Lamp.SOLID, "horn": Lamp.SOLID},
}
