"""One direction of one connection through a chaos proxy. No thread, no clock."""

import contextlib
import random
import socket
from collections import Counter, deque

from sim2real.faults.chaos_rule import Passage, Rule
from sim2real.faults.framing import Framer

_CHUNK = 1 << 18


class Pipe:
    """Moves bytes from one socket towards another by a rule.

    Attributes:
        source: where bytes come from.
        sink: where they go.
        has_ended: the source sends no more.
    """

    def __init__(
        self, ends: tuple[socket.socket, socket.socket], framer: Framer, seed: str
    ) -> None:
        """Join `ends`, source first; the same seed gives the same disturbances."""
        self.source, self.sink = ends
        self.has_ended = False
        self._framer = framer
        # Not for secrets: the same seed has to give the same disturbances.
        self._rng = random.Random(seed)  # noqa: S311
        self._queue: deque[tuple[int, bytes]] = deque()
        self._late: bytes | None = None
        self._outbox = bytearray()

    @property
    def has_bytes(self) -> bool:
        """Whether the sink has not taken everything yet."""
        return bool(self._outbox)

    def receive(self) -> list[bytes]:
        """Return the messages that have arrived; notes the end of the stream."""
        try:
            chunk = self.source.recv(_CHUNK)
        except BlockingIOError:
            return []
        except OSError:
            chunk = b""
        if not chunk:
            self.has_ended = True
            return []
        # A client whose small writes wait for the acknowledge of the one before would
        # be slowed down by a delayed one, to which the kernel falls back every time.
        with contextlib.suppress(OSError):
            self.source.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
        return self._framer.feed(chunk)

    def pass_on(
        self, message: bytes, link: int, rule: Rule, now_ns: int, counts: Counter[str]
    ) -> bytes:
        """Apply a rule to a message; return what goes back to its sender."""
        counts["seen"] += 1
        passage = (
            Passage(message) if rule.change is None else rule.change(message, link)
        )
        if passage.forward != message:
            counts["changed"] += 1
        for forward in self._disturb(passage.forward, rule, counts):
            due_ns = now_ns + int(rule.delay_s * 1e9)
            if self._queue:
                due_ns = max(due_ns, self._queue[-1][0])
            self._queue.append((due_ns, forward))
        return passage.reply

    def push(self, content: bytes) -> None:
        """Send something of our own, at once."""
        self._outbox += content

    def find_due_ns(self, rule: Rule) -> int | None:
        """Return when the next message is to leave, None when none waits for that."""
        if not self._queue or rule.is_held:
            return None
        return self._queue[0][0]

    def release(self, rule: Rule, now_ns: int) -> None:
        """Take what is due to the outbox, and send what the sink takes.

        Raises:
            OSError: the sink is gone.
        """
        while self._queue and not rule.is_held and self._queue[0][0] <= now_ns:
            self._outbox += self._queue.popleft()[1]
        if self._outbox:
            try:
                del self._outbox[: self.sink.send(self._outbox)]
            except BlockingIOError:
                return

    def _disturb(self, message: bytes, rule: Rule, counts: Counter[str]) -> list[bytes]:
        if not message:
            return []
        if rule.is_black_hole or self._strikes(rule.loss_ratio):
            counts["lost"] += 1
            return []
        if self._strikes(rule.flip_ratio):
            counts["flipped"] += 1
            message = _flip_bit(message, self._rng)
        late, self._late = self._late, None
        if late is not None:
            return [message, late]
        if self._strikes(rule.reorder_ratio):
            counts["reordered"] += 1
            self._late = message
            return []
        return [message]

    def _strikes(self, ratio: float) -> bool:
        return ratio > 0.0 and self._rng.random() < ratio


def _flip_bit(message: bytes, rng: random.Random) -> bytes:
    content = bytearray(message)
    content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
    return bytes(content)
