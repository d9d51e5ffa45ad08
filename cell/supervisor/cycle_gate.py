"""The points at which a grasp cycle waits for the line, or for a command.

A gate never moves anything. The cycle says here what it waits for; the decision loop
turns that into Suspended and back. Between gates the cycle runs through.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol

from cell.contracts.drivers import Clock
from cell.contracts.plc import PlcInputs
from cell.contracts.units import ns_from_s
from cell.supervisor.causes import Cause
from cell.supervisor.part_handshake import PartHandshake

LEAST_SPEED_RATIO = 0.02
"""A line that allows less than this wants the arm to stand."""

_POLL_S = 0.02
# A line that answers within this is not worth a change of state.
_PATIENCE_S = 0.3


async def _never() -> bool:
    return False


class LineView(Protocol):
    """What the line says at the moment."""

    @property
    def bin_present_since_ns(self) -> int:
        """When the line last said that the bin came into place, 0 if never."""
        ...

    def read_inputs(self) -> PlcInputs | None:
        """Return the line's newest valid block, None while there is none."""
        ...


@dataclass
class CycleGate:
    """Where the cycle stands with the line.

    Attributes:
        clock: for polling.
        line: what the line says.
        handshake: about the part that was placed last.
        may_run: set by the decision loop in states in which the cycle may go on.
        is_finishing: set by the decision loop when the cycle shall be the last.
        is_waiting: the cycle stands at a gate.
        obstacle: what it has been waiting for longer than a moment.
        wants_refill: the policy sees nothing worth trying.
        is_making_ready: arm and fingers are being released; until that is done
            their silence and their latches are no news.
        claims_zone: the arm is about to be over the bin, or is.
    """

    clock: Clock
    line: LineView
    handshake: PartHandshake
    may_run: bool = False
    is_finishing: bool = False
    is_waiting: bool = False
    obstacle: Cause | None = None
    wants_refill: bool = False
    is_making_ready: bool = False
    claims_zone: bool = False

    def shall_finish(self) -> bool:
        """Say whether no further pick shall begin."""
        return self.is_finishing

    def restart(self) -> None:
        """Forget an abandoned cycle."""
        self.is_waiting = False
        self.obstacle = None
        self.wants_refill = False
        self.claims_zone = False

    async def pass_to_pick(self) -> None:
        """Wait until parts are there and the zone over the bin is ours.

        Returns early when the cycle shall finish.
        """
        await self._pass(self._find_pick_obstacle)

    async def pass_to_place(self, ends_when: Callable[[], Awaitable[bool]]) -> bool:
        """Wait until the outfeed takes the next part.

        Args:
            ends_when: asked all the time; once true there is nothing to place. Returns
                early then, in whatever state: what follows must not move the arm. While
                it looks twice the cycle still stands at the gate.

        Returns:
            Whether the outfeed takes it, and the cycle may run.
        """
        return await self._pass(self._find_place_obstacle, ends_when)

    async def wait_refill(self, look_again_s: float) -> None:
        """Wait a while for parts; returns to look again once the bin is there.

        Returns early when the cycle shall finish; then nobody waits for parts any more.
        """
        self.wants_refill = True
        self.is_waiting, self.obstacle = True, Cause.STARVED
        deadline_ns = self.clock.now_ns() + ns_from_s(look_again_s)
        while not self.is_finishing:
            line = self.line.read_inputs()
            is_there = line is not None and line.bin_present
            if is_there and self.clock.now_ns() >= deadline_ns:
                return
            await self._sleep()
        self.end_refill()

    def end_refill(self) -> None:
        """Say that nobody waits for a refill any more."""
        self.wants_refill = False
        self.is_waiting, self.obstacle = False, None

    async def _pass(
        self,
        find_obstacle: Callable[[], Cause | None],
        ends_when: Callable[[], Awaitable[bool]] = _never,
    ) -> bool:
        since_ns = self.clock.now_ns()
        try:
            while True:
                found = find_obstacle()
                if found is None and self.may_run:
                    return True
                if await ends_when():
                    return False
                self.is_waiting = True
                waited_ns = self.clock.now_ns() - since_ns
                self.obstacle = found if waited_ns > ns_from_s(_PATIENCE_S) else None
                await self._sleep()
        finally:
            self.is_waiting, self.obstacle = False, None

    def _find_pick_obstacle(self) -> Cause | None:
        if self.is_finishing:
            return None
        line = self.line.read_inputs()
        if line is None or not line.zone_permit:
            return Cause.ZONE_NOT_PERMITTED
        if line.speed_limit_ratio < LEAST_SPEED_RATIO:
            return Cause.BLOCKED
        return None if line.bin_present else Cause.STARVED

    def _find_place_obstacle(self) -> Cause | None:
        # First: a part that nobody took stands in a sensor of the outfeed as well.
        if self.handshake.is_overdue(self.clock.now_ns()):
            return Cause.HANDSHAKE_TIMEOUT
        line = self.line.read_inputs()
        if line is None or not line.outfeed_clear:
            return Cause.BLOCKED
        return None if self.handshake.is_idle else Cause.BLOCKED

    async def _sleep(self) -> None:
        await self.clock.sleep_until_ns(self.clock.now_ns() + ns_from_s(_POLL_S))
