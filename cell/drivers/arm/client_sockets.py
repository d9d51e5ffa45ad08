"""Looks at the sockets that the robot client opened, without owning them.

What the client says about its connection comes late, and calling it on a dead one
makes it reconnect in two threads at once, which may end the process. The kernel knows
at once.
"""

import ctypes
import socket
from collections.abc import Collection

_ESTABLISHED = 1

_libc = ctypes.CDLL(None, use_errno=True)


class ClientSockets:
    """Sockets by their descriptors; they are closed by whoever opened them."""

    def __init__(self, descriptors: Collection[int], port: int) -> None:
        """Take the sockets among `descriptors`; those to `port` are watched."""
        self._all = tuple(descriptors)
        self._watched = tuple(d for d in descriptors if _peer_port(d) == port)
        self._info = ctypes.create_string_buffer(8)
        self._size = ctypes.c_uint32()

    def are_connected(self) -> bool:
        """Say whether both ends of every watched connection are open."""
        for descriptor in self._watched:
            self._size.value = len(self._info)
            failed = _libc.getsockopt(
                descriptor,
                socket.IPPROTO_TCP,
                socket.TCP_INFO,
                self._info,
                ctypes.byref(self._size),
            )
            # The first byte of the record is the state of the connection.
            if failed or self._info.raw[0] != _ESTABLISHED:
                return False
        return True

    def shut_down(self) -> None:
        """End all connections; threads that wait in one of them wake up."""
        for descriptor in self._all:
            _libc.shutdown(descriptor, socket.SHUT_RDWR)


def _peer_port(descriptor: int) -> int:
    """Return the port at the other end, 0 for what is no connection."""
    address = ctypes.create_string_buffer(16)
    size = ctypes.c_uint32(len(address))
    if _libc.getpeername(descriptor, address, ctypes.byref(size)):
        return 0
    return int.from_bytes(address.raw[2:4], "big")
