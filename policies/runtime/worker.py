"""The policy worker's core: two policies behind a local stream socket.

Single-threaded on purpose: one question at a time, each answered from the newest frame
that is young enough. For a live model that could not be loaded the fallback stands in;
the greeting says so.
"""

import selectors
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import structlog

from cell.contracts.errors import CellError, Complaint, PolicyError
from cell.contracts.geometry import Pose
from cell.contracts.observation import (
    Abstain,
    ActionChunk,
    Modality,
    Observation,
    RgbdFrame,
)
from cell.contracts.units import ms_from_ns, ns_from_s
from policies.runtime.modality_gate import ModalityGate
from policies.runtime.validity import ValidityWatch
from policies.runtime.wire import (
    MessageDecoder,
    ProposeRequest,
    Readiness,
    answer_message,
    encode_message,
    error_message,
    listen_privately,
    parse_request,
    readiness_message,
)

_IDLE_WAIT_S = 0.1
_FRAME_WAIT_S = 0.003
_SEND_TIMEOUT_S = 0.5
_REAL_ONLY = ModalityGate()

Deadline = Callable[[], AbstractContextManager[None]]


class ExcludingPolicy(Protocol):
    """A grasp policy that can be told where not to try."""

    @property
    def name(self) -> str:
        """Name and version for the record."""
        ...

    @property
    def needs(self) -> frozenset[Modality]:
        """The modalities without which it is blind."""
        ...

    def propose_except(
        self, observation: Observation, exclude_base_m: Sequence[tuple[float, float]]
    ) -> ActionChunk | Abstain:
        """Answer one observation, staying away from some points in base xy [m]."""
        ...


class FrameReader(Protocol):
    """Where frames come from."""

    def read_newest(self) -> RgbdFrame | None:
        """Return the newest frame, None when there is none yet."""
        ...

    def newest_stamp_ns(self) -> int:
        """Return its arrival stamp without copying it, 0 when there is none."""
        ...


@dataclass(frozen=True)
class LoadedPolicies:
    """What the worker serves.

    Attributes:
        live: the learned policy, or the fallback where its model could not be loaded.
        fallback: the policy that needs no model.
        readiness: the greeting.
        complaint: why the live model could not be loaded, None when it was.
        gate: what the live policy may answer on; the fallback wants the real thing.
        digests: sha256 of the live model's files when they were loaded, by path; empty
            where the live policy needs none.
    """

    live: ExcludingPolicy
    fallback: ExcludingPolicy
    readiness: Readiness
    complaint: Complaint | None = None
    gate: ModalityGate = field(default_factory=ModalityGate)
    digests: Mapping[Path, str] = field(default_factory=dict)


@dataclass
class _Client:
    connection: socket.socket
    decoder: MessageDecoder = field(default_factory=MessageDecoder)


class PolicyWorker:
    """Serves proposals until told to stop."""

    def __init__(
        self,
        policies: LoadedPolicies,
        frames: FrameReader,
        socket_path: Path,
        frame_wait_s: float,
        deadline: Deadline = nullcontext,
    ) -> None:
        """Bind the socket; a stale one of an earlier life is replaced.

        Args:
            policies: what to serve.
            frames: newest frames of the camera over the bin.
            socket_path: where to listen.
            frame_wait_s: how long a request may wait for a young enough frame.
            deadline: entered for the time of one answer.
        """
        self._policies = policies
        self._frames = frames
        self._path = socket_path
        self._frame_wait_ns = ns_from_s(frame_wait_s)
        self._deadline = deadline
        self._validity = ValidityWatch()
        self._flaws: dict[Modality, str] = {}
        self._waiting: list[tuple[_Client, ProposeRequest, int]] = []
        self._log = structlog.get_logger()
        self._selector = selectors.DefaultSelector()
        self._listener = listen_privately(socket_path)
        self._selector.register(self._listener, selectors.EVENT_READ, None)

    def serve(self, is_stopped: Callable[[], bool], beat: Callable[[], None]) -> None:
        """Answer requests until `is_stopped`; calls `beat` on every turn."""
        while not is_stopped():
            beat()
            wait_s = _FRAME_WAIT_S if self._waiting else _IDLE_WAIT_S
            for key, _ in self._selector.select(wait_s):
                if key.data is None:
                    self._accept()
                else:
                    self._receive(key.data)
            self._answer_ready()

    def replace_policies(self, policies: LoadedPolicies) -> None:
        """Serve others from now on, and greet every client anew.

        Nobody is dropped, for production would stop until they are back. A question
        that still waits is answered by the new ones, after the greeting.
        """
        self._policies = policies
        for key in list(self._selector.get_map().values()):
            if key.data is not None:
                self._send(key.data, readiness_message(policies.readiness))

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
        self._send(client, readiness_message(self._policies.readiness))

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
                self._take(client, message)
        except PolicyError as error:
            self._log.warning("policy_client_dropped", reason=str(error))
            self._drop(client)

    def _take(self, client: _Client, message: dict[str, Any]) -> None:
        try:
            request = parse_request(message)
        except PolicyError as error:
            number = message.get("id")
            request_id = number if isinstance(number, int) else -1
            self._send(client, error_message(request_id, str(error)))
            return
        self._waiting.append((client, request, time.monotonic_ns()))

    def _answer_ready(self) -> None:
        newest_ns = self._frames.newest_stamp_ns() if self._waiting else 0
        for entry in list(self._waiting):
            client, request, since_ns = entry
            if newest_ns and newest_ns >= request.min_stamp_ns:
                self._forget(entry)
                self._answer(client, request)
            elif time.monotonic_ns() - since_ns > self._frame_wait_ns:
                self._forget(entry)
                age = "none arrived yet" if not newest_ns else "the newest is too old"
                self._send(
                    client,
                    error_message(request.request_id, f"no fresh camera frame: {age}"),
                )

    def _answer(self, client: _Client, request: ProposeRequest) -> None:
        try:
            started_ns = time.monotonic_ns()
            answer = self._propose(request)
            elapsed_ms = ms_from_ns(time.monotonic_ns() - started_ns)
            message = answer_message(request.request_id, answer, elapsed_ms)
            content = encode_message(message)
        except (CellError, ValueError) as error:
            self._log.warning("policy_failed", reason=str(error))
            content = encode_message(error_message(request.request_id, str(error)))
        self._send_bytes(client, content)

    def _propose(self, request: ProposeRequest) -> ActionChunk | Abstain:
        is_live = request.policy == "live"
        policies = self._policies
        policy = policies.live if is_live else policies.fallback
        frame = self._frames.read_newest()
        if frame is None:
            raise PolicyError("no whole camera frame could be read")
        with self._deadline():
            seen = make_observation(frame, self._find_flaws(frame))
            gate = policies.gate if is_live else _REAL_ONLY
            admitted = gate.admit(seen, policy.needs, policy.name)
            if isinstance(admitted, Abstain):
                return admitted
            answer = policy.propose_except(admitted, request.exclude_base_m)
        if isinstance(answer, Abstain) and answer.is_novel:
            self._log.warning(
                "novel picture",
                score=round(answer.novelty, 2),
                threshold=round(answer.novelty_limit, 2),
                model=answer.model,
            )
        return answer

    def _find_flaws(self, frame: RgbdFrame) -> dict[Modality, str]:
        """Look at a frame; say in the log what changed about it."""
        flaws = self._validity.find_flaws(frame)
        if flaws.keys() != self._flaws.keys():
            self._log.warning("modalities", not_valid=flaws)
        self._flaws = flaws
        return flaws

    def _send(self, client: _Client, message: dict[str, Any]) -> None:
        self._send_bytes(client, encode_message(message))

    def _send_bytes(self, client: _Client, content: bytes) -> None:
        try:
            client.connection.sendall(content)
        except OSError:
            self._drop(client)

    def _forget(self, entry: tuple[_Client, ProposeRequest, int]) -> None:
        self._waiting = [other for other in self._waiting if other is not entry]

    def _drop(self, client: _Client) -> None:
        self._waiting = [entry for entry in self._waiting if entry[0] is not client]
        if client.connection.fileno() >= 0:
            self._selector.unregister(client.connection)
            client.connection.close()


def make_observation(
    frame: RgbdFrame, flaws: Mapping[Modality, str] | None = None
) -> Observation:
    """Wrap one frame; what has a flaw, and everything but its images, is not valid.

    Readings of further sensors will come in here, each through
    `validity.find_reading_flaw`.
    """
    found = dict(flaws or {})
    return Observation(
        stamp_ns=frame.stamp_ns,
        frames={frame.camera: frame},
        q=np.zeros(6),
        base_from_tcp=Pose.identity(),
        aperture_m=0.0,
        force_tcp_n=np.zeros(6),
        valid={m: m not in found for m in (Modality.RGB, Modality.DEPTH)},
        modality_stamps_ns={
            Modality.RGB: frame.stamp_ns,
            Modality.DEPTH: frame.stamp_ns,
        },
        flaws=found,
    )
