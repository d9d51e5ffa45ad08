"""Four phases about every placed part: done up, taken up, done down, taken down. Pure.

A phase that takes too long is reported, never skipped: the part lies where it lies.
"""

from enum import Enum

from cell.contracts.units import ns_from_s

_PHASE_TIMEOUT_S = 10.0


class HandshakePhase(Enum):
    """Whose turn it is."""

    IDLE = "idle"
    OFFERED = "part_done is up, waiting for part_taken"
    WITHDRAWN = "part_done is down, waiting for part_taken to fall"


class PartHandshake:
    """Our side of the handshake."""

    def __init__(self) -> None:
        self.phase = HandshakePhase.IDLE
        self._since_ns = 0
        self._line_is_down = True

    @property
    def part_done(self) -> bool:
        """The signal to the line."""
        return self.phase is HandshakePhase.OFFERED

    @property
    def is_idle(self) -> bool:
        """Whether the next part may be offered."""
        return self.phase is HandshakePhase.IDLE and self._line_is_down

    def offer(self, now_ns: int) -> None:
        """Say that one part lies in the outfeed."""
        self._enter(HandshakePhase.OFFERED, now_ns)

    def follow(self, *, part_taken: bool, now_ns: int) -> None:
        """Take the line's answer in."""
        self._line_is_down = not part_taken
        if self.phase is HandshakePhase.OFFERED and part_taken:
            self._enter(HandshakePhase.WITHDRAWN, now_ns)
        elif self.phase is HandshakePhase.WITHDRAWN and not part_taken:
            self._enter(HandshakePhase.IDLE, now_ns)

    def is_overdue(self, now_ns: int) -> bool:
        """Say whether the line left us waiting for too long."""
        is_open = self.phase is not HandshakePhase.IDLE
        return is_open and now_ns - self._since_ns > ns_from_s(_PHASE_TIMEOUT_S)

    def _enter(self, phase: HandshakePhase, now_ns: int) -> None:
        self.phase = phase
        self._since_ns = now_ns
