"""Rows F61 to F95: processes, storage, what lies outside, and combinations."""

from typing import Final

from sim2real.faults.parts import (
    AUDIT_LOG,
    FLIGHT_RECORDER,
    HMI,
    NOT_BUILT,
    OUTBOX,
    SNAPSHOTS,
)
from sim2real.faults.rows import Boundary, FaultRow, Rung, Way

_AUDIT: Final = f"{NOT_BUILT}{AUDIT_LOG}"
_SNAPSHOTS: Final = f"{NOT_BUILT}{SNAPSHOTS}"
_MQTT: Final = f"{NOT_BUILT}{OUTBOX}"
_HMI: Final = f"{NOT_BUILT}{HMI}"
_AT: Final = Boundary.PROCESS


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


def _cell(
    number: int,
    name: str,
    rung: Rung,
    reaction: str,
    settles: tuple[tuple[str, ...], tuple[str, ...]],
    bound: tuple[float | None, str],
) -> FaultRow:
    return FaultRow(
        id=f"F{number:02}",
        name=name,
        boundary=_AT,
        rung=rung,
        reaction=reaction,
        way=Way.CELL,
        states=settles[0],
        causes=settles[1],
        bound_ms=bound[0],
        bound=bound[1],
    )


def _code(
    number: int,
    name: str,
    rung: Rung,
    reaction: str,
    bound: tuple[float | None, str],
    *events: str,
) -> FaultRow:
    return FaultRow(
        id=f"F{number:02}",
        name=name,
        boundary=_AT,
        rung=rung,
        reaction=reaction,
        way=Way.CODE,
        bound_ms=bound[0],
        bound=bound[1],
        events=events,
    )


def _combined(
    number: int, name: str, rung: Rung, reaction: str, bound: str
) -> FaultRow:
    return FaultRow(
        id=f"F{number:02}",
        name=name,
        boundary=Boundary.COMBINED,
        rung=rung,
        reaction=reaction,
        way=Way.CODE,
        bound=bound,
    )


_RESTARTED: Final = (("ABORTED",), ("supervisor_restarted",))

_PROCESS_ROWS: Final = (
    _cell(
        61,
        "the supervisor is killed while the arm moves",
        Rung.EXIT,
        "the order lapses, the arm rests; the spare comes up latched",
        _RESTARTED,
        (200.0, "arm commanded to rest: 200 ms; ready again, latched: 2 s"),
    ),
    _cell(
        62,
        "the supervisor is stopped while the arm moves",
        Rung.EXIT,
        "as if killed; its host ends it",
        _RESTARTED,
        (200.0, "arm commanded to rest: 200 ms"),
    ),
    _cell(
        63,
        "the supervisor's event loop stands still for 0.7 s",
        Rung.STOP,
        "the order lapses, the arm rests; afterwards nothing goes on by itself",
        (("ABORTED", "HELD"), ("supervisor_stalled", "plc_lost", "gripper_lost")),
        (200.0, "arm commanded to rest: 200 ms"),
    ),
    _cell(
        64,
        "a task of the supervisor ends silently: the one at work, then each other",
        Rung.EXIT,
        "the process ends, the arm rests; the next supervisor comes up latched",
        _RESTARTED,
        (100.0, "the end is noticed: 100 ms"),
    ),
    _code(
        65,
        "the garbage collector meets two million objects",
        Rung.RECORD,
        "frozen objects cost the loop nothing",
        (5.0, "pause: 5 ms"),
    ),
    _cell(
        66,
        "memory runs out: the kernel ends the policy worker, the next one gets none",
        Rung.HOLD,
        "the arm rests; that worker ends too; a later one takes its place",
        (
            ("HELD", "UNHOLDING", "EXECUTE"),
            ("process_lost", "policy_unavailable"),
        ),
        (200.0, "200 ms"),
    ),
    _cell(
        67,
        "the servo process gets no processor for 60 ms while the arm moves",
        Rung.HOLD,
        "missed deadlines ramp the arm to rest, then the motion goes on",
        (("EXECUTE", "SUSPENDED"), ()),
        (16.0, "two guard periods after its return: 16 ms"),
    ),
    _cell(
        68,
        "the wall clock jumps an hour ahead, then an hour back",
        Rung.RECORD,
        "no effect on control; records carry its stamps (the record that is ordered "
        "by number and has both clocks is the audit log, not built yet)",
        (("EXECUTE", "SUSPENDED"), ()),
        (None, "no effect at all"),
    ),
    _code(
        69,
        "a command carries the stamp of another monotonic clock",
        Rung.HOLD,
        "neither the future nor the far past is fresh",
        (8.0, "one guard period: 8 ms"),
        "held",
    ),
    _cell(
        70,
        "the power fails while the arm moves, and the last record is torn",
        Rung.LATCH,
        "the next start is latched, its record is reported as damaged",
        _RESTARTED,
        (60_000.0, "ready: 60 s"),
    ),
    _cell(
        71,
        "a process dies again and again",
        Rung.LATCH,
        "after five restarts in ten minutes it stays down; the cell latches, and no "
        "button leads on before another start",
        (("ABORTED",), ("process_given_up",)),
        (None, "five restarts in ten minutes"),
    ),
    _cell(
        72,
        "a second controller is started for the same cell",
        Rung.RECORD,
        "the second is refused with exit code 5, the first goes on",
        (("EXECUTE", "SUSPENDED"), ()),
        (None, "before anything of it touches a device"),
    ),
)

_STORAGE: Final = Boundary.STORAGE

_STORAGE_ROWS: Final = (
    _listed(
        73,
        "the disk is full when an audit record is due",
        _STORAGE,
        Rung.STOP,
        "no motion without its record: finish the move, stop, alarm",
        _AUDIT,
    ),
    _listed(
        74,
        "a record cannot be forced to the disk",
        _STORAGE,
        Rung.STOP,
        "that file is given up, never tried again and trusted",
        _AUDIT,
    ),
    _listed(
        75,
        "the disk takes half a second for each record",
        _STORAGE,
        Rung.STOP,
        "control does not notice; a full queue stops",
        _AUDIT,
    ),
    _listed(
        76,
        "the last record is torn after a power cut",
        _STORAGE,
        Rung.RECORD,
        "found, cut back to the last whole one, and the cut is recorded",
        _AUDIT,
    ),
    _listed(
        77,
        "writes reach the disk in another order",
        _STORAGE,
        Rung.RECORD,
        "what is recovered is a valid beginning",
        _AUDIT,
    ),
    _listed(
        78,
        "a record in the middle is changed, taken out or swapped",
        _STORAGE,
        Rung.RECORD,
        "verification fails and names it",
        _AUDIT,
    ),
    _listed(
        79,
        "a snapshot file is torn",
        _STORAGE,
        Rung.DEGRADE,
        "the snapshot before it is used",
        _SNAPSHOTS,
    ),
    _listed(
        80,
        "the pointer to the live snapshot is missing",
        _STORAGE,
        Rung.DEGRADE,
        "the newest one that verifies is used",
        _SNAPSHOTS,
    ),
    _listed(
        81,
        "the file system becomes read-only",
        _STORAGE,
        Rung.STOP,
        "as a full disk",
        _AUDIT,
    ),
    _listed(
        82,
        "a recording is not closed",
        _STORAGE,
        Rung.RECORD,
        "all but its last second can be read",
        f"{NOT_BUILT}{FLIGHT_RECORDER}",
    ),
)

_OUTSIDE: Final = Boundary.OUTSIDE

_OUTSIDE_ROWS: Final = (
    _listed(
        83,
        "the broker is gone for an hour",
        _OUTSIDE,
        Rung.RECORD,
        "production goes on; events are kept and sent later, in order",
        _MQTT,
    ),
    _listed(
        84,
        "the broker hangs",
        _OUTSIDE,
        Rung.RECORD,
        "publishing gives up after 2 s; control never waits for it",
        _MQTT,
    ),
    _listed(
        85,
        "the outbox is full",
        _OUTSIDE,
        Rung.RECORD,
        "old telemetry is dropped and counted, alarms are not",
        _MQTT,
    ),
    _listed(
        86,
        "an old command comes again, late or retained",
        _OUTSIDE,
        Rung.RECORD,
        "no effect",
        _MQTT,
    ),
    _listed(
        87,
        "a model update arrives in motion",
        _OUTSIDE,
        Rung.RECORD,
        "staged; swapped between two cycles",
        _SNAPSHOTS,
    ),
    _listed(
        88,
        "the new model is worse",
        _OUTSIDE,
        Rung.DEGRADE,
        "rolled back within 50 grasps",
        _SNAPSHOTS,
    ),
    _listed(
        89,
        "an update is cut off between two of its steps",
        _OUTSIDE,
        Rung.RECORD,
        "the old model or the new one, never a mixture",
        _SNAPSHOTS,
    ),
    _listed(
        90,
        "nobody signs an update off",
        _OUTSIDE,
        Rung.RECORD,
        "it stays staged for ever",
        _SNAPSHOTS,
    ),
    _listed(
        91,
        "the HMI vanishes while somebody jogs the arm",
        _OUTSIDE,
        Rung.HOLD,
        "motion ends without its token",
        _HMI,
    ),
    _listed(
        92,
        "two HMIs give opposite commands",
        _OUTSIDE,
        Rung.HOLD,
        "one owns the commands; a stop counts from all",
        _HMI,
    ),
)

_COMBINED_ROWS: Final = (
    _combined(
        93,
        "two faults at once: all pairs of causes",
        Rung.LATCH,
        "the stronger reaction wins, neither unlatches the other",
        "the stronger of both",
    ),
    _combined(
        94,
        "a fault during the recovery from another: all pairs of causes",
        Rung.LATCH,
        "no oscillation, no motion",
        "before the recovery ends",
    ),
    _combined(
        95,
        "a fault that comes and goes 1 to 20 times a second",
        Rung.STOP,
        "needs a person after five, and never goes on by itself again",
        "five in ten seconds",
    ),
)

MACHINE_ROWS: Final = (
    *_PROCESS_ROWS,
    *_STORAGE_ROWS,
    *_OUTSIDE_ROWS,
    *_COMBINED_ROWS,
)
