"""Rows about several faults at once, tried on the real ladder with the real rules.

Every cause of the cell's table takes part, in pairs, in a time that the check makes.
What a single fault does on a whole cell is tried by the other rows.
"""

import itertools
from collections.abc import Iterator, Sequence
from typing import Final

from cell.contracts.ladder import LadderState, Rung
from cell.contracts.units import ns_from_s
from cell.supervisor.cause_table import FACTS
from cell.supervisor.causes import Cause
from cell.supervisor.rungs import FLAPPING, compute_rung, make_rule, make_rules
from ops.settings import Settings
from safety.ladder import Ladder
from sim2real.faults import rows
from sim2real.faults.guard_checks import Check, judge
from sim2real.faults.judgement import Judgement

_BY: Final = "somebody"
_LOOK_S: Final = 0.05
_SHORT_LOOK_S: Final = 0.01
_FLAP_HZ: Final = (1.0, 2.0, 5.0, 10.0, 20.0)
_SHOWN: Final = 3


class LadderRig:
    """The ladder of this cell, its state, and its clock.

    Attributes:
        rules: of the cell.
        ladder: with these rules.
        state: what it remembers.
        now_s: its clock [s].
        highest: rung that it has stood on so far.
    """

    def __init__(self) -> None:
        self.rules = make_rules()
        self.ladder = Ladder(self.rules)
        self.state = LadderState()
        self.now_s = 1000.0
        self.highest = Rung.LOG

    def see(self, *causes: Cause, is_moving: bool = True) -> Rung:
        """Look once at what is there, and return the rung."""
        names = frozenset(cause.value for cause in causes)
        self.state = self.ladder.observe(
            self.state, names, names, ns_from_s(self.now_s), is_moving=is_moving
        )
        self.highest = max(self.highest, self.state.rung)
        return self.state.rung

    def watch(self, duration_s: float, *causes: Cause, look_s: float = _LOOK_S) -> int:
        """Look again and again; return how often the hold ended by itself."""
        returns = 0
        for _ in range(round(duration_s / look_s)):
            self.now_s += look_s
            self.see(*causes, is_moving=False)
            returns += self.resume()
        return returns

    def resume(self) -> bool:
        """Let a hold end by itself; say whether it did."""
        before = self.state
        self.state = self.ladder.resume(before, ns_from_s(self.now_s))
        return self.state is not before

    def release(self) -> Rung:
        """Release by name, and return the rung."""
        self.state = self.ladder.release(self.state, _BY)
        return self.state.rung

    def acknowledge(self) -> None:
        """Acknowledge by name."""
        self.state = self.ladder.acknowledge(self.state, _BY)


def two_at_once(_settings: Settings, with_fault: bool) -> Judgement:  # noqa: FBT001
    """F93: every ordered pair of causes, moving and still."""
    missed: list[str] = []
    seen = [Rung.LOG]
    for first, second in itertools.permutations(Cause, 2):
        for is_moving in (True, False):
            rig = LadderRig()
            pair = (first, second) if with_fault else ()
            missed += _try_pair(rig, pair, is_moving=is_moving)
            seen.append(rig.highest)
    count = 2 * len(Cause) * (len(Cause) - 1)
    # Each pair has a rung of its own, which `_try_pair` compares; this is the highest.
    return _sum_up(f"{count} pairs, the stronger reaction stays", missed, max(seen))


def _try_pair(
    rig: LadderRig, pair: Sequence[Cause], *, is_moving: bool
) -> Iterator[str]:
    """Strike with one cause, then the other too; let the first go, then both."""
    highest = max((_rung(c, is_moving=is_moving) for c in pair), default=Rung.TERMINATE)
    rig.see(*pair[:1], is_moving=is_moving)
    rig.see(*pair, is_moving=is_moving)
    name = " and ".join(cause.value for cause in pair) or "nothing"
    if rig.state.rung < highest:
        yield f"{name}: {rig.state.rung.name}, not {highest.name}"
        return
    if highest < Rung.HOLD:
        return
    rig.watch(0.1, *pair[1:])
    rig.watch(0.1)
    if rig.state.rung < highest:
        yield f"{name}: {rig.state.rung.name} once one of them was gone"
    if highest is Rung.LATCH:
        if rig.release() is not Rung.LATCH:
            yield f"{name}: released although nobody had acknowledged"
        rig.acknowledge()
    if highest > Rung.HOLD:
        if rig.watch(2.0):
            yield f"{name}: it ended by itself"
        if rig.release() >= Rung.HOLD:
            yield f"{name}: no release leads out"


def during_recovery(_settings: Settings, with_fault: bool) -> Judgement:  # noqa: FBT001
    """F94: a second cause strikes while the first is about to be over."""
    missed: list[str] = []
    seen = [Rung.LOG]
    for first, second in itertools.product(Cause, Cause):
        if min(_rung(c, is_moving=True) for c in (first, second)) < Rung.HOLD:
            continue
        rig = LadderRig()
        missed += _try_recovery(rig, first, second if with_fault else None)
        seen.append(rig.highest)
    reaction = "no hold ended while another cause stood, none oscillated"
    return _sum_up(reaction, missed, max(seen))


def _try_recovery(rig: LadderRig, first: Cause, second: Cause | None) -> Iterator[str]:
    others = () if second is None else (second,)
    name = f"{first.value}, then {' '.join(c.value for c in others) or 'nothing'}"
    rig.see(first)
    rig.watch(0.2, first)
    # Just before a hold would end by itself.
    rig.watch(0.9)
    rung = rig.see(*others)
    rig.acknowledge()
    rig.see(*others)
    if rig.watch(2.0, *others):
        yield f"{name}: it went on although a cause was there"
    if second is None:
        return
    is_mended = make_rule(second).is_mended_by_release
    if rung < Rung.HOLD:
        yield f"{name}: {rung.name}"
    if not is_mended and rig.release() < Rung.HOLD:
        yield f"{name}: a release led on although the second cause was there"
    if rig.watch(3.0) > 1:
        yield f"{name}: it came and went"


def flapping(_settings: Settings, with_fault: bool) -> Judgement:  # noqa: FBT001
    """F95: each cause whose hold may end by itself comes and goes."""
    causes = [cause for cause in Cause if make_rule(cause).flapping is not None]
    missed: list[str] = []
    seen: list[Rung] = []
    for cause in causes:
        for rate_hz in _FLAP_HZ if with_fault else (0.0,):
            rig = LadderRig()
            missed += _try_flapping(rig, cause, rate_hz)
            seen.append(rig.highest)
    reaction = f"{len(causes)} causes at 1 to 20 Hz: a person after {FLAPPING.count}"
    # Every one of them has to get there, so the lowest counts.
    return _sum_up(reaction, missed, min(seen))


def _try_flapping(rig: LadderRig, cause: Cause, rate_hz: float) -> Iterator[str]:
    returns = 0
    for _ in range(FLAPPING.count):
        if rate_hz:
            half_s = 0.5 / rate_hz
            returns += rig.watch(half_s, cause, look_s=_SHORT_LOOK_S)
            returns += rig.watch(half_s, look_s=_SHORT_LOOK_S)
    name = f"{cause.value} at {rate_hz:g} Hz"
    if rig.state.rung < Rung.STOP:
        yield f"{name}: {rig.state.rung.name} after {FLAPPING.count}"
    elif returns or rig.watch(30.0):
        yield f"{name}: it went on by itself"
    elif rig.release() >= Rung.HOLD:
        yield f"{name}: no release leads out"


def _rung(cause: Cause, *, is_moving: bool) -> Rung:
    """Return the rung that the table of causes asks for, past the ladder's rules."""
    facts = FACTS[cause]
    return compute_rung(cause, facts.moving if is_moving else facts.still)


def _sum_up(reaction: str, missed: Sequence[str], seen: Rung) -> Judgement:
    """Put a judgement together; `seen` is where the ladder has stood."""
    shown = list(missed[:_SHOWN])
    if len(missed) > _SHOWN:
        shown.append(f"and {len(missed) - _SHOWN} more")
    return judge(reaction, *shown, rung=rows.Rung(f"R{int(seen)}"))


LADDER_CHECKS: Final[dict[str, Check]] = {
    "F93": two_at_once,
    "F94": during_recovery,
    "F95": flapping,
}
"""By row."""
