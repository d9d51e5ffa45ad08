"""One scan of the line logic: what the cell and the world say in, what we say out.

Pure; time is an argument. The server and the mailboxes are elsewhere.
"""

from dataclasses import dataclass, field, replace

from cell.contracts.plc import PlcInputs, PlcOutputs
from cell.contracts.units import s_from_ns
from sim2real.virtual_cell.plc.bin_supply import (
    BinSupply,
    is_bin_present,
    is_zone_permitted,
    step_bin,
)
from sim2real.virtual_cell.plc.commands import Commands, step_commands
from sim2real.virtual_cell.plc.outfeed import (
    Outfeed,
    OutfeedPhase,
    is_outfeed_clear,
    step_outfeed,
)
from sim2real.virtual_cell.plc.sight import LineSettings, LineSight

_PRODUCTION = 1


@dataclass(frozen=True)
class CellWatch:
    """Our watchdog on the cell.

    Attributes:
        heartbeat: last seen, -1 before the first.
        changed_ns: when it last moved.
        is_fresh: it moves, and the cell vouches for its block.
    """

    heartbeat: int = -1
    changed_ns: int = 0
    is_fresh: bool = False


@dataclass(frozen=True)
class SlowDowns:
    """What the cell asked of the line's own speed.

    Attributes:
        is_slow: it asks now, and the line begins no move of its own.
        count: how often it asked.
        since_ns: when it last began to.
    """

    is_slow: bool = False
    count: int = 0
    since_ns: int = 0


@dataclass(frozen=True)
class LineState:
    """Everything the line remembers between scans."""

    boot_id: int
    heartbeat: int = 0
    cell: CellWatch = field(default_factory=CellWatch)
    bin: BinSupply = field(default_factory=BinSupply)
    outfeed: Outfeed = field(default_factory=Outfeed)
    commands: Commands = field(default_factory=Commands)
    slow_downs: SlowDowns = field(default_factory=SlowDowns)


@dataclass(frozen=True)
class LineCommand:
    """Orders to the world; a changed number is a new order.

    Attributes:
        refill_id: number of the refill.
        refill_count: parts the bin shall hold afterwards.
        take_id: number of the order to the belt.
    """

    refill_id: int
    refill_count: int
    take_id: int


def make_first_state(
    boot_id: int, last: LineCommand, operator_id: int, now_ns: int
) -> LineState:
    """Start a line; orders and presses go on counting where the last run ended."""
    return LineState(
        boot_id=boot_id,
        bin=BinSupply(refill_id=last.refill_id, refill_count=last.refill_count),
        outfeed=Outfeed(since_ns=now_ns, take_id=last.take_id),
        commands=Commands(operator_id=operator_id),
    )


def step_line(
    state: LineState, sight: LineSight, settings: LineSettings, now_ns: int
) -> tuple[LineState, PlcInputs, LineCommand]:
    """Run one scan."""
    cell = _watch_cell(state.cell, sight.outputs, settings.cell_timeout_s, now_ns)
    sight = replace(sight, cell_is_fresh=cell.is_fresh)
    state = LineState(
        boot_id=state.boot_id,
        heartbeat=state.heartbeat + (not sight.switches.freeze_heartbeat) & 0xFFFF,
        cell=cell,
        bin=step_bin(state.bin, sight, settings, now_ns),
        outfeed=step_outfeed(state.outfeed, sight, settings, now_ns),
        commands=step_commands(state.commands, sight, settings, now_ns),
        slow_downs=_step_slow_downs(state.slow_downs, sight, now_ns),
    )
    command = LineCommand(
        state.bin.refill_id, state.bin.refill_count, state.outfeed.take_id
    )
    return state, _make_inputs(state, sight, now_ns), command


def _watch_cell(
    watch: CellWatch, outputs: PlcOutputs | None, timeout_s: float, now_ns: int
) -> CellWatch:
    # A cell that no longer vouches for its block is lost at once.
    if outputs is None:
        return replace(watch, is_fresh=False)
    if outputs.heartbeat != watch.heartbeat:
        return CellWatch(outputs.heartbeat, now_ns, is_fresh=True)
    is_fresh = watch.is_fresh and s_from_ns(now_ns - watch.changed_ns) <= timeout_s
    return replace(watch, is_fresh=is_fresh)


def _step_slow_downs(state: SlowDowns, sight: LineSight, now_ns: int) -> SlowDowns:
    if sight.asks_for_slow and not state.is_slow:
        return SlowDowns(is_slow=True, count=state.count + 1, since_ns=now_ns)
    return replace(state, is_slow=sight.asks_for_slow)


def _make_inputs(state: LineState, sight: LineSight, now_ns: int) -> PlcInputs:
    return PlcInputs(
        stamp_ns=now_ns,
        heartbeat=state.heartbeat,
        heartbeat_echo=max(state.cell.heartbeat, 0),
        boot_id=state.boot_id,
        unit_mode=_PRODUCTION,
        unit_mode_request=False,
        command=state.commands.code,
        command_request=state.commands.code != 0,
        bin_present=is_bin_present(state.bin, sight),
        outfeed_clear=is_outfeed_clear(state.outfeed, sight),
        zone_permit=is_zone_permitted(state.bin, sight),
        fault_ack=(
            state.commands.fault_ack_from_ns
            <= now_ns
            < state.commands.fault_ack_until_ns
        ),
        person_id=state.commands.person_id,
        part_taken=state.outfeed.phase is OutfeedPhase.TAKEN,
        speed_limit_ratio=sight.switches.speed_limit_ratio,
    )
