"""A wall clock of their own for the controller's processes of a stand, and no others.

A few lines of C answer for it ahead of the C library. The machine's clock stays as it
is, and so do all monotonic clocks and waits.
"""

import shutil
import struct
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from sim2real.faults.evidence import Evidence
from sim2real.faults.scenario import MissingAidError
from sim2real.faults.stand import Stand, StandError, pause

_SOURCE: Final = Path(__file__).with_suffix(".c")
_OFFSET: Final = struct.Struct("q")
_COMPILERS: Final = ("cc", "gcc", "clang")
_HOUR_S: Final = 3600
_JUMP_S: Final = 5.0
_HALF_HOUR_NS: Final = 1_800_000_000_000


class WallClock:
    """Sets the wall clock of the controller, and looks at what came of it."""

    def __init__(self) -> None:
        self._file: Path | None = None

    def make_environment(self, folder: Path) -> Mapping[str, str]:
        """Return variables with which processes ask this clock.

        Raises:
            MissingAidError: there is nothing to compile its few lines with.
        """
        self._file = folder / "wall-clock"
        self._file.write_bytes(_OFFSET.pack(0))
        return {
            "LD_PRELOAD": str(compile_clock(folder)),
            "CELLWARD_STAND_WALL_CLOCK": str(self._file),
        }

    def jump(self, _stand: Stand) -> None:
        """Go an hour ahead, then an hour back."""
        for offset_s in (_HOUR_S, -_HOUR_S):
            self.set_offset(offset_s)
            pause(_JUMP_S)

    def mend(self, _stand: Stand) -> None:
        """Tell the true time again."""
        self.set_offset(0)

    def set_offset(self, offset_s: int) -> None:
        """Set the clock so far ahead of the machine's [s]."""
        if self._file is not None:
            with self._file.open("r+b") as file:
                file.write(_OFFSET.pack(offset_s))

    def find_jump(self, evidence: Evidence) -> str:
        """Miss records that were stamped an hour ahead, and an hour back."""
        now_ns = time.monotonic_ns()
        stamps_ns = [line.seen_ns for line in evidence.log.read()]
        is_ahead = any(ns - now_ns > _HALF_HOUR_NS for ns in stamps_ns)
        is_back = any(evidence.onset_ns - ns > _HALF_HOUR_NS for ns in stamps_ns)
        if is_ahead and is_back:
            return ""
        return "no record was stamped by the clock that jumped"

    def find_stop(self, evidence: Evidence) -> str:
        """Miss an undisturbed production; stamps of records mean nothing here."""
        for line in evidence.log.read():
            to = line.fields.get("to")
            if line.event == "state" and to in ("HOLDING", "ABORTING"):
                return f"production was stopped: {line.fields.get('reason')}"
        return ""


def compile_clock(folder: Path) -> Path:
    """Compile the clock into a folder.

    Raises:
        MissingAidError: there is no compiler.
        StandError: it does not compile.
    """
    compiler = next(filter(None, map(shutil.which, _COMPILERS)), None)
    if compiler is None:
        raise MissingAidError("a wall clock of its own needs a C compiler (cc)")
    library = folder / "wall_clock.so"
    flags = ("-shared", "-fPIC", "-O1", "-o")
    command = [compiler, *flags, str(library), str(_SOURCE), "-ldl"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise StandError(f"the wall clock does not compile: {done.stderr[-300:]}")
    return library
