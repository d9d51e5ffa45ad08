"""Orders to the servo process."""

import asyncio
import math
from collections.abc import Awaitable, Callable

import numpy as np
import pytest

from cell.contracts.geometry import Vector
from cell.contracts.servo import WITHHELD_NS, HoldReason, MotionMode
from cell.supervisor.causes import Cause, CauseError
from cell.supervisor.force_contacts import ForceError
from cell.supervisor.grasp_plan import lift
from cell.supervisor.motion_client import MotionClient, MotionEndedError
from cell.supervisor.motion_watch import Patience, ReleasePatience, Tries
from tests.fakes.clock import FakeClock
from tests.fakes.servo import FakeServo
from tests.fakes.supervised_cell import make_layout

LAYOUT = make_layout()
HOME = LAYOUT.home_q_rad
NEAR = HOME + np.array([0.4, 0.0, 0.0, 0.0, 0.0, 0.0])


class Bench:
    """A motion client, a fake servo process, and a decision loop to pulse them."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.servo = FakeServo(self.clock, HOME, LAYOUT.flange_from_tcp)
        self.motion = MotionClient(self.servo, self.clock, LAYOUT.load_limits)
        self.pulses = True
        self.may_move = True

    def pulse(self) -> None:
        """Do what the decision loop does once a turn."""
        self.motion.vouch(may_move=self.may_move)
        self.motion.refresh()

    async def run(
        self, work: Callable[[], Awaitable[None]], limit_s: float = 60.0
    ) -> None:
        """Do `work` while the decision loop pulses."""
        end_ns = self.clock.now_ns() + round(limit_s * 1e9)
        async with asyncio.TaskGroup() as tasks:
            task = tasks.create_task(_wrap(work))
            while not task.done():
                assert self.clock.now_ns() < end_ns
                if self.pulses:
                    self.pulse()
                for _ in range(4):
                    await asyncio.sleep(0)
                self.clock.advance_s(0.01)

    async def release(self) -> None:
        """Arm the servo process."""
        await self.run(self.motion.release)


async def _wrap(work: Callable[[], Awaitable[None]]) -> None:
    await work()


async def ready_bench() -> Bench:
    bench = Bench()
    await bench.release()
    return bench


async def test_a_joint_move_ends_at_its_target() -> None:
    bench = await ready_bench()

    await bench.run(lambda: bench.motion.move_joint(NEAR))

    assert bench.servo.q == pytest.approx(NEAR)
    assert not bench.motion.is_moving()


async def test_a_linear_move_ends_at_its_pose() -> None:
    bench = await ready_bench()
    target = lift(bench.servo.base_from_tcp(), 0.05)

    await bench.run(lambda: bench.motion.move_linear(target))

    reached = bench.servo.base_from_tcp().position_m
    assert reached == pytest.approx(target.position_m, abs=1e-4)


async def test_nothing_moves_before_a_release() -> None:
    bench = Bench()

    with pytest.raises(ExceptionGroup) as caught:
        await bench.run(lambda: bench.motion.move_joint(NEAR))

    assert caught.group_contains(CauseError)
    assert bench.servo.travelled_rad == 0.0


@pytest.mark.parametrize(
    ("reason", "cause"),
    [
        (HoldReason.LINK_LOST, Cause.ROBOT_LINK_LOST),
        (HoldReason.PROTECTIVE_STOP, Cause.PROTECTIVE_STOP),
        (HoldReason.EMERGENCY_STOP, Cause.EMERGENCY_STOP),
        (HoldReason.ROBOT_NOT_READY, Cause.ROBOT_NOT_RUNNING),
        (HoldReason.TRACKING_ERROR, Cause.SERVO_FAULT),
    ],
)
async def test_a_latching_fault_ends_the_motion_with_its_cause(
    reason: HoldReason, cause: Cause
) -> None:
    bench = await ready_bench()

    async def move_and_fail() -> None:
        bench.servo.fault(reason)
        with pytest.raises(CauseError) as caught:
            await bench.motion.move_joint(NEAR)
        assert caught.value.cause is cause

    await bench.run(move_and_fail)


async def test_a_refused_motion_is_ordered_again_from_where_the_arm_is() -> None:
    bench = await ready_bench()
    bench.servo.refusals = [HoldReason.JOINT_SPEED, HoldReason.JOINT_SPEED]

    await bench.run(lambda: bench.motion.move_joint(NEAR))

    modes = [order.mode for order in bench.servo.orders]
    assert modes.count(MotionMode.MOVE_JOINT) == 3
    assert modes.count(MotionMode.HOLD) >= 2
    assert bench.servo.q == pytest.approx(NEAR)


async def test_a_knock_of_a_tenth_of_a_second_does_not_use_up_all_tries() -> None:
    bench = await ready_bench()
    began_ns = bench.clock.now_ns()
    bench.servo.refusals = [HoldReason.TCP_FORCE] * 2

    await bench.run(lambda: bench.motion.move_joint(NEAR))

    moves = [o for o in bench.servo.orders if o.mode is MotionMode.MOVE_JOINT]
    given_ms = [(o.stamp_ns - began_ns) / 1e6 for o in moves]
    assert given_ms[2] >= 100.0
    assert given_ms[2] <= 400.0


KEPT = HOME + np.array([0.0, 0.006, -0.004, 0.0, 0.0, 0.0])


def list_targets(bench: Bench) -> list[list[float]]:
    """Return the targets of all orders to move joints, in order."""
    orders = [o for o in bench.servo.orders if o.mode is MotionMode.MOVE_JOINT]
    return [order.q_target.tolist() for order in orders]


async def test_an_arm_that_is_pressed_gives_way_before_it_tries_again() -> None:
    bench = await ready_bench()
    bench.servo.refusals, bench.servo.kept_at = [HoldReason.TCP_FORCE], KEPT

    await bench.run(lambda: bench.motion.move_joint(NEAR))

    first, *back, last = np.array(list_targets(bench))
    assert (first == NEAR).all()
    assert (last == NEAR).all()
    # In pieces: 4 mrad of all joints together keep below what the guard permits.
    way = np.array([HOME, *back])
    assert np.abs(np.diff(way, axis=0)).sum(axis=1).max() <= 0.004 + 1e-9
    assert back[-1] == pytest.approx(KEPT, abs=1e-12)
    assert len(back) == 3
    assert bench.servo.q == pytest.approx(NEAR)
    assert not bench.motion.is_moving()


async def test_a_way_back_that_is_refused_is_ordered_again() -> None:
    bench = await ready_bench()
    bench.servo.refusals, bench.servo.kept_at = [HoldReason.TCP_FORCE] * 4, KEPT

    await bench.run(lambda: bench.motion.move_joint(NEAR))

    # Of its refusals none counts as a try of the motion.
    targets = list_targets(bench)
    assert targets.count(NEAR.tolist()) == 2
    assert targets[1] == targets[2] == targets[3] == targets[4]
    assert len(targets) == 2 + 3 + 3
    assert bench.servo.q == pytest.approx(NEAR)


async def test_an_arm_that_stays_pressed_is_a_refusal_in_the_end() -> None:
    bench = await ready_bench()
    bench.servo.refusals, bench.servo.kept_at = [HoldReason.TCP_FORCE] * 5000, KEPT
    began_ns = bench.clock.now_ns()

    async def move_and_fail() -> None:
        with pytest.raises(CauseError, match="TCP_FORCE"):
            await bench.motion.move_joint(NEAR)

    await bench.run(move_and_fail)

    assert bench.clock.now_ns() - began_ns < 4e9
    # Nobody presses on at what does not go away.
    assert list_targets(bench).count(NEAR.tolist()) == 1
    assert not bench.motion.is_moving()
    command = bench.servo.read_command()
    assert command is not None
    assert command.mode is MotionMode.HOLD
    # Some pause lies between them: each is an event in the record.
    assert len(list_targets(bench)) < 80


async def test_presses_apart_are_counted_however_long_each_takes() -> None:
    bench = await ready_bench()
    bench.motion.speed_limit_ratio = 0.2
    bench.servo.refusals = [HoldReason.TCP_FORCE]
    bench.servo.kept_at = KEPT
    pressed = 1

    def press_again() -> bool:
        """Let every try be followed for 0.7 s before it meets something."""
        nonlocal pressed
        orders = bench.servo.orders
        is_try = orders[-1].q_target.tolist() == NEAR.tolist()
        tries = list_targets(bench).count(NEAR.tolist())
        if is_try and tries > pressed and bench.clock.now_ns() > since_ns[-1] + 0.7e9:
            pressed = tries
            bench.servo.stop_short(HoldReason.TCP_FORCE, bench.servo.q + 0.003)
        if is_try and tries > len(since_ns):
            since_ns.append(bench.clock.now_ns())
        return False

    since_ns = [bench.clock.now_ns()]

    async def move_and_fail() -> None:
        with pytest.raises(ForceError, match="TCP_FORCE"):
            await bench.motion.move_joint(NEAR, ends_when=press_again)

    await bench.run(move_and_fail)

    assert list_targets(bench).count(NEAR.tolist()) == 3


async def test_the_limit_of_the_line_holds_on_the_way_back_too() -> None:
    bench = await ready_bench()
    bench.motion.speed_limit_ratio, bench.motion.carries_part = 0.3, True
    bench.servo.refusals, bench.servo.kept_at = [HoldReason.TCP_FORCE], KEPT

    await bench.run(lambda: bench.motion.move_joint(NEAR))

    moves = [o for o in bench.servo.orders if o.mode is MotionMode.MOVE_JOINT]
    assert len(moves) > 2
    assert {order.speed_ratio for order in moves} == {0.3}
    assert all(order.part_length_m > 0.0 for order in moves)


async def test_without_permission_the_arm_does_not_give_way_either() -> None:
    bench = await ready_bench()
    bench.servo.refusals, bench.servo.kept_at = [HoldReason.TCP_FORCE], KEPT
    ended = []

    def forbid() -> bool:
        bench.may_move = len(list_targets(bench)) < 2
        return False

    async def move() -> None:
        try:
            await bench.motion.move_joint(NEAR, ends_when=forbid)
        except CauseError as error:
            ended.append(error.cause)

    await bench.run(move)

    # At most what the last stamp still covered.
    assert bench.servo.travelled_rad < 0.001
    assert ended


@pytest.mark.parametrize(
    ("reason", "kept_at"),
    [(HoldReason.KEEP_OUT_ZONE, KEPT), (HoldReason.TCP_FORCE, HOME + 9e-4)],
)
async def test_only_an_arm_that_is_pressed_gives_way(
    reason: HoldReason, kept_at: Vector
) -> None:
    bench = await ready_bench()
    bench.servo.refusals, bench.servo.kept_at = [reason], kept_at

    await bench.run(lambda: bench.motion.move_joint(NEAR))

    assert list_targets(bench) == [NEAR.tolist()] * 2


@pytest.mark.parametrize(
    ("feel_n", "gives_way"),
    [
        # Half of the guard's limit of force is 75 N.
        (lambda s: 74.0, False),
        (lambda s: 75.0, True),
        (lambda s: math.nan, True),
        # A push that is over, and a blow that bounces.
        (lambda s: 400.0 if s < 0.06 else 60.0, False),
        (lambda s: 10.0 if s < 0.04 else 200.0, True),
    ],
)
async def test_an_arm_that_feels_little_goes_on_at_once(
    feel_n: Callable[[float], float], gives_way: bool
) -> None:
    bench = await ready_bench()
    bench.servo.refusals, bench.servo.kept_at = [HoldReason.TCP_FORCE], KEPT
    began_ns = bench.clock.now_ns()
    bench.servo.feel_n = lambda now_ns: feel_n((now_ns - began_ns) / 1e9 - 0.05)

    await bench.run(lambda: bench.motion.move_joint(NEAR))

    assert (len(list_targets(bench)) > 2) is gives_way
    lost_s = bench.motion.interventions.compute_figures()
    longest_s = lost_s["guard_intervention_lost_s_max"]
    assert longest_s is not None
    assert (longest_s > 0.2) is gives_way


async def test_on_the_way_into_the_bin_little_is_enough() -> None:
    bench = await ready_bench()
    bench.servo.refusals, bench.servo.kept_at = [HoldReason.TCP_FORCE], KEPT
    bench.servo.feel_n = lambda now_ns: 40.0
    target = lift(bench.servo.base_from_tcp(), -0.05)

    async def move_and_fail() -> None:
        with pytest.raises(ForceError, match="TCP_FORCE"):
            await bench.motion.move_linear(target, presses_on=False)

    await bench.run(move_and_fail)

    lines = [o for o in bench.servo.orders if o.mode is MotionMode.MOVE_LINEAR]
    assert len(lines) == 1


@pytest.mark.parametrize(("kept_at", "tries"), [(KEPT, 1), (None, 3)])
async def test_where_it_is_told_so_nothing_is_pressed_at_twice(
    kept_at: Vector | None, tries: int
) -> None:
    bench = await ready_bench()
    target = lift(bench.servo.base_from_tcp(), -0.05)
    bench.servo.refusals = [HoldReason.TCP_FORCE] * tries
    bench.servo.kept_at = kept_at

    async def move_and_fail() -> None:
        with pytest.raises(ForceError, match="TCP_FORCE"):
            await bench.motion.move_linear(target, presses_on=False)

    await bench.run(move_and_fail)

    lines = [o for o in bench.servo.orders if o.mode is MotionMode.MOVE_LINEAR]
    assert len(lines) == tries
    assert bool(list_targets(bench)) is (kept_at is not None)


async def test_what_ends_a_motion_ends_its_giving_way_as_well() -> None:
    bench = await ready_bench()
    bench.servo.refusals, bench.servo.kept_at = [HoldReason.TCP_FORCE], KEPT

    async def move() -> None:
        with pytest.raises(MotionEndedError):
            await bench.motion.move_joint(
                NEAR, ends_when=lambda: len(list_targets(bench)) > 1
            )

    await bench.run(move)

    command = bench.servo.read_command()
    assert command is not None
    assert command.mode is MotionMode.BRAKE
    assert len(list_targets(bench)) == 2


async def test_a_loss_while_the_arm_gives_way_is_told() -> None:
    bench = await ready_bench()
    bench.servo.refusals, bench.servo.kept_at = [HoldReason.TCP_FORCE], KEPT

    def lose() -> bool:
        if len(list_targets(bench)) > 1:
            bench.servo.fault(HoldReason.LINK_LOST)
        return False

    async def move_and_fail() -> None:
        with pytest.raises(CauseError) as caught:
            await bench.motion.move_joint(NEAR, ends_when=lose)
        assert caught.value.cause is Cause.ROBOT_LINK_LOST

    await bench.run(move_and_fail)


def test_tries_begin_anew_once_the_motion_has_gone_on() -> None:
    force = HoldReason.TCP_FORCE
    tries = Tries()

    assert tries.note(force, 0) < tries.note(force, 400_000_000)
    assert not tries.is_spent
    tries.note(force, 600_000_000)
    assert tries.reasons == [force]
    tries.note(force, 0)
    assert not tries.is_spent
    tries.note(force, 0)
    assert tries.is_spent


async def test_a_third_refusal_is_final() -> None:
    bench = await ready_bench()
    bench.servo.refusals = [HoldReason.WORKSPACE] * 3

    async def move_and_fail() -> None:
        with pytest.raises(CauseError, match="WORKSPACE") as caught:
            await bench.motion.move_joint(NEAR)
        assert caught.value.cause is Cause.COMMAND_VETOED

    await bench.run(move_and_fail)
    command = bench.servo.read_command()
    assert command is not None
    assert command.mode is MotionMode.HOLD


async def test_without_pulses_a_motion_lapses_however_long_it_waits() -> None:
    bench = await ready_bench()
    ended = []

    async def move() -> None:
        try:
            await bench.motion.move_joint(NEAR)
        except CauseError as error:
            ended.append(error.cause)

    bench.pulses = False
    await bench.run(move)

    # At most what the last stamp still covered.
    assert bench.servo.travelled_rad < 0.15
    assert ended


async def test_a_lower_speed_limit_reaches_a_motion_under_way() -> None:
    bench = await ready_bench()

    async def move_slower_and_slower() -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(bench.motion.move_joint(NEAR))
            await bench.clock.sleep_until_ns(bench.clock.now_ns() + 50_000_000)
            bench.motion.speed_limit_ratio = 0.1
            await bench.clock.sleep_until_ns(bench.clock.now_ns() + 50_000_000)
            command = bench.servo.read_command()
            assert command is not None
            assert command.speed_ratio == pytest.approx(0.1)

    await bench.run(move_slower_and_slower)


async def test_a_release_that_nobody_takes_is_withdrawn() -> None:
    bench = Bench()
    bench.pulse()
    bench.servo.is_dead = True

    async def release_and_fail() -> None:
        with pytest.raises(CauseError) as caught:
            await bench.motion.release()
        assert caught.value.cause is Cause.ARM_NOT_READY

    await bench.run(release_and_fail)
    bench.servo.is_dead = False
    for _ in range(100):
        bench.pulse()
        bench.clock.advance_s(0.02)

    assert bench.servo.latch is HoldReason.NOT_ARMED


async def test_a_release_waits_for_a_servo_process_that_still_starts() -> None:
    bench = Bench()
    bench.servo.unstart()
    bench.motion = MotionClient(bench.servo, bench.clock, LAYOUT.load_limits)

    async def release_and_start() -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(bench.motion.release())
            await bench.clock.sleep_until_ns(bench.clock.now_ns() + 60 * 10**9)
            assert bench.motion.state is None, "it has not reported yet"
            bench.servo.restart()

    await bench.run(release_and_start, limit_s=65.0)

    assert bench.motion.is_ready()


@pytest.mark.parametrize(
    ("first_word_s", "is_over_at_s"), [(None, 120), (0, 15), (60, 75), (120, 135)]
)
def test_the_time_for_a_release_begins_with_the_first_word(
    first_word_s: int | None, is_over_at_s: int
) -> None:
    patience = ReleasePatience(0)

    over = [
        second
        for second in range(200)
        if patience.is_over(
            second * 10**9,
            has_reported=first_word_s is not None and second >= first_word_s,
        )
    ]

    assert over[0] == is_over_at_s + 1


async def test_orders_start_at_the_measured_position() -> None:
    bench = await ready_bench()
    bench.servo.q = NEAR.copy()
    bench.pulse()

    bench.motion.hold()

    command = bench.servo.read_command()
    assert command is not None
    assert command.q_target == pytest.approx(NEAR)


async def test_an_order_to_move_is_not_vouched_for_while_the_arm_may_not_move() -> None:
    bench = await ready_bench()

    async def move_with_a_pause() -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(bench.motion.move_joint(NEAR))
            await bench.clock.sleep_until_ns(bench.clock.now_ns() + 30_000_000)
            bench.may_move = False
            await bench.clock.sleep_until_ns(bench.clock.now_ns() + 30_000_000)
            command = bench.servo.read_command()
            assert command is not None
            assert command.mode is MotionMode.MOVE_JOINT
            assert command.stamp_ns == WITHHELD_NS
            assert bench.servo.q != pytest.approx(NEAR)
            bench.may_move = True

    await bench.run(move_with_a_pause)

    assert bench.servo.q == pytest.approx(NEAR)


async def test_a_blend_under_way_is_not_vouched_for_while_the_arm_may_not_move() -> (
    None
):
    bench = await ready_bench()
    await bench.run(lambda: bench.motion.move_joint(NEAR, arrival_rad=0.5))
    bench.motion.refresh()

    bench.motion.vouch(may_move=False)
    withheld = bench.servo.read_command()
    await bench.run(lambda: bench.motion.move_joint(NEAR))
    bench.motion.refresh()
    bench.motion.vouch(may_move=False)
    done = bench.servo.read_command()

    assert withheld is not None
    assert withheld.stamp_ns == WITHHELD_NS
    assert done is not None
    assert done.mode is MotionMode.MOVE_JOINT
    assert done.stamp_ns == bench.clock.now_ns()


async def test_an_order_to_rest_stands_while_the_arm_may_not_move() -> None:
    bench = await ready_bench()
    bench.motion.hold()

    bench.motion.vouch(may_move=False)

    command = bench.servo.read_command()
    assert command is not None
    assert command.stamp_ns == bench.clock.now_ns()


async def test_a_slow_slider_gives_a_motion_more_time() -> None:
    bench = await ready_bench()
    bench.servo.speed_fraction = 0.05

    await bench.run(lambda: bench.motion.move_joint(NEAR), limit_s=200.0)

    assert bench.servo.q == pytest.approx(NEAR)


def stop_slider(bench: Bench, *, is_held: bool) -> None:
    bench.servo.speed_fraction = 0.0 if is_held else 1.0


def withhold(bench: Bench, *, is_held: bool) -> None:
    bench.may_move = not is_held


def stop_pulses(bench: Bench, *, is_held: bool) -> None:
    bench.pulses = not is_held


@pytest.mark.parametrize("duration_ns", [300_000_000, 5_000_000_000])
@pytest.mark.parametrize("hold", [stop_slider, withhold, stop_pulses])
async def test_a_hold_that_others_want_ends_with_them_and_costs_no_order(
    hold: Callable[..., None], duration_ns: int
) -> None:
    bench = await ready_bench()
    orders = len(bench.servo.orders)

    async def move_and_be_held() -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(bench.motion.move_joint(NEAR))
            await bench.clock.sleep_until_ns(bench.clock.now_ns() + 50_000_000)
            hold(bench, is_held=True)
            await bench.clock.sleep_until_ns(bench.clock.now_ns() + duration_ns)
            assert bench.servo.q != pytest.approx(NEAR)
            hold(bench, is_held=False)

    await bench.run(move_and_be_held)

    assert len(bench.servo.orders) == orders + 1
    assert bench.servo.q == pytest.approx(NEAR)


def test_a_motion_waits_some_minutes_for_the_slider_and_not_for_ever() -> None:
    patience = Patience(0)

    assert not patience.is_over(300_000_000_000, 0.0)
    assert patience.is_over(500_000_000_000, 0.0)


def lose_servo(servo: FakeServo) -> None:
    servo.restart()


def lose_robot(servo: FakeServo) -> None:
    servo.is_unlinked = True


@pytest.mark.parametrize(
    ("lose", "cause"),
    [(lose_servo, Cause.SERVO_LOST), (lose_robot, Cause.ROBOT_LINK_LOST)],
)
async def test_a_release_that_motion_follows_ends_with_a_loss_meanwhile(
    lose: Callable[[FakeServo], None], cause: Cause
) -> None:
    bench = Bench()
    # Long enough for a restart to show in the count of cycles.
    await bench.run(lambda: bench.clock.sleep_until_ns(bench.clock.now_ns() + 10**9))

    async def release_and_lose() -> None:
        release = asyncio.create_task(bench.motion.release(survives_losses=False))
        await bench.clock.sleep_until_ns(bench.clock.now_ns() + 100_000_000)
        lose(bench.servo)
        with pytest.raises(CauseError) as caught:
            await release
        assert caught.value.cause is cause

    await bench.run(release_and_lose)
    bench.servo.is_unlinked = False
    await bench.run(lambda: bench.clock.sleep_until_ns(bench.clock.now_ns() + 10**10))

    assert not bench.motion.is_ready(), "the release was withdrawn"


async def test_a_release_that_no_motion_follows_outlasts_a_restart() -> None:
    bench = Bench()
    await bench.run(lambda: bench.clock.sleep_until_ns(bench.clock.now_ns() + 10**9))

    async def release_and_lose() -> None:
        release = asyncio.create_task(bench.motion.release())
        await bench.clock.sleep_until_ns(bench.clock.now_ns() + 100_000_000)
        bench.servo.restart()
        await release

    await bench.run(release_and_lose)

    assert bench.motion.is_ready()


async def test_a_motion_ends_when_its_caller_says_so_and_the_arm_rests() -> None:
    bench = await ready_bench()
    start_ns = bench.clock.now_ns()

    def is_over() -> bool:
        return bench.clock.now_ns() - start_ns > 100_000_000

    async def move() -> None:
        with pytest.raises(MotionEndedError):
            await bench.motion.move_joint(NEAR, ends_when=is_over)

    await bench.run(move)
    assert bench.clock.now_ns() - start_ns < 150_000_000
    await bench.run(lambda: _rest(bench.motion))

    assert not bench.motion.is_moving()
    assert bench.servo.q != pytest.approx(NEAR, abs=0.05)


async def _rest(motion: MotionClient) -> None:
    assert await motion.wait_rest()
