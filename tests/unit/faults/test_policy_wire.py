"""Answers of the live policy are spoilt on their way, those of the fallback are not."""

import json
import socket
import struct
import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from cell.contracts.errors import PolicyError
from cell.contracts.geometry import Pose
from cell.contracts.observation import ActionChunk, ActionStep
from policies.runtime.wire import (
    MessageDecoder,
    ProposeRequest,
    answer_message,
    encode_message,
    parse_answer,
    request_message,
)
from sim2real.faults.policy_wire import (
    FallingSuccess,
    HostileWorker,
    RisingError,
    spoil_with_distance,
    spoil_with_nan,
)

POSE = Pose(np.array([-0.2, 0.5, 0.1]), np.array([0.0, 1.0, 0.0, 0.0]))
CHUNK = ActionChunk(7, (ActionStep(POSE, 0.05),), 0.9, "tiny-1")


class Wire:
    """A supervisor and a worker with a hostile worker between them."""

    def __init__(self, hostile: HostileWorker) -> None:
        self.supervisor, near = socket.socketpair()
        far, self.worker = socket.socketpair()
        self._thread = threading.Thread(target=hostile._carry, args=(near, far))
        self._thread.start()

    def ask(self, number: int, policy: Any) -> dict[str, Any]:
        """Send a request, answer it as the true worker, return what arrives."""
        request = request_message(ProposeRequest(number, policy, 0))
        self.supervisor.sendall(encode_message(request))
        assert read(self.worker) == request
        self.worker.sendall(encode_message(answer_message(number, CHUNK, 1.0)))
        return read(self.supervisor)

    def close(self) -> None:
        """End both ends and wait for what is between them."""
        self.supervisor.close()
        self._thread.join()
        self.worker.close()


def read(end: socket.socket) -> dict[str, Any]:
    end.settimeout(5.0)
    (size,) = struct.unpack(">I", end.recv(4))
    content = b""
    while len(content) < size:
        content += end.recv(size - len(content))
    message: dict[str, Any] = json.loads(content)
    return message


@pytest.fixture
def hostile() -> HostileWorker:
    return HostileWorker()


@pytest.fixture
def wire(hostile: HostileWorker) -> Iterator[Wire]:
    wire = Wire(hostile)
    yield wire
    wire.close()


def test_answers_pass_unchanged_until_they_are_spoilt(wire: Wire) -> None:
    answer = parse_answer(wire.ask(1, "live")).answer

    assert isinstance(answer, ActionChunk)
    assert answer.steps[0].base_from_tcp.position_m.tolist() == [-0.2, 0.5, 0.1]


def test_a_value_that_is_no_number_arrives_as_one_and_is_refused(
    hostile: HostileWorker, wire: Wire
) -> None:
    hostile.spoil = spoil_with_nan

    message = wire.ask(1, "live")

    assert np.isnan(message["chunk"]["steps"][-1]["position_m"][2])
    with pytest.raises(PolicyError):
        parse_answer(message)


def test_a_far_place_arrives_whole(hostile: HostileWorker, wire: Wire) -> None:
    hostile.spoil = spoil_with_distance

    answer = parse_answer(wire.ask(1, "live")).answer

    assert isinstance(answer, ActionChunk)
    assert answer.steps[0].base_from_tcp.position_m[0] == pytest.approx(4.8)


def test_the_fallback_policy_is_left_alone(hostile: HostileWorker, wire: Wire) -> None:
    hostile.spoil = spoil_with_distance

    assert isinstance(parse_answer(wire.ask(1, "fallback")).answer, ActionChunk)
    message = wire.ask(2, "fallback")

    assert message == json.loads(json.dumps(answer_message(2, CHUNK, 1.0)))


def test_the_fallback_policy_is_spoilt_where_that_is_asked_for() -> None:
    hostile = HostileWorker(spoils_fallback=True)
    hostile.spoil = spoil_with_distance
    wire = Wire(hostile)
    try:
        answers = [
            parse_answer(wire.ask(1, "live")),
            parse_answer(wire.ask(2, "fallback")),
        ]
    finally:
        wire.close()

    for answer in answers:
        assert isinstance(answer.answer, ActionChunk)
        x_m = answer.answer.steps[0].base_from_tcp.position_m[0]
        assert x_m == pytest.approx(4.8)


def test_messages_are_framed_as_the_supervisor_reads_them(wire: Wire) -> None:
    request = request_message(ProposeRequest(1, "live", 0))
    wire.supervisor.sendall(encode_message(request))
    read(wire.worker)
    wire.worker.sendall(encode_message({"id": 1, "error": "nothing"}))

    (message,) = MessageDecoder().feed(wire.supervisor.recv(4096))

    assert message == {"id": 1, "error": "nothing"}


def heights_of(spoil: Any, answers: int) -> list[float]:
    found = []
    for number in range(answers):
        message = answer_message(number, CHUNK, 1.0)
        spoil(message["chunk"])
        found.append(message["chunk"]["steps"][-1]["position_m"][2])
    return found


def test_a_drifting_policy_aims_higher_with_each_answer() -> None:
    heights_m = heights_of(RisingError(), 20)

    assert np.allclose(np.diff(heights_m), 0.004)
    assert heights_m[0] > 0.1


def test_a_failing_policy_misses_more_and_more_often_and_always_in_the_end() -> None:
    heights_m = heights_of(FallingSuccess(), 40)

    misses = [height_m > 0.15 for height_m in heights_m]
    assert 0 < sum(misses[:6]) < 6
    assert all(misses[10:])
