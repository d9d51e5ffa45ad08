"""Messages between worker and client survive the trip; nonsense is refused."""

import itertools
import json
import math
import struct
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cell.contracts.errors import PolicyError
from cell.contracts.geometry import Pose
from cell.contracts.observation import Abstain, ActionChunk, ActionStep
from policies.runtime.wire import (
    MAX_MESSAGE_BYTES,
    MessageDecoder,
    ProposeRequest,
    answer_message,
    encode_message,
    error_message,
    parse_answer,
    parse_readiness,
    parse_request,
    request_message,
)

finite = st.floats(allow_nan=False, allow_infinity=False, width=32)


def make_chunk(score: float = 0.9, **fields: Any) -> ActionChunk:
    pose = Pose.tool_down((0.1, 0.2, 0.3), 0.4)
    steps = (ActionStep(pose, 0.065), ActionStep(pose, 0.065))
    return ActionChunk(5, steps, score, "tiny-1", **fields)


@given(
    number=st.integers(0, 1 << 40),
    stamp=st.integers(0, 1 << 62),
    points=st.lists(st.tuples(finite, finite), max_size=8),
    cuts=st.lists(st.integers(0, 400), max_size=5),
)
def test_requests_survive_any_cutting_of_the_stream(
    number: int, stamp: int, points: list[tuple[float, float]], cuts: list[int]
) -> None:
    request = ProposeRequest(number, "live", stamp, tuple(points))
    stream = encode_message(request_message(request)) * 2
    edges = sorted({0, len(stream), *(min(cut, len(stream)) for cut in cuts)})

    decoder = MessageDecoder()
    messages = [
        message
        for start, end in itertools.pairwise(edges)
        for message in decoder.feed(stream[start:end])
    ]

    assert [parse_request(message) for message in messages] == [request, request]


def test_a_chunk_with_alternatives_survives_the_trip() -> None:
    chunk = make_chunk(alternatives=(make_chunk(0.5),), details={"candidates": 3.0})

    message = json.loads(json.dumps(answer_message(9, chunk, 12.5)))
    proposal = parse_answer(message)

    assert message["id"] == 9
    assert proposal.milliseconds == 12.5
    answer = proposal.answer
    assert isinstance(answer, ActionChunk)
    assert answer.score == 0.9
    assert answer.alternatives[0].score == 0.5
    assert answer.details == {"candidates": 3.0}
    sent, got = chunk.steps[0].base_from_tcp, answer.steps[0].base_from_tcp
    assert np.array_equal(sent.position_m, got.position_m)
    assert np.array_equal(sent.quat_wxyz, got.quat_wxyz)


def test_an_abstention_survives_the_trip() -> None:
    abstain = Abstain(5, "the bin is empty", "tiny-1", is_bin_empty=True)

    proposal = parse_answer(answer_message(1, abstain, 0.5))

    assert proposal.answer == abstain
    assert proposal.milliseconds == 0.5


def test_how_novel_a_picture_was_survives_the_trip() -> None:
    abstain = Abstain(5, "unlike", "tiny-1", novelty=31.5, novelty_limit=17.25)

    message = json.loads(json.dumps(answer_message(1, abstain, 0.5)))

    answer = parse_answer(message).answer
    assert answer == abstain
    assert isinstance(answer, Abstain)
    assert answer.is_novel


@pytest.mark.parametrize("key", ["novelty", "novelty_limit"])
@pytest.mark.parametrize(
    "value", [math.nan, math.inf, -math.inf, -1e-9, -1, True, "17.6", None]
)
def test_a_novelty_that_is_no_magnitude_is_never_used(key: str, value: Any) -> None:
    message = answer_message(1, Abstain(5, "unlike", "tiny-1"), 1.0)
    message["abstain"][key] = value

    with pytest.raises(PolicyError, match="malformed answer"):
        parse_answer(message)


@pytest.mark.parametrize("key", ["novelty", "novelty_limit"])
def test_an_abstention_has_to_say_how_novel_the_picture_was(key: str) -> None:
    message = answer_message(1, Abstain(5, "unlike", "tiny-1"), 1.0)
    del message["abstain"][key]

    with pytest.raises(PolicyError, match="malformed answer"):
        parse_answer(message)


def test_an_error_message_raises_its_sentence() -> None:
    with pytest.raises(PolicyError, match="no fresh camera frame"):
        parse_answer(error_message(1, "no fresh camera frame"))


def test_numbers_that_are_not_finite_never_leave() -> None:
    with pytest.raises(ValueError, match="JSON compliant"):
        encode_message(answer_message(1, make_chunk(math.nan), 1.0))


@pytest.mark.parametrize(
    "stream",
    [
        struct.pack(">I", MAX_MESSAGE_BYTES + 1),
        struct.pack(">I", 2) + b"[]",
        struct.pack(">I", 3) + b"\xff\xfe\x00",
        struct.pack(">I", 1) + b"{",
    ],
)
def test_a_stream_that_is_no_message_is_given_up(stream: bytes) -> None:
    with pytest.raises(PolicyError):
        MessageDecoder().feed(stream)


@pytest.mark.parametrize(
    "changes",
    [
        {"id": "1"},
        {"id": True},
        {"policy": "best"},
        {"min_stamp_ns": 1.5},
        {"min_stamp_ns": None},
        {"exclude": [[1]]},
        {"exclude": [[1, "x"]]},
        {"exclude": [[1, float("nan")]]},
        {"exclude": 5},
    ],
)
def test_a_malformed_request_is_refused(changes: dict[str, Any]) -> None:
    message = request_message(ProposeRequest(1, "live", 0)) | changes

    with pytest.raises(PolicyError, match="bad request"):
        parse_request(message)


def _without(tree: dict[str, Any], key: str) -> dict[str, Any]:
    return {k: v for k, v in tree.items() if k != key}


@pytest.mark.parametrize(
    "spoil",
    [
        lambda chunk: _without(chunk, "score"),
        lambda chunk: chunk | {"score": float("inf")},
        lambda chunk: chunk | {"score": "high"},
        lambda chunk: chunk | {"steps": []},
        lambda chunk: chunk | {"steps": [_without(chunk["steps"][0], "aperture_m")]},
        lambda chunk: (
            chunk | {"steps": [chunk["steps"][0] | {"position_m": [0.0, 0.0]}]}
        ),
        lambda chunk: (
            chunk | {"steps": [chunk["steps"][0] | {"quat_wxyz": [1, 0, 0, None]}]}
        ),
        lambda _chunk: 7,
    ],
)
def test_a_malformed_answer_is_never_used(spoil: Any) -> None:
    message = answer_message(1, make_chunk(), 1.0)
    message["chunk"] = spoil(message["chunk"])

    with pytest.raises(PolicyError, match="malformed answer"):
        parse_answer(message)


@pytest.mark.parametrize("milliseconds", [None, "1.0", float("nan")])
def test_an_answer_that_does_not_say_what_it_took_is_never_used(
    milliseconds: Any,
) -> None:
    message = answer_message(1, make_chunk(), 1.0) | {"ms": milliseconds}

    with pytest.raises(PolicyError, match="malformed answer"):
        parse_answer(message)


def test_a_greeting_without_its_keys_is_refused() -> None:
    with pytest.raises(PolicyError, match="greeting lacks"):
        parse_readiness({"ready": True})
