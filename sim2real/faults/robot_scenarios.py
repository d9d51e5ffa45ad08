"""How F17 to F25 are tried: the wire to the robot, its stops, its dashboard."""

import socket
import time
from collections.abc import Callable
from typing import Final

from cell.contracts.servo import HoldReason
from sim2real.faults.chaos_rule import Flow, Rule
from sim2real.faults.evidence import Evidence
from sim2real.faults.robot_wire import RtdeTap
from sim2real.faults.scenario import (
    Act,
    CellScenario,
    do_nothing,
    find_placed_part,
    find_stop,
    goes_on,
    last_setpoint,
    make_hold_sign,
    make_time_look,
    stop_begins,
    wait_for_long_motion,
)
from sim2real.faults.stand import Stand, StandError, pause
from sim2real.faults.stand_config import Wire
from sim2real.virtual_cell.ur.faults import UrFault, request_fault
from sim2real.virtual_cell.ur.safety_state import UNLOCK_WAIT_S

_ROBOT: Final = frozenset({Wire.ROBOT})
_DASHBOARD_PORT: Final = 29999
_GAP_RAD: Final = 0.4
_STALL_S: Final = 0.08
_NEWEST_S: Final = 0.008
_STALE_MS: Final = 60.0
"""The arm's sample counts as stale after 50 ms."""
_WATCH_S: Final = 0.02
_DECIDED_MS: Final = 100.0
"""From the order at the robot to the supervisor's own stop, in the watch included."""


def say_to_dashboard(stand: Stand, *commands: str) -> None:
    """Give commands at the robot's pendant, so to speak.

    Raises:
        StandError: the robot refuses one.
    """
    address = (stand.files.cell_host, _DASHBOARD_PORT)
    with socket.create_connection(address, 2.0) as link, link.makefile("rwb") as lines:
        lines.readline()
        for command in commands:
            lines.write(f"{command}\n".encode())
            lines.flush()
            answer = lines.readline().decode("ascii", "replace").strip()
            if answer.startswith(("Failed", "Cannot", "could not")):
                raise StandError(f"the robot answers '{answer}' to '{command}'")


def _ask(fault: UrFault, value: float = 0.0) -> Act:
    return lambda stand: request_fault(stand.files.cell_runtime, fault, value)


def _tap(stand: Stand) -> RtdeTap:
    if stand.tap is None:
        raise StandError("the wire to the robot is not open to disturbance")
    return stand.tap


def _set(rule: Rule) -> Act:
    def act(stand: Stand) -> None:
        changed = _tap(stand).rule(Flow.TO_CLIENT, rule)
        stand.wires[Wire.ROBOT].set_rule(Flow.TO_CLIENT, changed)

    return act


_MEND: Final = _set(Rule())


class _Stall:
    """Holds packages back, and knows when it let all of them go."""

    def __init__(self) -> None:
        self._flushed_ns = 0

    def begin(self, stand: Stand) -> None:
        """Hold them back for a while."""
        _set(Rule(is_held=True))(stand)
        pause(_STALL_S)
        self._flushed_ns = time.monotonic_ns()
        _MEND(stand)

    def find_flush(self, _evidence: Evidence, _now_ns: int) -> int | None:
        """Return when they were let go."""
        return self._flushed_ns or None

    def find_newest(self, evidence: Evidence, _now_ns: int) -> int | None:
        """Return when the servo process had got through to the newest of them."""
        for sample in evidence.samples():
            is_after = sample.seen_ns >= self._flushed_ns > 0
            if is_after and sample.arm_age_s < _NEWEST_S:
                return sample.seen_ns
        return None


def _strike(fault: UrFault) -> Act:
    """Return an act that stops the robot, with an eye on the package that says so."""

    def act(stand: Stand) -> None:
        _tap(stand).watch("safety_status_bits")
        pause(_WATCH_S)
        _ask(fault)(stand)

    return act


def _package_says(evidence: Evidence, _now_ns: int) -> int | None:
    return _tap(evidence.stand).changed_ns or None


def _freeze(*names: str) -> Act:
    return lambda stand: _tap(stand).freeze(*names)


class _Loss:
    """Loses packages, and knows how many."""

    def __init__(self) -> None:
        self._before = 0

    def begin(self, stand: Stand) -> None:
        """Lose three in a hundred."""
        self._before = stand.wires[Wire.ROBOT].counts["lost"]
        _set(Rule(loss_ratio=0.03))(stand)

    def find(self, evidence: Evidence) -> str:
        """Miss lost packages."""
        lost = evidence.stand.wires[Wire.ROBOT].counts["lost"] - self._before
        return "" if lost else "no package was lost"


def _oldest_sample(evidence: Evidence, now_ns: int) -> int | None:
    """Return the onset plus the greatest age of a sample, once there were enough."""
    ages_s = [s.arm_age_s for s in evidence.samples()]
    if goes_on(evidence, now_ns) is None or not ages_s:
        return None
    return evidence.onset_ns + int(max(ages_s) * 1e9)


def _find_slow_slider(evidence: Evidence) -> str:
    """Miss a slider that was seen at one half."""
    is_seen = any(abs(s.speed_fraction - 0.5) < 0.01 for s in evidence.samples())
    return "" if is_seen else "the slider was not seen to move"


def _gap_opens(evidence: Evidence, _now_ns: int) -> int | None:
    for sample in evidence.samples():
        if sample.gap_rad >= _GAP_RAD:
            return sample.seen_ns
    return None


def _wait_then(wait_s: float, act: Callable[[Stand], None]) -> Act:
    def later(stand: Stand) -> None:
        deadline_s = time.monotonic() + wait_s
        while time.monotonic() < deadline_s:
            pause(0.05)
        act(stand)

    return later


def _release_emergency_stop(stand: Stand) -> None:
    _ask(UrFault.RELEASE)(stand)
    pause(0.2)
    say_to_dashboard(stand, "power on", "brake release")


def _unlock(stand: Stand) -> None:
    say_to_dashboard(stand, "unlock protective stop")


_loss, _stall = _Loss(), _Stall()

ROBOT_SCENARIOS: Final[dict[str, CellScenario]] = {
    "F17": CellScenario(
        inject=_loss.begin,
        repair=_MEND,
        sign=_oldest_sample,
        patience_s=12.0,
        effect=_loss.find,
        looks=(find_stop, find_placed_part),
        wires=_ROBOT,
        is_latched=False,
        stops_arm=False,
    ),
    "F18": CellScenario(
        inject=_set(Rule(is_black_hole=True)),
        repair=_MEND,
        sign=last_setpoint,
        wires=_ROBOT,
    ),
    "F19": CellScenario(
        inject=_stall.begin,
        repair=do_nothing,
        sign=_stall.find_newest,
        onset=_stall.find_flush,
        looks=(
            find_stop,
            make_time_look(
                make_hold_sign(HoldReason.ARM_STATE_STALE), _STALE_MS, "the hold"
            ),
        ),
        event=("servo", "held"),
        wires=_ROBOT,
        lasts_s=2.0,
        is_latched=False,
        stops_arm=False,
    ),
    "F20": CellScenario(
        inject=_freeze("timestamp"),
        repair=_freeze(),
        sign=last_setpoint,
        wires=_ROBOT,
    ),
    "F21": CellScenario(
        inject=_strike(UrFault.PROTECTIVE_STOP),
        repair=_wait_then(UNLOCK_WAIT_S + 0.3, _unlock),
        sign=make_hold_sign(HoldReason.PROTECTIVE_STOP),
        onset=_package_says,
        looks=(make_time_look(stop_begins, _DECIDED_MS, "the cell's stop"),),
        wires=_ROBOT,
    ),
    "F22": CellScenario(
        inject=_strike(UrFault.EMERGENCY_STOP),
        repair=_release_emergency_stop,
        sign=make_hold_sign(HoldReason.EMERGENCY_STOP),
        onset=_package_says,
        looks=(make_time_look(stop_begins, _DECIDED_MS, "the cell's stop"),),
        wires=_ROBOT,
    ),
    "F23": CellScenario(
        inject=_ask(UrFault.SPEED_SLIDER, 0.5),
        repair=_ask(UrFault.SPEED_SLIDER, 1.0),
        sign=goes_on,
        patience_s=12.0,
        effect=_find_slow_slider,
        looks=(find_stop,),
        event=("servo", "speed slider"),
        is_latched=False,
        stops_arm=False,
    ),
    "F24": CellScenario(
        inject=_freeze("actual_q"),
        repair=_freeze(),
        sign=make_hold_sign(HoldReason.TRACKING_ERROR),
        onset=_gap_opens,
        moment=wait_for_long_motion,
        patience_s=12.0,
        wires=_ROBOT,
    ),
    "F25": CellScenario(
        inject=lambda stand: say_to_dashboard(stand, "stop"),
        repair=do_nothing,
        sign=stop_begins,
    ),
}
"""By row."""
