"""A gripper behind the socket protocol of the Robotiq URCap, with faults."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from cell.contracts.drivers import Clock

CLOSING_S = 0.4
"""Full stroke at full speed [s]."""


@dataclass
class UrcapGripper:
    """The state of the gripper; tests set its fields.

    Attributes:
        clock: moves the fingers.
        part_count: position at which a part stops closing fingers.
        fault: FLT.
        is_readable: false answers `?`, as in an emergency stop.
        is_silent: nothing is answered.
        answer: sent instead of any answer.
        activation_fault: fault that an activation ends in.
        activation_hangs: an activation never ends.
        requests: every segment received.
    """

    clock: Clock
    part_count: int | None = None
    fault: int = 0
    is_readable: bool = True
    is_silent: bool = False
    answer: bytes | None = None
    activation_fault: int = 0
    activation_hangs: bool = False
    requests: list[str] = field(default_factory=list)
    act: int = 0
    sta: int = 0
    speed: int = 255
    force: int = 0
    goto: int = 0
    start: float = 0.0
    target: int = 0
    start_ns: int = 0

    def position(self) -> tuple[int, int]:
        """Return POS and OBJ now."""
        goal = self.target
        is_stopped_by_part = (
            self.part_count is not None and self.start <= self.part_count < goal
        )
        if is_stopped_by_part and self.part_count is not None:
            goal = self.part_count
        elapsed_s = (self.clock.now_ns() - self.start_ns) / 1e9
        reach = 255 * elapsed_s / CLOSING_S * max(self.speed, 25) / 255
        if abs(goal - self.start) > reach:
            sign = 1 if goal > self.start else -1
            return round(self.start + sign * reach), 0
        return goal, 2 if is_stopped_by_part else 3

    def get(self, name: str) -> str:
        """Return the value of a variable as the wire has it."""
        if not self.is_readable:
            return "?"
        position, status = self.position()
        values = {
            "ACT": self.act,
            "STA": self.sta,
            "FLT": self.fault,
            "POS": position,
            "OBJ": status,
            "PRE": self.target,
            "SPE": self.speed,
            "FOR": self.force,
            "GTO": self.goto,
        }
        return str(values[name])

    def set(self, pairs: dict[str, int]) -> None:
        """Take one SET."""
        if "ACT" in pairs:
            self.act = pairs["ACT"]
            is_stuck = self.activation_hangs or self.activation_fault != 0
            self.sta = 3 if self.act and not is_stuck else self.act
            self.fault = self.activation_fault if self.act else 0
        self.speed = pairs.get("SPE", self.speed)
        self.force = pairs.get("FOR", self.force)
        self.goto = pairs.get("GTO", self.goto)
        if "POS" in pairs:
            self.start = self.position()[0]
            self.target = pairs["POS"]
            self.start_ns = self.clock.now_ns()


async def _serve(
    gripper: UrcapGripper, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    try:
        while segment := await reader.read(1024):
            text = segment.decode("ascii")
            gripper.requests.append(text)
            if gripper.is_silent:
                continue
            writer.write(gripper.answer or _answer(gripper, text))
            await writer.drain()
    except ConnectionError:
        pass
    finally:
        writer.close()


def _answer(gripper: UrcapGripper, text: str) -> bytes:
    answer = ""
    for line in text.splitlines():
        words = line.split()
        if words[0] == "SET":
            gripper.set({words[i]: int(words[i + 1]) for i in range(1, len(words), 2)})
            answer += "ack"
        else:
            answer += f"{words[1]} {gripper.get(words[1])}\n"
    return answer.encode("ascii")


@asynccontextmanager
async def serve_urcap(gripper: UrcapGripper) -> AsyncIterator[int]:
    """Serve `gripper` on a free port and yield the port."""
    connections: set[asyncio.StreamWriter] = set()
    all_closed = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.add(writer)
        all_closed.clear()
        await _serve(gripper, reader, writer)
        connections.discard(writer)
        if not connections:
            all_closed.set()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield int(server.sockets[0].getsockname()[1])
    finally:
        server.close()
        for writer in connections:
            writer.close()
        await server.wait_closed()
        if connections:
            await all_closed.wait()
