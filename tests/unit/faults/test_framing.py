"""Messages are found whole, however the stream is cut, and nonsense passes."""

import itertools
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim2real.faults.framing import (
    PAIR,
    FeedFramer,
    Framer,
    LineFramer,
    MbapFramer,
    MqttFramer,
    RawFramer,
    RtdeFramer,
)


def modbus(number: int, body: bytes) -> bytes:
    return struct.pack(">HHH", number, 0, len(body)) + body


def rtde(kind: str, payload: bytes) -> bytes:
    return struct.pack(">HB", 3 + len(payload), ord(kind)) + payload


def pair(number: int, rgb: bytes, depth: bytes) -> bytes:
    header = PAIR.pack(0x52494150, number, 5, len(rgb), len(depth))
    return header + rgb + depth


def mqtt(kind: int, rest: bytes) -> bytes:
    length, left = b"", len(rest)
    while True:
        left, digit = divmod(left, 128)
        length += bytes([digit | 0x80 * (left > 0)])
        if not left:
            return bytes([kind << 4]) + length + rest


GREETING = struct.pack("<8sI", b"CWFEED1\n", 4) + b"{  }"
STREAMS: list[tuple[type[Framer], list[bytes]]] = [
    (MbapFramer, [modbus(1, b"\x01\x03\x00\x00"), modbus(2, b"\x01\x10" + bytes(70))]),
    (RtdeFramer, [rtde("V", b"\0\2"), rtde("U", bytes(200)), rtde("S", b"")]),
    (MqttFramer, [mqtt(1, bytes(12)), mqtt(14, b""), mqtt(3, bytes(200_000))]),
    (LineFramer, [b"POS 3\n", b"OBJ 0\n", b"ack"]),
    (FeedFramer, [GREETING, pair(1, b"rgb", b"de"), pair(2, b"RGB", b"DE")]),
]


@pytest.mark.parametrize(("make", "messages"), STREAMS, ids=lambda item: str(item)[:20])
@given(cuts=st.lists(st.integers(0, 400), max_size=8))
def test_messages_come_out_whole_however_the_stream_is_cut(
    make: type[Framer], messages: list[bytes], cuts: list[int]
) -> None:
    stream = b"".join(messages)
    edges = [0, *sorted(min(cut, len(stream)) for cut in cuts), len(stream)]
    framer = make()

    found: list[bytes] = []
    for start, end in itertools.pairwise(edges):
        if start < end:
            found += framer.feed(stream[start:end])

    assert found == messages


@pytest.mark.parametrize("make", [MbapFramer, RtdeFramer])
def test_what_is_no_message_is_passed_on_as_it_comes(make: type[Framer]) -> None:
    framer = make()

    assert framer.feed(bytes(8)) == [bytes(8)]
    assert framer.feed(b"anything") == [b"anything"]


@pytest.mark.parametrize(
    "stream", [b"\x00\x02ab", b"\x30\xff\xff\xff\xff\x01"], ids=["type 0", "length"]
)
def test_what_is_no_packet_of_mqtt_is_passed_on(stream: bytes) -> None:
    assert MqttFramer().feed(stream) == [stream]


def test_the_longest_length_of_mqtt_is_one_of_four_bytes() -> None:
    framer = MqttFramer()

    assert framer.find_size(bytearray(b"\x30\xff\xff\xff")) is None
    assert framer.find_size(bytearray(b"\x30\xff\xff\xff\x7f")) == 5 + 268_435_455
    assert framer.find_size(bytearray(b"\x30")) is None


def test_a_raw_stream_is_cut_where_it_arrives() -> None:
    framer = RawFramer()

    assert framer.feed(b"a") + framer.feed(b"bc") == [b"a", b"bc"]
