"""Rows F01 to F16: the line PLC and the wire to it."""

from typing import Final

from sim2real.faults.rows import Boundary, FaultRow, Rung, Way

_STOPPED = ("ABORTED", "HELD")
_LOST = ("plc_lost",)
_HB3: Final = "300 ms: three heartbeats"
_HB2: Final = "200 ms: two heartbeats"


def _row(
    number: int,
    name: str,
    reaction: str,
    bound: tuple[float | None, str],
    *,
    rung: Rung = Rung.STOP,
    causes: tuple[str, ...] = _LOST,
    states: tuple[str, ...] = _STOPPED,
) -> FaultRow:
    return FaultRow(
        id=f"F{number:02}",
        name=name,
        boundary=Boundary.LINE,
        rung=rung,
        reaction=reaction,
        way=Way.CELL,
        states=states,
        causes=causes,
        bound_ms=bound[0],
        bound=bound[1],
    )


LINE_ROWS: Final = (
    _row(
        1,
        "the PLC resets its connections and takes no new ones while the arm moves",
        "stop; go on only when a person starts the cell again",
        (300.0, _HB3),
    ),
    _row(
        2,
        "the cable to the PLC is pulled: nothing arrives, nothing is closed",
        "as a closed connection",
        (300.0, _HB3),
    ),
    _row(
        3,
        "the PLC answers, its heartbeat stands still",
        "stop; a living link is no living program",
        (300.0, _HB3),
    ),
    _row(
        4,
        "the PLC takes connections and never answers",
        "stop, by our own deadline for each exchange",
        (300.0, _HB3),
    ),
    _row(
        5,
        "the PLC's heartbeat runs backwards",
        "stop; named as a restart or a second program",
        (200.0, _HB2),
    ),
    _row(
        6,
        "the PLC reboots in the middle of a cycle",
        "latch; its return starts nothing, a new boot number is seen",
        (300.0, _HB3),
        rung=Rung.LATCH,
        causes=("plc_lost", "plc_restarted"),
    ),
    _row(
        7,
        "32-bit values arrive in the other word order before the arm is released",
        "whatever a person presses, the arm is not released; the word order is named",
        (None, "before the arm is released"),
        causes=("plc_map_mismatch",),
    ),
    _row(
        8,
        "the PLC's map is shifted by one register",
        "stop at the first such block; the shift is named",
        (150.0, "one exchange: 150 ms"),
        causes=("plc_map_mismatch",),
    ),
    _row(
        9,
        "the PLC's block is always read in the middle of an update",
        "read again, then give the link up; stop as for a lost line",
        (300.0, "three reads, then three heartbeats"),
    ),
    _row(
        10,
        "answers of the PLC come 350 ms late",
        "late data is no data: the arm rests, then the line is lost",
        (200.0, _HB2),
    ),
    _row(
        11,
        "answers carry transaction number 0, or a wrong one",
        "they are thrown away: the arm rests, then the line is lost",
        (200.0, _HB2),
    ),
    _row(
        12,
        "the PLC refuses every request with a Modbus exception",
        "the arm rests, then the line is lost; no storm of retries",
        (150.0, "one exchange: 150 ms"),
    ),
    _row(
        13,
        "our writes are acknowledged and lost",
        "the read-back differs: the arm rests, the cell latches",
        (200.0, "200 ms"),
        rung=Rung.LATCH,
        causes=("plc_write_lost",),
    ),
    _row(
        14,
        "our task that writes to the line ends while everything else lives",
        "the process ends; the line stops on its own watch of our heartbeat, or a "
        "spare that took over in time tells it that the cell has aborted",
        (300.0, "the line knows of it: 300 ms, three heartbeats"),
        rung=Rung.EXIT,
        states=("ABORTED",),
        causes=("supervisor_restarted",),
    ),
    _row(
        15,
        "a second client writes our block",
        "the read-back differs: the arm rests, the cell latches",
        (200.0, _HB2),
        rung=Rung.LATCH,
        causes=("plc_write_lost",),
    ),
    _row(
        16,
        "the PLC accepts connections and closes each at once",
        "stop; tries grow rarer, no descriptor is leaked: few more than are open are "
        "permitted meanwhile",
        (300.0, _HB3),
    ),
)
