"""The reaction ladder: what every cause does, and who may end it. Pure and total.

Of all causes the highest rung wins. Three ways lead down, one for each rung that keeps
the arm at rest: a hold ends by itself once its causes have been gone for a while, a
stop by a release with a name, a latch by a release after a named person has
acknowledged. A hold whose cause comes too often, or follows too many returns, becomes a
stop. From the last rung nothing leads down.

Default deny: a cause without a rule latches, a blank name is nobody, and a clock that
runs backwards lets no time pass.
"""

from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from typing import Final

from cell.contracts.ladder import CauseRule, LadderRules, LadderState, Rung, Trace

_UNKNOWN: Final = CauseRule(Rung.LATCH, Rung.LATCH)
"""A cause that nobody wrote a rule for is not one that may end by itself."""


@dataclass(frozen=True)
class Ladder:
    """Implements `cell.contracts.ladder.ReactionLadder` for one set of rules."""

    rules: LadderRules

    def observe(
        self,
        state: LadderState,
        struck: AbstractSet[str],
        present: AbstractSet[str],
        now_ns: int,
        *,
        is_moving: bool,
    ) -> LadderState:
        """Take one look at the causes into account; see the contract."""
        if state.rung is Rung.TERMINATE or not (struck or state.traces):
            return state
        before = {trace.cause: trace for trace in state.traces}
        by, traces = state.acknowledged_by, []
        for cause in sorted(struck | before.keys()):
            old = before.get(cause) or Trace(cause)
            if cause in struck:
                rule = self._rule(cause)
                rung = max(old.rung, rule.moving if is_moving else rule.still)
                new = self._see(old, rung, state.returns_ns, now_ns)
                # What strikes after an acknowledgement has been seen by nobody yet.
                by = "" if _is_news(old, new) else by
            elif old.is_standing and cause in present:
                new = self._see(old, old.rung, state.returns_ns, now_ns)
            else:
                new = self._miss(old, now_ns)
            traces.append(new)
        return _assemble(state, traces, by)

    def resume(self, state: LadderState, now_ns: int) -> LadderState:
        """End a hold whose causes have been gone long enough; see the contract."""
        standing = [trace for trace in state.traces if trace.is_standing]
        is_over = all(self._is_over(trace, now_ns) for trace in standing)
        if state.rung is not Rung.HOLD or not is_over:
            return state
        returns_ns, budget = state.returns_ns, self.rules.returns
        if budget is not None:
            returns_ns = (*returns_ns, now_ns)[-budget.count :]
        # Onsets outlast the hold: what flaps more slowly than it clears counts too.
        traces = [
            replace(trace, rung=Rung.LOG) if trace.is_standing else trace
            for trace in state.traces
        ]
        return _assemble(replace(state, returns_ns=returns_ns), traces, "")

    def release(self, state: LadderState, by: str) -> LadderState:
        """End a stop by name; a latch only after its acknowledgement."""
        is_final = state.rung is Rung.TERMINATE
        if is_final or state.needs_acknowledgement or not by.strip():
            return state
        kept = [trace for trace in state.traces if self._resists(trace)]
        return _assemble(state, kept, state.acknowledged_by)

    def acknowledge(self, state: LadderState, by: str) -> LadderState:
        """Note by name that a person has looked at the present latch."""
        if state.rung is not Rung.LATCH or not by.strip():
            return state
        return replace(state, acknowledged_by=by.strip())

    def terminate(self, state: LadderState, why: str) -> LadderState:
        """Forbid motion for the rest of this process; the first reason stays."""
        if state.rung is Rung.TERMINATE:
            return state
        return replace(state, rung=Rung.TERMINATE, acknowledged_by="", end_reason=why)

    def _rule(self, cause: str) -> CauseRule:
        return self.rules.causes.get(cause, _UNKNOWN)

    def _see(
        self, old: Trace, rung: Rung, returns_ns: tuple[int, ...], now_ns: int
    ) -> Trace:
        """Note that a cause is there, and count it if it was away before."""
        flapping, returns = self._rule(old.cause).flapping, self.rules.returns
        onsets_ns = old.onsets_ns
        if flapping is not None and not old.is_seen:
            onsets_ns = (*onsets_ns, now_ns)[-flapping.count :]
        is_worn = (flapping is not None and flapping.is_spent(onsets_ns, now_ns)) or (
            returns is not None and returns.is_spent(returns_ns, now_ns)
        )
        if rung is Rung.HOLD and is_worn:
            rung = Rung.STOP
        return Trace(old.cause, rung, is_seen=True, seen_ns=now_ns, onsets_ns=onsets_ns)

    def _miss(self, old: Trace, now_ns: int) -> Trace:
        """Note that a cause is away; below a hold it is over, and its onsets fade."""
        if old.is_standing:
            return replace(old, is_seen=False)
        flapping = self._rule(old.cause).flapping
        if flapping is None:
            return Trace(old.cause)
        recent = (ns for ns in old.onsets_ns if now_ns - ns < flapping.window_ns)
        return Trace(old.cause, onsets_ns=tuple(recent))

    def _is_over(self, trace: Trace, now_ns: int) -> bool:
        gone_ns = now_ns - trace.seen_ns
        return not trace.is_seen and gone_ns >= self._rule(trace.cause).quiet_ns

    def _resists(self, trace: Trace) -> bool:
        return trace.is_seen and not self._rule(trace.cause).is_mended_by_release


def _is_news(old: Trace, new: Trace) -> bool:
    """Say whether a cause came, or came to stand higher, that keeps the arm at rest."""
    return new.is_standing and (not old.is_seen or new.rung > old.rung)


def _assemble(state: LadderState, traces: list[Trace], by: str) -> LadderState:
    """Return the state with these traces, without those that tell nothing."""
    kept = tuple(t for t in traces if t.is_seen or t.is_standing or t.onsets_ns)
    rung = max((trace.rung for trace in kept), default=Rung.LOG)
    ends = [trace.cause for trace in kept if trace.rung is Rung.TERMINATE]
    return LadderState(
        rung=rung,
        traces=kept,
        acknowledged_by=by if rung is Rung.LATCH else "",
        returns_ns=state.returns_ns,
        end_reason=ends[0] if ends else "",
    )
