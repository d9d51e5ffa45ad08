"""Motions of the arm, each awaited until it is reached, refused or given up."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from cell.contracts.chunk import TimedChunk
from cell.contracts.drivers import Clock
from cell.contracts.geometry import Pose, Vector
from cell.contracts.servo import (
    HoldReason,
    MotionMode,
    ServoCommand,
    ServoPhase,
    ServoState,
)
from cell.contracts.units import ns_from_s
from cell.supervisor.causes import Cause, CauseError
from cell.supervisor.force_contacts import make_veto
from cell.supervisor.interventions import InterventionLog
from cell.supervisor.motion_watch import (
    HOLD_PATIENCE_S,
    LATCHING_HOLDS,
    LOOSE_S,
    SETTLING_S,
    YIELD_AFTER_S,
    YIELD_ARRIVAL_RAD,
    YIELD_PATIENCE_S,
    YIELD_PAUSE_S,
    Losses,
    Patience,
    Press,
    ReleasePatience,
    Tries,
    find_way_back,
    is_at_rest,
    is_given_up,
    is_loaded,
    is_refusal,
)
from cell.supervisor.ports import LoadLimits, ServoPort
from cell.supervisor.servo_orders import ServoOrders

POLL_S = 0.01
_RELEASE_AGAIN_S = 0.5
_REST_TIMEOUT_S = 2.0


class MotionEndedError(Exception):
    """A motion was ended by the condition that its caller gave with it."""


def _never() -> bool:
    return False


class MotionClient(ServoOrders):
    """Carries out motions, and knows what the guard has against them.

    Attributes:
        interventions: what the guard held up, and for how long.
    """

    def __init__(self, servo: ServoPort, clock: Clock, limits: LoadLimits) -> None:
        """Take the servo process, the clock, and what the guard holds for."""
        super().__init__(servo, clock)
        self.interventions = InterventionLog()
        self._limits = limits

    async def release(self, *, survives_losses: bool = True) -> None:
        """Allow motion again after a fault; only ever on a command from outside.

        The arm is ordered to hold where it is measured to be, so nothing moves by it.
        A robot that is still booting refuses a release, so it is repeated for a while;
        one that nobody took over in that time is withdrawn.

        Args:
            survives_losses: go on when servo process or robot are lost meanwhile;
                False where motion follows, for whoever commanded it knew nothing of
                that loss.

        Raises:
            CauseError: the arm did not become ready.
        """
        self.hold()
        losses, asked_ns = Losses(self.state), self._clock.now_ns()
        patience = ReleasePatience(asked_ns)
        try:
            while not self.is_ready():
                now_ns = self._clock.now_ns()
                if patience.is_over(now_ns, has_reported=self.state is not None):
                    raise CauseError(Cause.ARM_NOT_READY, self.describe())
                # Raised while the arm is ready it would lie in wait for a fault.
                if not self._is_release_pending() and now_ns >= asked_ns:
                    asked_ns = now_ns + ns_from_s(_RELEASE_AGAIN_S)
                    self._set_arm_id(self._command.arm_id + 1)
                await self._sleep()
                lost = losses.follow(self.state)
                if lost is not None and not survives_losses:
                    raise CauseError(lost, "while the arm was being released")
        finally:
            if self._is_release_pending() and self.state is not None:
                self._set_arm_id(self.state.arm_id)

    async def wait_rest(self) -> bool:
        """Wait until the arm stands still; say whether it does."""
        deadline_ns = self._clock.now_ns() + ns_from_s(_REST_TIMEOUT_S)
        while self._clock.now_ns() < deadline_ns:
            if self.is_fresh() and self.state is not None and is_at_rest(self.state):
                return True
            await self._sleep()
        return False

    async def move_joint(
        self,
        q_target: Vector,
        *,
        speed_ratio: float = 1.0,
        arrival_rad: float = 0.0,
        ends_when: Callable[[], bool] = _never,
    ) -> None:
        """Move all joints to `q_target`, shape (6,) [rad].

        Args:
            q_target: where to.
            speed_ratio: of the full speed.
            arrival_rad: how near is near enough.
            ends_when: asked all the way; once true, the arm is brought to rest.

        Raises:
            MotionEndedError: `ends_when` came true.
            CauseError: the guard refused, the servo process gave up, or time ran out.
        """
        target = np.array(q_target, dtype=np.float64)
        wanted = replace(
            self._blank(MotionMode.MOVE_JOINT), q_target=target, arrival_rad=arrival_rad
        )
        await self._move(wanted, speed_ratio, ends_when)

    async def move_linear(
        self,
        base_from_tcp: Pose,
        *,
        speed_ratio: float = 1.0,
        ends_when: Callable[[], bool] = _never,
        presses_on: bool = True,
    ) -> None:
        """Move the tool along a straight line to a pose; else as `move_joint`.

        With `presses_on` false it is not tried again where something keeps the arm.
        """
        wanted = replace(
            self._blank(MotionMode.MOVE_LINEAR), base_from_tcp=base_from_tcp
        )
        await self._move(wanted, speed_ratio, ends_when, presses_on=presses_on)

    def follow_chunk(self, chunk: TimedChunk) -> None:
        """Order a chunk that was checked whole; it is numbered as its order."""
        self._ordered_ratio = 1.0
        self._wants_motion = True
        wanted = replace(
            self._blank(MotionMode.FOLLOW), chunk=chunk, chunk_id=chunk.chunk_id
        )
        self._order(replace(wanted, speed_ratio=self._limit(1.0)))

    async def wait_followed(self) -> None:
        """Wait until the newest chunk has come to its end.

        Raises:
            CauseError: the guard refused, the servo process gave up, or time ran out.
        """
        self.interventions.begin_move()
        try:
            patience = Patience(self._clock.now_ns())
            reason, _ = await self._wait_reached(patience, _never)
        finally:
            self._wants_motion = False
        # Done or not, no chunk is left lying for the servo process to find.
        self.hold()
        if reason is not HoldReason.NONE:
            raise CauseError(Cause.COMMAND_VETOED, reason.name)

    async def _move(
        self,
        wanted: ServoCommand,
        speed_ratio: float,
        ends_when: Callable[[], bool],
        *,
        presses_on: bool = True,
    ) -> None:
        patience, tries, presses = Patience(self._clock.now_ns()), Tries(), 0
        self.interventions.begin_move()
        while not tries.is_spent:
            reason, followed_ns = await self._try(
                wanted, speed_ratio, patience, ends_when
            )
            if reason is HoldReason.NONE:
                return
            await self._let_hold_pass(tries.note(reason, followed_ns))
            if reason is not HoldReason.TCP_FORCE:
                continue
            press = await self._yield(patience, ends_when, presses_on=presses_on)
            presses += press is not Press.NONE
            most = Tries.COUNT if presses_on else 1
            if press is Press.STAYS or presses >= most:
                self.hold()
                raise make_veto([reason])
        self.hold()
        raise make_veto(tries.reasons)

    async def _try(
        self,
        wanted: ServoCommand,
        speed_ratio: float,
        patience: Patience,
        ends_when: Callable[[], bool],
    ) -> tuple[HoldReason, int]:
        """Give one order; return as `_wait_reached` does."""
        self._ordered_ratio = speed_ratio
        self._wants_motion = True
        self._order(replace(wanted, speed_ratio=self._limit(speed_ratio)))
        try:
            return await self._wait_reached(patience, ends_when)
        finally:
            self._wants_motion = False

    async def _wait_reached(
        self, patience: Patience, ends_when: Callable[[], bool]
    ) -> tuple[HoldReason, int]:
        """Return why it is not followed, NONE on arrival, and how long it was [ns]."""
        wanted_id = self._command.command_id
        began_ns = following_ns = self._clock.now_ns()
        while True:
            await self._sleep()
            if ends_when():
                self.brake()
                raise MotionEndedError
            # Read here, not the decision loop's copy: arrival is on the cycle's path.
            state = self._servo.read_state()
            if state is not None:
                self.interventions.follow(state, wanted_id)
                if state.reached_id >= wanted_id:
                    return HoldReason.NONE, following_ns - began_ns
                self._raise_when_latched(state)
                if state.command_id < wanted_id or not is_refusal(state.hold_reason):
                    following_ns = self._clock.now_ns()
                elif is_given_up(
                    state.hold_reason, self._clock.now_ns() - following_ns
                ):
                    return state.hold_reason, following_ns - began_ns
            slider = 1.0 if state is None else state.speed_fraction
            ratio = min(self._limit(self._ordered_ratio), slider)
            if patience.is_over(self._clock.now_ns(), ratio):
                self.hold()
                raise CauseError(Cause.MOTION_TIMEOUT, self.describe())

    async def _let_hold_pass(self, pause_s: float) -> None:
        """Order the arm to hold, and wait for the guard.

        It takes the order to hold up once its ramp has come to rest, at once where the
        arm was slow: the least pause [s] gives what disturbed it time to pass. The
        joints follow within their lag; the next order need not wait for that.
        """
        self.hold()
        began_ns = self._clock.now_ns()
        ready_ns = began_ns + ns_from_s(pause_s)
        deadline_ns = began_ns + ns_from_s(HOLD_PATIENCE_S)
        while self._clock.now_ns() < deadline_ns:
            await self._sleep()
            if (
                self._clock.now_ns() >= ready_ns
                and self.state is not None
                and self.state.command_id >= self._command.command_id
                and not is_refusal(self.state.hold_reason)
            ):
                return

    async def _yield(
        self, patience: Patience, ends_when: Callable[[], bool], *, presses_on: bool
    ) -> Press:
        """Take the target back to where something keeps the arm from it, if so.

        It would press with what its joints are off for as long as it stands. What the
        guard refuses on the way is ordered again, for a reading trembles.
        """
        if not await self._is_pressed(presses_on=presses_on):
            return Press.NONE
        press = Press.NONE
        until_ns = self._clock.now_ns() + ns_from_s(YIELD_PATIENCE_S)
        while (q_back := await self._find_way_back()) is not None:
            if self._clock.now_ns() > until_ns:
                return Press.STAYS
            press = Press.GONE
            # Near is enough: to wait for joints that are kept off takes 0.3 s a piece.
            back = replace(
                self._blank(MotionMode.MOVE_JOINT),
                q_target=q_back,
                arrival_rad=YIELD_ARRIVAL_RAD,
            )
            reason, _ = await self._try(back, 1.0, patience, ends_when)
            if reason is not HoldReason.NONE:
                await self._let_hold_pass(YIELD_PAUSE_S)
        return press

    async def _is_pressed(self, *, presses_on: bool) -> bool:
        """Wait for the lag to pass; say whether the joints are off even so.

        The arm still comes after its setpoint, and the load rises: the guard would hold
        what moves now to the load of now. Mostly there is no more than this lag. Where
        it may be pressed on, joints that are off and feel little are no reason to wait.
        """
        loaded_ns = self._clock.now_ns()
        pressed_ns = loaded_ns + ns_from_s(YIELD_AFTER_S)
        while (now_ns := self._clock.now_ns()) < pressed_ns:
            state = self._servo.read_state()
            if state is None or find_way_back(state) is None:
                return False
            if not presses_on or is_loaded(state, self._limits):
                loaded_ns = now_ns
            elif now_ns - loaded_ns >= ns_from_s(LOOSE_S):
                return False
            await self._sleep()
        return True

    async def _find_way_back(self) -> Vector | None:
        """Wait for joints that settle; return as `find_way_back` does."""
        settled_ns = self._clock.now_ns() + ns_from_s(SETTLING_S)
        while (state := self._servo.read_state()) is not None:
            if is_at_rest(state) or self._clock.now_ns() > settled_ns:
                return find_way_back(state)
            await self._sleep()
        return None

    def _raise_when_latched(self, state: ServoState) -> None:
        cause = LATCHING_HOLDS.get(state.hold_reason)
        if cause is None and state.phase is ServoPhase.FAULT:
            cause = Cause.SERVO_FAULT
        if cause is not None:
            raise CauseError(cause, self.describe())

    def _is_release_pending(self) -> bool:
        return self.state is None or self.state.arm_id < self._command.arm_id

    def _set_arm_id(self, arm_id: int) -> None:
        self._command = replace(self._command, arm_id=arm_id)
        self._servo.write_command(self._command)

    async def _sleep(self, duration_s: float = POLL_S) -> None:
        await self._clock.sleep_until_ns(self._clock.now_ns() + ns_from_s(duration_s))
