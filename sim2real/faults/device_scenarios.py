"""How F28 to F36 and F51 are tried: what gripper and camera say."""

from dataclasses import replace
from typing import Final

import numpy as np

from cell.contracts.observation import Modality
from cell.contracts.servo import HoldReason
from policies.runtime.validity import ValidityWatch
from sim2real.faults.chaos_rule import PLAIN, Change, Flow, Rule
from sim2real.faults.device_wire import (
    NearerPictures,
    RepeatedPicture,
    SpoiltPictures,
    StandingClock,
    StuckVariables,
    WideGrip,
    blur,
    overexpose,
)
from sim2real.faults.evidence import Evidence
from sim2real.faults.scenario import (
    Act,
    CellScenario,
    find_stop,
    last_picture,
    make_awaited_look,
    make_event_look,
    make_event_sign,
    stop_begins,
)
from sim2real.faults.stand import Stand, StandError
from sim2real.faults.stand_config import Wire

_GRIPPER: Final = frozenset({Wire.GRIPPER})
_CAMERA: Final = frozenset({Wire.CAMERA})
_NEARER_STEPS: Final = 60
"""Of 0.1 mm: less than counts as a part (8 mm), more than any training input is off."""
_PHASE_S: Final = 60.0
_BRAKED: Final = (HoldReason.BRAKE_ORDERED,)
_HELD_NS: Final = 100_000_000


class _Pictures:
    """Has pictures changed, and knows when the first was."""

    def __init__(self, make_change: type[RepeatedPicture | StandingClock]) -> None:
        self._make_change = make_change
        self._change = make_change()

    def begin(self, stand: Stand) -> None:
        """Change them from the next one on."""
        self._change = self._make_change()
        rule = Rule(change=self._change)
        stand.wires[Wire.CAMERA].set_rule(Flow.TO_CLIENT, rule)

    def find_onset(self, _evidence: Evidence, _now_ns: int) -> int | None:
        """Return when the first picture went out that tells of the fault."""
        return self._change.begun_ns or None


class _Strangeness:
    """Has the camera show a bin unlike any in training, and counts what follows."""

    def __init__(self) -> None:
        self._before = 0

    def begin(self, stand: Stand) -> None:
        """Bring everything nearer, by less than what counts as a part."""
        self._before = int(stand.status().get("fallback_proposals", 0))
        rule = Rule(change=NearerPictures(_NEARER_STEPS))
        stand.wires[Wire.CAMERA].set_rule(Flow.TO_CLIENT, rule)

    def find_onset(self, evidence: Evidence, _now_ns: int) -> int | None:
        """Return when the learned policy first met such a picture.

        A policy is asked once a cycle; pictures in between are not looked at.
        """
        return find_novel_picture(evidence, 0)

    def find_fallback(self, evidence: Evidence, _now_ns: int) -> int | None:
        """Return when a grasp of the fallback was chosen on such a picture."""
        if find_novel_picture(evidence, 0) is None:
            return None
        status = evidence.stand.status()
        is_chosen = int(status.get("fallback_proposals", 0)) > self._before
        return int(status["stamp_ns"]) if is_chosen else None


find_novel_picture: Final = make_event_sign("policy", "novel picture")


def _find_low_score(evidence: Evidence) -> str:
    """Miss a score beyond its threshold in the record."""
    for line in evidence.events():
        if line.event == "novel picture":
            score, limit = line.fields["score"], line.fields["threshold"]
            return "" if score > limit else f"score {score} at a threshold of {limit}"
    return "no picture was found unlike the training inputs"


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


def _find_placed_misfit(evidence: Evidence) -> str:
    """Miss that nothing which is too wide was placed."""
    lines = [line for line in evidence.events() if line.event == "attempt"]
    outcomes = [str(line.fields.get("outcome")) for line in lines]
    return "what was too wide was placed" if "placed" in outcomes else ""


def _spoil_pictures(stand: Stand) -> None:
    frame = stand.read_picture()
    if frame is None:
        raise StandError("there is no picture of the bin")
    rule = Rule(change=SpoiltPictures(frame.rgb.shape))
    stand.wires[Wire.CAMERA].set_rule(Flow.TO_CLIENT, rule)


def _find_unseen_flaw(evidence: Evidence) -> str:
    """Miss a spoilt picture that depth is taken from, or a healthy one that none is."""
    frame = evidence.stand.read_picture()
    if frame is None:
        return "the camera did not come back"
    found = ValidityWatch().find_flaws(frame)
    if found:
        return f"a healthy picture is refused: {found}"
    pictures = {
        "overexposed": replace(frame, rgb=overexpose(frame.rgb)),
        "blurred": replace(frame, rgb=blur(frame.rgb)),
        "without depth": replace(frame, depth_m=np.zeros_like(frame.depth_m)),
        "no numbers": replace(frame, depth_m=np.full_like(frame.depth_m, np.nan)),
        "covered": replace(frame, depth_m=frame.depth_m * np.float32(0.3)),
    }
    unseen = [
        name
        for name, picture in pictures.items()
        if Modality.DEPTH not in ValidityWatch().find_flaws(picture)
    ]
    dark = ValidityWatch().find_flaws(replace(frame, rgb=frame.rgb // 32))
    if dark.keys() != {Modality.RGB}:
        return f"of a black picture with depth {dark} is refused, not its colour"
    return f"depth is taken from pictures: {', '.join(unseen)}" if unseen else ""


LOST: Final = StuckVariables({"OBJ": "3", "POS": "255"})
"""The fingers have closed on nothing."""
HOLDING: Final = StuckVariables({"OBJ": "2", "POS": "120"})
"""Something stops the fingers half-way."""
RESTLESS: Final = StuckVariables({"OBJ": "0"})
"""The fingers never arrive."""

TWO_PARTS: Final = WideGrip(15)
"""The fingers are stopped at 80 mm."""

_strange = _Strangeness()
_repeated, _standing = _Pictures(RepeatedPicture), _Pictures(StandingClock)

DEVICE_SCENARIOS: Final[dict[str, CellScenario]] = {
    "F28": CellScenario(
        inject=_change(Wire.GRIPPER, LOST),
        repair=_mend(Wire.GRIPPER),
        sign=make_event_sign("supervisor", "part_lost"),
        moment=_reach("transferring"),
        patience_s=8.0,
        lasts_s=5.0,
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
    "F32": CellScenario(
        inject=_change(Wire.GRIPPER, TWO_PARTS),
        repair=_mend(Wire.GRIPPER),
        sign=make_event_sign("supervisor", "wrong_part"),
        moment=_reach("approaching"),
        patience_s=20.0,
        lasts_s=8.0,
        looks=(
            # The arm is at home before the attempt is judged.
            make_awaited_look("supervisor", "attempt", 20.0, outcome="wrong part"),
            make_event_look("supervisor", "part_given_back"),
        ),
        effect=_find_placed_misfit,
        event=("supervisor", "wrong_part"),
        wires=_GRIPPER,
        is_latched=False,
        stops_arm=False,
    ),
    "F33": CellScenario(
        inject=_repeated.begin,
        repair=_mend(Wire.CAMERA),
        onset=_repeated.find_onset,
        sign=make_event_sign("camera", "camera fails"),
        patience_s=15.0,
        event=("camera", "camera fails"),
        wires=_CAMERA,
        is_latched=False,
        stops_arm=False,
    ),
    "F34": CellScenario(
        inject=_standing.begin,
        repair=_mend(Wire.CAMERA),
        onset=_standing.find_onset,
        sign=last_picture,
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
        inject=_spoil_pictures,
        repair=_mend(Wire.CAMERA),
        sign=stop_begins,
        looks=(_find_unseen_flaw, make_event_look("policy", "modalities")),
        patience_s=20.0,
        wires=_CAMERA,
        is_latched=False,
        stops_arm=False,
    ),
    "F51": CellScenario(
        inject=_strange.begin,
        repair=_mend(Wire.CAMERA),
        onset=_strange.find_onset,
        sign=_strange.find_fallback,
        patience_s=45.0,
        looks=(find_stop,),
        effect=_find_low_score,
        event=("policy", "novel picture"),
        wires=_CAMERA,
        is_latched=False,
        stops_arm=False,
    ),
}
"""By row."""
