"""The gripper: one task owns the connection, everyone else posts wishes and waits.

A cancelled grasp cycle therefore never leaves half a conversation on the wire.
"""

from dataclasses import dataclass

from cell.contracts.drivers import Clock, GripperDriver
from cell.contracts.errors import DriverError
from cell.contracts.robot import GripperCommand, GripperObject, GripperState
from cell.contracts.units import ns_from_s, s_from_ns
from cell.supervisor.causes import Cause, CauseError
from cell.supervisor.ports import OpenGripper

LEAST_PART_M = 0.004
"""Narrower than any part: fingers closed further than this hold nothing."""

_BUSY_POLL_S = 0.02
_IDLE_POLL_S = 0.2
_IDLE_LOOK_S = 0.1
_RECONNECT_S = 0.5
_MOVE_TIMEOUT_S = 3.0
_ACTIVATE_TIMEOUT_S = 12.0
_LOST_AFTER_S = 1.0
# The object bits still describe the previous move until the fingers have started.
_SETTLE_S = 0.05
_RELEASE_MARGIN_M = 0.002
_LOST_SAMPLES = 2
_CLOSE_LOOK_S = 1.0
# Two samples of fingers that are looked at closely.
_RECENT_S = 0.04
# Fingers close from full opening in 0.6 s; after this they are under way for ever.
_FOLLOWING_S = 0.8


@dataclass(frozen=True)
class Grip:
    """What the fingers ended with.

    Attributes:
        aperture_m: opening at rest [m].
        has_part: they were stopped by something wide enough to be a part.
        has_arrived: they reached the opening that was asked for.
    """

    aperture_m: float
    has_part: bool
    has_arrived: bool


class GripperStation:
    """Moves the fingers and says what they hold.

    Attributes:
        state: newest sample, None before the first of this connection.
        detail: why there is no connection, empty while there is one.
    """

    def __init__(self, open_gripper: OpenGripper, clock: Clock) -> None:
        self.state: GripperState | None = None
        self.detail = "not connected yet"
        self._open = open_gripper
        self._clock = clock
        self._wish: GripperCommand | None = None
        self._wants_activation = False
        self._is_activated = False
        self._sent_ns = 0
        self._busy_until_ns = 0
        self._held_m = 0.0

    async def run(self) -> None:
        """Keep a connection, sample it and carry wishes out; ends by cancellation."""
        while True:
            try:
                async with self._open() as driver:
                    await self._serve(driver)
            except DriverError as error:
                self.detail = error.detail
                self.state = None
                self._wish, self._wants_activation = None, False
                await self._sleep(_RECONNECT_S)

    def age_s(self) -> float:
        """Return the age of the newest sample [s]."""
        if self.state is None:
            return float("inf")
        return s_from_ns(self._clock.now_ns() - self.state.stamp_ns)

    def is_lost(self) -> bool:
        """Say whether nothing is known about the fingers."""
        return self.age_s() > _LOST_AFTER_S

    def is_faulty(self) -> bool:
        """Say whether it is faulty, or not activated since it was connected."""
        state = self.state
        return state is not None and not (state.is_active and self._is_activated)

    def holds_part(self) -> bool:
        """Say whether the fingers are stopped by something between them."""
        return self.state is not None and _has_part(self.state)

    def shows_nothing(self) -> bool:
        """Say whether the fingers show that what they held is not there any more.

        They do where they are shut further than any part is wide, and where they have
        arrived at another opening than that at which they held it. Everything else
        leaves it open: fingers under way, fingers that jam while they open, which no
        longer say that they hold something, fingers that arrived no wider than the part
        is, and a gripper that is silent or not active.
        """
        state = self.state
        if state is None or self.is_lost() or not state.is_active:
            return False
        if state.aperture_m <= LEAST_PART_M:
            return True
        has_arrived = state.object_status is GripperObject.AT_POSITION
        moved_m = abs(state.aperture_m - self._held_m)
        return has_arrived and moved_m > _RELEASE_MARGIN_M

    async def activate(self) -> None:
        """Activate on this connection; active fingers stay where they are.

        Others open fully, so this belongs where a person has just asked for it.

        Raises:
            CauseError: the gripper did not become active.
        """
        deadline_ns = self._clock.now_ns() + ns_from_s(_ACTIVATE_TIMEOUT_S)
        while self.is_lost() or self.is_faulty():
            self._wants_activation = self.state is not None
            if self._clock.now_ns() > deadline_ns:
                cause = Cause.GRIPPER_LOST if self.is_lost() else Cause.GRIPPER_FAULT
                raise CauseError(cause, self.detail or "it did not activate")
            await self._sleep(_BUSY_POLL_S)

    async def move(self, command: GripperCommand) -> Grip:
        """Move the fingers and wait until they rest.

        Raises:
            CauseError: the connection is lost, or they did not come to rest in time.
        """
        self.start(command)
        return await self.wait_rest()

    def start(self, command: GripperCommand) -> None:
        """Begin a move without waiting for its end."""
        self._wish = command
        self._sent_ns = 0
        self._busy_until_ns = self._clock.now_ns() + ns_from_s(_MOVE_TIMEOUT_S)

    async def wait_rest(self, patience_s: float = _MOVE_TIMEOUT_S) -> Grip:
        """Wait until the fingers rest after the newest command.

        Args:
            patience_s: how long that may take from now on [s].

        Raises:
            CauseError: the connection is lost, or they did not come to rest in time.
        """
        deadline_ns = self._clock.now_ns() + ns_from_s(patience_s)
        while True:
            state = self.state
            if self.is_lost() or state is None:
                raise CauseError(Cause.GRIPPER_LOST, self.detail)
            if not state.is_active:
                raise CauseError(Cause.GRIPPER_FAULT, f"fault {state.fault}")
            if self._is_settled(state):
                return _make_grip(state)
            if self._clock.now_ns() > deadline_ns:
                raise CauseError(Cause.GRIPPER_FAULT, "the fingers do not come to rest")
            await self._sleep(_BUSY_POLL_S / 2)

    async def verify_part(self) -> bool:
        """Look once more, with a sample taken from now on, whether a part is held.

        Fingers under way say nothing yet, and those that follow a part which settles
        between them are soon at rest: they are waited for, for a while.

        Raises:
            CauseError: the connection is lost.
        """
        asked_ns = self._clock.now_ns()
        patient_until_ns = asked_ns + ns_from_s(_FOLLOWING_S)
        self.look_closely()
        while True:
            state = self.state
            if self.is_lost() or state is None:
                raise CauseError(Cause.GRIPPER_LOST, self.detail)
            if state.stamp_ns >= asked_ns and (
                state.object_status is not GripperObject.MOVING
                or state.stamp_ns >= patient_until_ns
            ):
                return _has_part(state)
            await self._sleep(_BUSY_POLL_S / 2)

    async def still_holds_part(self) -> bool:
        """Say whether a part that was watched up to now is held; waits only in doubt.

        A sample of the last moment that shows the part is enough. Where there is none,
        and where it shows anything else, `verify_part` decides.

        Raises:
            CauseError: the connection is lost.
        """
        if self.holds_part() and self.age_s() <= _RECENT_S:
            return True
        return await self.verify_part()

    def look_closely(self) -> GripperState | None:
        """Return the newest sample, and take them often for the next second."""
        until_ns = self._clock.now_ns() + ns_from_s(_CLOSE_LOOK_S)
        self._busy_until_ns = max(self._busy_until_ns, until_ns)
        return self.state

    async def _serve(self, driver: GripperDriver) -> None:
        self.detail = ""
        self._is_activated = False
        while True:
            if self._wants_activation:
                await driver.activate()
                self._wants_activation, self._is_activated = False, True
            wish, self._wish = self._wish, None
            if wish is not None:
                await driver.move(wish)
                self._sent_ns = self._clock.now_ns()
            self.state = state = await driver.read_state()
            if _has_part(state):
                self._held_m = state.aperture_m
            is_idle = self._clock.now_ns() > self._busy_until_ns
            if self._wish is None:
                await self._wait_for_wish(_IDLE_POLL_S if is_idle else _BUSY_POLL_S)

    async def _wait_for_wish(self, period_s: float) -> None:
        deadline_ns = self._clock.now_ns() + ns_from_s(period_s)
        look_s = _BUSY_POLL_S if period_s <= _BUSY_POLL_S else _IDLE_LOOK_S
        while self._clock.now_ns() < deadline_ns:
            if self._wish is not None or self._wants_activation:
                return
            left_s = s_from_ns(deadline_ns - self._clock.now_ns())
            await self._sleep(min(left_s, look_s))

    def _is_settled(self, state: GripperState) -> bool:
        return (
            self._sent_ns != 0
            and state.stamp_ns >= self._sent_ns + ns_from_s(_SETTLE_S)
            and state.object_status is not GripperObject.MOVING
        )

    async def _sleep(self, duration_s: float) -> None:
        await self._clock.sleep_until_ns(self._clock.now_ns() + ns_from_s(duration_s))


class PartWatch:
    """Sees a held part vanish while the arm is under way."""

    def __init__(self, gripper: GripperStation) -> None:
        """Begin; only samples from now on count."""
        newest = gripper.look_closely()
        self._gripper = gripper
        self._seen_ns = 0 if newest is None else newest.stamp_ns
        self._misses = 0

    def is_lost(self) -> bool:
        """Say whether the newest two samples, or more, show fingers that hold nothing.

        Fingers under way say nothing yet: they follow a part that gives way.
        """
        state = self._gripper.look_closely()
        if state is not None and state.stamp_ns > self._seen_ns:
            self._seen_ns = state.stamp_ns
            if state.object_status is not GripperObject.MOVING:
                self._misses = 0 if _has_part(state) else self._misses + 1
        return self._misses >= _LOST_SAMPLES


def is_released(grip_aperture_m: float, now: Grip) -> bool:
    """Say whether the fingers opened as told, beyond the part they held [m]."""
    return now.has_arrived and now.aperture_m > grip_aperture_m + _RELEASE_MARGIN_M


def is_kept(grip_aperture_m: float, now: Grip) -> bool:
    """Say whether the fingers stand where they held the part [m]."""
    return abs(now.aperture_m - grip_aperture_m) <= _RELEASE_MARGIN_M


def _make_grip(state: GripperState) -> Grip:
    has_arrived = state.object_status is GripperObject.AT_POSITION
    return Grip(state.aperture_m, _has_part(state), has_arrived)


def _has_part(state: GripperState) -> bool:
    return (
        state.object_status is GripperObject.STOPPED_CLOSING
        and state.aperture_m > LEAST_PART_M
    )
