"""What can be wrong with the RTDE packages between cell and robot.

A package names none of its values: the recipe was agreed on when the connection was
opened. So the tap has to be on the wire from the beginning.
"""

import struct
import time
from typing import Final

from sim2real.faults.chaos_rule import PLAIN, Flow, Passage, Rule
from sim2real.faults.framing import RTDE_HEADER
from sim2real.virtual_cell.ur.rtde_fields import OUTPUT_TYPES, make_struct
from sim2real.virtual_cell.ur.rtde_wire import PackageType

_RATE: Final = struct.Struct(">d")
_VALUES: Final = RTDE_HEADER.size + 1
"""After header and number of the recipe."""

_Spans = dict[str, slice]


class RtdeTap:
    """Reads recipes as they pass, and can keep values of the robot from changing.

    Attributes:
        setpoint_ns: when the client last sent a data package, monotonic clock.
        changed_ns: when the first package passed in which the watched value was another
            one, 0 before.
    """

    def __init__(self) -> None:
        self.setpoint_ns = self.changed_ns = 0
        self._watched = ""
        self._seen: bytes | None = None
        self._spans: dict[int, _Spans] = {}
        self._frozen: frozenset[str] = frozenset()
        self._kept: dict[tuple[int, str], bytes] = {}

    def rule(self, flow: Flow, rule: Rule = PLAIN) -> Rule:
        """Return a rule with this tap in it."""
        change = self._to_robot if flow is Flow.TO_SERVER else self._to_client
        return Rule(
            change=change,
            loss_ratio=rule.loss_ratio,
            flip_ratio=rule.flip_ratio,
            reorder_ratio=rule.reorder_ratio,
            delay_s=rule.delay_s,
            is_black_hole=rule.is_black_hole,
            is_held=rule.is_held,
        )

    def freeze(self, *names: str) -> None:
        """Keep these values as the next package has them; no name lets them live."""
        self._kept = {}
        self._frozen = frozenset(names)

    def watch(self, name: str) -> None:
        """Note when a value of the robot becomes another one than it is now."""
        self.changed_ns, self._seen = 0, None
        self._watched = name

    def _look(self, package: bytes, link: int) -> None:
        span = self._spans.get(link, {}).get(self._watched)
        if span is None or self.changed_ns:
            return
        if self._seen is None:
            self._seen = package[span]
        elif package[span] != self._seen:
            self.changed_ns = time.monotonic_ns()

    def _to_robot(self, package: bytes, link: int) -> Passage:
        kind = package[2] if len(package) > 2 else 0
        if kind == PackageType.SETUP_OUTPUTS:
            self._spans[link] = find_spans(package[RTDE_HEADER.size :])
        elif kind == PackageType.DATA:
            self.setpoint_ns = time.monotonic_ns()
        return Passage(package)

    def _to_client(self, package: bytes, link: int) -> Passage:
        frozen = self._frozen
        if len(package) < _VALUES or package[2] != PackageType.DATA:
            return Passage(package)
        self._look(package, link)
        if not frozen:
            return Passage(package)
        content = bytearray(package)
        for name in frozen & self._spans.get(link, {}).keys():
            span = self._spans[link][name]
            content[span] = self._kept.setdefault((link, name), bytes(content[span]))
        return Passage(bytes(content))


def find_spans(request: bytes) -> _Spans:
    """Return where each value stands in the packages of an agreed recipe.

    Args:
        request: of the client: the rate, then names with commas.
    """
    names = request[_RATE.size :].decode("ascii", "replace").split(",")
    spans: _Spans = {}
    start = _VALUES
    for name in names:
        if name not in OUTPUT_TYPES:
            return spans
        end = start + make_struct(OUTPUT_TYPES[name]).size
        spans[name] = slice(start, end)
        start = end
    return spans
