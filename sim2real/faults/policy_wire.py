"""A policy worker that cannot be trusted: the true one, with its answers changed.

It takes the place of the worker's socket. The worker has to start anew for that, for
the supervisor holds on to the connection it has.
"""

import contextlib
import json
import os
import random
import select
import signal
import socket
import struct
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from policies.runtime.wire import SOCKET_NAME, MessageDecoder
from sim2real.faults.stand import Stand, StandError, pause

_TRIES: Final = 5
_START_S: Final = 60.0
_CONNECT_S: Final = 2.0
_LOOK_S: Final = 0.001
_CHUNK: Final = 65536
_DRIFT_M: Final = 0.004
_MISS_M: Final = 0.06
_MORE_MISSES: Final = 0.1
_LENGTH: Final = struct.Struct(">I")

Spoil = Callable[[dict[str, Any]], None]
"""Changes the chunk of an answer in place."""


def spoil_with_nan(chunk: dict[str, Any]) -> None:
    """Put one value into the chunk that is no number."""
    chunk["steps"][-1]["position_m"][2] = float("nan")


def spoil_with_distance(chunk: dict[str, Any]) -> None:
    """Ask for a grasp five metres away, with all alternatives."""
    for one in (chunk, *chunk["alternatives"]):
        for step in one["steps"]:
            step["position_m"][0] += 5.0


class RisingError:
    """Aims a little higher above the part with each answer, until nothing is gripped.

    Upwards, for that way no grasp leads into anything.
    """

    def __init__(self) -> None:
        self.answers = 0

    def __call__(self, chunk: dict[str, Any]) -> None:
        """Raise all ways of one answer."""
        self.answers += 1
        raise_steps(chunk, _DRIFT_M * self.answers)


class FallingSuccess:
    """Misses more and more often, by lot: one in ten at first, all in the end."""

    def __init__(self, seed: int = 45) -> None:
        self.answers = 0
        self._random = random.Random(seed)  # noqa: S311

    def __call__(self, chunk: dict[str, Any]) -> None:
        """Raise one answer by so much that it misses, or leave it."""
        self.answers += 1
        if self._random.random() < self.answers * _MORE_MISSES:
            raise_steps(chunk, _MISS_M)


def raise_steps(chunk: dict[str, Any], rise_m: float) -> None:
    """Raise every step of a chunk and of its alternatives."""
    for one in (chunk, *chunk["alternatives"]):
        for step in one["steps"]:
            step["position_m"][2] += rise_m


class HostileWorker:
    """Stands between the supervisor and the true policy worker.

    Attributes:
        spoil: applied to each answer of the live policy; None passes them on.
    """

    def __init__(self, *, spoils_fallback: bool = False) -> None:
        """Take over nothing yet.

        Args:
            spoils_fallback: change the answers of the fallback policy as well.
        """
        self.spoil: Spoil | None = None
        self._spoilt = {"live", "fallback"} if spoils_fallback else {"live"}
        self._ends = threading.Event()
        self._thread: threading.Thread | None = None
        self._spoilt_ids: set[int] = set()

    def take_over(self, stand: Stand) -> None:
        """Take the place of the worker's socket.

        Raises:
            StandError: the supervisor never came.
        """
        self.leave()
        path = stand.files.runtime / SOCKET_NAME
        for _ in range(_TRIES):
            _kill_worker(stand)
            true_path = _move_aside(path)
            listener = _listen(path)
            with contextlib.suppress(TimeoutError):
                client, _address = listener.accept()
                self._start(client, true_path)
                listener.close()
                return
            # The supervisor was quicker than we; it has to let go of the true one.
            listener.close()
        raise StandError("the supervisor did not connect to the changed worker")

    def give_back(self, stand: Stand) -> None:
        """Leave, and let the host start a worker in the old place."""
        self.leave()
        _kill_worker(stand)

    def leave(self) -> None:
        """End the connection, if there is one."""
        self.spoil = None
        if self._thread is not None:
            self._ends.set()
            self._thread.join()
        self._thread = None
        self._ends.clear()

    def _start(self, client: socket.socket, true_path: Path) -> None:
        worker = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        worker.connect(str(true_path))
        self._thread = threading.Thread(
            target=self._carry, args=(client, worker), name="hostile", daemon=True
        )
        self._thread.start()

    def _carry(self, client: socket.socket, worker: socket.socket) -> None:
        from_client, from_worker = MessageDecoder(), MessageDecoder()
        with client, worker:
            while not self._ends.is_set():
                ready, _, _ = select.select([client, worker], [], [], 0.1)
                for end in ready:
                    chunk = _receive(end)
                    if not chunk:
                        return
                    if end is client:
                        self._note_requests(from_client.feed(chunk))
                        worker.sendall(chunk)
                    else:
                        for message in from_worker.feed(chunk):
                            client.sendall(self._change(message))

    def _note_requests(self, messages: list[dict[str, Any]]) -> None:
        for message in messages:
            if message.get("policy") in self._spoilt:
                self._spoilt_ids.add(int(message["id"]))

    def _change(self, message: dict[str, Any]) -> bytes:
        is_spoilt = message.get("id") in self._spoilt_ids
        if self.spoil is not None and is_spoilt and "chunk" in message:
            self.spoil(message["chunk"])
        # Values that are no numbers go out as they are, unlike from the true worker.
        body = json.dumps(message).encode()
        return _LENGTH.pack(len(body)) + body


def _kill_worker(stand: Stand) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(stand.pid_of("policy"), signal.SIGKILL)


def _move_aside(path: Path) -> Path:
    """Wait for a new worker to listen at `path`, and rename its socket.

    Raises:
        StandError: no worker starts.
    """
    before = _inode(path)
    deadline_s = time.monotonic() + _START_S
    while _inode(path) in (before, None):
        if time.monotonic() > deadline_s:
            raise StandError("the policy worker was not started again")
        pause(_LOOK_S)
    # Bound a moment ago, it may not listen yet; whoever connects is refused so long.
    return path.rename(path.with_name("true-" + path.name))


def _inode(path: Path) -> int | None:
    try:
        return path.stat().st_ino
    except OSError:
        return None


def _listen(path: Path) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.settimeout(_CONNECT_S)
    listener.bind(str(path))
    path.chmod(0o600)
    listener.listen(1)
    return listener


def _receive(end: socket.socket) -> bytes:
    try:
        return end.recv(_CHUNK)
    except OSError:
        return b""
