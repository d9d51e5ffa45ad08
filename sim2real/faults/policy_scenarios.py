"""How F40, F41 and F44 to F46 are tried: spoilt answers, and a Guardian that is gone.

The policy is asked once a cycle, so production has to go on for a while to show it.
"""

import os
import signal
import time
from dataclasses import replace
from typing import Final

from sim2real.faults.evidence import Evidence
from sim2real.faults.guard_checks import Check, huge_step
from sim2real.faults.guardian_checks import spoilt_guardian
from sim2real.faults.load_checks import nan_answer
from sim2real.faults.policy_wire import (
    FallingSuccess,
    HostileWorker,
    RisingError,
    Spoil,
    spoil_with_distance,
    spoil_with_nan,
)
from sim2real.faults.scenario import (
    Act,
    CellScenario,
    Look,
    Sign,
    do_nothing,
    find_placed_part,
    find_stop,
    make_event_sign,
    stop_begins,
)
from sim2real.faults.stand import Stand, pause

_LASTS_S: Final = 15.0
"""The part in work may have been chosen before; the next one is the fallback's."""

_ATTEMPTS: Final = 50
"""Within so many the fault list wants a fall."""
_PATIENCE_S: Final = 400.0
_CYCLE_S: Final = 15.0
_GO_ON_S: Final = 60.0
_MORE_ATTEMPTS: Final = 3

_worker = HostileWorker()


def _prepare(stand: Stand) -> None:
    """Put the changed worker in its place; as yet it changes nothing."""
    _worker.take_over(stand)
    stand.bring_back()
    stand.wait_until_moving()


def _spoil(spoil: Spoil) -> Act:
    def begin(_stand: Stand) -> None:
        _worker.spoil = spoil

    return begin


def _make_code_look(check: Check) -> Look:
    """Return a look at the same fault where no cell is needed."""

    def look(evidence: Evidence) -> str:
        judgement = check(evidence.stand.files.settings, True)  # noqa: FBT003
        return "; ".join(judgement.missed)

    return look


def _spoilt(spoil: Spoil, event: str, check: Check, **fields: object) -> CellScenario:
    return CellScenario(
        inject=_spoil(spoil),
        repair=_worker.give_back,
        sign=make_event_sign("supervisor", event, **fields),
        moment=_prepare,
        patience_s=30.0,
        lasts_s=_LASTS_S,
        looks=(find_stop, find_placed_part, _make_code_look(check)),
        event=("supervisor", event),
        is_latched=False,
        stops_arm=False,
    )


def _falls(why: str = "") -> Sign:
    """Return a sign: the Guardian has withdrawn the learned policy."""

    def find(evidence: Evidence, _now_ns: int) -> int | None:
        for line in evidence.events():
            is_fall = line.event == "guardian" and line.fields.get("to") == "fallback"
            if is_fall and why in str(line.fields.get("why", "")):
                return line.seen_ns
        return None

    return find


def _find_attempts(evidence: Evidence) -> str:
    """Miss a fall within the attempts of the fault list, and the fallback after it."""
    fall_ns = _falls()(evidence, 0)
    if fall_ns is None:
        return "the learned policy was not withdrawn"
    lines = [line for line in evidence.events() if line.event == "attempt"]
    before = [line for line in lines if line.seen_ns <= fall_ns]
    # What was under way when it fell is the last one of the learned policy.
    after = [line.fields.get("is_fallback") for line in lines if line not in before][1:]
    if len(before) > _ATTEMPTS:
        return f"withdrawn after {len(before)} attempts"
    if not after:
        return "no attempt of the fallback policy followed"
    return "" if all(after) else "the learned policy picked after its fall"


def _decays(spoil: Spoil) -> CellScenario:
    return CellScenario(
        inject=_spoil(spoil),
        repair=_worker.give_back,
        sign=_falls("succeed less often"),
        moment=_prepare,
        patience_s=_PATIENCE_S,
        looks=(_go_on, find_stop, _find_attempts),
        event=("supervisor", "guardian"),
        is_latched=False,
        stops_arm=False,
        fresh=True,
    )


def _go_on(evidence: Evidence) -> str:
    """Miss two more attempts; wait for them."""
    deadline_s = time.monotonic() + _GO_ON_S
    since_ns = time.monotonic_ns()
    while time.monotonic() < deadline_s:
        lines = evidence.events()
        more = [x for x in lines if x.event == "attempt" and x.seen_ns > since_ns]
        if len(more) >= _MORE_ATTEMPTS:
            return ""
        pause(0.2)
    return "production did not go on"


def _hit_guardian(number: signal.Signals) -> Act:
    return lambda stand: os.kill(stand.pid_of("guardian"), number)


def _lost(number: signal.Signals, why: str) -> CellScenario:
    return CellScenario(
        inject=_hit_guardian(number),
        repair=do_nothing,
        sign=_falls(why),
        patience_s=_CYCLE_S,
        looks=(
            _go_on,
            find_stop,
            _find_attempts,
            _make_code_look(spoilt_guardian),
        ),
        event=("supervisor", "guardian"),
        is_latched=False,
        stops_arm=False,
        fresh=True,
    )


def _stop_worker(stand: Stand) -> None:
    os.kill(stand.pid_of("policy"), signal.SIGSTOP)


POLICY_SCENARIOS: Final[dict[str, CellScenario]] = {
    "F40": _spoilt(
        spoil_with_nan, "no_proposal", nan_answer, cause="policy_output_invalid"
    ),
    "F41": _spoilt(spoil_with_distance, "chunk_refused", huge_step),
    "F47": CellScenario(
        inject=_stop_worker,
        repair=do_nothing,
        sign=stop_begins,
        lasts_s=0.6,
        is_latched=False,
    ),
    "F44": _decays(RisingError()),
    "F45": _decays(FallingSuccess()),
    "F46": replace(
        _lost(signal.SIGKILL, "gone"),
        variants=(("stopped", _lost(signal.SIGSTOP, "")),),
    ),
}
"""By row."""
