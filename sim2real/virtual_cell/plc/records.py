"""Shared-memory records of the virtual line PLC.

`vc_plc_faults` and `vc_operator` are written by tests, by fault injection and by the
operator's command line; `vc_plc_state` is what the PLC says about itself.
"""

from typing import Final, cast

import numpy as np

from cell.contracts.plc import PlcOutputs
from sim2real.virtual_cell.plc.commands import Autostart
from sim2real.virtual_cell.plc.line import LineState
from sim2real.virtual_cell.plc.server import ServerFaults
from sim2real.virtual_cell.plc.sight import LineSwitches, OperatorRequest

PLC_FAULTS: Final = np.dtype(
    [
        ("freeze_heartbeat", "<i8"),
        ("stop_answering", "<i8"),
        ("drop_connections", "<i8"),
        ("outfeed_blocked", "<i8"),
        ("bin_empty", "<i8"),
        ("deny_zone", "<i8"),
        ("slow_permille", "<i8"),  # taken off the speed limit of 1000
        ("data_invalid", "<i8"),
        ("swap_words", "<i8"),
        ("shift_map", "<i8"),
        ("tear_block", "<i8"),
        ("refuse_requests", "<i8"),
        ("lose_writes", "<i8"),
        ("delay_ms", "<i8"),  # of every answer
    ]
)
"""Switches, 0 is off; mailbox `vc_plc_faults`."""

OPERATOR: Final = np.dtype(
    [
        ("request_id", "<i8"),  # a new number for every press
        ("command", "<i8"),  # PackML command, 0 for none
        ("fault_ack", "<i8"),
        ("person_id", "<i8"),  # who pressed
    ]
)
"""The person at the line panel; mailbox `vc_operator`."""

PLC_STATE: Final = np.dtype(
    [
        ("stamp_ns", "<i8"),
        ("boot_id", "<i8"),
        ("operator_id", "<i8"),  # last press that was taken up
        ("command", "<i8"),  # on the wire now
        ("pending_command", "<i8"),
        ("command_accepted", "<i8"),  # the last one that was on the wire
        ("acknowledges", "<i8"),  # a pulse stands, or is about to
        ("cell_is_fresh", "<i8"),
        ("cell_state", "<i8"),  # PackML state, -1 while unknown
        ("cell_fault_code", "<i8"),
        ("autostart_spent", "<i8"),
        ("bin_phase", "<i8"),
        ("outfeed_phase", "<i8"),
        ("taken", "<i8"),  # orders to the belt
        ("rejected_requests", "<i8"),
        ("is_slow", "<i8"),  # the cell asks the line to slow down
        ("slow_downs", "<i8"),  # how often it asked
        ("slow_since_ns", "<i8"),  # when it last began to
    ]
)
"""What the PLC says about itself; mailbox `vc_plc_state`, every scan."""


def make_switches(record: np.void | None) -> LineSwitches:
    """Return the disturbances of the line in a PLC_FAULTS record."""
    if record is None:
        return LineSwitches()
    return LineSwitches(
        freeze_heartbeat=bool(record["freeze_heartbeat"]),
        outfeed_blocked=bool(record["outfeed_blocked"]),
        bin_empty=bool(record["bin_empty"]),
        deny_zone=bool(record["deny_zone"]),
        speed_limit_ratio=1.0 - min(max(int(record["slow_permille"]), 0), 1000) / 1000,
    )


def make_server_faults(record: np.void | None) -> ServerFaults:
    """Return the disturbances of the wire in a PLC_FAULTS record."""
    if record is None:
        return ServerFaults()
    return ServerFaults(
        stop_answering=bool(record["stop_answering"]),
        drop_connections=bool(record["drop_connections"]),
        data_invalid=bool(record["data_invalid"]),
        swap_words=bool(record["swap_words"]),
        shift_map=bool(record["shift_map"]),
        tear_block=bool(record["tear_block"]),
        refuse_requests=bool(record["refuse_requests"]),
        lose_writes=bool(record["lose_writes"]),
        delay_s=max(int(record["delay_ms"]), 0) / 1000,
    )


def make_operator_request(record: np.void | None) -> OperatorRequest:
    """Return the last press in an OPERATOR record."""
    if record is None:
        return OperatorRequest()
    return OperatorRequest(
        request_id=int(record["request_id"]),
        command=int(record["command"]),
        fault_ack=bool(record["fault_ack"]),
        person_id=int(record["person_id"]),
    )


def make_state_record(
    state: LineState, outputs: PlcOutputs | None, rejected_requests: int, now_ns: int
) -> np.void:
    """Return what the PLC says about itself after a scan."""
    record = np.zeros((), PLC_STATE)
    record["stamp_ns"] = now_ns
    record["boot_id"] = state.boot_id
    record["operator_id"] = state.commands.operator_id
    record["command"] = state.commands.code
    record["pending_command"] = state.commands.pending
    record["command_accepted"] = state.commands.was_accepted
    record["acknowledges"] = now_ns < state.commands.fault_ack_until_ns
    record["autostart_spent"] = state.commands.autostart is Autostart.SPENT
    record["cell_is_fresh"] = state.cell.is_fresh
    record["cell_state"] = -1 if outputs is None else outputs.state
    record["cell_fault_code"] = 0 if outputs is None else outputs.fault_code
    record["bin_phase"] = state.bin.phase
    record["outfeed_phase"] = state.outfeed.phase
    record["taken"] = state.outfeed.take_id
    record["rejected_requests"] = rejected_requests
    record["is_slow"] = state.slow_downs.is_slow
    record["slow_downs"] = state.slow_downs.count
    record["slow_since_ns"] = state.slow_downs.since_ns
    return cast(np.void, record[()])
