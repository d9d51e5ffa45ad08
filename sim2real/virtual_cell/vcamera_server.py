"""TCP side of a virtual camera: newest pair to everyone who listens, waiting for none.

One thread, sockets that never block. A client that is still busy with a pair gets the
newest one after it and misses those in between.
"""

import selectors
import socket
from typing import Final

from ops.exit_codes import PortTakenError

_SEND_BUFFER_BYTES: Final = 1_048_576
_BACKLOG: Final = 4
_MAX_CLIENTS: Final = 8


class FeedServer:
    """Listens on one port and serves the pairs of one camera."""

    def __init__(
        self, selector: selectors.BaseSelector, host: str, port: int, greeting: bytes
    ) -> None:
        """Start to listen; port 0 takes a free one.

        Args:
            selector: shared by all servers of the process; its keys carry callables.
            host: address to listen on.
            port: port to listen on.
            greeting: first bytes for every client.

        Raises:
            PortTakenError: another program has the port, or it is not allowed.
        """
        self._selector = selector
        self._greeting = greeting
        self._clients: dict[socket.socket, _Backlog] = {}
        try:
            self._listener = socket.create_server((host, port), backlog=_BACKLOG)
        except OSError as error:
            raise PortTakenError(
                f"port {port} on {host} cannot be used for camera frames "
                f"({error.strerror}): stop the program that has it, or change the "
                "port under cameras"
            ) from error
        self._listener.settimeout(0.0)
        selector.register(self._listener, selectors.EVENT_READ, self._accept)

    @property
    def port(self) -> int:
        """Return the port it listens on."""
        return int(self._listener.getsockname()[1])

    @property
    def has_clients(self) -> bool:
        """Return whether anyone listens."""
        return bool(self._clients)

    def publish(self, pair: bytes) -> None:
        """Offer a pair to every client; replaces one that waits."""
        for client, backlog in list(self._clients.items()):
            backlog.waiting = pair
            self._send(client, backlog)

    def drop_clients(self) -> None:
        """Close every connection, as a cable that is pulled would."""
        for client in list(self._clients):
            self._drop(client)

    def close(self) -> None:
        """Drop all clients and stop listening."""
        self.drop_clients()
        self._selector.unregister(self._listener)
        self._listener.close()

    def _accept(self, _events: int) -> None:
        try:
            client, _ = self._listener.accept()
        except OSError:  # it went away before it was taken
            return
        if len(self._clients) >= _MAX_CLIENTS:
            client.close()
            return
        client.settimeout(0.0)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER_BYTES)
        backlog = _Backlog(self._greeting)
        self._clients[client] = backlog
        self._selector.register(
            client,
            selectors.EVENT_READ,
            lambda events: self._serve(client, events),
        )
        self._send(client, backlog)

    def _serve(self, client: socket.socket, events: int) -> None:
        backlog = self._clients.get(client)
        if backlog is None:
            return
        if events & selectors.EVENT_READ and _has_left(client):
            self._drop(client)
        elif events & selectors.EVENT_WRITE:
            self._send(client, backlog)

    def _send(self, client: socket.socket, backlog: "_Backlog") -> None:
        try:
            while rest := backlog.take():
                backlog.advance(client.send(rest))
        except BlockingIOError:
            pass
        except OSError:
            self._drop(client)
            return
        wanted = selectors.EVENT_READ
        if backlog.has_more:
            wanted |= selectors.EVENT_WRITE
        self._selector.modify(client, wanted, self._selector.get_key(client).data)

    def _drop(self, client: socket.socket) -> None:
        self._selector.unregister(client)
        del self._clients[client]
        client.close()


class _Backlog:
    """What a client still has to get: the rest of one message, and the newest pair."""

    def __init__(self, greeting: bytes) -> None:
        self.waiting: bytes | None = None
        self._rest = memoryview(greeting)

    @property
    def has_more(self) -> bool:
        return bool(self._rest) or self.waiting is not None

    def take(self) -> memoryview:
        """Return what to send next; empty when the client is up to date."""
        if not self._rest and self.waiting is not None:
            self._rest, self.waiting = memoryview(self.waiting), None
        return self._rest

    def advance(self, count: int) -> None:
        self._rest = self._rest[count:]


def _has_left(client: socket.socket) -> bool:
    """Return whether the client closed; whatever it sends is thrown away."""
    try:
        return client.recv(4096) == b""
    except BlockingIOError:
        return False
    except OSError:
        return True
