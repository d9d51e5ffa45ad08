"""Gives PackML commands to the cell: the person at the panel, and one start at boot.

A command is a code and a strobe. The strobe stays until the cell acknowledges the
code, or is withdrawn when it does not. After a fault only a person commands.
"""

from dataclasses import dataclass, replace
from enum import IntEnum

from cell.contracts.errors import FaultCode
from cell.contracts.plc import PlcOutputs
from cell.contracts.units import ns_from_s, s_from_ns
from sim2real.virtual_cell.plc.sight import LineSettings, LineSight

_RESET, _START = 1, 2
_STOPPED, _IDLE, _RESETTING = 2, 4, 15
# The cell picks all the same, with its fallback policy.
_NO_OBSTACLE = (
    FaultCode.NONE,
    FaultCode.MODEL_MISSING,
    FaultCode.MODEL_INVALID,
    FaultCode.GUARDIAN_INVALID,
    FaultCode.POLICY_WITHDRAWN,
    FaultCode.PICTURES_NOVEL,
)


class Autostart(IntEnum):
    """Life of the one automatic start."""

    WAITING = 0
    RESETTING = 1
    SPENT = 2


@dataclass(frozen=True)
class Commands:
    """Where command giving stands.

    Attributes:
        code: command on the wire, 0 when none.
        raised_ns: when its strobe rose.
        pending: operator's command that waits for the wire, 0 when none.
        pending_ns: since when it waits.
        operator_id: last press that was taken up.
        person_id: who gave it, 0 for nobody.
        fault_ack_from_ns: begin of the acknowledge pulse.
        fault_ack_until_ns: its end.
        autostart: see `Autostart`.
        next_try_ns: when the automatic start may try again.
        was_accepted: whether the cell took the last command that was on the wire.
    """

    code: int = 0
    raised_ns: int = 0
    pending: int = 0
    pending_ns: int = 0
    operator_id: int = 0
    person_id: int = 0
    fault_ack_from_ns: int = 0
    fault_ack_until_ns: int = 0
    autostart: Autostart = Autostart.WAITING
    next_try_ns: int = 0
    was_accepted: bool = False


def step_commands(
    state: Commands, sight: LineSight, settings: LineSettings, now_ns: int
) -> Commands:
    """Run one scan."""
    state = _forget_late(
        _take_operator(state, sight, settings, now_ns), settings, now_ns
    )
    outputs = sight.outputs if sight.cell_is_fresh else None
    if state.code:
        return _step_strobe(state, outputs, settings, now_ns)
    if outputs is None or outputs.command_ack != 0:
        return state
    if state.pending:
        return replace(state, code=state.pending, raised_ns=now_ns, pending=0)
    return _step_autostart(state, outputs, settings, now_ns)


def _take_operator(
    state: Commands, sight: LineSight, settings: LineSettings, now_ns: int
) -> Commands:
    press = sight.operator
    if press.request_id == state.operator_id:
        return state
    state = replace(
        state,
        operator_id=press.request_id,
        person_id=press.person_id,
        pending=press.command or state.pending,
        pending_ns=now_ns if press.command else state.pending_ns,
        # From here on a person is in charge.
        autostart=Autostart.SPENT,
    )
    if not press.fault_ack:
        return state
    # The cell counts rising edges: a press during a pulse lets it fall first.
    is_high = now_ns < state.fault_ack_until_ns
    from_ns = now_ns + ns_from_s(settings.fault_ack_gap_s if is_high else 0.0)
    until_ns = from_ns + ns_from_s(settings.fault_ack_s)
    return replace(state, fault_ack_from_ns=from_ns, fault_ack_until_ns=until_ns)


def _forget_late(state: Commands, settings: LineSettings, now_ns: int) -> Commands:
    """Forget a press that nobody could be told of: it was meant for its own moment."""
    waited_s = s_from_ns(now_ns - state.pending_ns)
    if not state.pending or waited_s < settings.press_s:
        return state
    return replace(state, pending=0, was_accepted=False)


def _step_strobe(
    state: Commands, outputs: PlcOutputs | None, settings: LineSettings, now_ns: int
) -> Commands:
    is_accepted = outputs is not None and outputs.command_ack == state.code
    is_late = s_from_ns(now_ns - state.raised_ns) >= settings.strobe_s
    if is_accepted or is_late:
        return replace(state, code=0, was_accepted=is_accepted)
    return state


def _step_autostart(
    state: Commands, outputs: PlcOutputs, settings: LineSettings, now_ns: int
) -> Commands:
    if state.autostart is Autostart.SPENT:
        return state
    allowed = {_STOPPED}
    if state.autostart is Autostart.RESETTING:
        allowed = {_STOPPED, _RESETTING, _IDLE}
    if not settings.autostart or outputs.state not in allowed:
        return replace(state, autostart=Autostart.SPENT)
    code = {_STOPPED: _RESET, _IDLE: _START}.get(outputs.state)
    has_fault = outputs.fault_code not in _NO_OBSTACLE
    if code is None or has_fault or now_ns < state.next_try_ns:
        return state
    return replace(
        state,
        code=code,
        raised_ns=now_ns,
        autostart=Autostart.RESETTING,
        next_try_ns=now_ns + ns_from_s(settings.retry_s),
    )
