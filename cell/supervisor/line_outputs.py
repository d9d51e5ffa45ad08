"""What the line PLC is told, computed from the supervisor's state. Pure."""

from dataclasses import dataclass

from cell.contracts.plc import PlcOutputs
from cell.supervisor.cause_table import FACTS
from cell.supervisor.causes import Cause
from cell.supervisor.machine import Machine
from cell.supervisor.states import SC, State, next_state
from cell.supervisor.statistics import Statistics

_WORD = 0xFFFF
_DOUBLE_WORD = 0xFFFFFFFF
_BUSY = frozenset({State.EXECUTE, State.COMPLETING, State.STARTING, State.UNHOLDING})


@dataclass(frozen=True)
class LineSignals:
    """Signals that are neither state nor count.

    Attributes:
        progress: turns of the decision loop.
        heartbeat_echo: the line's counter as last read.
        command_ack: the command that was accepted.
        is_ready: a start would work.
        part_done: our side of the part handshake.
        is_in_zone: the arm is over the bin or about to be.
        is_holding_part: the fingers hold something.
        obstacle: what the cycle waits for.
        wants_refill: the policy sees nothing worth trying.
        wants_slow_line: the arm is held against its orders, or was just now.
        is_fallback: the fallback policy picks in place of the learned one.
        model_id: first 32 bits of the live model's digest.
        alarm: what a person should know although it need not stop the cell.
    """

    progress: int
    heartbeat_echo: int
    command_ack: int
    is_ready: bool
    part_done: bool
    is_in_zone: bool
    is_holding_part: bool
    obstacle: Cause | None
    wants_refill: bool
    wants_slow_line: bool
    model_id: int
    is_fallback: bool = False
    alarm: Cause | None = None


def compute_outputs(
    machine: Machine, statistics: Statistics, signals: LineSignals
) -> PlcOutputs:
    """Return the block for the next exchange."""
    state = machine.state
    waits_for = signals.obstacle or _find_awaited(machine)
    is_starved = waits_for is Cause.STARVED
    return PlcOutputs(
        heartbeat=signals.progress & _WORD,
        heartbeat_echo=signals.heartbeat_echo,
        unit_mode=int(machine.mode),
        state=int(state),
        state_requested=int(next_state(state, SC, machine.mode) or state),
        command_ack=signals.command_ack,
        ready=signals.is_ready,
        busy=state in _BUSY,
        part_done=signals.part_done,
        in_bin_zone=signals.is_in_zone,
        holding_part=signals.is_holding_part,
        starved=is_starved,
        blocked=waits_for in (Cause.BLOCKED, Cause.HANDSHAKE_TIMEOUT),
        refill_request=signals.wants_refill,
        slow_down_request=signals.wants_slow_line,
        fallback_policy=signals.is_fallback,
        fault_code=_compute_fault_word(machine, signals.alarm),
        good_count=statistics.placed & _DOUBLE_WORD,
        reject_count=statistics.lost & _DOUBLE_WORD,
        attempt_count=statistics.attempts & _DOUBLE_WORD,
        model_id=signals.model_id & _DOUBLE_WORD,
    )


def _find_awaited(machine: Machine) -> Cause | None:
    """Return what a suspended cell stopped for, where it did so for the line alone."""
    is_suspended = machine.state in (State.SUSPENDING, State.SUSPENDED)
    is_commanded = Cause.COMMANDED in machine.latched
    is_known = machine.reason is not None and is_suspended and not is_commanded
    return machine.reason.cause if machine.reason and is_known else None


def _compute_fault_word(machine: Machine, alarm: Cause | None) -> int:
    """Return the code of the stop; of an alarm where no stop has one."""
    code = 0 if machine.reason is None else int(machine.reason.fault_code)
    return code if code or alarm is None else int(FACTS[alarm].code)
