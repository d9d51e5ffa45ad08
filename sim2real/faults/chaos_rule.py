"""What a chaos proxy does to the messages of one direction."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum


class Flow(Enum):
    """A direction on a wire."""

    TO_SERVER = "to server"
    TO_CLIENT = "to client"

    @property
    def opposite(self) -> "Flow":
        """The way back."""
        return Flow.TO_CLIENT if self is Flow.TO_SERVER else Flow.TO_SERVER


class Accepts(Enum):
    """What happens to a new connection."""

    CARRY = "passed on"
    CLOSE = "accepted, then closed"
    RESET = "accepted, then reset"
    IGNORE = "accepted, never answered"


@dataclass(frozen=True)
class Passage:
    """What becomes of one message.

    Attributes:
        forward: goes on in its direction; empty for nothing.
        reply: goes back to whoever sent it; empty for nothing.
    """

    forward: bytes = b""
    reply: bytes = b""


Change = Callable[[bytes, int], Passage]
"""Takes a message and the number of its connection, counted from 0."""


@dataclass(frozen=True)
class Rule:
    """Disturbances of one direction; the plain rule passes everything on.

    Attributes:
        change: applied to each message first.
        loss_ratio: share of messages that vanish, 0..1.
        flip_ratio: share of messages in which one bit is turned over.
        reorder_ratio: share of messages that change places with the next one.
        delay_s: every message is this much later; their order stays [s].
        is_black_hole: nothing passes, nothing is closed.
        is_held: nothing passes until another rule comes, then all of it at once.
    """

    change: Change | None = None
    loss_ratio: float = 0.0
    flip_ratio: float = 0.0
    reorder_ratio: float = 0.0
    delay_s: float = 0.0
    is_black_hole: bool = False
    is_held: bool = False


PLAIN = Rule()
"""Passes everything on as it is."""
