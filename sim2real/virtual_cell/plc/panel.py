"""The line panel: plays the person who commands the virtual line PLC.

`python -m sim2real.virtual_cell.plc.panel --runtime DIR clear reset start` gives the
commands one after the other and says what state the cell is in afterwards; `ack`
acknowledges a fault.
"""

import argparse
import sys
import time
from pathlib import Path

import numpy as np

from cell.contracts.units import s_from_ns
from cell.mailbox.seqlock import Mailbox
from ops.runtime_directory import compute_runtime_directory
from sim2real.virtual_cell.plc.records import OPERATOR, PLC_STATE

COMMANDS = {
    "reset": 1,
    "start": 2,
    "stop": 3,
    "hold": 4,
    "unhold": 5,
    "suspend": 6,
    "unsuspend": 7,
    "abort": 8,
    "clear": 9,
    "complete": 10,
}
_ACTING_STATES = frozenset({1, 3, 7, 8, 10, 12, 13, 14, 15, 16})
_PATIENCE_S = 5.0
_POLL_S = 0.02


class Panel:
    """The panel of a running virtual line PLC."""

    def __init__(self, runtime: Path) -> None:
        self._operator = Mailbox.open(runtime / "vc_operator", OPERATOR)
        self._state = Mailbox.open(runtime / "vc_plc_state", PLC_STATE)

    def press(self, command: int = 0, *, fault_ack: bool = False) -> int:
        """Press a button; returns the number of the press."""
        last = self._operator.read()
        record = np.zeros((), OPERATOR)
        record["request_id"] = 1 if last is None else int(last["request_id"]) + 1
        record["command"] = command
        record["fault_ack"] = fault_ack
        self._operator.write(record)
        return int(record["request_id"])

    def is_done(self, press: int) -> bool:
        """Return whether the press was taken up and the cell is in no acting state."""
        state = self._state.read()
        return (
            state is not None
            and int(state["operator_id"]) >= press
            and not state["command"]
            and not state["pending_command"]
            and int(state["cell_state"]) not in _ACTING_STATES
        )

    def read_cell_state(self) -> int:
        """Return the PackML state of the cell as the PLC sees it, -1 if unknown."""
        state = self._state.read()
        return -1 if state is None else int(state["cell_state"])


def main() -> int:
    """Run the command line; 0 when every press was taken up."""
    parser = argparse.ArgumentParser(description="panel of the virtual line PLC")
    parser.add_argument("--runtime", type=Path, default=compute_runtime_directory(""))
    parser.add_argument("press", nargs="+", choices=[*COMMANDS, "ack"])
    arguments = parser.parse_args()
    if not (arguments.runtime / "vc_plc_state").exists():
        sys.stderr.write(
            f"panel: no virtual line PLC runs in {arguments.runtime}; start the virtual"
            " cell, or give its folder with --runtime\n"
        )
        return 4
    panel = Panel(arguments.runtime)
    for name in arguments.press:
        press = panel.press(COMMANDS.get(name, 0), fault_ack=name == "ack")
        if not _wait(panel, press):
            sys.stderr.write(f"panel: {name} was not taken up; does the PLC run?\n")
            return 4
        sys.stdout.write(f"{name}: cell in state {panel.read_cell_state()}\n")
    return 0


def _wait(panel: Panel, press: int) -> bool:
    start_ns = time.monotonic_ns()
    while not panel.is_done(press):
        if s_from_ns(time.monotonic_ns() - start_ns) > _PATIENCE_S:
            return False
        time.sleep(_POLL_S)  # noqa: TID251 (a command line, not a loop of the product)
    return True


if __name__ == "__main__":
    sys.exit(main())
