"""The heartbeat watch, in a time that the test makes."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cell.contracts.errors import FaultCode
from cell.contracts.plc import PlcInputs
from cell.drivers.plc.freshness import HeartbeatTracker, PlcHeartbeatLostError
from cell.drivers.plc.sim import make_line_inputs

TIMEOUT_S = 0.3
PERIOD_S = 0.05
PERIOD_NS = 50_000_000


class Exchange:
    """A tracker fed every 50 ms, with a PLC that echoes `echo_lag` exchanges late."""

    def __init__(self, echo_lag: int = 1) -> None:
        self.tracker = HeartbeatTracker(TIMEOUT_S, PERIOD_S)
        self.now_ns = 0
        self.ours = 0
        self.theirs = 65_500
        self.echo_lag = echo_lag
        self.boot_id = 1

    def inputs(self, echo: int | None) -> PlcInputs:
        return replace(
            make_line_inputs(),
            heartbeat=self.theirs,
            heartbeat_echo=(self.ours - self.echo_lag) % 65_536
            if echo is None
            else echo,
            boot_id=self.boot_id,
        )

    def turns(self, count: int, echo: int) -> None:
        for _ in range(count):
            self.turn(echo=echo)

    def turn(self, their_step: int = 1, echo: int | None = None) -> None:
        self.now_ns += PERIOD_NS
        self.ours = (self.ours + 1) % 65_536
        self.theirs = (self.theirs + their_step) % 65_536
        self.tracker.note_sent(self.ours, self.now_ns)
        self.tracker.check(self.inputs(echo), self.now_ns)


@given(lag=st.integers(0, 3), step=st.integers(1, 1000), turns=st.integers(1, 200))
def test_a_living_plc_is_never_refused(lag: int, step: int, turns: int) -> None:
    line = Exchange(echo_lag=lag)

    for _ in range(turns):
        line.turn(their_step=step)


def test_a_frozen_counter_is_refused_within_the_timeout_and_not_too_early() -> None:
    line = Exchange()
    line.turn()

    for _ in range(3):  # a PLC that beats every 100 ms, and as much jitter again
        line.turn(their_step=0)
    with pytest.raises(PlcHeartbeatLostError) as caught:
        line.turn(their_step=0)

    assert "stands at 65501" in str(caught.value)
    assert caught.value.code is FaultCode.PLC_HEARTBEAT_LOST


def test_an_echo_that_stops_following_is_refused() -> None:
    line = Exchange()
    line.turn()
    stuck = line.ours

    with pytest.raises(PlcHeartbeatLostError, match="not echoed"):
        line.turns(9, echo=stuck)


def test_the_echo_of_an_earlier_connection_is_tolerated_for_a_while() -> None:
    line = Exchange()

    line.turns(4, echo=40_000)
    line.turn()


def test_a_missing_echo_is_refused_early_enough_to_be_answered_in_time() -> None:
    line = Exchange()
    line.turn()
    lost_ns, stuck = line.now_ns, line.ours

    with pytest.raises(PlcHeartbeatLostError, match="not echoed"):
        line.turns(9, echo=stuck)

    # The first lost counter went out one period later; one is left to act on it.
    assert line.now_ns - lost_ns <= 300_000_000 - PERIOD_NS


def test_an_echo_of_something_we_never_sent_is_refused() -> None:
    line = Exchange()

    with pytest.raises(PlcHeartbeatLostError, match="another client"):
        line.turns(9, echo=12_345)


@pytest.mark.parametrize("step", [-1, -1000, 40_000])
def test_a_counter_that_runs_backwards_is_refused_at_once(step: int) -> None:
    line = Exchange()
    line.turn()

    with pytest.raises(PlcHeartbeatLostError, match="backwards"):
        line.turn(their_step=step)


def test_a_repeating_pattern_is_refused_at_its_first_return() -> None:
    line = Exchange()
    line.turn()
    line.turn(their_step=3)

    with pytest.raises(PlcHeartbeatLostError):
        line.turn(their_step=-3)


def test_another_boot_number_is_refused_at_once() -> None:
    line = Exchange()
    line.turn()
    line.boot_id = 2

    with pytest.raises(PlcHeartbeatLostError, match="restarted"):
        line.turn()


def test_a_pause_of_our_own_is_not_the_plcs_fault() -> None:
    line = Exchange()
    line.turn()
    line.now_ns += 5_000_000_000

    line.turn(their_step=100)

    assert line.tracker.age_s(line.now_ns) == 0.0


def test_a_heartbeat_sent_twice_keeps_the_time_of_its_first_sending() -> None:
    tracker = HeartbeatTracker(TIMEOUT_S, PERIOD_S)
    tracker.note_sent(7, 0)
    tracker.note_sent(7, 250_000_000)
    inputs = replace(make_line_inputs(), heartbeat_echo=6)

    with pytest.raises(PlcHeartbeatLostError, match="not echoed"):
        tracker.check(inputs, 350_000_000)


def test_before_the_first_block_the_age_is_infinite() -> None:
    assert HeartbeatTracker(TIMEOUT_S, PERIOD_S).age_s(5) == float("inf")
