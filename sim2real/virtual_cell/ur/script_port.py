"""Recognises what is uploaded to the script port (30003).

No URScript is interpreted: the control script of `ur_rtde` is known by its name, and
of its text only the register offset and an injected path matter.
"""

import re
from dataclasses import dataclass
from typing import Literal

CONTROL_SCRIPT = "rtde_control"

_NUMBER = r"[-+0-9.eE]+"
_PROGRAM = re.compile(r"^def\s+(\w+)\s*\(\s*\)\s*:.*?^end[ \t\r]*$", re.M | re.S)
_OFFSET = re.compile(r"#\s*int register offset\s*\n?\s*(\d+)")
_LEG = re.compile(
    rf"^\s*move([jlp])\(\s*p?\[([^\]]*)\]\s*,\s*a\s*=\s*({_NUMBER})\s*,"
    rf"\s*v\s*=\s*({_NUMBER})",
    re.M,
)
_STATE_REGISTER = re.compile(
    r"write_output_integer_register\(\s*(\d+)\s*(?:\+\s*(\d+)\s*)?,\s*1\s*\)"
)
_LIMIT = 4 << 20


@dataclass(frozen=True)
class PathLeg:
    """One waypoint of an injected path.

    Attributes:
        kind: j joint line, l tool line, p process line (run as a tool line).
        target: joint position [rad] for j, tool pose for l and p.
        acceleration: as given in the script.
        speed: as given in the script.
    """

    kind: Literal["j", "l", "p"]
    target: tuple[float, ...]
    acceleration: float
    speed: float


@dataclass(frozen=True)
class Program:
    """An uploaded program.

    Attributes:
        name: of its outermost function.
        offset: of the registers it uses, 0 or 24; None when it uses none.
        path: injected waypoints of the control script.
    """

    name: str
    offset: int | None = None
    path: tuple[PathLeg, ...] = ()

    @property
    def is_control_script(self) -> bool:
        """Whether this is the script of `ur_rtde`'s control interface."""
        return self.name == CONTROL_SCRIPT


def take_programs(inbox: bytearray) -> list[Program]:
    """Remove and return all complete programs.

    A program ends with an `end` in the first column and nothing else marks its end.
    """
    if b"\nend" not in inbox:
        if len(inbox) > _LIMIT:
            inbox.clear()
        return []
    text = inbox.decode("latin-1")
    programs = []
    consumed = 0
    for match in _PROGRAM.finditer(text):
        # An `end` at the very edge of what arrived may still become another word.
        if match.end() == len(text):
            break
        programs.append(_parse_program(match.group(1), match.group(0)))
        consumed = match.end()
    del inbox[:consumed]
    return programs


def _parse_program(name: str, text: str) -> Program:
    if name != CONTROL_SCRIPT:
        register = _STATE_REGISTER.search(text)
        if register is None:
            return Program(name)
        return Program(name, offset=sum(int(part or 0) for part in register.groups()))
    offset = _OFFSET.search(text)
    _, _, injected = text.partition("# inject move path")
    legs = tuple(_parse_leg(match) for match in _find_legs(injected))
    return Program(name, int(offset.group(1)) if offset else 0, legs)


def _find_legs(text: str) -> list[re.Match[str]]:
    """Return the literal moves right after the marker, up to the script's own code."""
    found = []
    for line in text.splitlines()[1:]:
        if not line.strip():
            continue
        match = _LEG.match(line)
        if match is not None:
            found.append(match)
        elif "signal_async_progress" not in line:
            break
    return found


def _parse_leg(match: re.Match[str]) -> PathLeg:
    kind, target, acceleration, speed = match.groups()
    values = tuple(float(value) for value in target.split(","))
    if len(values) != 6:
        raise ValueError(f"waypoint with {len(values)} values: {match.group(0)}")
    return PathLeg(
        "j" if kind == "j" else "l", values, float(acceleration), float(speed)
    )
