"""The virtual line PLC as the process that the host starts."""

import asyncio
import json
import signal
import subprocess
import sys
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from cell.contracts.drivers import PlcLink
from cell.contracts.errors import DriverError
from cell.contracts.plc import PlcInputs, PlcOutputs
from cell.drivers.clock import MonotonicClock
from cell.drivers.plc.opening import open_plc
from cell.mailbox.seqlock import Mailbox
from cell.mailbox.text import TextMailbox
from ops.telemetry import STATUS_CAPACITY
from sim2real.virtual_cell.links import LINE_COMMAND, WORLD_STATE
from sim2real.virtual_cell.plc.panel import (
    COMMANDS,
    Answer,
    Panel,
    give,
    read_refusal,
)
from sim2real.virtual_cell.plc.records import PLC_FAULTS, PLC_STATE
from tests.fakes.patient_plc import make_patient_config
from tests.loans import lend_port
from tests.running_cell import ROOT, write_config

STOPPED, IDLE, EXECUTE = 2, 4, 6
PATIENCE_S = 20.0


@dataclass
class PlcProcess:
    """A running virtual line PLC and what belongs to it."""

    process: subprocess.Popen[bytes]
    runtime: Path
    port: int


def start_plc(folder: Path, port: int) -> PlcProcess:
    config = write_config(
        folder, "127.0.0.1", lambda tree: tree["plc"].update(port=port)
    )
    runtime = folder / "runtime"
    process = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "sim2real.virtual_cell.plc",
            "--config",
            str(config),
            "--runtime",
            str(runtime),
        ],
        cwd=ROOT,
    )
    return PlcProcess(process, runtime, port)


@pytest.fixture
async def plc(tmp_path: Path) -> AsyncIterator[PlcProcess]:
    running = start_plc(tmp_path, lend_port())
    yield running
    running.process.kill()
    running.process.wait()


async def wait_for_end(plc: PlcProcess) -> int:
    async with asyncio.timeout(PATIENCE_S):
        while (code := plc.process.poll()) is None:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
    return code


@asynccontextmanager
async def connect(plc: PlcProcess) -> AsyncIterator[PlcLink]:
    """Try until the process listens."""
    config = make_patient_config(plc.port)
    clock = MonotonicClock()
    async with asyncio.timeout(PATIENCE_S):
        while True:
            try:
                async with open_plc(config, clock):
                    break
            except DriverError:
                await asyncio.sleep(0.05)
    async with open_plc(config, clock) as link:
        yield link


class Cell:
    """A cell that exchanges every 20 ms until the PLC says something."""

    def __init__(self, link: PlcLink) -> None:
        self.link = link
        self.outputs = PlcOutputs()

    async def exchange(self) -> PlcInputs:
        beat = (self.outputs.heartbeat + 1) & 0xFFFF
        self.outputs = replace(self.outputs, heartbeat=beat)
        return await self.link.exchange(self.outputs)

    async def wait_for(self, **wanted: float) -> PlcInputs:
        async with asyncio.timeout(PATIENCE_S):
            while True:
                inputs = await self.exchange()
                if all(getattr(inputs, name) == wanted[name] for name in wanted):
                    return inputs
                await asyncio.sleep(0.02)

    async def obey(self, command: int, state: int) -> None:
        """Wait for a command, acknowledge it and be in a state afterwards."""
        await self.wait_for(command=command, command_request=True)
        self.outputs = replace(self.outputs, command_ack=command, state=state)
        await self.wait_for(command_request=False)
        self.outputs = replace(self.outputs, command_ack=0)
        await self.exchange()


def write_world(plc: PlcProcess, *, parts_in_bin: int) -> None:
    record = np.zeros((), WORLD_STATE)
    record["stamp_ns"] = MonotonicClock().now_ns() + 60_000_000_000
    record["parts_in_bin"] = parts_in_bin
    Mailbox.open(plc.runtime / "vc_world_state", WORLD_STATE).write(record)


async def test_the_plc_starts_a_stopped_cell_and_orders_a_refill(
    plc: PlcProcess,
) -> None:
    async with connect(plc) as link:
        cell = Cell(link)
        await cell.obey(COMMANDS["reset"], IDLE)
        await cell.obey(COMMANDS["start"], EXECUTE)
        write_world(plc, parts_in_bin=0)
        await cell.wait_for(zone_permit=False)
        orders = Mailbox.open(plc.runtime / "vc_line_command", LINE_COMMAND)
        async with asyncio.timeout(PATIENCE_S):
            while (order := orders.read()) is None or order["refill_id"] != 1:
                await cell.exchange()
                await asyncio.sleep(0.02)

    assert order["refill_count"] == 12


class Press:
    """A press at the panel, in a thread of its own, for it waits for the cell."""

    def __init__(self, plc: PlcProcess, name: str) -> None:
        self.answers: list[tuple[Answer, str]] = []
        self._panel = Panel(plc.runtime)
        self._name = name
        self._thread = threading.Thread(target=self._give)
        self._thread.start()

    def _give(self) -> None:
        self.answers.append(give(self._panel, self._name))

    async def follow(self, cell: Cell) -> tuple[str, str]:
        """Exchange until it is over; return the state that it names and its problem."""
        while self._thread.is_alive():
            await cell.exchange()
            await asyncio.sleep(0.02)
        self._thread.join()
        ((answer, problem),) = self.answers
        return answer.state_name, problem


async def abort(link: PlcLink) -> Cell:
    """A cell that is Aborted with a fault, and that the line has seen."""
    cell = Cell(link)
    cell.outputs = replace(cell.outputs, state=9, fault_code=300)
    await cell.wait_for(command_request=False)
    return cell


async def test_a_person_at_the_panel_commands_the_cell(plc: PlcProcess) -> None:
    async with connect(plc) as link:
        cell = await abort(link)

        press = Press(plc, "ack")
        await cell.wait_for(fault_ack=True)
        acknowledged = await press.follow(cell)
        press = Press(plc, "clear")
        await cell.obey(COMMANDS["clear"], STOPPED)
        cleared = await press.follow(cell)

    assert acknowledged == ("ABORTED", "")
    assert cleared == ("STOPPED", "")


async def test_an_acknowledgement_is_over_when_its_pulse_is(plc: PlcProcess) -> None:
    # A command that overtakes it is refused by a cell that has not read it yet.
    async with connect(plc) as link:
        cell = await abort(link)
        press = Press(plc, "ack")
        await cell.wait_for(fault_ack=True)

        await press.follow(cell)
        inputs = await cell.exchange()

        assert not inputs.fault_ack


def test_the_panel_passes_on_why_the_cell_refused(tmp_path: Path) -> None:
    assert read_refusal(tmp_path) == ""
    box = TextMailbox(tmp_path / "status", STATUS_CAPACITY)
    refused = "+{} s command_refused value={}"
    events = [refused.format(1, "first"), refused.format(2, "not acknowledged"), "+3 s"]
    box.write(json.dumps({"events": events}))
    box.close()

    assert read_refusal(tmp_path) == "not acknowledged"


async def test_the_panel_says_what_the_cell_refused(plc: PlcProcess) -> None:
    async with connect(plc) as link:
        cell = await abort(link)

        _, problem = await Press(plc, "start").follow(cell)

    assert problem == "the cell is in ABORTED and refused it"


async def test_the_panel_of_a_line_without_a_controller_says_so(
    plc: PlcProcess,
) -> None:
    async with connect(plc):
        pass

    _, alone = give(Panel(plc.runtime), "reset")
    plc.process.kill()
    plc.process.wait()
    _, gone = give(Panel(plc.runtime), "reset")

    assert alone == "no controller is connected to this line"
    assert gone.startswith("the virtual line PLC does not run")


async def test_fault_switches_reach_the_wire(plc: PlcProcess) -> None:
    async with connect(plc) as link:
        await link.exchange(PlcOutputs())
        record = np.zeros((), PLC_FAULTS)
        record["slow_permille"] = 600
        Mailbox.open(plc.runtime / "vc_plc_faults", PLC_FAULTS).write(record)

        inputs = await Cell(link).wait_for(speed_limit_ratio=0.4)

    assert inputs.unit_mode == 1


async def test_a_killed_plc_comes_back_with_another_boot_number(
    plc: PlcProcess, tmp_path: Path
) -> None:
    async with connect(plc) as link:
        before = await link.exchange(PlcOutputs())
        plc.process.kill()
        plc.process.wait()
        with pytest.raises(DriverError):
            await link.exchange(PlcOutputs())

    again = start_plc(tmp_path, plc.port)
    try:
        async with connect(again) as link:
            after = await link.exchange(PlcOutputs())
    finally:
        again.process.kill()
        again.process.wait()
    assert after.boot_id != before.boot_id


async def test_only_sigterm_ends_the_process_and_orderly(plc: PlcProcess) -> None:
    async with connect(plc) as link:
        plc.process.send_signal(signal.SIGINT)
        await Cell(link).wait_for(unit_mode=1)

    plc.process.terminate()
    assert await wait_for_end(plc) == 0


async def test_a_taken_port_ends_the_process_with_its_own_code(
    plc: PlcProcess, tmp_path: Path
) -> None:
    async with connect(plc):
        second = start_plc(tmp_path, plc.port)
        assert await wait_for_end(second) == 9


async def test_a_request_to_slow_down_is_shown_by_the_plc(plc: PlcProcess) -> None:
    async with connect(plc) as link:
        cell = Cell(link)
        await cell.exchange()
        shown = Mailbox.open(plc.runtime / "vc_plc_state", PLC_STATE)
        cell.outputs = replace(cell.outputs, slow_down_request=True)
        async with asyncio.timeout(PATIENCE_S):
            while (record := shown.read()) is None or not record["is_slow"]:
                await cell.exchange()
                await asyncio.sleep(0.02)

    assert record["slow_downs"] == 1
    assert 0 < record["slow_since_ns"] <= record["stamp_ns"]
