"""Adds up what processes counted that were started again during a run.

A process counts from its own start. Its last figures stay in shared memory when it
dies, until the next one publishes; a counter that runs backwards tells the two apart.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from cell.contracts.servo import ORDERED_HOLDS, HoldReason, ServoState

_COUNTED_BY_WORLD = ("limit_violations", "parts_lost", "unsolved_ticks")


@dataclass(frozen=True)
class ServoTotals:
    """What the servo process counted in all its lives of a run.

    Attributes:
        cycles: control cycles.
        armed_cycles: those in which the arm might be moved.
        late_cycles: those among the latter that began late.
        unguarded_cycles: setpoints without a verdict of the guard.
        hold_count: holds that nobody ordered.
        holds: those by reason.
        ordered_holds: rests that the supervisor ordered, by reason.
        guard_p50_us: median guard time, of the slowest life [us].
        guard_p999_us: 99.9 percentile, of the slowest life [us].
    """

    cycles: int
    armed_cycles: int
    late_cycles: int
    unguarded_cycles: int
    hold_count: int
    holds: Mapping[str, int]
    ordered_holds: Mapping[str, int]
    guard_p50_us: float
    guard_p999_us: float


class ServoLives:
    """Follows the states of the servo process across its restarts."""

    def __init__(self) -> None:
        self._past: list[ServoState] = []
        self._newest: ServoState | None = None

    def follow(self, state: ServoState) -> None:
        """Take the newest state."""
        if self._newest is not None and state.cycle < self._newest.cycle:
            self._past.append(self._newest)
        self._newest = state

    def compute_totals(self) -> ServoTotals:
        """Return the sums over all lives; times are those of the slowest one."""
        lives = [*self._past] + ([self._newest] if self._newest else [])
        counts = sum((life.hold_counts for life in lives), np.zeros(len(HoldReason)))
        named = {r: int(counts[r]) for r in HoldReason if counts[r]}
        return ServoTotals(
            cycles=sum(int(life.cycle) for life in lives),
            armed_cycles=sum(int(life.armed_cycles) for life in lives),
            late_cycles=sum(int(life.late_cycles) for life in lives),
            unguarded_cycles=sum(int(life.unguarded_cycles) for life in lives),
            hold_count=sum(int(life.hold_count) for life in lives),
            holds={r.name: n for r, n in named.items() if r not in ORDERED_HOLDS},
            ordered_holds={r.name: n for r, n in named.items() if r in ORDERED_HOLDS},
            guard_p50_us=max((life.guard_p50_us for life in lives), default=0.0),
            guard_p999_us=max((life.guard_p999_us for life in lives), default=0.0),
        )


class WorldLives:
    """Follows the report of the virtual world across its restarts."""

    def __init__(self) -> None:
        self._past: list[Mapping[str, Any]] = []
        self._newest: Mapping[str, Any] = {}

    def follow(self, tree: Mapping[str, Any]) -> None:
        """Take the newest report; an empty one says nothing."""
        if not tree:
            return
        if tree.get("ticks", 0) < self._newest.get("ticks", 0):
            self._past.append(self._newest)
        self._newest = tree

    def compute_totals(self) -> dict[str, Any]:
        """Return the newest report with what was counted in all lives."""
        if not self._newest:
            return {}
        lives = [*self._past, self._newest]
        kinds: Counter[str] = Counter()
        for life in lives:
            kinds.update(life.get("violations_by_kind", {}))
        return {
            **self._newest,
            "violations_by_kind": dict(kinds),
            **{
                key: sum(life.get(key, 0) for life in lives)
                for key in _COUNTED_BY_WORLD
            },
        }
