"""What the proxy does to a wire, tried over loopback with an echoing server."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from ops.exit_codes import PortTakenError
from sim2real.faults.chaos_proxy import ChaosProxy
from sim2real.faults.chaos_rule import PLAIN, Accepts, Flow, Passage, Rule
from sim2real.faults.framing import Framer, LineFramer, MqttFramer

HOST = "127.0.0.1"
SHORT_S = 0.15
LONG_S = 5.0


class EchoServer:
    """Answers every byte with itself, in a thread of its own."""

    def __init__(self) -> None:
        self.received = bytearray()
        self._listener = socket.create_server((HOST, 0))
        self.address = (HOST, int(self._listener.getsockname()[1]))
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            link, _ = self._listener.accept()
            with link:
                try:
                    while chunk := link.recv(4096):
                        if chunk == b"end":
                            return
                        self.received += chunk
                        link.sendall(chunk)
                except OSError:
                    continue

    def close(self) -> None:
        with socket.create_connection(self.address, LONG_S) as link:
            link.sendall(b"end")
        self._thread.join()
        self._listener.close()


@pytest.fixture
def server() -> Iterator[EchoServer]:
    echo = EchoServer()
    yield echo
    echo.close()


@contextmanager
def proxied(
    server: EchoServer, make_framer: Callable[[], Framer] = LineFramer, seed: int = 0
) -> Iterator[tuple[ChaosProxy, socket.socket]]:
    with (
        ChaosProxy((HOST, 0), server.address, make_framer, seed) as proxy,
        socket.create_connection((HOST, proxy.port), LONG_S) as client,
    ):
        yield proxy, client


def read(client: socket.socket, size: int, timeout_s: float = LONG_S) -> bytes:
    """Read so many bytes, or fewer when they do not come in time."""
    client.settimeout(timeout_s)
    content = b""
    try:
        while len(content) < size and (chunk := client.recv(size - len(content))):
            content += chunk
    except TimeoutError:
        pass
    return content


def ask(client: socket.socket, *lines: str) -> bytes:
    for line in lines:
        client.sendall(f"{line}\n".encode())
    return read(client, sum(len(line) + 1 for line in lines))


def test_the_plain_rule_passes_everything_on(server: EchoServer) -> None:
    with proxied(server) as (proxy, client):
        assert ask(client, "one", "two") == b"one\ntwo\n"
        assert proxy.counts["changed"] == proxy.counts["lost"] == 0


def test_a_black_hole_swallows_and_closes_nothing(server: EchoServer) -> None:
    with proxied(server) as (proxy, client):
        proxy.set_rules(Rule(is_black_hole=True))
        client.sendall(b"lost\n")
        assert read(client, 1, SHORT_S) == b""
        proxy.set_rules(PLAIN)

        assert ask(client, "there") == b"there\n"
        assert bytes(server.received) == b"there\n"


def test_messages_wait_for_their_delay_in_order(server: EchoServer) -> None:
    with proxied(server) as (proxy, client):
        proxy.set_rule(Flow.TO_CLIENT, Rule(delay_s=0.3))
        client.sendall(b"a\nb\n")

        assert read(client, 1, SHORT_S) == b""
        assert read(client, 4) == b"a\nb\n"


def test_what_was_held_back_comes_at_once_with_the_next_rule(
    server: EchoServer,
) -> None:
    with proxied(server) as (proxy, client):
        proxy.set_rule(Flow.TO_CLIENT, Rule(is_held=True))
        client.sendall(b"a\nb\nc\n")
        assert read(client, 1, SHORT_S) == b""

        proxy.set_rule(Flow.TO_CLIENT, PLAIN)

        assert read(client, 6) == b"a\nb\nc\n"


def test_the_same_seed_loses_the_same_messages(server: EchoServer) -> None:
    def run(seed: int) -> bytes:
        with proxied(server, seed=seed) as (proxy, client):
            proxy.set_rule(Flow.TO_SERVER, Rule(loss_ratio=0.5))
            client.sendall("".join(f"{n:02}\n" for n in range(40)).encode())
            kept = read(client, 120, SHORT_S)
            assert proxy.counts["lost"] == 40 - len(kept) // 3
            return kept

    assert run(1) == run(1)
    assert run(1) != run(2)
    assert 0 < len(run(1)) < 120


def test_a_flip_turns_one_bit_over(server: EchoServer) -> None:
    with proxied(server) as (proxy, client):
        proxy.set_rule(Flow.TO_CLIENT, Rule(flip_ratio=1.0))
        client.sendall(b"abcdef\n")
        answer = read(client, 7)

    differing = [x ^ y for x, y in zip(answer, b"abcdef\n", strict=True) if x != y]
    assert len(differing) == 1
    assert differing[0].bit_count() == 1


def test_reordered_messages_change_places_with_the_next(server: EchoServer) -> None:
    with proxied(server) as (proxy, client):
        proxy.set_rule(Flow.TO_CLIENT, Rule(reorder_ratio=1.0))
        client.sendall(b"a\nb\nc\nd\n")

        assert read(client, 8) == b"b\na\nd\nc\n"


def test_a_change_may_rewrite_and_may_answer_by_itself(server: EchoServer) -> None:
    def answer(message: bytes, _link: int) -> Passage:
        if message == b"write\n":
            return Passage(reply=b"done\n")
        return Passage(message.upper())

    with proxied(server) as (proxy, client):
        proxy.set_rule(Flow.TO_SERVER, Rule(change=answer))

        assert ask(client, "write") == b"done\n"
        assert ask(client, "read") == b"READ\n"
        assert bytes(server.received) == b"READ\n"
        assert proxy.counts["changed"] == 2


def test_packets_of_mqtt_are_lost_whole(server: EchoServer) -> None:
    connect = bytes.fromhex("100c00044d5154540402003c0000")
    publish = b"\x30\x06\x00\x01ta!!"
    ping = b"\xc0\x00"

    def lose_publish(packet: bytes, _link: int) -> Passage:
        return Passage(b"" if packet[0] >> 4 == 3 else packet)

    with proxied(server, MqttFramer) as (proxy, client):
        proxy.set_rule(Flow.TO_SERVER, Rule(change=lose_publish))
        for piece in (connect[:5], connect[5:] + publish[:3], publish[3:] + ping):
            client.sendall(piece)

        assert read(client, len(connect + ping)) == connect + ping
        assert proxy.counts["changed"] == 1


def test_a_reset_reaches_the_client_as_one(server: EchoServer) -> None:
    with proxied(server) as (proxy, client):
        ask(client, "hello")
        proxy.reset_connections()

        client.settimeout(LONG_S)
        with pytest.raises(ConnectionResetError):
            client.recv(1)


def test_new_connections_are_carried_elsewhere_and_open_ones_stay(
    server: EchoServer,
) -> None:
    other = EchoServer()
    try:
        with proxied(server) as (proxy, client):
            client.sendall(b"first\n")
            assert client.recv(64) == b"first\n"
            proxy.set_target(other.address)
            with socket.create_connection((HOST, proxy.port), LONG_S) as late:
                late.sendall(b"late\n")
                assert late.recv(64) == b"late\n"
            client.sendall(b"again\n")
            assert client.recv(64) == b"again\n"
    finally:
        other.close()

    assert bytes(other.received) == b"late\n"
    assert bytes(server.received) == b"first\nagain\n"


def test_a_half_closed_wire_still_carries_the_other_way(server: EchoServer) -> None:
    with proxied(server) as (proxy, client):
        ask(client, "hello")
        proxy.half_close(Flow.TO_CLIENT)
        assert read(client, 1) == b""

        client.sendall(b"still here\n")
        while bytes(server.received) != b"hello\nstill here\n":
            pass


def test_connections_may_be_closed_or_left_unanswered(server: EchoServer) -> None:
    with ChaosProxy((HOST, 0), server.address) as proxy:
        proxy.set_accepts(Accepts.CLOSE)
        with socket.create_connection((HOST, proxy.port), LONG_S) as client:
            assert read(client, 1) == b""
        proxy.set_accepts(Accepts.IGNORE)
        with socket.create_connection((HOST, proxy.port), LONG_S) as client:
            client.sendall(b"anybody\n")
            assert read(client, 1, SHORT_S) == b""
        proxy.set_accepts(Accepts.CARRY)
        with socket.create_connection((HOST, proxy.port), LONG_S) as client:
            assert ask(client, "hello") == b"hello\n"
        assert proxy.counts["accepted"] == 3


def test_a_server_that_is_gone_resets_the_client(free_port: int) -> None:
    # Perhaps before the connection counts as made.
    with (
        ChaosProxy((HOST, 0), (HOST, free_port)) as proxy,
        pytest.raises(ConnectionResetError),
        socket.create_connection((HOST, proxy.port), LONG_S) as client,
    ):
        client.recv(1)


def test_a_taken_port_is_named() -> None:
    with socket.create_server((HOST, 0)) as taken:
        port = int(taken.getsockname()[1])
        with pytest.raises(PortTakenError, match=str(port)):
            ChaosProxy((HOST, port), (HOST, port)).__enter__()


def test_new_connections_may_be_reset(server: EchoServer) -> None:
    with ChaosProxy((HOST, 0), server.address) as proxy:
        proxy.set_accepts(Accepts.RESET)
        # Perhaps before the connection counts as made.
        with (
            pytest.raises(ConnectionResetError),
            socket.create_connection((HOST, proxy.port), LONG_S) as client,
        ):
            client.recv(1)
