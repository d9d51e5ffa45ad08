"""What travels between the Guardian's network and whoever asks it: framed JSON.

The worker greets with one readiness message; then each attempt gets one answer. What is
no number is sent as null and arrives as NaN: whether an answer may be believed is for
the Guardian to decide.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Final

from cell.contracts.attempt import AttemptFeatures, AttemptJudgement
from cell.contracts.errors import PolicyError

GUARDIAN_SOCKET: Final = "guardian.sock"

_WHOLE: Final = ("attempt", "stamp_ns")
_MEASURED: Final = tuple(
    field.name for field in fields(AttemptFeatures) if field.name not in _WHOLE
)
_SAID: Final = ("success", "silent_failure", "next_success", "novelty")


@dataclass(frozen=True)
class GuardianGreeting:
    """What the worker says first.

    Attributes:
        ready: the network is loaded and warm.
        model: its name and version, empty when there is none.
        sha256: digest of its model file, empty likewise.
        error: why it is not ready, empty when it is.
    """

    ready: bool
    model: str = ""
    sha256: str = ""
    error: str = ""


def greeting_message(greeting: GuardianGreeting) -> dict[str, Any]:
    """Return the JSON form of the greeting."""
    return {
        "ready": greeting.ready,
        "model": greeting.model,
        "sha256": greeting.sha256,
        "error": greeting.error,
    }


def parse_greeting(message: Mapping[str, Any]) -> GuardianGreeting:
    """Read the greeting.

    Raises:
        PolicyError: it is none.
    """
    try:
        return GuardianGreeting(
            ready=message["ready"] is True,
            model=str(message["model"]),
            sha256=str(message["sha256"]),
            error=str(message["error"]),
        )
    except KeyError as error:
        raise PolicyError(f"the Guardian worker's greeting lacks {error}") from error


def attempt_message(features: AttemptFeatures) -> dict[str, Any]:
    """Return the JSON form of a question."""
    measured = {name: _encode(getattr(features, name)) for name in _MEASURED}
    whole = {name: getattr(features, name) for name in _WHOLE}
    return {**whole, "features": measured}


def parse_attempt(message: Mapping[str, Any]) -> AttemptFeatures:
    """Read a question.

    Raises:
        PolicyError: a key is missing or has the wrong type.
    """
    try:
        measured = message["features"]
        return AttemptFeatures(
            attempt=_whole(message["attempt"]),
            stamp_ns=_whole(message["stamp_ns"]),
            **{name: _decode(measured[name]) for name in _MEASURED},
        )
    except (KeyError, TypeError, ValueError) as error:
        raise PolicyError(f"bad attempt: {error!r}") from error


def judgement_message(judgement: AttemptJudgement) -> dict[str, Any]:
    """Return the JSON form of an answer."""
    return {
        "attempt": judgement.attempt,
        "stamp_ns": judgement.stamp_ns,
        "troubles": [_encode(value) for value in judgement.troubles],
        **{name: _encode(getattr(judgement, name)) for name in _SAID},
    }


def failure_message(attempt: int, sentence: str) -> dict[str, Any]:
    """Return the JSON form of a failure to answer."""
    return {"attempt": attempt, "error": sentence}


def parse_judgement(message: Mapping[str, Any]) -> AttemptJudgement:
    """Read an answer.

    Raises:
        PolicyError: the worker reports a failure, or the answer is malformed.
    """
    try:
        if "error" in message:
            raise PolicyError(str(message["error"]))
        return AttemptJudgement(
            attempt=_whole(message["attempt"]),
            stamp_ns=_whole(message["stamp_ns"]),
            troubles=tuple(_decode(value) for value in message["troubles"]),
            **{name: _decode(message[name]) for name in _SAID},
        )
    except (KeyError, TypeError, ValueError) as error:
        raise PolicyError(f"malformed answer of the Guardian: {error!r}") from error


def _encode(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def _decode(value: Any) -> float:
    if value is None:
        return math.nan
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise TypeError(f"{value!r} is no number")
    return float(value)


def _whole(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(f"{value!r} is no integer")
    return value
