"""A line PLC in memory that follows the same handshake, through the same words."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

from cell.contracts.drivers import Clock
from cell.contracts.errors import DriverUnreachableError
from cell.contracts.plc import PlcInputs, PlcOutputs
from cell.drivers.plc.codec import (
    check_read_back,
    decode_inputs,
    decode_outputs,
    encode_inputs,
    encode_outputs,
)
from cell.drivers.plc.registers import WordOrder

_ORDER: WordOrder = "big"


@dataclass
class SimLine:
    """The state of a simulated line; tests set its fields between exchanges.

    It outlives connections, as a PLC does.

    Attributes:
        inputs: what the PLC says next; heartbeat, echo, strobe and handshake are
            kept up to date by `scan`.
        outputs: what the cell said last.
        heartbeat_is_frozen: the program hangs, the answers go on.
        is_reachable: whether exchanges succeed.
        loses_writes: writes are acknowledged and forgotten.
        taken_count: parts taken from the outfeed.
    """

    inputs: PlcInputs
    outputs: PlcOutputs
    heartbeat_is_frozen: bool = False
    is_reachable: bool = True
    loses_writes: bool = False
    taken_count: int = 0

    def request_command(self, command: int) -> None:
        """Raise the strobe for a PackML command; it falls when the cell answers."""
        self.inputs = replace(self.inputs, command=command, command_request=True)

    def restart(self) -> None:
        """Begin anew, as after a power cut."""
        self.inputs = replace(make_line_inputs(), boot_id=self.inputs.boot_id + 1)

    def scan(self, outputs: PlcOutputs) -> None:
        """Run one PLC scan on what the cell wrote."""
        now = self.inputs
        is_answered = now.command_request and outputs.command_ack == now.command
        if outputs.part_done and not now.part_taken:
            self.taken_count += 1
        self.outputs = outputs
        self.inputs = replace(
            now,
            heartbeat=now.heartbeat
            if self.heartbeat_is_frozen
            else (now.heartbeat + 1) & 0xFFFF,
            heartbeat_echo=outputs.heartbeat,
            command_request=now.command_request and not is_answered,
            part_taken=outputs.part_done,
        )


def make_line_inputs() -> PlcInputs:
    """Return the block of a line that has parts and grants everything."""
    return PlcInputs(
        stamp_ns=0,
        heartbeat=0,
        heartbeat_echo=0,
        boot_id=1,
        unit_mode=1,
        unit_mode_request=False,
        command=0,
        command_request=False,
        bin_present=True,
        outfeed_clear=True,
        zone_permit=True,
        fault_ack=False,
        person_id=0,
        part_taken=False,
        speed_limit_ratio=1.0,
    )


def make_line() -> SimLine:
    """Return a line that has parts and grants everything."""
    return SimLine(inputs=make_line_inputs(), outputs=PlcOutputs())


class SimPlc:
    """A connection to a `SimLine`."""

    def __init__(self, line: SimLine, clock: Clock) -> None:
        self.line = line
        self._clock = clock
        self._sequence = 0

    async def exchange(self, outputs: PlcOutputs) -> PlcInputs:
        """Hand our block over and return the PLC's.

        Raises:
            DriverUnreachableError: the line was made unreachable.
            WriteLostError: the line was made to lose what is written.
        """
        if not self.line.is_reachable:
            raise DriverUnreachableError("plc", "the simulated line is unreachable")
        self._sequence += 1
        if self.line.loses_writes:
            held = encode_outputs(self.line.outputs, self._sequence - 1, _ORDER)
            check_read_back(
                encode_outputs(outputs, self._sequence, _ORDER), held, _ORDER
            )
        stamp_ns = self._clock.now_ns()
        words = encode_outputs(outputs, self._sequence, _ORDER)
        self.line.scan(decode_outputs(words, _ORDER))
        block = encode_inputs(self.line.inputs, self._sequence, _ORDER)
        return decode_inputs(block, stamp_ns, _ORDER)


@asynccontextmanager
async def open_sim_plc(
    clock: Clock, line: SimLine | None = None
) -> AsyncIterator[SimPlc]:
    """Connect to `line`, or to a new one that grants everything.

    Raises:
        DriverUnreachableError: `line` is set to be unreachable.
    """
    plc = SimPlc(line or make_line(), clock)
    if not plc.line.is_reachable:
        raise DriverUnreachableError("plc", "the simulated line is unreachable")
    yield plc
