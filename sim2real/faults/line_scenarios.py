"""How F01 to F16 are tried: the line PLC, its wire, and a second client at it."""

import contextlib
import os
import resource
import signal
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np

from cell.config import ModbusPlcConfig
from cell.contracts.servo import HoldReason
from cell.drivers.plc.registers import BLOCK_START, Block
from cell.mailbox.seqlock import Mailbox
from cell.supervisor.states import State
from sim2real.faults.chaos_rule import PLAIN, Accepts, Change, Flow, Rule
from sim2real.faults.door import end_task
from sim2real.faults.evidence import Evidence
from sim2real.faults.line_wire import (
    BackwardHeartbeat,
    SecondMaster,
    spoil_transaction,
    swallow_writes,
)
from sim2real.faults.scenario import (
    Act,
    CellScenario,
    Sign,
    do_nothing,
    make_event_look,
    make_event_sign,
    make_hold_sign,
    stop_begins,
)
from sim2real.faults.stand import Stand, StandError, pause
from sim2real.faults.stand_config import Wire
from sim2real.virtual_cell.plc.records import PLC_FAULTS, PLC_STATE
from sim2real.virtual_cell.plc.sight import LineSettings

_LINE: Final = frozenset({Wire.LINE})
_HEARTBEAT_REGISTER: Final = BLOCK_START[Block.CELL_TO_PLC] + 4
_STORM_LIMIT: Final = 30
"""Requests or connections in three seconds; a storm has hundreds."""
_STORM_S: Final = 3.0
_FLIPPED_MS: Final = 1000.0
"""Twenty exchanges: a bit that nothing depends on is not missed."""
_LEAK_LIMIT: Final = 4
_FEW: Final = 64
"""Descriptors that the supervisor may have meanwhile, of the fault list."""
_REBOOT_S: Final = 30.0
_KNOCK_S: Final = 2.5
_AT_REST: Final = ("HELD", "ABORTED")
_LEADING_ON: Final = ("ack", "unhold", "ack", "clear", "reset", "start", "unhold")
"""Everything that could lead a cell on from Held or Aborted."""
_PRESS_S: Final = 0.5
_FORGOTTEN_S: Final = LineSettings.press_s + LineSettings.strobe_s + 0.5
WRITER_TASK: Final = "plc-exchange"
"""What writes our block, the heartbeat with it."""
_WITHHELD: Final = make_hold_sign(HoldReason.COMMAND_WITHHELD, HoldReason.BRAKE_ORDERED)


def make_switch(**values: int) -> Act:
    """Return an act that sets the disturbances of the virtual line PLC."""

    def switch(stand: Stand) -> None:
        box = Mailbox.open(stand.files.cell_runtime / "vc_plc_faults", PLC_FAULTS)
        record = np.zeros((), PLC_FAULTS)
        for name, value in values.items():
            record[name] = value
        box.write(record)
        box.close()

    return switch


def read_line(stand: Stand) -> np.void:
    """Return what the virtual line PLC says about itself.

    Raises:
        StandError: it never said anything.
    """
    box = Mailbox.open(stand.files.cell_runtime / "vc_plc_state", PLC_STATE)
    try:
        record = box.read()
    finally:
        box.close()
    if record is None:
        raise StandError("the virtual line PLC never ran")
    return record


def _switched(sign: Sign = stop_begins, **values: int) -> CellScenario:
    return CellScenario(inject=make_switch(**values), repair=make_switch(), sign=sign)


def _wire_rule(flow: Flow, rule: Rule) -> Act:
    return lambda stand: stand.wires[Wire.LINE].set_rule(flow, rule)


def _mend_wire(stand: Stand) -> None:
    stand.wires[Wire.LINE].set_rules(PLAIN)


def _on_wire(flow: Flow, change: Change, sign: Sign) -> CellScenario:
    return CellScenario(
        inject=_wire_rule(flow, Rule(change=change)),
        repair=_mend_wire,
        sign=sign,
        wires=_LINE,
    )


# --- single rows ---


def _end_server(stand: Stand) -> None:
    proxy = stand.wires[Wire.LINE]
    proxy.set_accepts(Accepts.RESET)
    proxy.reset_connections()


def _start_server(stand: Stand) -> None:
    stand.wires[Wire.LINE].set_accepts(Accepts.CARRY)


def _pull_cable(stand: Stand) -> None:
    stand.wires[Wire.LINE].set_rules(Rule(is_black_hole=True))


def _plug_cable_in(stand: Stand) -> None:
    _mend_wire(stand)
    # What was on its way when the cable was out belongs to nobody any more.
    stand.wires[Wire.LINE].reset_connections()


def _start_backwards(stand: Stand) -> None:
    rule = Rule(change=BackwardHeartbeat())
    stand.wires[Wire.LINE].set_rule(Flow.TO_CLIENT, rule)


def _find_flips(evidence: Evidence) -> str:
    """Miss answers in which a bit was turned over."""
    is_flipped = evidence.stand.wires[Wire.LINE].counts["flipped"]
    return "" if is_flipped else "no bit was turned over"


def _reboot(stand: Stand) -> None:
    os.kill(stand.pid_of("plc"), signal.SIGKILL)


def _wait_for_reboot(stand: Stand) -> None:
    deadline_s = time.monotonic() + _REBOOT_S
    killed_ns = time.monotonic_ns()
    while int(read_line(stand)["stamp_ns"]) < killed_ns:
        if time.monotonic() > deadline_s:
            raise StandError("the virtual line PLC was not started again")
        pause(0.05)
    # The cell knocks at growing intervals, up to two seconds.
    pause(_KNOCK_S)


def _find_new_boot(evidence: Evidence) -> str:
    """Miss the supervisor's note that the line has restarted."""
    lines = evidence.events()
    names = {str(line.fields.get("cause")) for line in lines if line.event == "also"}
    reasons = [str(line.fields.get("reason", "")) for line in lines]
    if "plc_restarted" in names or any("restarted" in text for text in reasons):
        return ""
    return "the other boot number was not recorded"


def _lead_to_held(stand: Stand) -> None:
    stand.press("hold")
    stand.wait_for(lambda s: s.get("state") == "HELD", 20.0, "Hold")


def _press_in_vain(evidence: Evidence) -> str:
    """Miss a cell that stays where it is while a person does all that leads on."""
    stand = evidence.stand
    if evidence.stand.status().get("state") not in _AT_REST:
        return "the cell was not at rest"
    since_ns = time.monotonic_ns()
    for name in _LEADING_ON:
        stand.press(name)
        pause(_PRESS_S)
        state = stand.status().get("state")
        if state not in _AT_REST:
            return f"the arm was released: '{name}' led to {state}"
    # The line forgets the last press before the fault is mended; a later one would be
    # a person's command like any other.
    pause(_FORGOTTEN_S)
    moved_ns = evidence.find_motion_ns(since_ns, time.monotonic_ns())
    return "" if moved_ns is None else "the arm moved when it was pressed"


def _find_order_named(evidence: Evidence) -> str:
    """Miss the word order in what was recorded."""
    texts = [str(line.fields.get("detail", "")) for line in evidence.events()]
    is_named = any("word order is swapped" in text for text in texts)
    return "" if is_named else "the word order was not named"


def _end_writer(stand: Stand) -> None:
    end_task(stand.pid_of("supervisor"), stand.door, WRITER_TASK)


def _line_notices(evidence: Evidence, _now_ns: int) -> int | None:
    """Return when the line itself first counted the cell as lost, or as aborted.

    A spare supervisor may take over before the line has missed a heartbeat.
    """
    record = read_line(evidence.stand)
    if bool(record["cell_is_fresh"]) and int(record["cell_state"]) != State.ABORTED:
        return None
    return int(record["stamp_ns"])


class _Storm:
    """Counts requests that the line PLC refused during the fault."""

    def __init__(self) -> None:
        self._before = 0

    def inject(self, stand: Stand) -> None:
        """Refuse every request."""
        self._before = int(read_line(stand)["rejected_requests"])
        make_switch(refuse_requests=1)(stand)

    def find(self, evidence: Evidence) -> str:
        """Miss restraint, or the fault itself."""
        count = int(read_line(evidence.stand)["rejected_requests"]) - self._before
        if not count:
            return "no request was refused"
        if count > _STORM_LIMIT:
            return f"{count} requests in {_STORM_S:.0f} s are a storm"
        return ""


class _Rival:
    """A second client that writes the cell's block again and again."""

    def __init__(self) -> None:
        self._ends = threading.Event()
        self._thread: threading.Thread | None = None

    def begin(self, stand: Stand) -> None:
        """Connect and start to write."""
        plc = stand.files.settings.plc
        if not isinstance(plc, ModbusPlcConfig):
            raise StandError("the line PLC of a stand speaks Modbus")
        master = SecondMaster((stand.files.cell_host, plc.port), plc.device_id)
        self._ends.clear()

        def write() -> None:
            value = 0
            while not self._ends.wait(0.005):
                value += 7
                master.write(_HEARTBEAT_REGISTER, value)
            master.close()

        self._thread = threading.Thread(target=write, name="rival", daemon=True)
        self._thread.start()

    def end(self, _stand: Stand) -> None:
        """Stop writing."""
        self._ends.set()
        if self._thread is not None:
            self._thread.join(2.0)


class _ClosedDoor:
    """Accepts connections and closes each of them."""

    def __init__(self) -> None:
        self._accepted = 0
        self._descriptors = 0
        self._pid = 0
        self._limits = (0, 0)

    def shut(self, stand: Stand) -> None:
        """Begin."""
        proxy = stand.wires[Wire.LINE]
        self._accepted = proxy.counts["accepted"]
        self._descriptors = _count_descriptors(stand)
        self._pid = stand.pid_of("supervisor")
        self._limits = resource.prlimit(self._pid, resource.RLIMIT_NOFILE)
        few = (max(_FEW, self._descriptors + _LEAK_LIMIT), self._limits[1])
        resource.prlimit(self._pid, resource.RLIMIT_NOFILE, few)
        proxy.set_accepts(Accepts.CLOSE)
        proxy.reset_connections()

    def open(self, stand: Stand) -> None:
        """End."""
        with contextlib.suppress(ProcessLookupError):
            resource.prlimit(self._pid, resource.RLIMIT_NOFILE, self._limits)
        stand.wires[Wire.LINE].set_accepts(Accepts.CARRY)

    def find(self, evidence: Evidence) -> str:
        """Miss restraint in knocking, and closed descriptors."""
        knocks = evidence.stand.wires[Wire.LINE].counts["accepted"] - self._accepted
        if not knocks:
            return "nobody tried to connect"
        if knocks > _STORM_LIMIT:
            return f"{knocks} connections in {_STORM_S:.0f} s are a storm"
        if evidence.stand.pid_of("supervisor") != self._pid:
            return "the supervisor ended for want of descriptors"
        leaked = _count_descriptors(evidence.stand) - self._descriptors
        return f"{leaked} descriptors leaked" if leaked > _LEAK_LIMIT else ""


def _count_descriptors(stand: Stand) -> int:
    return len(list(Path(f"/proc/{stand.pid_of('supervisor')}/fd").iterdir()))


_storm, _rival, _door = _Storm(), _Rival(), _ClosedDoor()

_FLIPPED: Final = CellScenario(
    inject=_wire_rule(Flow.TO_CLIENT, Rule(flip_ratio=1.0)),
    repair=_plug_cable_in,
    sign=stop_begins,
    effect=_find_flips,
    patience_s=10.0,
    wires=_LINE,
    bound_ms=_FLIPPED_MS,
    causes=("plc_lost", "plc_map_mismatch", "plc_restarted", "plc_write_lost"),
)
"""Modbus TCP has no sum of its own: which bit it is decides what is noticed."""

LINE_SCENARIOS: Final[dict[str, CellScenario]] = {
    "F01": CellScenario(
        inject=_end_server, repair=_start_server, sign=stop_begins, wires=_LINE
    ),
    "F02": CellScenario(
        inject=_pull_cable, repair=_plug_cable_in, sign=stop_begins, wires=_LINE
    ),
    "F03": _switched(freeze_heartbeat=1),
    "F04": _switched(stop_answering=1),
    "F05": CellScenario(
        inject=_start_backwards, repair=_mend_wire, sign=stop_begins, wires=_LINE
    ),
    "F06": CellScenario(
        inject=_reboot,
        repair=_wait_for_reboot,
        sign=stop_begins,
        looks=(_find_new_boot,),
    ),
    "F07": CellScenario(
        inject=make_switch(swap_words=1),
        repair=make_switch(),
        sign=make_event_sign("supervisor", "also", cause="plc_map_mismatch"),
        moment=_lead_to_held,
        event=("supervisor", "also"),
        effect=_press_in_vain,
        looks=(_find_order_named,),
    ),
    "F08": _switched(shift_map=1),
    "F09": _switched(tear_block=1),
    "F10": _switched(_WITHHELD, delay_ms=350),
    "F11": replace(
        _on_wire(Flow.TO_CLIENT, spoil_transaction, _WITHHELD),
        variants=(("a bit turned over in each answer", _FLIPPED),),
    ),
    "F12": CellScenario(
        inject=_storm.inject,
        repair=make_switch(),
        sign=_WITHHELD,
        lasts_s=_STORM_S,
        effect=_storm.find,
    ),
    "F13": _on_wire(Flow.TO_SERVER, swallow_writes, _WITHHELD),
    "F14": CellScenario(
        inject=_end_writer,
        repair=do_nothing,
        sign=_line_notices,
        lasts_s=0.6,
        looks=(make_event_look("supervisor", "task_ended", task=WRITER_TASK),),
        event=("host", "process ended"),
    ),
    "F15": CellScenario(inject=_rival.begin, repair=_rival.end, sign=_WITHHELD),
    "F16": CellScenario(
        inject=_door.shut,
        repair=_door.open,
        sign=stop_begins,
        lasts_s=_STORM_S,
        effect=_door.find,
        wires=_LINE,
    ),
}
"""By row."""
