"""What every gripper driver promises, tried on each of them.

The URCap driver talks to a server of its protocol over loopback; the simulated one to
fingers in memory. Both move in a time that the test makes.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass

import pytest

from cell.config import RobotiqUrcapConfig, SimGripperConfig
from cell.contracts.drivers import GripperDriver
from cell.contracts.errors import (
    DriverError,
    DriverStaleError,
    DriverTimeoutError,
    DriverUnreachableError,
    FaultCode,
)
from cell.contracts.robot import GripperCommand, GripperObject, GripperState
from cell.drivers.gripper.opening import open_gripper
from cell.drivers.gripper.robotiq_faults import GripperFaultError
from cell.drivers.gripper.robotiq_urcap import open_robotiq_urcap
from cell.drivers.gripper.sim import SimFingers, open_sim_gripper
from tests.fakes.clock import FakeClock
from tests.fakes.urcap_server import UrcapGripper, serve_urcap

MAX_M = 0.085
PART_M = 0.03
# Half a count of a 255-count gripper.
TOLERANCE_M = MAX_M / 255


@dataclass
class Rig:
    """A gripper under test.

    Attributes:
        connect: opens a connection to it.
        clamp_part: puts a part of PART_M between the fingers.
        pull_part: takes it away.
        fail: makes the hardware report a fault that blocks it.
    """

    connect: Callable[[], AbstractAsyncContextManager[GripperDriver]]
    clamp_part: Callable[[], None]
    pull_part: Callable[[], None]
    fail: Callable[[], None]


@asynccontextmanager
async def sim_rig(clock: FakeClock) -> AsyncIterator[Rig]:
    fingers = SimFingers(aperture_m=MAX_M)
    config = SimGripperConfig(max_aperture_m=MAX_M)

    def set_part(width_m: float | None) -> None:
        fingers.part_width_m = width_m

    def fail() -> None:
        fingers.fault = 0x0A

    yield Rig(
        connect=lambda: open_sim_gripper(config, clock, fingers),
        clamp_part=lambda: set_part(PART_M),
        pull_part=lambda: set_part(None),
        fail=fail,
    )


@asynccontextmanager
async def urcap_rig(clock: FakeClock) -> AsyncIterator[Rig]:
    gripper = UrcapGripper(clock)
    async with serve_urcap(gripper) as port:
        config = RobotiqUrcapConfig(host="127.0.0.1", port=port, max_aperture_m=MAX_M)

        def set_part(count: int | None) -> None:
            gripper.part_count = count

        def fail() -> None:
            gripper.fault = 0x0A

        yield Rig(
            connect=lambda: open_gripper(config, clock),
            clamp_part=lambda: set_part(round(255 * (1 - PART_M / MAX_M))),
            pull_part=lambda: set_part(None),
            fail=fail,
        )


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(auto_advance=True)


@pytest.fixture(params=[sim_rig, urcap_rig], ids=["sim", "urcap"])
async def rig(request: pytest.FixtureRequest, clock: FakeClock) -> AsyncIterator[Rig]:
    async with request.param(clock) as made:
        yield made


async def settle(gripper: GripperDriver, clock: FakeClock) -> GripperState:
    """Let the fingers come to rest."""
    for _ in range(1000):
        state = await gripper.read_state()
        if state.object_status is not GripperObject.MOVING:
            return state
        clock.advance_s(0.01)
    pytest.fail("the fingers never came to rest")


async def test_fingers_stand_open_and_inactive_at_first(rig: Rig) -> None:
    async with rig.connect() as gripper:
        state = await gripper.read_state()

    assert state.aperture_m == pytest.approx(MAX_M)
    assert not state.is_active
    assert state.fault == 0


async def test_activation_makes_the_gripper_active(rig: Rig) -> None:
    async with rig.connect() as gripper:
        await gripper.activate()
        state = await gripper.read_state()

    assert state.is_active


async def test_a_move_needs_activation_on_this_connection(rig: Rig) -> None:
    async with rig.connect() as gripper:
        await gripper.activate()
    async with rig.connect() as gripper:
        with pytest.raises(DriverError, match="not activated"):
            await gripper.move(GripperCommand(aperture_m=0.0))


@pytest.mark.parametrize("aperture_m", [0.0, 0.02, 0.085, 0.2])
async def test_free_fingers_arrive_at_the_wanted_opening(
    rig: Rig, clock: FakeClock, aperture_m: float
) -> None:
    async with rig.connect() as gripper:
        await gripper.activate()
        await gripper.move(GripperCommand(aperture_m=aperture_m))
        state = await settle(gripper, clock)

    assert state.object_status is GripperObject.AT_POSITION
    assert state.aperture_m == pytest.approx(min(aperture_m, MAX_M), abs=TOLERANCE_M)


async def test_a_move_counts_as_running_right_after_the_order(
    rig: Rig, clock: FakeClock
) -> None:
    async with rig.connect() as gripper:
        await gripper.activate()
        await gripper.move(GripperCommand(aperture_m=0.0))
        assert (await gripper.read_state()).object_status is GripperObject.MOVING

        clock.advance_s(0.1)
        middle = await gripper.read_state()
        assert middle.object_status is GripperObject.MOVING
        assert 0.0 < middle.aperture_m < MAX_M


async def test_a_part_stops_closing_fingers_and_is_reported(
    rig: Rig, clock: FakeClock
) -> None:
    rig.clamp_part()
    async with rig.connect() as gripper:
        await gripper.activate()
        await gripper.move(GripperCommand(aperture_m=0.0))
        state = await settle(gripper, clock)

    assert state.object_status is GripperObject.STOPPED_CLOSING
    assert state.aperture_m == pytest.approx(PART_M, abs=TOLERANCE_M)


async def test_losing_the_part_lets_the_fingers_close(
    rig: Rig, clock: FakeClock
) -> None:
    rig.clamp_part()
    async with rig.connect() as gripper:
        await gripper.activate()
        await gripper.move(GripperCommand(aperture_m=0.0))
        await settle(gripper, clock)
        rig.pull_part()
        clock.advance_s(1.0)
        state = await settle(gripper, clock)

    assert state.object_status is GripperObject.AT_POSITION
    assert state.aperture_m < 0.004


async def test_opening_releases_the_part(rig: Rig, clock: FakeClock) -> None:
    rig.clamp_part()
    async with rig.connect() as gripper:
        await gripper.activate()
        await gripper.move(GripperCommand(aperture_m=0.0))
        await settle(gripper, clock)
        await gripper.move(GripperCommand(aperture_m=0.06))
        state = await settle(gripper, clock)

    assert state.object_status is GripperObject.AT_POSITION
    assert state.aperture_m == pytest.approx(0.06, abs=TOLERANCE_M)


async def test_samples_carry_the_stamp_of_our_own_clock(
    rig: Rig, clock: FakeClock
) -> None:
    async with rig.connect() as gripper:
        clock.advance_s(5.0)
        state = await gripper.read_state()

    assert state.stamp_ns == clock.now_ns()


async def test_a_blocking_fault_shows_as_inactive_with_its_number(rig: Rig) -> None:
    async with rig.connect() as gripper:
        await gripper.activate()
        rig.fail()
        state = await gripper.read_state()

    assert not state.is_active
    assert state.fault == 0x0A


NAN = float("nan")


@pytest.mark.parametrize(
    "command",
    [
        GripperCommand(aperture_m=NAN),
        GripperCommand(aperture_m=float("inf")),
        GripperCommand(aperture_m=-0.01),
        GripperCommand(aperture_m=0.0, speed_ratio=1.1),
        GripperCommand(aperture_m=0.0, speed_ratio=NAN),
        GripperCommand(aperture_m=0.0, force_ratio=-0.1),
    ],
    ids=str,
)
async def test_a_command_outside_its_ranges_is_refused_and_moves_nothing(
    rig: Rig, command: GripperCommand
) -> None:
    async with rig.connect() as gripper:
        await gripper.activate()
        with pytest.raises(DriverError):
            await gripper.move(command)
        state = await gripper.read_state()

    assert state.aperture_m == pytest.approx(MAX_M)


# --- what only a wire can do -------------------------------------------------------


@dataclass
class Wire:
    """An URCap server and a driver connected to it."""

    gripper: UrcapGripper
    port: int
    clock: FakeClock

    def connect(self) -> AbstractAsyncContextManager[GripperDriver]:
        config = RobotiqUrcapConfig(host="127.0.0.1", port=self.port)
        return open_robotiq_urcap(config, self.clock)


@pytest.fixture
async def wire(clock: FakeClock) -> AsyncIterator[Wire]:
    gripper = UrcapGripper(clock)
    async with serve_urcap(gripper) as port:
        yield Wire(gripper, port, clock)


async def test_activation_follows_the_makers_sequence(wire: Wire) -> None:
    async with wire.connect() as gripper:
        await gripper.activate()

    sets = [text.strip() for text in wire.gripper.requests if text.startswith("SET")]
    assert sets == ["SET ACT 0", "SET ATR 0", "SET ACT 1"]


async def test_an_active_gripper_is_left_alone_and_keeps_its_part(wire: Wire) -> None:
    wire.gripper.act, wire.gripper.sta = 1, 3

    async with wire.connect() as gripper:
        await gripper.activate()

    assert not any(text.startswith("SET") for text in wire.gripper.requests)


async def test_a_move_is_one_request_with_everything_in_it(wire: Wire) -> None:
    async with wire.connect() as gripper:
        await gripper.activate()
        wire.gripper.requests.clear()
        await gripper.move(GripperCommand(0.0, speed_ratio=0.5, force_ratio=0.2))

    assert wire.gripper.requests == ["SET POS 255 SPE 128 FOR 51 GTO 1\n"]


async def test_a_stale_arrival_flag_does_not_end_a_move_early(wire: Wire) -> None:
    async with wire.connect() as gripper:
        await gripper.activate()
        await gripper.move(GripperCommand(aperture_m=0.0))
        wire.clock.advance_s(1.0)
        wire.gripper.target = 17  # PRE does not show our order yet

        assert (await gripper.read_state()).object_status is GripperObject.MOVING


async def test_an_activation_that_ends_in_a_fault_says_what_to_do(wire: Wire) -> None:
    wire.gripper.activation_fault = 0x0D

    async with wire.connect() as gripper:
        with pytest.raises(GripperFaultError, match="in the way of the fingers") as got:
            await gripper.activate()
    assert got.value.code is FaultCode.GRIPPER_FAULT


async def test_an_activation_that_never_ends_times_out(wire: Wire) -> None:
    wire.gripper.activation_hangs = True

    async with wire.connect() as gripper:
        with pytest.raises(DriverTimeoutError):
            await gripper.activate()


async def test_an_unreadable_gripper_is_stale_and_recovers_by_itself(
    wire: Wire,
) -> None:
    async with wire.connect() as gripper:
        wire.gripper.is_readable = False
        with pytest.raises(DriverStaleError, match="emergency stop"):
            await gripper.read_state()

        wire.gripper.is_readable = True
        assert (await gripper.read_state()).fault == 0


async def test_a_silent_gripper_times_out_and_the_link_is_spent(wire: Wire) -> None:
    async with wire.connect() as gripper:
        wire.gripper.is_silent = True
        with pytest.raises(DriverTimeoutError):
            await gripper.read_state()

        wire.gripper.is_silent = False
        with pytest.raises(DriverUnreachableError, match="open it again"):
            await gripper.read_state()


@pytest.mark.parametrize(
    "answer",
    [
        b"POS 256\nOBJ 3\nSTA 3\nFLT 0\nPRE 0\n",
        b"POS 0\nOBJ 4\nSTA 3\nFLT 0\nPRE 0\n",
        b"POS -1\nOBJ 3\nSTA 3\nFLT 0\nPRE 0\n",
        b"POS \nOBJ 3\nSTA 3\nFLT 0\nPRE 0\n",
        b"OBJ 3\nPOS 0\nSTA 3\nFLT 0\nPRE 0\n",
        b"\xff\xfe\nOBJ 3\nSTA 3\nFLT 0\nPRE 0\n",
        b"x" * 1030,
    ],
    ids=["range", "enum", "sign", "empty", "order", "binary", "endless"],
)
async def test_a_strange_answer_is_refused_and_the_link_is_spent(
    wire: Wire, answer: bytes
) -> None:
    async with wire.connect() as gripper:
        wire.gripper.answer = answer
        with pytest.raises(DriverError):
            await gripper.read_state()
        with pytest.raises(DriverUnreachableError):
            await gripper.read_state()


async def test_a_set_without_acknowledge_is_refused(wire: Wire) -> None:
    async with wire.connect() as gripper:
        await gripper.activate()
        wire.gripper.answer = b"nak"
        with pytest.raises(DriverError, match="nak"):
            await gripper.move(GripperCommand(aperture_m=0.0))


async def test_nothing_listening_is_unreachable_with_the_key_to_check() -> None:
    gripper = UrcapGripper(FakeClock())
    async with serve_urcap(gripper) as port:
        pass
    config = RobotiqUrcapConfig(host="127.0.0.1", port=port)

    with pytest.raises(DriverUnreachableError, match=r"gripper\.host"):
        async with open_robotiq_urcap(config, FakeClock()):
            pass
