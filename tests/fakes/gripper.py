"""Scripted fingers: what they find when they close, and what goes wrong then."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from cell.contracts.errors import DriverError, DriverUnreachableError
from cell.contracts.robot import GripperCommand, GripperObject, GripperState
from cell.contracts.units import ns_from_s
from tests.fakes.clock import FakeClock

_ANSWER_NS = 1_000_000


@dataclass
class FakeFingers:
    """The hardware; outlives connections.

    Attributes:
        clock: for stamps and the time a move takes.
        finds_m: widths that the next closings find, None for nothing [m].
        default_find_m: what closings find when that list is empty.
        holding_m: width of what is held, None for nothing [m].
        is_jammed: fingers do not open.
        opens_to_m: something is in their way beyond this opening [m].
        move_s: how long a move takes [s].
        false_samples: so many samples more do not show what is held; they are as old
            as a request takes.
        is_reachable: requests succeed.
        is_active: activated.
        aperture_m: opening [m].
        moves: every command.
        activations: how often `activate` was called.
    """

    clock: FakeClock
    finds_m: list[float | None] = field(default_factory=list)
    default_find_m: float | None = 0.03
    holding_m: float | None = None
    is_jammed: bool = False
    opens_to_m: float = 1.0
    move_s: float = 0.25
    false_samples: int = 0
    is_reachable: bool = True
    is_active: bool = False
    aperture_m: float = 0.085
    moves: list[GripperCommand] = field(default_factory=list)
    activations: int = 0
    _target_m: float = 0.085
    _done_ns: int = 0

    @asynccontextmanager
    async def open(self) -> AsyncIterator["FakeFingers"]:
        """Connect."""
        self._check()
        yield self

    async def activate(self) -> None:
        """Activate at once."""
        self._check()
        self.activations += 1
        self.is_active = True

    async def move(self, command: GripperCommand) -> None:
        """Start a move."""
        self._check()
        if not self.is_active:
            raise DriverError("gripper", "not activated")
        self.moves.append(command)
        is_closing = command.aperture_m < self.aperture_m
        if is_closing and command.aperture_m == 0.0 and self.holding_m is None:
            self.holding_m = (
                self.finds_m.pop(0) if self.finds_m else self.default_find_m
            )
        if not is_closing and not self.is_jammed:
            self.holding_m = None
        self._target_m = command.aperture_m
        self._done_ns = self.clock.now_ns() + ns_from_s(self.move_s)

    async def read_state(self) -> GripperState:
        """Return a sample."""
        self._check()
        now_ns = self.clock.now_ns()
        status = GripperObject.MOVING
        if now_ns >= self._done_ns:
            status = self._settle()
        if self.false_samples > 0:
            self.false_samples -= 1
            status, now_ns = GripperObject.AT_POSITION, now_ns - _ANSWER_NS
        return GripperState(now_ns, self.aperture_m, status, self.is_active, 0)

    def drop(self, closes_s: float = 0.0) -> None:
        """Lose what is held; the fingers are at rest again after a while [s]."""
        self.holding_m = None
        self._done_ns = self.clock.now_ns() + ns_from_s(closes_s)

    def _settle(self) -> GripperObject:
        if self.holding_m is not None and self._target_m < self.holding_m:
            self.aperture_m = self.holding_m
            return GripperObject.STOPPED_CLOSING
        if self.is_jammed and self._target_m > self.aperture_m:
            return GripperObject.STOPPED_OPENING
        self.aperture_m = min(self._target_m, self.opens_to_m)
        if self.aperture_m < self._target_m:
            return GripperObject.STOPPED_OPENING
        return GripperObject.AT_POSITION

    def _check(self) -> None:
        if not self.is_reachable:
            raise DriverUnreachableError("gripper", "made unreachable")
