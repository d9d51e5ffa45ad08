"""Keeps parts in the bin, and the arm out of it while it is refilled. Pure.

While the cell asks the line to slow down, no refill is begun.
"""

from dataclasses import dataclass, replace
from enum import IntEnum

from cell.contracts.units import s_from_ns
from sim2real.virtual_cell.links import MAX_PARTS
from sim2real.virtual_cell.plc.sight import LineSettings, LineSight

# Added to a full bin that holds nothing worth trying, so that the scene changes.
_EXTRA_PARTS = 3


class BinPhase(IntEnum):
    """Life of a refill."""

    SUPPLIED = 0
    CLEARING_ZONE = 1
    REFILLING = 2
    SETTLING = 3


@dataclass(frozen=True)
class BinSupply:
    """Where the supply stands.

    Attributes:
        phase: see `BinPhase`.
        since_ns: when the phase began; while the zone is being cleared, when the arm
            was last seen in it.
        refill_id: number of the last refill asked for.
        refill_count: parts asked for with it.
        refills_before: the world's count when it was asked for.
    """

    phase: BinPhase = BinPhase.SUPPLIED
    since_ns: int = 0
    refill_id: int = 0
    refill_count: int = 0
    refills_before: int = 0


def is_bin_present(state: BinSupply, sight: LineSight) -> bool:
    """Return whether parts are in place for picking."""
    return (
        state.phase is BinPhase.SUPPLIED
        and sight.counts is not None
        and sight.counts.parts_in_bin > 0
        and not sight.switches.bin_empty
    )


def is_zone_permitted(state: BinSupply, sight: LineSight) -> bool:
    """Return whether the arm may enter; not while the bin moves or the cell is lost."""
    return (
        state.phase is BinPhase.SUPPLIED
        and sight.cell_is_fresh
        and not sight.switches.deny_zone
    )


def step_bin(
    state: BinSupply, sight: LineSight, settings: LineSettings, now_ns: int
) -> BinSupply:
    """Run one scan."""
    elapsed_s = s_from_ns(now_ns - state.since_ns)
    match state.phase:
        case BinPhase.SUPPLIED:
            is_free = elapsed_s >= settings.refill_pause_s and not sight.asks_for_slow
            if is_free and _is_refill_due(sight, settings):
                return _enter(state, BinPhase.CLEARING_ZONE, now_ns)
        case BinPhase.CLEARING_ZONE:
            return _step_clearing(state, sight, settings, now_ns)
        case BinPhase.REFILLING:
            if sight.counts and sight.counts.refills != state.refills_before:
                return _enter(state, BinPhase.SETTLING, now_ns)
            if elapsed_s >= settings.refill_patience_s:
                return _enter(state, BinPhase.CLEARING_ZONE, now_ns)
        case BinPhase.SETTLING:
            if elapsed_s >= settings.settle_s:
                return _enter(state, BinPhase.SUPPLIED, now_ns)
    return state


def _is_refill_due(sight: LineSight, settings: LineSettings) -> bool:
    if sight.switches.bin_empty or sight.counts is None or not sight.cell_is_fresh:
        return False
    is_requested = sight.outputs is not None and sight.outputs.refill_request
    return is_requested or sight.counts.parts_in_bin < settings.refill_below


def _step_clearing(
    state: BinSupply, sight: LineSight, settings: LineSettings, now_ns: int
) -> BinSupply:
    is_clear = (
        sight.cell_is_fresh
        and sight.outputs is not None
        and not sight.outputs.in_bin_zone
        and sight.counts is not None
        and not sight.asks_for_slow
    )
    if not is_clear or sight.counts is None:
        return replace(state, since_ns=now_ns)
    if s_from_ns(now_ns - state.since_ns) < settings.zone_clear_s:
        return state
    wanted = max(settings.parts_in_bin, sight.counts.parts_in_bin + _EXTRA_PARTS)
    return BinSupply(
        phase=BinPhase.REFILLING,
        since_ns=now_ns,
        refill_id=state.refill_id + 1,
        refill_count=min(wanted, MAX_PARTS),
        refills_before=sight.counts.refills,
    )


def _enter(state: BinSupply, phase: BinPhase, now_ns: int) -> BinSupply:
    return replace(state, phase=phase, since_ns=now_ns)
