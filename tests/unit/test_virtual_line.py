"""The logic of the virtual line, one scan at a time."""

from dataclasses import replace

import pytest

from cell.contracts.errors import FaultCode
from cell.contracts.plc import PlcInputs, PlcOutputs
from cell.supervisor.cause_table import FACTS
from cell.supervisor.causes import Clears
from sim2real.virtual_cell.plc.line import (
    LineCommand,
    SlowDowns,
    make_first_state,
    step_line,
)
from sim2real.virtual_cell.plc.sight import (
    LineSettings,
    LineSight,
    LineSwitches,
    OperatorRequest,
    WorldCounts,
)

RESET, START, CLEAR = 1, 2, 9
STOPPED, STARTING, IDLE, EXECUTE, ABORTED, RESETTING = 2, 3, 4, 6, 9, 15
GOES_ON = (Clears.BY_RESTART, Clears.BY_EVIDENCE, Clears.BY_PICTURE)
FULL = WorldCounts(parts_in_bin=12, parts_on_outfeed=0, refills=0)
SCAN_NS = 50_000_000


class Line:
    """A line that is scanned every 50 ms beside a living cell.

    Tests set `cell`, `counts`, `switches` and `operator` between scans; with `obeys`
    the world does what the line orders.
    """

    def __init__(self, *, autostart: bool = False, obeys: bool = True) -> None:
        self.settings = LineSettings(
            parts_in_bin=12, refill_below=4, autostart=autostart
        )
        self.cell: PlcOutputs | None = PlcOutputs(state=EXECUTE)
        self.cell_beats = True
        self.counts: WorldCounts | None = FULL
        self.switches = LineSwitches()
        self.operator = OperatorRequest()
        self.obeys = obeys
        self.now_ns = 10**12
        self.orders = LineCommand(0, 0, 0)
        self.state = make_first_state(5, self.orders, 0, self.now_ns)

    def scan(self, count: int = 1) -> PlcInputs:
        for _ in range(count):
            inputs = self._scan_once()
        return inputs

    def scan_for_s(self, duration_s: float) -> PlcInputs:
        return self.scan(round(duration_s / 0.05))

    def say(self, **fields: int | bool) -> None:
        """Change what the cell says."""
        assert self.cell is not None
        changes: dict[str, int] = dict(fields)
        for name, value in changes.items():
            object.__setattr__(self.cell, name, value)

    def _scan_once(self) -> PlcInputs:
        self.now_ns += SCAN_NS
        if self.cell is not None and self.cell_beats:
            self.cell = replace(self.cell, heartbeat=self.cell.heartbeat + 1)
        sight = LineSight(self.cell, self.counts, self.switches, self.operator)
        self.state, inputs, orders = step_line(
            self.state, sight, self.settings, self.now_ns
        )
        if self.obeys and self.counts is not None:
            self._obey(orders, self.counts)
        self.orders = orders
        return inputs

    def _obey(self, orders: LineCommand, counts: WorldCounts) -> None:
        if orders.refill_id != self.orders.refill_id:
            self.counts = replace(
                counts, parts_in_bin=orders.refill_count, refills=counts.refills + 1
            )
        if orders.take_id != self.orders.take_id:
            self.counts = replace(counts, parts_on_outfeed=0)


def test_a_line_with_parts_and_a_living_cell_grants_everything() -> None:
    inputs = Line().scan(3)

    assert (inputs.bin_present, inputs.outfeed_clear, inputs.zone_permit) == (
        True,
        True,
        True,
    )
    assert inputs.speed_limit_ratio == 1.0
    assert inputs.boot_id == 5


def test_heartbeat_rises_with_every_scan_and_echoes_the_cell() -> None:
    line = Line()

    first = line.scan()
    second = line.scan()

    assert second.heartbeat == first.heartbeat + 1
    assert line.cell is not None
    assert second.heartbeat_echo == line.cell.heartbeat


def test_the_heartbeat_wraps_to_zero() -> None:
    line = Line()
    line.state = replace(line.state, heartbeat=0xFFFF)

    assert line.scan().heartbeat == 0


def test_a_frozen_heartbeat_leaves_the_rest_running() -> None:
    line = Line()
    before = line.scan()
    line.switches = LineSwitches(freeze_heartbeat=True)

    after = line.scan(5)

    assert after.heartbeat == before.heartbeat
    assert after.heartbeat_echo > before.heartbeat_echo


def test_the_zone_is_denied_before_the_cell_was_ever_heard() -> None:
    line = Line()
    line.cell = None

    assert not line.scan(5).zone_permit


def test_the_zone_is_denied_once_the_cells_heartbeat_stands() -> None:
    line = Line()
    line.scan()
    line.cell_beats = False

    assert line.scan_for_s(0.5).zone_permit
    assert not line.scan_for_s(0.2).zone_permit


def test_a_cell_that_says_goodbye_loses_the_zone_at_once() -> None:
    line = Line()
    line.scan(2)
    line.cell = None

    assert not line.scan().zone_permit


def test_a_silent_world_means_no_parts_and_no_room() -> None:
    line = Line()
    line.counts = None

    inputs = line.scan()

    assert not inputs.bin_present
    assert not inputs.outfeed_clear


def test_a_low_bin_is_refilled_only_while_the_arm_is_outside() -> None:
    line = Line()
    line.counts = replace(FULL, parts_in_bin=3)
    line.say(in_bin_zone=True)

    waiting = line.scan_for_s(5.0)
    assert not waiting.zone_permit
    assert line.orders.refill_id == 0

    line.say(in_bin_zone=False)
    line.scan_for_s(0.25)
    assert line.orders.refill_id == 0
    line.scan_for_s(0.15)
    assert line.orders == LineCommand(refill_id=1, refill_count=12, take_id=0)


def test_the_zone_stays_denied_until_the_parts_have_settled() -> None:
    line = Line()
    line.counts = replace(FULL, parts_in_bin=0)
    line.scan_for_s(0.5)
    assert line.orders.refill_id == 1

    settling = line.scan_for_s(1.0)
    done = line.scan_for_s(0.5)

    assert (settling.zone_permit, settling.bin_present) == (False, False)
    assert (done.zone_permit, done.bin_present) == (True, True)


def test_a_short_return_of_the_arm_starts_the_wait_anew() -> None:
    line = Line()
    line.counts = replace(FULL, parts_in_bin=0)
    for _ in range(10):
        line.scan_for_s(0.2)
        line.say(in_bin_zone=True)
        line.scan()
        line.say(in_bin_zone=False)

    assert line.orders.refill_id == 0


def test_a_lost_cell_is_never_taken_for_an_absent_arm() -> None:
    line = Line()
    line.scan()
    line.cell_beats = False
    line.scan_for_s(0.5)
    line.counts = replace(FULL, parts_in_bin=0)

    line.scan_for_s(10.0)

    assert line.orders.refill_id == 0


def test_a_cell_that_finds_nothing_gets_other_parts() -> None:
    line = Line()
    line.say(refill_request=True)

    line.scan_for_s(0.5)

    assert line.orders.refill_count == 15


def test_a_refill_without_effect_is_asked_for_again() -> None:
    line = Line(obeys=False)
    line.counts = replace(FULL, parts_in_bin=0)

    line.scan_for_s(8.0)

    assert line.orders.refill_id == 2


def test_a_bin_forced_empty_is_not_refilled() -> None:
    line = Line()
    line.switches = LineSwitches(bin_empty=True)
    line.say(refill_request=True)

    inputs = line.scan_for_s(10.0)

    assert not inputs.bin_present
    assert line.orders.refill_id == 0


def test_a_placed_part_is_taken_in_four_phases() -> None:
    line = Line()
    line.scan()
    line.counts = replace(FULL, parts_on_outfeed=1)
    line.say(part_done=True)

    ordered = line.scan()
    assert (line.orders.take_id, ordered.part_taken) == (1, False)
    assert line.scan(2).part_taken
    assert line.scan(40).part_taken

    line.say(part_done=False)
    done = line.scan()
    assert (done.part_taken, done.outfeed_clear) == (False, True)
    assert line.orders.take_id == 1


def test_a_blocked_outfeed_takes_nothing_and_later_goes_on() -> None:
    line = Line()
    line.scan()
    line.switches = LineSwitches(outfeed_blocked=True)
    line.counts = replace(FULL, parts_on_outfeed=1)
    line.say(part_done=True)

    blocked = line.scan_for_s(20.0)
    assert (blocked.outfeed_clear, blocked.part_taken) == (False, False)
    assert line.orders.take_id == 0

    line.switches = LineSwitches()
    assert line.scan(3).part_taken


def test_parts_nobody_announces_are_taken_after_a_while() -> None:
    line = Line()
    line.counts = replace(FULL, parts_on_outfeed=1)

    line.scan_for_s(9.9)
    assert line.orders.take_id == 0
    assert line.scan_for_s(0.2).outfeed_clear


@pytest.mark.parametrize("ratio", [0.0, 0.4])
def test_switches_reach_the_cell(ratio: float) -> None:
    line = Line()
    line.switches = LineSwitches(deny_zone=True, speed_limit_ratio=ratio)

    inputs = line.scan(2)

    assert not inputs.zone_permit
    assert inputs.speed_limit_ratio == ratio


def give(line: Line, command: int, *, state: int) -> None:
    """Let the cell acknowledge a command and go to a state."""
    assert line.scan().command == command
    line.say(command_ack=command, state=state)
    assert not line.scan().command_request
    line.say(command_ack=0)


def test_autostart_resets_and_starts_a_stopped_cell_once() -> None:
    line = Line(autostart=True)
    line.say(state=STOPPED)

    give(line, RESET, state=RESETTING)
    line.scan(3)
    line.say(state=IDLE)
    line.scan_for_s(2.0)
    line.say(command_ack=START, state=STARTING)
    line.scan()
    line.say(command_ack=0, state=EXECUTE)
    line.scan(3)

    for state in (ABORTED, STOPPED, IDLE):
        line.say(state=state)
        assert not line.scan_for_s(5.0).command_request


def test_autostart_waits_for_a_fault_to_go_away() -> None:
    line = Line(autostart=True)
    line.say(state=STOPPED, fault_code=200)
    assert not line.scan_for_s(5.0).command_request

    line.say(fault_code=0)
    assert line.scan().command == RESET


@pytest.mark.parametrize(
    "alarm",
    sorted({row.code for row in FACTS.values() if row.clears in GOES_ON}),
)
def test_autostart_starts_a_cell_that_only_picks_with_its_fallback(
    alarm: FaultCode,
) -> None:
    line = Line(autostart=True)
    line.say(state=STOPPED, fault_code=int(alarm))
    assert line.scan(2).command == RESET

    line.say(state=IDLE, command_ack=RESET)
    line.scan()
    line.say(command_ack=0)

    assert line.scan_for_s(2.5).command == START


def test_autostart_tries_again_when_the_cell_is_not_ready_yet() -> None:
    line = Line(autostart=True)
    line.say(state=STOPPED)
    assert line.scan().command_request

    assert not line.scan_for_s(1.1).command_request
    assert line.scan_for_s(1.0).command == RESET


@pytest.mark.parametrize("state", [IDLE, EXECUTE, ABORTED, 11])
def test_autostart_is_forfeited_by_a_cell_in_any_other_state(state: int) -> None:
    line = Line(autostart=True)
    line.say(state=state)
    line.scan()

    line.say(state=STOPPED)
    assert not line.scan_for_s(5.0).command_request


def test_without_autostart_only_a_person_commands() -> None:
    line = Line(autostart=False)
    line.say(state=STOPPED)
    assert not line.scan_for_s(5.0).command_request

    line.operator = OperatorRequest(request_id=1, command=CLEAR)
    assert line.scan().command == CLEAR


def test_a_press_ends_the_automatic_start() -> None:
    line = Line(autostart=True)
    line.say(state=STOPPED, fault_code=1)
    line.operator = OperatorRequest(request_id=1, fault_ack=True)
    line.scan_for_s(1.0)

    line.say(fault_code=0)
    assert not line.scan_for_s(5.0).command_request


def test_an_unanswered_command_is_withdrawn() -> None:
    line = Line()
    line.operator = OperatorRequest(request_id=1, command=START)

    assert line.scan().command_request
    assert not line.scan_for_s(1.1).command_request
    assert not line.scan_for_s(5.0).command_request


def test_a_command_waits_until_the_last_acknowledge_fell() -> None:
    line = Line()
    line.say(command_ack=RESET)
    line.operator = OperatorRequest(request_id=1, command=START)
    assert not line.scan(5).command_request

    line.say(command_ack=0)
    assert line.scan().command == START


def test_a_press_that_cannot_be_told_for_a_while_is_forgotten() -> None:
    line = Line()
    line.say(command_ack=RESET)
    line.operator = OperatorRequest(request_id=1, command=START)
    line.scan_for_s(1.9)
    line.say(command_ack=0)
    assert line.scan().command == START
    line.say(command_ack=START)
    line.scan()

    line.operator = OperatorRequest(request_id=2, command=RESET)
    line.scan_for_s(2.1)
    line.say(command_ack=0)

    assert not line.scan_for_s(5.0).command_request
    assert not line.state.commands.was_accepted


def test_the_acknowledge_is_a_pulse() -> None:
    line = Line()
    line.operator = OperatorRequest(request_id=1, fault_ack=True)

    assert line.scan().fault_ack
    assert not line.scan_for_s(0.6).fault_ack


def test_a_button_that_is_hammered_gives_an_edge_for_each_press() -> None:
    line = Line()
    levels = []
    for press in range(1, 9):
        line.operator = OperatorRequest(request_id=press, fault_ack=True)
        levels += [line.scan().fault_ack for _ in range(8)]

    edges = sum(
        now and not before
        for before, now in zip([False, *levels], levels, strict=False)
    )
    assert edges == 8


def test_a_slowed_line_shows_it_and_says_since_when() -> None:
    line = Line()
    line.scan(3)
    line.say(slow_down_request=True)

    line.scan(4)

    asked_ns = line.now_ns - 3 * SCAN_NS
    assert line.state.slow_downs == SlowDowns(True, 1, asked_ns)
    line.say(slow_down_request=False)
    line.scan()
    assert line.state.slow_downs == SlowDowns(False, 1, asked_ns)
    line.say(slow_down_request=True)
    line.scan()
    assert line.state.slow_downs.count == 2


def test_a_slowed_line_starts_no_belt_until_the_request_is_gone() -> None:
    line = Line()
    line.scan(3)
    line.counts = replace(FULL, parts_on_outfeed=1)
    line.say(slow_down_request=True, part_done=True)

    line.scan_for_s(1.0)
    assert line.orders.take_id == 0
    line.say(slow_down_request=False)
    line.scan(2)
    assert line.orders.take_id == 1


@pytest.mark.parametrize("is_clearing", [False, True])
def test_a_slowed_line_begins_no_refill_until_the_request_is_gone(
    is_clearing: bool,
) -> None:
    line = Line()
    line.scan_for_s(3.0)
    line.counts = replace(FULL, parts_in_bin=1)
    if is_clearing:
        line.scan()
    line.say(slow_down_request=True)

    line.scan_for_s(2.0)
    assert line.orders.refill_id == 0
    line.say(slow_down_request=False)
    line.scan_for_s(1.0)
    assert line.orders.refill_id == 1
