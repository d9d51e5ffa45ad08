"""The sending side of the frame feed: newest pair for everyone, waiting for none."""

import selectors
import socket
from collections.abc import Iterator

import pytest

from ops.exit_codes import PortTakenError
from sim2real.virtual_cell.vcamera_server import FeedServer

GREETING = b"hello"
PAIR_BYTES = 300_000


@pytest.fixture
def selector() -> Iterator[selectors.BaseSelector]:
    with selectors.DefaultSelector() as opened:
        yield opened


@pytest.fixture
def server(selector: selectors.BaseSelector) -> Iterator[FeedServer]:
    opened = FeedServer(selector, "127.0.0.1", 0, GREETING)
    yield opened
    opened.close()


def turn(selector: selectors.BaseSelector) -> None:
    for key, events in selector.select(0.05):
        key.data(events)


def connect(server: FeedServer, selector: selectors.BaseSelector) -> socket.socket:
    client = socket.create_connection(("127.0.0.1", server.port), 5.0)
    turn(selector)
    assert client.recv(len(GREETING)) == GREETING
    return client


def receive(
    client: socket.socket, selector: selectors.BaseSelector, count: int
) -> bytes:
    client.settimeout(0.0)
    content = b""
    for _ in range(2000):
        turn(selector)
        try:
            content += client.recv(count - len(content))
        except BlockingIOError:
            continue
        if len(content) == count:
            return content
    raise AssertionError(f"only {len(content)} of {count} bytes arrived")


def make_pair(number: int) -> bytes:
    return bytes([number]) * PAIR_BYTES


def test_every_client_gets_whole_pairs(
    server: FeedServer, selector: selectors.BaseSelector
) -> None:
    with connect(server, selector) as first, connect(server, selector) as second:
        for number in (1, 2, 3):
            server.publish(make_pair(number))
            for client in (first, second):
                assert receive(client, selector, PAIR_BYTES) == make_pair(number)


def test_a_client_that_does_not_read_blocks_nobody_and_gets_the_newest_pair_next(
    server: FeedServer, selector: selectors.BaseSelector
) -> None:
    with connect(server, selector) as slow:
        for number in range(1, 101):  # far more than any socket buffer holds
            server.publish(make_pair(number))
        seen = [slow.recv(1, socket.MSG_PEEK)[0]]
        while seen[-1] != 100:
            pair = receive(slow, selector, PAIR_BYTES)
            assert pair == make_pair(pair[0])
            seen.append(pair[0])

    assert seen == sorted(seen)
    assert len(seen) < 60


def test_a_client_that_leaves_is_forgotten(
    server: FeedServer, selector: selectors.BaseSelector
) -> None:
    connect(server, selector).close()
    assert server.has_clients

    turn(selector)
    server.publish(make_pair(1))

    assert not server.has_clients


def test_what_a_client_sends_is_thrown_away(
    server: FeedServer, selector: selectors.BaseSelector
) -> None:
    with connect(server, selector) as client:
        client.sendall(b"GET / HTTP/1.1\r\n\r\n")
        turn(selector)
        server.publish(make_pair(1))

        assert receive(client, selector, PAIR_BYTES) == make_pair(1)


def test_a_taken_port_is_named_with_the_key(
    server: FeedServer, selector: selectors.BaseSelector
) -> None:
    with pytest.raises(PortTakenError, match=rf"port {server.port} .*under cameras"):
        FeedServer(selector, "127.0.0.1", server.port, GREETING)
