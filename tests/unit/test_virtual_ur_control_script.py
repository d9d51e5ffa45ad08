"""The control script's state machine, without a client."""

import math
import struct
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sim2real.virtual_cell.ur.arm import Arm
from sim2real.virtual_cell.ur.commands import COMMANDS, REAL_TIME
from sim2real.virtual_cell.ur.control_script import ProgramRunner, RuntimeState
from sim2real.virtual_cell.ur.image import OutputImage
from sim2real.virtual_cell.ur.inputs import InputBank
from sim2real.virtual_cell.ur.plant import IdealPlant
from sim2real.virtual_cell.ur.safety_state import SafetyState
from sim2real.virtual_cell.ur.script_port import CONTROL_SCRIPT, PathLeg, Program

HOME = (0.3, -1.4, 1.6, -1.8, -1.57, 0.2)
READY, DONE = 1, 2


class Client:
    """Writes commands as a client does and lets ticks pass."""

    def __init__(self, offset: int = 0, path: tuple[PathLeg, ...] = ()) -> None:
        self.offset = offset
        self.inputs = InputBank()
        self.image = OutputImage()
        self.arm = Arm(IdealPlant(HOME), SafetyState(lambda _: None, 0.0))
        self.runner = ProgramRunner(self.arm, self.inputs, self.image, lambda _: None)
        self.now_ns = 10**9
        self.run(2)
        self.runner.submit(Program(CONTROL_SCRIPT, offset, path))
        assert self.run_until(lambda: self.runner.state is RuntimeState.PLAYING)

    def run(self, ticks: int = 1) -> None:
        for _ in range(ticks):
            self.now_ns += 2_000_000
            self.arm.sense(self.now_ns)
            self.runner.step(self.now_ns)
            self.arm.act(self.now_ns)

    def run_until(self, condition: Callable[[], bool], ticks: int = 5000) -> bool:
        for _ in range(ticks):
            if condition():
                return True
            self.run()
        return False

    def write(
        self, command: int, doubles: tuple[float, ...] = (), flag: int = 0
    ) -> None:
        names = [f"input_int_register_{self.offset}"]
        names += [f"input_int_register_{self.offset + 1}"]
        names += [
            f"input_double_register_{self.offset + n}" for n in range(len(doubles))
        ]
        self.inputs.apply(names, (command, flag, *doubles), self.now_ns)

    @property
    def state(self) -> int:
        packed = self.image.packed[f"output_int_register_{self.offset}"]
        return int(struct.unpack(">i", packed)[0])


def moved_by(angle: float) -> tuple[float, ...]:
    return (HOME[0] + angle, *HOME[1:])


@pytest.mark.parametrize("offset", [0, 24])
def test_a_blocking_move_shows_done_only_at_its_end_and_until_it_is_cleared(
    offset: int,
) -> None:
    client = Client(offset)
    assert client.state == READY
    client.write(1, (*moved_by(0.2), 1.0, 5.0))
    client.run(10)
    assert client.state == READY

    assert client.run_until(lambda: client.state == DONE)

    assert client.arm.motion.q == moved_by(0.2)
    client.run(20)
    assert client.state == DONE
    client.write(0)
    client.run()
    assert client.state == READY


def test_a_command_that_stays_in_its_register_is_executed_once() -> None:
    client = Client()
    client.write(29, (0.0, 0.0, 0.1, 0.0, 0.0, 0.0))
    client.run(3)
    client.arm.set_tcp((0.0,) * 6)

    client.run(10)

    assert client.arm.tcp_offset == (0.0,) * 6


def test_a_real_time_command_is_executed_every_tick_and_never_shows_done() -> None:
    client = Client()
    client.write(11, (*moved_by(0.05), 0.0, 0.0, 0.002, 0.03, 1000.0))

    for _ in range(200):
        client.run()
        assert client.state == READY

    assert client.arm.motion.q[0] == pytest.approx(moved_by(0.05)[0], abs=1e-6)


def test_a_clear_during_servoing_keeps_the_target() -> None:
    client = Client()
    client.write(11, (*moved_by(0.05), 0.0, 0.0, 0.002, 0.03, 1000.0))
    client.run(3)

    client.write(0)
    client.run(200)

    assert client.arm.motion.q[0] == pytest.approx(moved_by(0.05)[0], abs=1e-6)


def test_a_command_left_by_a_dead_client_does_not_start_with_the_program() -> None:
    client = Client()
    client.write(1, (*moved_by(0.5), 1.0, 5.0))
    client.runner.submit(Program(CONTROL_SCRIPT, 0))

    client.run(50)

    assert client.runner.state is RuntimeState.PLAYING
    assert client.arm.motion.q == HOME


def test_stop_script_ends_the_program_and_keeps_the_registers() -> None:
    client = Client()
    client.write(255)
    client.run()

    assert client.runner.state is RuntimeState.STOPPED
    assert client.state == READY


def test_a_program_that_ends_in_motion_ramps_to_rest() -> None:
    client = Client()
    client.write(9, (1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 5.0, 0.0))
    client.run(200)
    client.write(255)

    client.run(2)
    assert 0.0 < client.arm.motion.qd[0] < 1.0

    client.run(40)
    assert client.arm.motion.qd[0] == 0.0


def test_a_replaced_program_shows_as_stopped_for_a_moment() -> None:
    client = Client()
    client.runner.submit(Program(CONTROL_SCRIPT, 0))

    client.run()

    assert client.runner.state is RuntimeState.STOPPED
    assert client.run_until(lambda: client.runner.state is RuntimeState.PLAYING)


def test_a_watchdog_ends_the_program_when_packages_stop() -> None:
    client = Client()
    client.write(35, (10.0,))
    client.run(30)
    client.write(0)

    client.run(45)
    assert client.runner.is_running
    client.run(10)

    assert client.runner.state is RuntimeState.STOPPED


def test_an_injected_path_runs_through_all_its_legs() -> None:
    legs = (
        PathLeg("j", moved_by(0.1), 5.0, 1.0),
        PathLeg("j", moved_by(-0.1), 5.0, 1.0),
    )
    client = Client(path=legs)
    client.write(45)

    assert client.run_until(lambda: client.state == DONE)

    assert client.arm.motion.q == moved_by(-0.1)


def test_a_stop_pauses_the_program_and_unlocking_ends_it() -> None:
    client = Client()
    client.write(1, (*moved_by(0.5), 1.0, 5.0))
    client.run(50)
    client.arm.stop_protectively("test", client.now_ns)
    client.run(100)
    assert client.runner.state.name == "PAUSED"

    assert client.arm.unlock(client.now_ns)
    client.run()

    assert client.runner.state is RuntimeState.STOPPED
    assert not client.runner.resume()


numbers = st.floats(-7.0, 7.0) | st.sampled_from([math.nan, math.inf, -math.inf, 1e300])
calls = st.tuples(
    st.sampled_from([*COMMANDS, *REAL_TIME, 55, 200, -1]),
    st.lists(numbers, min_size=14, max_size=14).map(tuple),
    st.integers(0, 3),
)


@settings(max_examples=60)
@given(st.lists(calls, min_size=1, max_size=6))
def test_no_argument_brings_the_controller_down_or_moves_the_arm_too_fast(
    sequence: list[tuple[int, tuple[float, ...], int]],
) -> None:
    client = Client()
    for command, doubles, flag in sequence:
        client.write(command, doubles, flag)
        for _ in range(15):
            client.run()
            assert all(abs(rate) <= 3.3 for rate in client.arm.motion.qd)
            assert all(map(math.isfinite, client.arm.motion.q))
        client.write(0)
        client.run(3)
    assert math.isfinite(client.arm.payload_kg)
