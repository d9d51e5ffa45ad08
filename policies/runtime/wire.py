"""What travels between the policy worker and its client: framed JSON, nothing else.

A message is a four-byte length, big-endian, and that many bytes of UTF-8 JSON. The
worker greets with a readiness message; then each request gets one answer. It greets
again when it serves other policies from then on: answers that follow are theirs.
"""

import json
import math
import os
import socket
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from cell.contracts.errors import PolicyError
from cell.contracts.geometry import Pose
from cell.contracts.observation import Abstain, ActionChunk, ActionStep
from cell.contracts.runtime import Proposal

SOCKET_NAME = "policy.sock"
MAX_MESSAGE_BYTES = 1 << 20
_LENGTH = struct.Struct(">I")
_BACKLOG = 4

PolicyKind = Literal["live", "fallback"]
Answer = ActionChunk | Abstain


@dataclass(frozen=True)
class ProposeRequest:
    """A question to the worker.

    Attributes:
        request_id: echoed in the answer.
        policy: which of the two loaded policies answers.
        min_stamp_ns: frames older than this are not good enough.
        exclude_base_m: points in base xy to stay away from.
    """

    request_id: int
    policy: PolicyKind
    min_stamp_ns: int
    exclude_base_m: tuple[tuple[float, float], ...] = ()


@dataclass(frozen=True)
class Readiness:
    """The worker's greeting.

    Attributes:
        ready: the live policy is loaded and warm; else the fallback stands in.
        model: name and version of the live policy, empty when there is none.
        sha256: digest of its model file, empty likewise.
        fallback: name and version of the fallback policy.
        error: why the live policy is not ready, empty when it is.
    """

    ready: bool
    model: str
    sha256: str
    fallback: str
    error: str


def listen_privately(path: Path) -> socket.socket:
    """Listen at a path that only this user reaches; a stale socket is replaced."""
    path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    mask = os.umask(0o177)
    try:
        listener.bind(str(path))
    finally:
        os.umask(mask)
    listener.listen(_BACKLOG)
    return listener


def encode_message(content: Mapping[str, Any]) -> bytes:
    """Return a framed message."""
    body = json.dumps(content, allow_nan=False, separators=(",", ":")).encode()
    return _LENGTH.pack(len(body)) + body


class MessageDecoder:
    """Cuts a byte stream into messages."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, chunk: bytes) -> list[dict[str, Any]]:
        """Return the messages completed by `chunk`.

        Raises:
            PolicyError: the stream is no sequence of messages; give it up.
        """
        self._buffer += chunk
        messages: list[dict[str, Any]] = []
        while len(self._buffer) >= _LENGTH.size:
            (length,) = _LENGTH.unpack_from(self._buffer)
            if length > MAX_MESSAGE_BYTES:
                raise PolicyError(f"message of {length} bytes refused")
            end = _LENGTH.size + length
            if len(self._buffer) < end:
                break
            messages.append(_parse_object(bytes(self._buffer[_LENGTH.size : end])))
            del self._buffer[:end]
        return messages


def request_message(request: ProposeRequest) -> dict[str, Any]:
    """Return the JSON form of a request."""
    return {
        "id": request.request_id,
        "policy": request.policy,
        "min_stamp_ns": request.min_stamp_ns,
        "exclude": [list(point) for point in request.exclude_base_m],
    }


def parse_request(message: Mapping[str, Any]) -> ProposeRequest:
    """Read a request.

    Raises:
        PolicyError: a key is missing or has the wrong type.
    """
    try:
        policy = message["policy"]
        if policy not in ("live", "fallback"):
            raise ValueError(f"policy {policy!r} is neither live nor fallback")
        return ProposeRequest(
            request_id=_integer(message["id"]),
            policy=policy,
            min_stamp_ns=_integer(message["min_stamp_ns"]),
            exclude_base_m=tuple(
                (_number(x), _number(y)) for x, y in message.get("exclude", [])
            ),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise PolicyError(f"bad request: {error!r}") from error


def is_greeting(message: Mapping[str, Any]) -> bool:
    """Say whether a message of the worker is a greeting rather than an answer."""
    return "ready" in message and "id" not in message


def readiness_message(readiness: Readiness) -> dict[str, Any]:
    """Return the JSON form of the greeting."""
    return {
        "ready": readiness.ready,
        "model": readiness.model,
        "sha256": readiness.sha256,
        "fallback": readiness.fallback,
        "error": readiness.error,
    }


def parse_readiness(message: Mapping[str, Any]) -> Readiness:
    """Read the greeting.

    Raises:
        PolicyError: it is none.
    """
    try:
        return Readiness(
            ready=message["ready"] is True,
            model=str(message["model"]),
            sha256=str(message["sha256"]),
            fallback=str(message["fallback"]),
            error=str(message["error"]),
        )
    except KeyError as error:
        raise PolicyError(f"the worker's greeting lacks {error}") from error


def answer_message(
    request_id: int, answer: Answer, elapsed_ms: float
) -> dict[str, Any]:
    """Return the JSON form of an answer."""
    if isinstance(answer, Abstain):
        content: dict[str, Any] = {
            "reason": answer.reason,
            "model": answer.model,
            "is_bin_empty": answer.is_bin_empty,
            "is_blind": answer.is_blind,
            "novelty": answer.novelty,
            "novelty_limit": answer.novelty_limit,
            "observed_stamp_ns": answer.observed_stamp_ns,
        }
        return {"id": request_id, "ms": elapsed_ms, "abstain": content}
    return {"id": request_id, "ms": elapsed_ms, "chunk": _chunk_object(answer)}


def error_message(request_id: int, sentence: str) -> dict[str, Any]:
    """Return the JSON form of a failure."""
    return {"id": request_id, "error": sentence}


def parse_answer(message: Mapping[str, Any]) -> Proposal:
    """Read an answer.

    Raises:
        PolicyError: the worker reports a failure, or the answer is malformed.
    """
    try:
        if "error" in message:
            raise PolicyError(str(message["error"]))
        milliseconds = _number(message["ms"])
        if "abstain" in message:
            return Proposal(_parse_abstain(message["abstain"]), milliseconds)
        return Proposal(_parse_chunk(message["chunk"]), milliseconds)
    except (KeyError, TypeError, ValueError) as error:
        raise PolicyError(
            f"malformed answer of the policy worker: {error!r}"
        ) from error


def _parse_abstain(content: Mapping[str, Any]) -> Abstain:
    return Abstain(
        observed_stamp_ns=_integer(content["observed_stamp_ns"]),
        reason=str(content["reason"]),
        model=str(content["model"]),
        is_bin_empty=content["is_bin_empty"] is True,
        is_blind=content.get("is_blind") is True,
        novelty=_magnitude(content["novelty"]),
        novelty_limit=_magnitude(content["novelty_limit"]),
    )


def _chunk_object(chunk: ActionChunk) -> dict[str, Any]:
    return {
        "observed_stamp_ns": chunk.observed_stamp_ns,
        "score": chunk.score,
        "model": chunk.model,
        "details": chunk.details,
        "steps": [
            {
                "position_m": step.base_from_tcp.position_m.tolist(),
                "quat_wxyz": step.base_from_tcp.quat_wxyz.tolist(),
                "aperture_m": step.aperture_m,
            }
            for step in chunk.steps
        ],
        "alternatives": [_chunk_object(other) for other in chunk.alternatives],
    }


def _parse_chunk(content: Mapping[str, Any]) -> ActionChunk:
    steps = tuple(
        ActionStep(
            Pose(_vector(step["position_m"], 3), _vector(step["quat_wxyz"], 4)),
            _number(step["aperture_m"]),
        )
        for step in content["steps"]
    )
    if not steps:
        raise ValueError("a chunk without steps")
    return ActionChunk(
        observed_stamp_ns=_integer(content["observed_stamp_ns"]),
        steps=steps,
        score=_number(content["score"]),
        model=str(content["model"]),
        alternatives=tuple(_parse_chunk(other) for other in content["alternatives"]),
        details={str(k): _number(v) for k, v in content["details"].items()},
    )


def _parse_object(body: bytes) -> dict[str, Any]:
    try:
        message = json.loads(body)
    except (UnicodeDecodeError, ValueError, RecursionError) as error:
        raise PolicyError(f"a message is no JSON: {error}") from error
    if not isinstance(message, dict):
        raise PolicyError("a message is no JSON object")
    return message


def _integer(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(f"{value!r} is no integer")
    return value


def _number(value: Any) -> float:
    if not isinstance(value, int | float) or not math.isfinite(value):
        raise TypeError(f"{value!r} is no finite number")
    return float(value)


def _magnitude(value: Any) -> float:
    number = _number(value)
    if isinstance(value, bool) or number < 0.0:
        raise ValueError(f"{value!r} is no number from 0 on")
    return number


def _vector(value: Any, size: int) -> np.ndarray[Any, np.dtype[np.float64]]:
    if len(value) != size:
        raise ValueError(f"{value!r} does not have {size} numbers")
    return np.array([_number(v) for v in value])
