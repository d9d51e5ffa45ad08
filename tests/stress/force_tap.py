"""Makes the robot report a force at the tool that is not there, for some milliseconds.

That is how the guard is brought to intervene at a chosen moment: nothing else is wrong
with the motion under way, so it goes on as soon as the guard lets it.
"""

import struct
import time
from typing import Final

from sim2real.faults.chaos_rule import Change, Flow, Passage, Rule
from sim2real.faults.framing import RTDE_HEADER
from sim2real.faults.robot_wire import find_spans
from sim2real.faults.stand import Stand
from sim2real.faults.stand_config import Wire
from sim2real.virtual_cell.ur.rtde_wire import PackageType

FORCE_FIELD: Final = "actual_TCP_force"
_WRENCH: Final = struct.Struct(">6d")


class ForceTap:
    """Sits on the wire to the robot, above the tap that a stand has there already.

    Attributes:
        carried_ns: when packages went by that carried the newest force.
    """

    def __init__(self) -> None:
        self.carried_ns: list[int] = []
        self._spans: dict[int, slice] = {}
        self._wrench = b""
        self._until_ns = 0

    def install(self, stand: Stand) -> None:
        """Take its place; recipes are seen once the robot has been connected anew."""
        proxy = stand.wires[Wire.ROBOT]
        for flow in Flow:
            proxy.set_rule(flow, Rule(change=self._follow(stand, flow)))
        proxy.reset_connections()

    def push(self, force_n: tuple[float, float, float], duration_s: float) -> int:
        """Report a force from now on for a while; returns when that began."""
        self.carried_ns = []
        now_ns = time.monotonic_ns()
        self._wrench = _WRENCH.pack(*force_n, 0.0, 0.0, 0.0)
        self._until_ns = now_ns + int(duration_s * 1e9)
        return now_ns

    def to_robot(self, package: bytes, link: int) -> Passage:
        """Learn where the force stands in the packages of a connection."""
        if len(package) > 2 and package[2] == PackageType.SETUP_OUTPUTS:
            spans = find_spans(package[RTDE_HEADER.size :])
            if FORCE_FIELD in spans:
                self._spans[link] = spans[FORCE_FIELD]
        return Passage(package)

    def to_client(self, package: bytes, link: int) -> Passage:
        """Put the force into a package while it lasts."""
        span = self._spans.get(link)
        is_data = len(package) > 2 and package[2] == PackageType.DATA
        now_ns = time.monotonic_ns()
        if span is None or not is_data or now_ns >= self._until_ns:
            return Passage(package)
        content = bytearray(package)
        content[span] = self._wrench
        self.carried_ns.append(now_ns)
        return Passage(bytes(content))

    def _follow(self, stand: Stand, flow: Flow) -> Change:
        mine = self.to_robot if flow is Flow.TO_SERVER else self.to_client
        before = None if stand.tap is None else stand.tap.rule(flow).change

        def change(package: bytes, link: int) -> Passage:
            if before is not None:
                package = before(package, link).forward
            return mine(package, link)

        return change
