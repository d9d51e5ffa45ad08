"""How F28 to F36 are tried: what gripper and camera say."""

from typing import Final

from cell.contracts.servo import HoldReason
from sim2real.faults.chaos_rule import PLAIN, Change, Flow, Rule
from sim2real.faults.device_wire import (
    RepeatedPicture,
    StandingClock,
    StuckVariables,
    blind_depth,
)
from sim2real.faults.evidence import Evidence
from sim2real.faults.scenario import (
    Act,
    CellScenario,
    make_event_sign,
    stop_begins,
)
from sim2real.faults.stand import Stand
from sim2real.faults.stand_config import Wire

_GRIPPER: Final = frozenset({Wire.GRIPPER})
_CAMERA: Final = frozenset({Wire.CAMERA})
_PHASE_S: Final = 60.0
_BRAKED: Final = (HoldReason.BRAKE_ORDERED,)
_HELD_NS: Final = 100_000_000


def _answer(wire: Wire, make_change: type[RepeatedPicture | StandingClock]) -> Act:
    def act(stand: Stand) -> None:
        rule = Rule(change=make_change())
        stand.wires[wire].set_rule(Flow.TO_CLIENT, rule)

    return act


def _change(wire: Wire, change: Change) -> Act:
    rule = Rule(change=change)
    return lambda stand: stand.wires[wire].set_rule(Flow.TO_CLIENT, rule)


def _mend(wire: Wire) -> Act:
    return lambda stand: stand.wires[wire].set_rules(PLAIN)


def _stop_feed(stand: Stand) -> None:
    stand.wires[Wire.CAMERA].set_rule(Flow.TO_CLIENT, Rule(is_black_hole=True))


def _reach(phase: str) -> Act:
    """Return an act that waits for a phase of the grasp cycle."""

    def wait(stand: Stand) -> None:
        stand.wait_for(lambda s: s.get("phase") == phase, _PHASE_S, f"'{phase}'")

    return wait


def _find_lost_attempt(evidence: Evidence) -> str:
    """Miss that the attempt counts as lost, and an arm that rests before it goes on."""
    lines = evidence.events()
    outcomes = [str(line.fields.get("outcome")) for line in lines]
    if "lost in transfer" not in outcomes:
        return f"the attempt was not counted as lost ({outcomes})"
    stops_ns = [line.seen_ns for line in lines if line.event == "part_lost"]
    held = (s.seen_ns for s in evidence.samples() if s.hold_reason in _BRAKED)
    is_held = any(abs(seen_ns - ns) < _HELD_NS for seen_ns in held for ns in stops_ns)
    return "" if is_held else "the arm was not brought to rest where it was"


LOST: Final = StuckVariables({"OBJ": "3", "POS": "255"})
"""The fingers have closed on nothing."""
HOLDING: Final = StuckVariables({"OBJ": "2", "POS": "120"})
"""Something stops the fingers half-way."""
RESTLESS: Final = StuckVariables({"OBJ": "0"})
"""The fingers never arrive."""

DEVICE_SCENARIOS: Final[dict[str, CellScenario]] = {
    "F28": CellScenario(
        inject=_change(Wire.GRIPPER, LOST),
        repair=_mend(Wire.GRIPPER),
        sign=make_event_sign("supervisor", "part_lost"),
        moment=_reach("transferring"),
        patience_s=8.0,
        lasts_s=0.0,
        looks=(_find_lost_attempt,),
        event=("supervisor", "part_lost"),
        wires=_GRIPPER,
        is_latched=False,
        stops_arm=False,
    ),
    "F29": CellScenario(
        inject=_change(Wire.GRIPPER, HOLDING),
        repair=_mend(Wire.GRIPPER),
        sign=stop_begins,
        patience_s=40.0,
        wires=_GRIPPER,
        stops_arm=False,
    ),
    "F30": CellScenario(
        inject=_change(Wire.GRIPPER, RESTLESS),
        repair=_mend(Wire.GRIPPER),
        sign=stop_begins,
        moment=_reach("grasping"),
        patience_s=15.0,
        wires=_GRIPPER,
        stops_arm=False,
    ),
    "F33": CellScenario(
        inject=_answer(Wire.CAMERA, RepeatedPicture),
        repair=_mend(Wire.CAMERA),
        sign=make_event_sign("camera", "camera fails"),
        patience_s=15.0,
        event=("camera", "camera fails"),
        wires=_CAMERA,
        is_latched=False,
        stops_arm=False,
    ),
    "F34": CellScenario(
        inject=_answer(Wire.CAMERA, StandingClock),
        repair=_mend(Wire.CAMERA),
        sign=make_event_sign("camera", "camera fails"),
        patience_s=15.0,
        event=("camera", "camera fails"),
        wires=_CAMERA,
        is_latched=False,
        stops_arm=False,
    ),
    "F35": CellScenario(
        inject=_stop_feed,
        repair=_mend(Wire.CAMERA),
        sign=stop_begins,
        patience_s=20.0,
        wires=_CAMERA,
        is_latched=False,
        stops_arm=False,
    ),
    "F36": CellScenario(
        inject=_change(Wire.CAMERA, blind_depth),
        repair=_mend(Wire.CAMERA),
        sign=stop_begins,
        patience_s=20.0,
        wires=_CAMERA,
        is_latched=False,
        stops_arm=False,
    ),
}
"""By row."""
