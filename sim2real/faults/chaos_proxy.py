"""A TCP proxy between a client and a server of the cell; disturbs what it carries.

It runs in a thread of its own, so that a scenario changes its rules while the wire is
in use. What it does depends on its seed and on the messages alone. It stands between
addresses, therefore neither end is changed for it.
"""

import contextlib
import selectors
import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from queue import SimpleQueue
from typing import Self

from ops.exit_codes import PortTakenError
from ops.processes.priority import request_turns
from sim2real.faults.chaos_pipe import Pipe
from sim2real.faults.chaos_rule import PLAIN, Accepts, Flow, Rule
from sim2real.faults.framing import Framer, RawFramer

Address = tuple[str, int]

_IDLE_S = 0.5
# A sink that is full is looked at again so soon rather than watched as well.
_CONGESTED_S = 0.001
_CONNECT_TIMEOUT_S = 1.0
_ORDER_TIMEOUT_S = 5.0
# Closing with it sends RST in place of FIN.
_LINGER_RESET = struct.pack("ii", 1, 0)


@dataclass
class _Link:
    number: int
    pipes: dict[Flow, Pipe]
    ended: set[Flow] = field(default_factory=set)


class ChaosProxy:
    """Context manager; listens while it is open.

    Attributes:
        counts: messages by what happened to them, and `accepted` connections.
    """

    def __init__(
        self,
        listen: Address,
        target: Address,
        make_framer: Callable[[], Framer] = RawFramer,
        seed: int = 0,
    ) -> None:
        """Prepare to carry connections from `listen` to `target`; port 0: any."""
        self.counts: Counter[str] = Counter()
        self._listen_at, self._target = listen, target
        self._make_framer = make_framer
        self._seed = seed
        self._rules = {Flow.TO_SERVER: PLAIN, Flow.TO_CLIENT: PLAIN}
        self._accepts = Accepts.CARRY
        self._links: dict[int, _Link] = {}
        self._silent: list[socket.socket] = []
        self._selector = selectors.DefaultSelector()
        self._orders: SimpleQueue[Callable[[], None]] = SimpleQueue()
        self._wake_reader, self._wake_writer = socket.socketpair()
        self._ends = threading.Event()
        self._listener: socket.socket | None = None
        name = f"chaos-{target[1]}"
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def __enter__(self) -> Self:
        """Listen.

        Raises:
            PortTakenError: the address cannot be had.
        """
        try:
            self._listener = socket.create_server(self._listen_at)
        except OSError as error:
            self._close_own()
            host, port = self._listen_at
            raise PortTakenError(
                f"port {port} on {host} cannot be used for fault injection"
                f" ({error.strerror}); stop the program that has it"
            ) from error
        self._listener.settimeout(0.0)
        self._wake_reader.settimeout(0.0)
        self._selector.register(self._listener, selectors.EVENT_READ, "listener")
        self._selector.register(self._wake_reader, selectors.EVENT_READ, "wake")
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Close everything."""
        self._ends.set()
        self._wake()
        self._thread.join()
        for link in list(self._links.values()):
            self._drop(link)
        self._close_silent()
        self._close_own()

    @property
    def port(self) -> int:
        """Port that it listens on."""
        assert self._listener is not None  # noqa: S101  (narrowing for the checker)
        return int(self._listener.getsockname()[1])

    def set_rule(self, flow: Flow, rule: Rule) -> None:
        """Treat the messages of a direction by a rule from now on."""
        self._order(lambda: self._rules.update({flow: rule}))

    def set_rules(self, rule: Rule) -> None:
        """Treat both directions by one rule from now on."""
        self._order(lambda: self._rules.update(dict.fromkeys(Flow, rule)))

    def set_accepts(self, accepts: Accepts) -> None:
        """Treat new connections so from now on; what is open stays open."""

        def change() -> None:
            self._accepts = accepts
            self._close_silent()

        self._order(change)

    def set_target(self, target: Address) -> None:
        """Carry new connections elsewhere from now on; what is open stays open."""

        def change() -> None:
            self._target = target

        self._order(change)

    def reset_connections(self) -> None:
        """Send RST to both ends of every connection."""
        self._order(self._reset_all)

    def half_close(self, flow: Flow) -> None:
        """End one direction of every connection; the other goes on."""

        def close() -> None:
            for link in self._links.values():
                with contextlib.suppress(OSError):
                    link.pipes[flow].sink.shutdown(socket.SHUT_WR)

        self._order(close)

    def _order(self, change: Callable[[], None]) -> None:
        """Have a change made by the thread, and wait until it has been."""
        is_done = threading.Event()

        def make() -> None:
            change()
            is_done.set()

        self._orders.put(make)
        self._wake()
        is_done.wait(_ORDER_TIMEOUT_S)

    def _wake(self) -> None:
        self._wake_writer.send(b"\0")

    # --- the thread ------------------------------------------------------------------

    def _run(self) -> None:
        # A proxy that gets no turn would be a fault of its own; a refusal is no matter.
        request_turns(-10, is_urgent=True)
        while not self._ends.is_set():
            for key, _events in self._selector.select(self._wait_s()):
                self._serve(key.data)
            while not self._orders.empty():
                self._orders.get()()
            self._release(time.monotonic_ns())

    def _wait_s(self) -> float:
        due = [
            due_ns
            for link in self._links.values()
            for flow, pipe in link.pipes.items()
            if (due_ns := pipe.find_due_ns(self._rules[flow])) is not None
        ]
        if self._is_congested():
            return _CONGESTED_S
        if not due:
            return _IDLE_S
        left_s = (min(due) - time.monotonic_ns()) / 1e9
        return min(max(left_s, 0.0), _IDLE_S)

    def _serve(self, what: object) -> None:
        if what == "wake":
            with contextlib.suppress(BlockingIOError):
                self._wake_reader.recv(4096)
        elif what == "listener":
            self._accept()
        elif isinstance(what, tuple):
            link, flow = what
            if link.number in self._links:
                self._carry(link, flow)

    def _accept(self) -> None:
        assert self._listener is not None  # noqa: S101  (narrowing for the checker)
        try:
            client, _ = self._listener.accept()
        except OSError:  # it went away before it was taken
            return
        number = self.counts["accepted"]
        self.counts["accepted"] += 1
        if self._accepts is Accepts.CLOSE:
            client.close()
            return
        if self._accepts is Accepts.RESET:
            _reset(client)
            return
        if self._accepts is Accepts.IGNORE:
            self._silent.append(client)
            return
        try:
            server = socket.create_connection(self._target, _CONNECT_TIMEOUT_S)
        except OSError:
            _reset(client)
            return
        self._join(number, client, server)

    def _join(self, number: int, client: socket.socket, server: socket.socket) -> None:
        ends = {
            Flow.TO_SERVER: (client, server),
            Flow.TO_CLIENT: (server, client),
        }
        link = _Link(
            number,
            {
                flow: Pipe(pair, self._make_framer(), f"{self._seed}/{number}/{flow}")
                for flow, pair in ends.items()
            },
        )
        self._links[number] = link
        for flow, pipe in link.pipes.items():
            pipe.source.settimeout(0.0)
            pipe.source.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._selector.register(pipe.source, selectors.EVENT_READ, (link, flow))

    def _carry(self, link: _Link, flow: Flow) -> None:
        pipe = link.pipes[flow]
        now_ns = time.monotonic_ns()
        for message in pipe.receive():
            reply = pipe.pass_on(
                message, link.number, self._rules[flow], now_ns, self.counts
            )
            if reply:
                link.pipes[flow.opposite].push(reply)
        if pipe.has_ended and flow not in link.ended:
            link.ended.add(flow)
            self._selector.unregister(pipe.source)

    def _release(self, now_ns: int) -> None:
        for link in list(self._links.values()):
            try:
                for flow, pipe in link.pipes.items():
                    pipe.release(self._rules[flow], now_ns)
            except OSError:
                self._drop(link)
                continue
            is_empty = not any(pipe.has_bytes for pipe in link.pipes.values())
            if link.ended and is_empty and not self._hides_ends():
                self._drop(link)

    def _is_congested(self) -> bool:
        pipes = (p for link in self._links.values() for p in link.pipes.values())
        return any(pipe.has_bytes for pipe in pipes)

    def _hides_ends(self) -> bool:
        """Say whether a pulled cable keeps the ends from hearing of each other."""
        return any(rule.is_black_hole for rule in self._rules.values())

    def _reset_all(self) -> None:
        for link in list(self._links.values()):
            self._drop(link, is_reset=True)

    def _drop(self, link: _Link, *, is_reset: bool = False) -> None:
        del self._links[link.number]
        for flow, pipe in link.pipes.items():
            if flow not in link.ended:
                self._selector.unregister(pipe.source)
            if is_reset:
                _reset(pipe.source)
            else:
                pipe.source.close()

    def _close_own(self) -> None:
        if self._listener is not None:
            self._listener.close()
        self._selector.close()
        self._wake_reader.close()
        self._wake_writer.close()

    def _close_silent(self) -> None:
        while self._silent:
            self._silent.pop().close()


def _reset(end: socket.socket) -> None:
    with contextlib.suppress(OSError):
        end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_RESET)
    end.close()
