"""How F40 and F41 are tried: a worker with spoilt answers, and the same at the guard.

The policy is asked once a cycle, so production has to go on for a while to show it.
"""

from typing import Final

from sim2real.faults.evidence import Evidence
from sim2real.faults.guard_checks import Check, huge_step
from sim2real.faults.load_checks import nan_answer
from sim2real.faults.policy_wire import (
    HostileWorker,
    Spoil,
    spoil_with_distance,
    spoil_with_nan,
)
from sim2real.faults.scenario import (
    Act,
    CellScenario,
    Look,
    find_placed_part,
    find_stop,
    make_event_sign,
)
from sim2real.faults.stand import Stand

_LASTS_S: Final = 15.0
"""The part in work may have been chosen before; the next one is the fallback's."""

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


POLICY_SCENARIOS: Final[dict[str, CellScenario]] = {
    "F40": _spoilt(
        spoil_with_nan, "no_proposal", nan_answer, cause="policy_output_invalid"
    ),
    "F41": _spoilt(spoil_with_distance, "chunk_refused", huge_step),
}
"""By row."""
