"""Feeds the arm chunks with a pace of their own, each checked whole before it is sent.

A policy that looks on while the arm moves answers late: by the time its chunk is there,
the arm is further along the one before. How far is measured, not estimated: the servo
process says how much it has consumed, at the observation and now. Rows that are over
are dropped, and the seam is laid ahead of what is consumed, at a place of the path
that is known exactly. Only then is the whole chunk checked, from that place to rest.
"""

from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np

from cell.contracts.chunk import TimedChunk
from cell.contracts.geometry import Vector
from cell.contracts.servo import ServoPhase, ServoState
from cell.kinematics.timed_path import TimedPath
from cell.supervisor.motion_client import MotionClient
from cell.supervisor.motion_watch import is_at_rest

LEAD_S: Final = 0.03
"""Time between the measurement and the seam: for the check and for the way to the servo
process, which together take a third of it."""

_SEAM_CYCLES: Final = 5
# What a seam must still be ahead when the chunk is sent.
_SPARE_CYCLES: Final = 3


class TimedChunkCheck(Protocol):
    """Vets a chunk with its own pace, whole; `safety.timed_chunk` does."""

    def attach(self, radius_m: float, length_m: float) -> None:
        """Tell what the fingers hold while the next chunks are followed."""
        ...

    def check(self, chunk: TimedChunk, before: TimedPath) -> str:
        """Return an empty string, or one phrase that says what is wrong with it."""
        ...


@dataclass(frozen=True)
class Consumption:
    """How far the arm was, as the servo process measured it.

    Attributes:
        chunk_id: chunk that it was in, 0 for none.
        time_s: how much of it was consumed [s].
    """

    chunk_id: int
    time_s: float


@dataclass(frozen=True, eq=False)
class _Laid:
    """A chunk that was sent, and its path."""

    chunk: TimedChunk
    path: TimedPath


class ChunkFeed:
    """One stretch of following, from rest to rest."""

    def __init__(self, motion: MotionClient, check: TimedChunkCheck) -> None:
        self._motion = motion
        self._check = check
        self._laid: dict[int, _Laid] = {}

    def measure(self) -> Consumption:
        """Return how far the arm is; to be kept with the observation of this moment."""
        state = self._motion.refresh()
        if state is None:
            return Consumption(0, 0.0)
        return Consumption(state.chunk_id, state.chunk_s)

    def begin(self, rows: Vector, step_s: float) -> str:
        """Set out from rest.

        Args:
            rows: joint positions, the first one `step_s` after the start, shape
                (rows, 6) [rad].
            step_s: time between two rows [s].

        Returns:
            An empty string, or why nothing was sent.
        """
        state = self._motion.refresh()
        if state is None or not _is_idle(state) or not self._motion.is_fresh():
            return "the arm does not rest ready for an order"
        q = state.q_command.copy()
        if np.ndim(rows) != 2 or np.shape(rows)[1] != q.size:
            return f"its rows have the shape {np.shape(rows)}"
        self._laid.clear()
        chunk = self._make(0, 0.0, step_s, np.vstack([q, rows]))
        return self._send(chunk, TimedPath.at_rest(q))

    def extend(self, rows: Vector, step_s: float, observed: Consumption) -> str:
        """Go over to a newer chunk on the way.

        Args:
            rows: joint positions, the first one `step_s` after the observation.
            step_s: time between two rows [s].
            observed: what `measure` said when the observation was made.

        Returns:
            An empty string, or why nothing was sent; the arm then follows the earlier
            chunk to its end.
        """
        state = self._motion.refresh()
        laid = None if state is None else self._laid.get(state.chunk_id)
        if state is None or laid is None:
            return "no chunk of this feed is being followed"
        elapsed_s = self._compute_elapsed(observed, laid, state.chunk_s)
        if elapsed_s is None:
            return f"its observation belongs to chunk {observed.chunk_id}, long over"
        first = self._find_first(state, elapsed_s, step_s)
        if first is None or first > len(rows) - 2:
            return (
                f"it comes too late: {elapsed_s:.3f} s of its"
                f" {len(rows) * step_s:.3f} s are over"
            )
        seam_s = state.chunk_s - elapsed_s + (first + 1) * step_s
        chunk = self._make(state.chunk_id, seam_s, step_s, rows[first:])
        return self._send(chunk, laid.path)

    async def finish(self) -> None:
        """Wait until the newest chunk has come to its end, at rest.

        Raises:
            CauseError: the guard refused, the servo process gave up, or time ran out.
        """
        await self._motion.wait_followed()

    def _make(
        self, after_id: int, after_s: float, step_s: float, rows: Vector
    ) -> TimedChunk:
        number = self._motion.next_id()
        return TimedChunk(number, after_id, after_s, step_s, np.array(rows))

    def _send(self, chunk: TimedChunk, before: TimedPath) -> str:
        # The order that carries the chunk tells the guard of the same part.
        self._check.attach(*self._motion.part_size_m())
        wrong = self._check.check(chunk, before)
        if wrong:
            return wrong
        if chunk.after_id and not self._is_ahead(chunk):
            return "its seam was passed while it was being checked"
        if not self._may_replace(chunk):
            return "the chunk that it would replace is just being begun"
        start = before.sample(chunk.after_s)
        path = TimedPath.through(start, chunk.q[1:], chunk.step_s)
        # One that was replaced before its seam will never be consumed.
        self._laid = {
            number: laid
            for number, laid in self._laid.items()
            if number <= chunk.after_id
        }
        self._laid[chunk.chunk_id] = _Laid(chunk, path)
        self._motion.follow_chunk(chunk)
        return ""

    def _may_replace(self, chunk: TimedChunk) -> bool:
        """Say whether the arm will not have gone over to another one meanwhile."""
        waiting = [
            laid.chunk
            for laid in self._laid.values()
            if laid.chunk.after_id == chunk.after_id != 0
        ]
        return all(self._is_ahead(one) for one in waiting)

    def _is_ahead(self, chunk: TimedChunk) -> bool:
        state = self._motion.refresh()
        if state is None or state.chunk_id != chunk.after_id:
            return False
        spare_s = _SPARE_CYCLES * state.period_s
        return state.chunk_s + spare_s < chunk.after_s

    def _compute_elapsed(
        self, observed: Consumption, laid: _Laid, consumed_s: float
    ) -> float | None:
        """Return what was consumed since an observation [s]; None when unknown."""
        while laid.chunk.chunk_id != observed.chunk_id:
            consumed_s += laid.chunk.after_s
            before = self._laid.get(laid.chunk.after_id)
            if before is None:
                return None
            laid = before
        return consumed_s - observed.time_s

    def _find_first(
        self, state: ServoState, elapsed_s: float, step_s: float
    ) -> int | None:
        """Return the first row that lies far enough ahead to be a seam."""
        if not step_s > 0.0:
            return None
        ahead_s = max(LEAD_S, _SEAM_CYCLES * state.period_s - state.chunk_s)
        return max(0, int(np.ceil((elapsed_s + ahead_s) / step_s)) - 1)


def _is_idle(state: ServoState) -> bool:
    return state.phase is ServoPhase.READY and is_at_rest(state)
