"""Orders to the servo process, each awaited until it is reached.

Orders live only as long as `vouch` is called: the decision loop does that once a turn,
so when it hangs every motion lapses within the freshness limit of the servo process.
Nothing here runs by itself.
"""

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from cell.contracts.chunk import TimedChunk
from cell.contracts.drivers import Clock
from cell.contracts.geometry import Pose, Vector
from cell.contracts.servo import (
    WITHHELD_NS,
    HoldReason,
    MotionMode,
    ServoCommand,
    ServoPhase,
    ServoState,
)
from cell.contracts.units import ns_from_s, s_from_ns
from cell.supervisor.causes import Cause, CauseError
from cell.supervisor.force_contacts import make_veto
from cell.supervisor.interventions import InterventionLog
from cell.supervisor.motion_watch import (
    HOLD_PATIENCE_S,
    LATCHING_HOLDS,
    LEAST_SPEED_RATIO,
    Losses,
    Patience,
    ReleasePatience,
    Tries,
    is_at_rest,
    is_given_up,
    is_refusal,
)
from cell.supervisor.orders import (
    LARGEST_PART_M,
    asks_for_rest,
    make_blank,
    make_first_command,
)
from cell.supervisor.ports import ServoPort

POLL_S = 0.01
STATE_AGE_LIMIT_S = 0.15
"""A servo process publishes every 2 ms; this is longer than any restart is short."""

_RELEASE_AGAIN_S = 0.5
_REST_TIMEOUT_S = 2.0


class MotionEndedError(Exception):
    """A motion was ended by the condition that its caller gave with it."""


def _never() -> bool:
    return False


class MotionClient:
    """The only writer of servo commands.

    Attributes:
        state: newest state of the servo process as of the last `refresh`.
        speed_limit_ratio: upper bound of every order's speed, 0..1.
        payload_kg: mass in the fingers, for every order [kg]. Nothing sets it yet: the
            weighed mass would have to be taken out of the reading of `part_band`.
        carries_part: whether the fingers hold a part, which the guard then keeps clear
            of things as well.
        interventions: what the guard held up, and for how long.
    """

    def __init__(self, servo: ServoPort, clock: Clock) -> None:
        self.speed_limit_ratio = 1.0
        self.payload_kg = 0.0
        self.carries_part = False
        self.interventions = InterventionLog()
        self._servo = servo
        self._clock = clock
        self._wants_motion = False
        self._ordered_ratio = 1.0
        self.state: ServoState | None = self._servo.read_state()
        self._command = make_first_command(
            self._servo.read_command(), self.state, self._clock.now_ns()
        )

    def refresh(self) -> ServoState | None:
        """Read what the servo process says."""
        self.state = self._servo.read_state()
        return self.state

    def vouch(self, *, may_move: bool = True) -> None:
        """Vouch for the present order once more.

        While the arm may not move, an order to move stays as it is and nobody vouches
        for it, until it is known to be carried out to its end; an order to rest always
        stands.
        """
        vouches = may_move or asks_for_rest(self._command, self.state)
        self._command = replace(
            self._command,
            stamp_ns=self._clock.now_ns() if vouches else WITHHELD_NS,
            speed_ratio=self._limit(self._ordered_ratio),
        )
        self._servo.write_command(self._command)

    def state_age_s(self) -> float:
        """Return the age of the servo process's newest state [s]."""
        if self.state is None:
            return float("inf")
        return s_from_ns(self._clock.now_ns() - self.state.stamp_ns)

    def arm_age_s(self) -> float:
        """Return the age of the newest sample of the arm itself [s]."""
        if self.state is None:
            return float("inf")
        return self.state_age_s() + self.state.arm_age_s

    def is_refused(self) -> bool:
        """Say whether the guard refuses what the arm was ordered to do."""
        state = self.state
        # A state from before the order says nothing of it.
        return (
            self._wants_motion
            and state is not None
            and state.command_id >= self._command.command_id
            and is_refusal(state.hold_reason)
        )

    def is_fresh(self) -> bool:
        """Say whether the servo process is alive."""
        return self.state_age_s() <= STATE_AGE_LIMIT_S

    def is_ready(self) -> bool:
        """Say whether the arm would follow an order of ours now."""
        state = self.state
        return (
            state is not None
            and self.is_fresh()
            and state.phase in (ServoPhase.READY, ServoPhase.MOVING)
        )

    def is_moving(self) -> bool:
        """Say whether the arm moves or has an order to move."""
        if self._wants_motion:
            return True
        return self.state is not None and not is_at_rest(self.state)

    def hold(self) -> None:
        """Order the arm to ramp to rest and hold; forgets any target."""
        self._wants_motion = False
        self._order(self._blank(MotionMode.HOLD))

    def brake(self) -> None:
        """Order the arm to rest as fast as the guard allows; forgets any target."""
        self._wants_motion = False
        self._order(self._blank(MotionMode.BRAKE))

    def stop(self) -> None:
        """Order a controlled stop that ends the robot's program."""
        self._wants_motion = False
        self._order(self._blank(MotionMode.STOP))

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
                    raise CauseError(Cause.ARM_NOT_READY, self._describe())
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
    ) -> None:
        """Move the tool along a straight line to a pose; else as `move_joint`."""
        wanted = replace(
            self._blank(MotionMode.MOVE_LINEAR), base_from_tcp=base_from_tcp
        )
        await self._move(wanted, speed_ratio, ends_when)

    def next_id(self) -> int:
        """Return the number that the next order will have."""
        return self._command.command_id + 1

    def part_size_m(self) -> tuple[float, float]:
        """Return radius and length of the part in the fingers [m]; 0 for none."""
        return LARGEST_PART_M if self.carries_part else (0.0, 0.0)

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
        self, wanted: ServoCommand, speed_ratio: float, ends_when: Callable[[], bool]
    ) -> None:
        patience, tries = Patience(self._clock.now_ns()), Tries()
        self.interventions.begin_move()
        while not tries.is_spent:
            self._ordered_ratio = speed_ratio
            self._wants_motion = True
            self._order(replace(wanted, speed_ratio=self._limit(speed_ratio)))
            try:
                reason, followed_ns = await self._wait_reached(patience, ends_when)
            finally:
                self._wants_motion = False
            if reason is HoldReason.NONE:
                return
            await self._let_hold_pass(tries.note(reason, followed_ns))
        self.hold()
        raise make_veto(tries.reasons)

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
                raise CauseError(Cause.MOTION_TIMEOUT, self._describe())

    async def _let_hold_pass(self, pause_s: float) -> None:
        """Take the target back to the measured pose and wait for the guard.

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

    def _raise_when_latched(self, state: ServoState) -> None:
        cause = LATCHING_HOLDS.get(state.hold_reason)
        if cause is None and state.phase is ServoPhase.FAULT:
            cause = Cause.SERVO_FAULT
        if cause is not None:
            raise CauseError(cause, self._describe())

    def _order(self, wanted: ServoCommand) -> None:
        # Not stamped here: only the decision loop vouches, or a cycle whose decision
        # loop hangs could keep the arm moving with order after order.
        radius_m, length_m = self.part_size_m()
        self._command = replace(
            wanted,
            stamp_ns=self._command.stamp_ns,
            command_id=self._command.command_id + 1,
            payload_kg=self.payload_kg,
            part_radius_m=radius_m,
            part_length_m=length_m,
        )
        self._servo.write_command(self._command)

    def _blank(self, mode: MotionMode) -> ServoCommand:
        return make_blank(self._command, self.state, mode)

    def _limit(self, speed_ratio: float) -> float:
        """Apply the line's limit; never 0, or an order could not end."""
        return min(1.0, max(LEAST_SPEED_RATIO, speed_ratio * self.speed_limit_ratio))

    def _describe(self) -> str:
        if self.state is None:
            return "the servo process never reported"
        return (
            f"servo {self.state.phase.name}, hold {self.state.hold_reason.name},"
            f" state {self.state_age_s() * 1e3:.0f} ms old"
        )

    def _is_release_pending(self) -> bool:
        return self.state is None or self.state.arm_id < self._command.arm_id

    def _set_arm_id(self, arm_id: int) -> None:
        self._command = replace(self._command, arm_id=arm_id)
        self._servo.write_command(self._command)

    async def _sleep(self, duration_s: float = POLL_S) -> None:
        await self._clock.sleep_until_ns(self._clock.now_ns() + ns_from_s(duration_s))
