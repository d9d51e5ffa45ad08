"""Non-blocking TCP connections with their own buffers, for one select loop."""

import contextlib
import socket
from collections.abc import Callable
from typing import Protocol

_CHUNK = 65536
_SEND_BUFFER = 65536  # bounds the age of what a slow client reads
_INBOX_LIMIT = 1 << 20
_OUTBOX_LIMIT = 1 << 20


class Session(Protocol):
    """What is spoken on one connection."""

    def receive(self, now_ns: int) -> None:
        """Consume what arrived in the connection's inbox."""
        ...

    def end(self) -> None:
        """Release what the connection held; it is closed already."""
        ...


class Connection:
    """One accepted client."""

    def __init__(self, sock: socket.socket) -> None:
        sock.settimeout(0.0)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER)
        self.sock = sock
        self.inbox = bytearray()
        self.outbox = bytearray()
        self.is_closed = False

    def read(self) -> None:
        """Move everything that has arrived into the inbox; note the end."""
        try:
            while True:
                chunk = self.sock.recv(_CHUNK)
                if not chunk:
                    self.is_closed = True
                    return
                self.inbox += chunk
                if len(self.inbox) > _INBOX_LIMIT:
                    self.is_closed = True
                    return
                if len(chunk) < _CHUNK:
                    break
        except BlockingIOError:
            pass
        except OSError:
            # A client that leaves with unread data resets the connection.
            self.is_closed = True
            return
        # The client's small writes wait for the acknowledge of the one before, and
        # the kernel falls back to delayed ones after every receive.
        with contextlib.suppress(OSError):
            self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)

    def send(self, content: bytes) -> None:
        """Send now, or as soon as the client takes it."""
        if self.is_closed:
            return
        if self.outbox:
            self.outbox += content
            if len(self.outbox) > _OUTBOX_LIMIT:
                self.is_closed = True
            return
        try:
            sent = self.sock.send(content)
        except BlockingIOError:
            sent = 0
        except OSError:
            self.is_closed = True
            return
        if sent < len(content):
            self.outbox += content[sent:]

    def flush(self) -> None:
        """Send more of what had to wait."""
        try:
            del self.outbox[: self.sock.send(self.outbox)]
        except BlockingIOError:
            pass
        except OSError:
            self.is_closed = True


class Listener:
    """A listening port and the protocol spoken on it.

    Raises:
        OSError: the address is taken or not of this machine.
    """

    def __init__(
        self, host: str, port: int, make_session: Callable[[Connection], Session]
    ) -> None:
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.sock.settimeout(0.0)
        try:
            self.sock.bind((host, port))
            self.sock.listen(16)
        except OSError:
            self.sock.close()
            raise
        self.make_session = make_session

    def accept(self) -> Connection | None:
        """Return a waiting client, if it is still there."""
        try:
            sock, _ = self.sock.accept()
        except OSError:
            return None
        return Connection(sock)
