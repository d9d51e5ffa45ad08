"""Rows F40 to F60: policies, models and the guard."""

from typing import Final

from sim2real.faults.parts import (
    GOLDEN_ANSWERS,
    HOT_SWAP,
    NOT_BUILT,
)
from sim2real.faults.rows import NO_CAUSE, Boundary, FaultRow, Rung, Way

_FIFTY: Final = (None, "within 50 attempts")
_ONE_CYCLE: Final = "one guard period: 8 ms"


def _code(
    number: int,
    name: str,
    at: Boundary,
    rung: Rung,
    reaction: str,
    bound: tuple[float | None, str],
    *events: str,
) -> FaultRow:
    return FaultRow(
        id=f"F{number:02}",
        name=name,
        boundary=at,
        rung=rung,
        reaction=reaction,
        way=Way.CODE,
        bound_ms=bound[0],
        bound=bound[1],
        events=events,
    )


def _listed(
    number: int, name: str, at: Boundary, rung: Rung, reaction: str, reason: str
) -> FaultRow:
    return FaultRow(
        id=f"F{number:02}",
        name=name,
        boundary=at,
        rung=rung,
        reaction=reaction,
        way=Way.LISTED,
        reason=reason,
    )


def _worker(number: int, name: str, rung: Rung, bound: tuple[float, str]) -> FaultRow:
    return FaultRow(
        id=f"F{number:02}",
        name=name,
        boundary=Boundary.POLICY,
        rung=rung,
        reaction="the arm rests, the worker is started again, then the cell goes on",
        way=Way.CELL,
        states=("HELD", "UNHOLDING", "EXECUTE"),
        causes=("process_lost", "policy_unavailable"),
        bound_ms=bound[0],
        bound=bound[1],
    )


def _distrusted(
    number: int,
    name: str,
    reaction: str,
    bound: tuple[float | None, str],
    unranked: str = "",
) -> FaultRow:
    return FaultRow(
        id=f"F{number:02}",
        name=name,
        boundary=Boundary.POLICY,
        rung=Rung.DEGRADE,
        reaction=reaction,
        way=Way.CELL,
        states=("EXECUTE", "SUSPENDED"),
        bound_ms=bound[0],
        bound=bound[1],
        unranked=unranked,
    )


def _spoilt(number: int, name: str, reaction: str) -> FaultRow:
    return FaultRow(
        id=f"F{number:02}",
        name=name,
        boundary=Boundary.POLICY,
        rung=Rung.DEGRADE,
        reaction=reaction,
        way=Way.CELL,
        states=("EXECUTE", "SUSPENDED"),
        bound="before the first step of that answer",
        unranked=NO_CAUSE,
    )


_POLICY, _GUARD = Boundary.POLICY, Boundary.GUARD

POLICY_ROWS: Final = (
    _spoilt(
        40,
        "the live policy answers with one NaN",
        "the whole answer is refused, the fallback policy picks; the guard refuses too",
    ),
    _spoilt(
        41,
        "the live policy asks for a place far away; a setpoint is a huge step off",
        "the chunk is refused before its first step, the setpoint by the guard",
    ),
    _code(
        42,
        "a model with wrong names, shapes or types",
        _POLICY,
        Rung.DEGRADE,
        "refused while it is loaded; the fallback policy picks, a complaint says why",
        (None, "when it is loaded"),
    ),
    _listed(
        43,
        "a model of the right shape with permuted joints or other units",
        _POLICY,
        Rung.RECORD,
        "its golden answers differ: it is not taken",
        f"{NOT_BUILT}{GOLDEN_ANSWERS}",
    ),
    _distrusted(
        44,
        "the learned policy aims higher above the part with each answer",
        "the Guardian withdraws it, the fallback policy picks on; an alarm says so",
        _FIFTY,
    ),
    _distrusted(
        45,
        "the learned policy misses more and more often, by lot",
        "the sequential test falls, at its error rates; the fallback policy picks on",
        _FIFTY,
    ),
    _distrusted(
        46,
        "the Guardian's process is killed, or stopped; its answers are no number, or "
        "always the same",
        "counts as distrust: the fallback policy picks on; a process that came back "
        "gives nothing back",
        (
            15_000.0,
            "one cycle: 15 s. Answers are tried on its rules alone: one that is "
            "no number, 20 that are the same",
        ),
    ),
    _worker(
        47,
        "the policy worker hangs",
        Rung.HOLD,
        (200.0, "200 ms: two policy periods"),
    ),
    _worker(
        48,
        "the policy worker dies of a segmentation fault",
        Rung.HOLD,
        (100.0, "100 ms"),
    ),
    _listed(
        49,
        "memory grows with every exchange of a model",
        _POLICY,
        Rung.RECORD,
        "a ceiling of memory; the worker is renewed between cycles",
        f"{NOT_BUILT}{HOT_SWAP}",
    ),
    _code(
        50,
        "one bit of the weights on disk flips, or a file of the model is cut short",
        _POLICY,
        Rung.DEGRADE,
        "the digest differs: refused, the fallback policy picks",
        (None, "when it is loaded; while it runs, within an hour"),
    ),
    _distrusted(
        51,
        "the bin looks like nothing the network was trained on",
        "the learned policy does not answer, score and threshold are recorded; the "
        "fallback is asked in the same look at the bin",
        (
            15_000.0,
            "before anything moves for that picture; one cycle: 15 s, for the learned "
            "policy is asked while the part before is still placed",
        ),
        "its cause stands after five grasps in a row, which nobody waits for here",
    ),
    _code(
        52,
        "a path runs into a singularity of the wrist",
        _GUARD,
        Rung.HOLD,
        "the arm rests before the smallest singular value is below its limit",
        (8.0, _ONE_CYCLE),
        "refused",
    ),
    _code(
        53,
        "the arm stands exactly in a singularity",
        _GUARD,
        Rung.HOLD,
        "every step is refused, every setpoint is a number",
        (8.0, _ONE_CYCLE),
        "refused",
    ),
    _code(
        54,
        "no setpoint can satisfy all limits",
        _GUARD,
        Rung.HOLD,
        "the request is never passed on; the arm stays where it is",
        (8.0, _ONE_CYCLE),
        "refused",
    ),
    _code(
        55,
        "the arm already stands outside of the workspace, or within a keep-out zone",
        _GUARD,
        Rung.HOLD,
        "only motion towards the inside, or out of the zone, is granted",
        (8.0, _ONE_CYCLE),
        "refused",
    ),
    _code(
        56,
        "a fast motion would cross a plate of 1 mm between two setpoints",
        _GUARD,
        Rung.HOLD,
        "the swept path is looked at, not its ends: the tool rests before the plate",
        (8.0, _ONE_CYCLE),
        "refused",
    ),
    _code(
        57,
        "the approved way to rest is stale or belongs to another pose",
        _GUARD,
        Rung.LATCH,
        "checked again before use; refused for good, the robot's program is ended",
        (200.0, "greatest age at which it is handed out: 200 ms, two policy periods"),
        "fault",
    ),
    _code(
        58,
        "the guard itself raises: for a stamp, and at each of its stages in turn",
        _GUARD,
        Rung.LATCH,
        "the outer shell answers with a hold; at rest the robot's program is ended, "
        "and nothing but a release begins anew",
        (
            8.0,
            f"{_ONE_CYCLE}. The fault list asks for the end of the process (R5): "
            "the robot's program ends in its place, the process tells why",
        ),
        "fault",
    ),
    _code(
        59,
        "setpoints come too late for the guard",
        _GUARD,
        Rung.HOLD,
        "the motion ramps to rest",
        (16.0, "two guard periods: 16 ms"),
        "held",
    ),
    _code(
        60,
        "limits in the configuration are inverted or above their ceilings",
        _GUARD,
        Rung.RECORD,
        "the configuration is refused, the key is named",
        (None, "when it is loaded"),
    ),
)
