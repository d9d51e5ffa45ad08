"""Takes placed parts away, by the four-phase handshake. Pure.

While the cell asks the line to slow down, the belt is not started.
"""

from dataclasses import dataclass, replace
from enum import IntEnum

from cell.contracts.units import s_from_ns
from sim2real.virtual_cell.plc.sight import LineSettings, LineSight

# The belt tries again when the plate is still occupied after this time.
_TAKE_AGAIN_S = 2.0


class OutfeedPhase(IntEnum):
    """Four phases: part_done rises, part_taken rises, part_done falls, it falls."""

    WAITING = 0
    TAKING = 1
    TAKEN = 2


@dataclass(frozen=True)
class Outfeed:
    """Where the handshake stands.

    Attributes:
        phase: see `OutfeedPhase`.
        since_ns: when the phase began, or when the plate was last seen empty.
        take_id: number of the last order to the belt.
    """

    phase: OutfeedPhase = OutfeedPhase.WAITING
    since_ns: int = 0
    take_id: int = 0


def is_outfeed_clear(state: Outfeed, sight: LineSight) -> bool:
    """Return whether the next part may be placed."""
    return (
        state.phase is not OutfeedPhase.TAKING
        and sight.counts is not None
        and sight.counts.parts_on_outfeed == 0
        and not sight.switches.outfeed_blocked
    )


def step_outfeed(
    state: Outfeed, sight: LineSight, settings: LineSettings, now_ns: int
) -> Outfeed:
    """Run one scan."""
    if sight.switches.outfeed_blocked and state.phase is not OutfeedPhase.TAKEN:
        return Outfeed(OutfeedPhase.WAITING, now_ns, state.take_id)
    is_done = sight.outputs is not None and sight.outputs.part_done
    match state.phase:
        case OutfeedPhase.WAITING if is_done and sight.asks_for_slow:
            return state
        case OutfeedPhase.WAITING if is_done and sight.cell_is_fresh:
            return Outfeed(OutfeedPhase.TAKING, now_ns, state.take_id + 1)
        case OutfeedPhase.WAITING:
            return _step_unannounced(state, sight, settings, now_ns)
        case OutfeedPhase.TAKING:
            return _step_taking(state, sight, now_ns, is_done=is_done)
        case OutfeedPhase.TAKEN if not is_done:
            return Outfeed(OutfeedPhase.WAITING, now_ns, state.take_id)
        case OutfeedPhase.TAKEN:
            return state


def _step_unannounced(
    state: Outfeed, sight: LineSight, settings: LineSettings, now_ns: int
) -> Outfeed:
    """Take parts that nobody announces: a cell that died after placing, or a slip."""
    if sight.counts is None or sight.counts.parts_on_outfeed == 0:
        return replace(state, since_ns=now_ns)
    if s_from_ns(now_ns - state.since_ns) < settings.orphan_s:
        return state
    return replace(state, since_ns=now_ns, take_id=state.take_id + 1)


def _step_taking(
    state: Outfeed, sight: LineSight, now_ns: int, *, is_done: bool
) -> Outfeed:
    if not is_done:
        return Outfeed(OutfeedPhase.WAITING, now_ns, state.take_id)
    if sight.counts is not None and sight.counts.parts_on_outfeed == 0:
        return Outfeed(OutfeedPhase.TAKEN, now_ns, state.take_id)
    if s_from_ns(now_ns - state.since_ns) >= _TAKE_AGAIN_S:
        return Outfeed(OutfeedPhase.TAKING, now_ns, state.take_id + 1)
    return state
