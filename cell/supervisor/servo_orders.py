"""Orders to the servo process, and what it says.

Orders live only as long as `vouch` is called: the decision loop does that once a turn,
so when it hangs every motion lapses within the freshness limit of the servo process.
Nothing here runs by itself.
"""

from dataclasses import replace

from cell.contracts.drivers import Clock
from cell.contracts.servo import (
    WITHHELD_NS,
    MotionMode,
    ServoCommand,
    ServoPhase,
    ServoState,
)
from cell.contracts.units import s_from_ns
from cell.supervisor.motion_watch import LEAST_SPEED_RATIO, is_at_rest, is_refusal
from cell.supervisor.orders import (
    LARGEST_PART_M,
    asks_for_rest,
    make_blank,
    make_first_command,
)
from cell.supervisor.ports import ServoPort

STATE_AGE_LIMIT_S = 0.15
"""A servo process publishes every 2 ms; this is longer than any restart is short."""


class ServoOrders:
    """Writes servo commands; there is one of it, for one process.

    Attributes:
        state: newest state of the servo process as of the last `refresh`.
        speed_limit_ratio: upper bound of every order's speed, 0..1.
        payload_kg: mass in the fingers, for every order [kg]. Nothing sets it yet: the
            weighed mass would have to be taken out of the reading of `part_band`.
        carries_part: whether the fingers hold a part, which the guard then keeps clear
            of things as well.
    """

    def __init__(self, servo: ServoPort, clock: Clock) -> None:
        self.speed_limit_ratio = 1.0
        self.payload_kg = 0.0
        self.carries_part = False
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

    def next_id(self) -> int:
        """Return the number that the next order will have."""
        return self._command.command_id + 1

    def part_size_m(self) -> tuple[float, float]:
        """Return radius and length of the part in the fingers [m]; 0 for none."""
        return LARGEST_PART_M if self.carries_part else (0.0, 0.0)

    def describe(self) -> str:
        """Say how the servo process is, for a person who looks for a cause."""
        if self.state is None:
            return "the servo process never reported"
        return (
            f"servo {self.state.phase.name}, hold {self.state.hold_reason.name},"
            f" state {self.state_age_s() * 1e3:.0f} ms old"
        )

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
