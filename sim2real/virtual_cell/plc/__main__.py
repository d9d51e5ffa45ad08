"""Process of the virtual line PLC: `python -m sim2real.virtual_cell.plc`."""

import asyncio
import sys
from pathlib import Path

import numpy as np
import structlog

from cell.config import ModbusPlcConfig
from cell.contracts.errors import ConfigError
from cell.contracts.units import ns_from_s, s_from_ns
from cell.drivers.clock import MonotonicClock
from cell.mailbox.seqlock import Mailbox
from ops.processes.shell import ProcessContext, enter_process, run_entry
from sim2real.virtual_cell.links import LINE_COMMAND, WORLD_STATE
from sim2real.virtual_cell.plc.line import (
    LineCommand,
    LineState,
    make_first_state,
    step_line,
)
from sim2real.virtual_cell.plc.records import (
    OPERATOR,
    PLC_FAULTS,
    PLC_STATE,
    make_operator_request,
    make_server_faults,
    make_state_record,
    make_switches,
)
from sim2real.virtual_cell.plc.server import PlcServer, open_plc_server
from sim2real.virtual_cell.plc.sight import (
    SCAN_PERIOD_S,
    LineSettings,
    LineSight,
    WorldCounts,
)

# The world writes every tick; older counts are those of a world that stands.
_WORLD_AGE_S = 0.5


class LineLinks:
    """The mailboxes of the virtual line PLC."""

    def __init__(self, runtime: Path) -> None:
        self._world = Mailbox.open(runtime / "vc_world_state", WORLD_STATE)
        self._command = Mailbox.open(runtime / "vc_line_command", LINE_COMMAND)
        self._faults = Mailbox.open(runtime / "vc_plc_faults", PLC_FAULTS)
        self._operator = Mailbox.open(runtime / "vc_operator", OPERATOR)
        self._state = Mailbox.open(runtime / "vc_plc_state", PLC_STATE)

    def read_first_state(self, boot_id: int, now_ns: int) -> LineState:
        """Return the state of a line that starts now."""
        record = self._command.read()
        last = LineCommand(0, 0, 0)
        if record is not None:
            last = LineCommand(
                refill_id=int(record["refill_id"]),
                refill_count=int(record["refill_count"]),
                take_id=int(record["take_id"]),
            )
        press = make_operator_request(self._operator.read())
        return make_first_state(boot_id, last, press.request_id, now_ns)

    def read_sight(self, server: PlcServer, now_ns: int) -> LineSight:
        """Take up faults and see what the cell, the world and the operator say."""
        faults = self._faults.read()
        server.registers.faults = make_server_faults(faults)
        return LineSight(
            outputs=server.registers.read_outputs(),
            counts=_make_counts(self._world.read(), now_ns),
            switches=make_switches(faults),
            operator=make_operator_request(self._operator.read()),
        )

    def write_command(self, command: LineCommand, now_ns: int) -> None:
        """Hand the orders to the world."""
        record = np.zeros((), LINE_COMMAND)
        record["stamp_ns"] = now_ns
        record["refill_id"] = command.refill_id
        record["refill_count"] = command.refill_count
        record["take_id"] = command.take_id
        self._command.write(record)

    def write_state(self, record: np.void) -> None:
        """Publish what the PLC says about itself."""
        self._state.write(record)


def _make_counts(record: np.void | None, now_ns: int) -> WorldCounts | None:
    if record is None or s_from_ns(now_ns - int(record["stamp_ns"])) > _WORLD_AGE_S:
        return None
    return WorldCounts(
        parts_in_bin=int(record["parts_in_bin"]),
        parts_on_outfeed=int(record["parts_on_outfeed"]),
        refills=int(record["refills"]),
    )


async def run_line(context: ProcessContext, config: ModbusPlcConfig) -> None:
    """Serve and scan until the host asks for an end."""
    clock = MonotonicClock()
    links = LineLinks(context.runtime)
    virtual = context.settings.virtual_cell
    settings = LineSettings(
        parts_in_bin=virtual.parts_in_bin,
        refill_below=virtual.refill_below,
        autostart=virtual.autostart,
        cell_timeout_s=2 * config.heartbeat_timeout_s,
    )
    start_ns = clock.now_ns()
    # The clock outlives this process, so no two starts share a number.
    state = links.read_first_state(start_ns // 1_000_000 & 0xFFFFFFFF, start_ns)
    log = structlog.get_logger()
    async with open_plc_server(
        config.host, config.port, config.device_id, config.word_order
    ) as server:
        log.info("line PLC listens", host=config.host, port=server.port)
        next_ns = clock.now_ns()
        while not context.stop.is_set:
            now_ns = clock.now_ns()
            sight = links.read_sight(server, now_ns)
            state, inputs, command = step_line(state, sight, settings, now_ns)
            server.registers.write_inputs(inputs)
            if server.registers.faults.drop_connections:
                server.drop_connections()
            links.write_command(command, now_ns)
            links.write_state(
                make_state_record(
                    state, sight.outputs, server.registers.rejected_requests, now_ns
                )
            )
            context.beat()
            next_ns = max(next_ns, now_ns - ns_from_s(SCAN_PERIOD_S))
            next_ns += ns_from_s(SCAN_PERIOD_S)
            await clock.sleep_until_ns(next_ns)


def main() -> None:
    """Run the process until the host asks for an end."""
    context = enter_process("plc", niceness=-15, is_urgent=True)
    config = context.settings.plc
    if not isinstance(config, ModbusPlcConfig):
        raise ConfigError("the virtual line PLC needs plc.kind: modbus")
    asyncio.run(run_line(context, config))


if __name__ == "__main__":
    sys.exit(run_entry("plc", main))
