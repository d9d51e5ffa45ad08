"""The wire format of camera frames."""

import io
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cell.contracts.geometry import Pose
from cell.drivers.camera.frame_feed import (
    FeedFormatError,
    FeedPair,
    Receive,
    encode_greeting,
    encode_pair,
    receive_greeting,
    receive_pair,
)
from tests.fakes.frame_sender import HEIGHT_PX, WIDTH_PX, make_greeting, make_pair


def receiver(content: bytes) -> Receive:
    stream = io.BytesIO(content)

    def receive(count: int) -> bytearray:
        got = stream.read(count)
        if len(got) < count:
            raise ConnectionResetError("the sender closed the connection")
        return bytearray(got)

    return receive


def test_a_greeting_survives_the_wire() -> None:
    greeting = make_greeting().model_copy(
        update={
            "color_from_depth_position_m": (0.015, 0.0, 0.001),
            "color_from_depth_rotvec_rad": (0.0, 0.01, 0.0),
        }
    )

    received = receive_greeting(receiver(encode_greeting(greeting)))

    assert received == greeting
    expected = Pose.from_rotvec((0.015, 0.0, 0.001), (0.0, 0.01, 0.0))
    assert received.color_from_depth().as_matrix() == pytest.approx(
        expected.as_matrix()
    )


@given(
    number=st.integers(0, 2**64 - 1),
    time_us=st.integers(-(2**63), 2**63 - 1),
    seed=st.integers(0, 9),
)
def test_a_pair_survives_the_wire(number: int, time_us: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    pair = FeedPair(
        number=number,
        device_time_us=time_us,
        rgb=rng.integers(0, 256, (HEIGHT_PX, WIDTH_PX, 3), dtype=np.uint8),
        depth=rng.integers(0, 2**16, (HEIGHT_PX, WIDTH_PX), dtype=np.uint16),
    )

    received = receive_pair(receiver(encode_pair(pair)), make_greeting())

    assert (received.number, received.device_time_us) == (number, time_us)
    assert np.array_equal(received.rgb, pair.rgb)
    assert np.array_equal(received.depth, pair.depth)


@given(st.binary(max_size=300))
def test_random_bytes_are_no_greeting(content: bytes) -> None:
    with pytest.raises((FeedFormatError, ConnectionResetError)):
        receive_greeting(receiver(content))


@given(st.binary(min_size=28, max_size=300))
def test_random_bytes_are_no_pair(content: bytes) -> None:
    with pytest.raises(FeedFormatError, match="expected"):
        receive_pair(receiver(content), make_greeting())


def test_a_greeting_that_claims_to_be_endless_is_refused_before_it_is_read() -> None:
    head = encode_greeting(make_greeting())[:8] + struct.pack("<I", 2**31)

    with pytest.raises(FeedFormatError):
        receive_greeting(receiver(head))


def test_a_connection_that_ends_within_a_pair_is_an_error() -> None:
    with pytest.raises(ConnectionResetError):
        receive_pair(receiver(encode_pair(make_pair(1))[:-1]), make_greeting())
