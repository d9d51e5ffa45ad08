"""What keeps the robot client in its bounds: descriptors and sockets."""

import errno
import os
import resource
import socket
import threading
from pathlib import Path

import pytest

from cell.drivers.arm.client_sockets import ClientSockets
from cell.drivers.arm.descriptor_limit import (
    DESCRIPTORS,
    DescriptorLimit,
    find_first_free,
    list_descriptors,
)
from cell.drivers.arm.rtde import _retire
from tests.fakes.virtual_ur import wait_until


def test_while_lowered_nothing_can_be_opened_and_what_is_open_goes_on(
    tmp_path: Path,
) -> None:
    limit = DescriptorLimit()
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    first_free = find_first_free()
    with (tmp_path / "early").open("w") as early:
        lease = limit.lower(first_free)
        try:
            with pytest.raises(OSError, match="open files") as caught:
                socket.socket()
            early.write("still here")
            assert limit.is_lowered
            with pytest.raises(OSError, match="open files"):
                (tmp_path / "late").open("w")
        finally:
            lease.release()
    assert caught.value.errno == errno.EMFILE
    assert resource.getrlimit(resource.RLIMIT_NOFILE) == before
    assert (tmp_path / "early").read_text() == "still here"


def test_a_descriptor_closed_meanwhile_makes_no_room() -> None:
    limit = DescriptorLimit()
    first_free = find_first_free()
    one, other = os.pipe()
    lease = limit.lower(first_free)
    try:
        os.close(one)
        with pytest.raises(OSError, match="open files"):
            os.dup(other)
    finally:
        lease.release()
        os.close(other)


def soft_limit() -> int:
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


def test_only_the_last_lease_gives_the_limit_back() -> None:
    limit = DescriptorLimit()
    normal, first_free = soft_limit(), find_first_free()
    first, second = limit.lower(first_free), limit.lower(first_free)

    first.release()
    first.release()
    between = soft_limit()
    second.release()

    assert between == first_free
    assert soft_limit() == normal
    assert not limit.is_lowered


class SlowInterface:
    """A client's interface whose end takes until it is told."""

    def __init__(self) -> None:
        self.may_end = threading.Event()

    def disconnect(self) -> None:
        self.may_end.wait(5.0)


def test_a_connection_that_only_read_takes_no_leash_off_the_next_one() -> None:
    reader, normal = SlowInterface(), soft_limit()
    retirement = threading.Thread(target=_retire, args=([reader], None))
    retirement.start()
    lease = DESCRIPTORS.lower(find_first_free())
    lowered = soft_limit()

    reader.may_end.set()
    retirement.join()
    after = soft_limit()
    lease.release()

    assert after == lowered < normal
    assert soft_limit() == normal


def test_leases_of_many_threads_end_at_the_normal_limit() -> None:
    limit = DescriptorLimit()
    normal, first_free = soft_limit(), find_first_free() + 64

    def use() -> None:
        for _ in range(200):
            limit.lower(first_free).release()

    threads = [threading.Thread(target=use) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert soft_limit() == normal
    assert not limit.is_lowered


def test_the_next_descriptor_is_told_from_those_before() -> None:
    before = list_descriptors()
    with socket.socket() as opened:
        assert list_descriptors() - before == {opened.fileno()}
    assert list_descriptors() == before


def test_a_connection_is_seen_to_end_before_anybody_reads_it() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        before = list_descriptors()
        with socket.create_connection(("127.0.0.1", port)) as client:
            sockets = ClientSockets(list_descriptors() - before, port)
            elsewhere = ClientSockets([client.fileno()], port + 1)
            peer, _ = server.accept()
            with peer:
                assert sockets.are_connected()
                peer.sendall(b"unread")

            assert wait_until(lambda: not sockets.are_connected())
            assert elsewhere.are_connected()
        assert not sockets.are_connected()


def test_a_shut_down_wakes_whoever_waits() -> None:
    left, right = socket.socketpair()
    got: list[bytes] = []
    with left, right:
        reader = threading.Thread(target=lambda: got.append(left.recv(10)))
        reader.start()

        ClientSockets([left.fileno()], 1).shut_down()
        reader.join(5.0)

    assert got == [b""]
