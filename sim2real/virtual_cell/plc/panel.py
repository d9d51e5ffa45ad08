"""The line panel: plays the person who commands the virtual line PLC.

`./cellward panel ack clear reset start` gives the commands one after the other, waits
until each has led somewhere, and says where; `ack` acknowledges a fault.
"""

import argparse
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cell.contracts.errors import CellError
from cell.contracts.units import s_from_ns
from cell.mailbox.seqlock import Mailbox
from cell.supervisor.states import ACTING_STATES, Command, State
from ops.exit_codes import ExitCode, compute_exit_code
from ops.runtime_directory import compute_runtime_directory
from ops.telemetry import read_status
from sim2real.virtual_cell.plc.records import OPERATOR, PLC_STATE

COMMANDS = {command.name.lower(): int(command) for command in Command if command}
_ON_THE_WAY = ACTING_STATES - {State.EXECUTE}
_TAKEN_S = 5.0
_ACTED_S = 60.0
"""A part in the fingers goes back to the bin first."""
_SILENT_S = 1.0
_POLL_S = 0.02
_LAST_PERSON = 65535
_REFUSED = " command_refused value="


@dataclass(frozen=True)
class Answer:
    """What the virtual line PLC knows of a press.

    Attributes:
        has_line: the line PLC runs.
        is_taken: it has been on the wire.
        is_accepted: the cell took it; only when `is_taken`.
        has_cell: a controller is connected to the line.
        state: PackML state of the cell, None while unknown.
    """

    has_line: bool
    is_taken: bool
    is_accepted: bool
    has_cell: bool
    state: int | None

    @property
    def is_acting(self) -> bool:
        """Whether the cell is on its way from one state to another."""
        return self.state in _ON_THE_WAY

    @property
    def state_name(self) -> str:
        """Name of the state, for a person."""
        known = self.state in State.__members__.values()
        return State(self.state).name if self.state is not None and known else "unknown"


class Panel:
    """The panel of a running virtual line PLC."""

    def __init__(self, runtime: Path) -> None:
        self._operator = Mailbox.open(runtime / "vc_operator", OPERATOR)
        self._state = Mailbox.open(runtime / "vc_plc_state", PLC_STATE)

    def press(
        self, command: int = 0, *, fault_ack: bool = False, person_id: int = 1
    ) -> int:
        """Press a button as a person; returns the number of the press."""
        last = self._operator.read()
        record = np.zeros((), OPERATOR)
        record["request_id"] = 1 if last is None else int(last["request_id"]) + 1
        record["command"] = command
        record["fault_ack"] = fault_ack
        record["person_id"] = person_id
        self._operator.write(record)
        return int(record["request_id"])

    def look(self, press: int) -> Answer:
        """Return what has become of a press."""
        state = self._state.read()
        if state is None:
            return Answer(
                has_line=False,
                is_taken=False,
                is_accepted=False,
                has_cell=False,
                state=None,
            )
        age_s = s_from_ns(time.monotonic_ns() - int(state["stamp_ns"]))
        # The cell reads a pulse at some time in it: a command before its end may come
        # too soon.
        is_idle = not (
            state["command"] or state["pending_command"] or state["acknowledges"]
        )
        cell_state = int(state["cell_state"])
        return Answer(
            has_line=age_s < _SILENT_S,
            is_taken=bool(int(state["operator_id"]) >= press and is_idle),
            is_accepted=bool(state["command_accepted"]),
            has_cell=bool(state["cell_is_fresh"]),
            state=None if cell_state < 0 else cell_state,
        )


def main() -> int:
    """Run the command line; 0 when the cell took every press."""
    parser = argparse.ArgumentParser(
        prog="cellward panel", description="Give commands at the virtual line PLC."
    )
    parser.add_argument(
        "--runtime",
        type=Path,
        default=compute_runtime_directory(""),
        help="runtime.directory of the running cell, when its configuration names one",
    )
    parser.add_argument(
        "--person",
        type=_person_id,
        default=1,
        metavar="NUMBER",
        help="who is logged in at the panel, 1 to 65535; 0 is nobody (default: 1)",
    )
    parser.add_argument(
        "press",
        nargs="+",
        choices=[*COMMANDS, "ack"],
        metavar="PRESS",
        help="one after the other: ack, " + ", ".join(COMMANDS),
    )
    arguments = parser.parse_args()
    if not (arguments.runtime / "vc_plc_state").exists():
        sys.stderr.write(
            f"panel: no virtual line PLC runs in {arguments.runtime}; start the virtual"
            " cell, or give its folder with --runtime\n"
        )
        return ExitCode.NOT_READY
    panel = Panel(arguments.runtime)
    for name in arguments.press:
        answer, problem = give(panel, name, arguments.person)
        if problem:
            is_refused = answer.has_cell and answer.is_taken and not answer.is_accepted
            why = read_refusal(arguments.runtime) if is_refused else ""
            sys.stderr.write(f"panel: {name}: {problem}{why and f': {why}'}\n")
            return ExitCode.NOT_READY
        void = name == "ack" and not arguments.person
        said = "pressed by nobody, which counts for nothing; " if void else ""
        sys.stdout.write(f"{name}: {said}the cell is in {answer.state_name}\n")
        sys.stdout.flush()
    return ExitCode.OK


def read_refusal(runtime: Path) -> str:
    """Return why the cell refused a command last, in its own words; "" if unknown."""
    events = read_status(runtime).get("events", [])
    said = [str(event).partition(_REFUSED)[2] for event in events if _REFUSED in event]
    return said[-1] if said else ""


def _person_id(text: str) -> int:
    if not (text.isdecimal() and int(text) <= _LAST_PERSON):
        raise argparse.ArgumentTypeError(
            f"{text!r} is no number of a person; give 0 to {_LAST_PERSON}"
        )
    return int(text)


def give(panel: Panel, name: str, person_id: int = 1) -> tuple[Answer, str]:
    """Give one command and wait for what it leads to; "" when the cell took it."""
    command = COMMANDS.get(name, 0)
    press = panel.press(command, fault_ack=name == "ack", person_id=person_id)
    answer = _wait(panel, press, _TAKEN_S, lambda seen: seen.is_taken)
    if not answer.has_line:
        return answer, "the virtual line PLC does not run; start the virtual cell"
    if not answer.has_cell:
        return answer, "no controller is connected to this line"
    if not answer.is_taken:
        return answer, "the line PLC did not take it up"
    if name == "ack":
        return answer, ""
    if not answer.is_accepted:
        return answer, f"the cell is in {answer.state_name} and refused it"
    answer = _wait(panel, press, _ACTED_S, lambda seen: not seen.is_acting)
    if answer.is_acting:
        return answer, f"taken, but the cell is in {answer.state_name} ever since"
    return answer, ""


def _wait(
    panel: Panel, press: int, patience_s: float, is_enough: Callable[[Answer], bool]
) -> Answer:
    started_ns = time.monotonic_ns()
    while True:
        answer = panel.look(press)
        waited_s = s_from_ns(time.monotonic_ns() - started_ns)
        if is_enough(answer) or waited_s > patience_s:
            return answer
        time.sleep(_POLL_S)  # noqa: TID251 (a command line, not a loop of the product)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except CellError as error:
        sys.stderr.write(f"panel: {error}\n")
        sys.exit(int(compute_exit_code(error)))
