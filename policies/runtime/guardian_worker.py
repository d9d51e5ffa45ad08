"""The Guardian worker's core: one network behind a local stream socket.

Single-threaded on purpose, like the policy worker: one attempt at a time. Where the
network could not be loaded it says so in its greeting and answers nothing else.
"""

import selectors
import socket
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import structlog

from cell.contracts.attempt import AttemptFeatures, AttemptJudgement
from cell.contracts.errors import CellError, PolicyError
from policies.runtime.guardian_wire import (
    GuardianGreeting,
    failure_message,
    greeting_message,
    judgement_message,
    parse_attempt,
)
from policies.runtime.wire import MessageDecoder, encode_message, listen_privately

_IDLE_WAIT_S = 0.2
_SEND_TIMEOUT_S = 0.5

Deadline = Callable[[], AbstractContextManager[None]]


class Judge(Protocol):
    """What answers; see `GuardianNetwork`."""

    def judge(self, features: AttemptFeatures, stamp_ns: int) -> AttemptJudgement:
        """Answer one attempt; `stamp_ns` is put on the answer."""
        ...


@dataclass
class _Client:
    connection: socket.socket
    decoder: MessageDecoder = field(default_factory=MessageDecoder)


class GuardianWorker:
    """Judges attempts until told to stop."""

    def __init__(
        self,
        judge: Judge | None,
        greeting: GuardianGreeting,
        socket_path: Path,
        deadline: Deadline = nullcontext,
    ) -> None:
        """Bind the socket; a stale one of an earlier life is replaced.

        Args:
            judge: the network, None where it could not be loaded.
            greeting: what every client hears first.
            socket_path: where to listen.
            deadline: entered for the time of one answer.
        """
        self._judge = judge
        self._greeting = greeting
        self._path = socket_path
        self._deadline = deadline
        self._log = structlog.get_logger()
        self._selector = selectors.DefaultSelector()
        self._listener = listen_privately(socket_path)
        self._selector.register(self._listener, selectors.EVENT_READ, None)

    def serve(self, is_stopped: Callable[[], bool], beat: Callable[[], None]) -> None:
        """Answer attempts until `is_stopped`; calls `beat` on every turn."""
        while not is_stopped():
            beat()
            for key, _ in self._selector.select(_IDLE_WAIT_S):
                if key.data is None:
                    self._accept()
                else:
                    self._receive(key.data)

    def close(self) -> None:
        """Drop every client and remove the socket."""
        for key in list(self._selector.get_map().values()):
            self._selector.unregister(key.fileobj)
            if isinstance(key.fileobj, socket.socket):
                key.fileobj.close()
        self._selector.close()
        self._path.unlink(missing_ok=True)

    def _accept(self) -> None:
        connection, _ = self._listener.accept()
        connection.settimeout(_SEND_TIMEOUT_S)
        client = _Client(connection)
        self._selector.register(connection, selectors.EVENT_READ, client)
        self._send(client, greeting_message(self._greeting))

    def _receive(self, client: _Client) -> None:
        try:
            chunk = client.connection.recv(65536)
        except OSError:
            chunk = b""
        if not chunk:
            self._drop(client)
            return
        try:
            for message in client.decoder.feed(chunk):
                self._send(client, self._answer(message))
        except PolicyError as error:
            self._log.warning("guardian_client_dropped", reason=str(error))
            self._drop(client)

    def _answer(self, message: dict[str, Any]) -> dict[str, Any]:
        number = message.get("attempt")
        attempt = number if isinstance(number, int) else -1
        try:
            features = parse_attempt(message)
            if self._judge is None:
                raise PolicyError(self._greeting.error)
            with self._deadline():
                said = self._judge.judge(features, time.monotonic_ns())
            return judgement_message(said)
        except (CellError, ValueError) as error:
            self._log.warning("guardian_failed", reason=str(error))
            return failure_message(attempt, str(error))

    def _send(self, client: _Client, message: dict[str, Any]) -> None:
        try:
            client.connection.sendall(encode_message(message))
        except OSError:
            self._drop(client)

    def _drop(self, client: _Client) -> None:
        if client.connection.fileno() >= 0:
            self._selector.unregister(client.connection)
            client.connection.close()
