"""Robotiq gripper through the socket of its URCap (port 63352).

ASCII, one outstanding request. `SET` answers the three bytes `ack` without a line
end; several `GET` lines in one segment get all their answers. The gripper's own OBJ
is stale until PRE echoes the new target, so a move counts as running until then.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager

from cell.config import RobotiqUrcapConfig
from cell.contracts.drivers import Clock
from cell.contracts.errors import (
    DriverError,
    DriverStaleError,
    DriverTimeoutError,
    DriverUnreachableError,
)
from cell.contracts.robot import GripperCommand, GripperObject, GripperState
from cell.contracts.units import ns_from_s
from cell.drivers.gripper.aperture import ApertureMap
from cell.drivers.gripper.commands import check_command, count_from_ratio
from cell.drivers.gripper.robotiq_faults import (
    GripperFaultError,
    describe_fault,
    is_blocking,
)

_DEVICE = "gripper"
_DEADLINE_S = 0.25
_ACK = b"ack"
_STA_RESET, _STA_ACTIVE = 0, 3
_LARGEST = {"STA": 3, "OBJ": 3, "ACT": 1, "GTO": 1}
_BYTE = 255
# The sequence and pauses of the maker's own client.
_RESET_PAUSE_S = 0.5
_ACTIVATE_PAUSE_S = 1.0
_POLL_S = 0.02
_ACTIVATION_DEADLINE_S = 10.0


class RobotiqUrcapGripper:
    """A connected gripper. After any error it is spent: open it again."""

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        apertures: ApertureMap,
        clock: Clock,
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._apertures = apertures
        self._clock = clock
        self._is_spent = False
        self._is_activated = False
        self._target: int | None = None

    async def activate(self) -> None:
        """Activate and wait until the fingers may be moved.

        An active gripper without a fault is left as it is, so that a part in the
        fingers stays there.

        Raises:
            GripperFaultError: it ended in a fault, with the remedy.
            DriverTimeoutError: it did not become active.
        """
        before = await self._get("STA", "FLT")
        if before["STA"] != _STA_ACTIVE or is_blocking(before["FLT"]):
            await self._set({"ACT": 0})
            await self._set({"ATR": 0})
            await self._wait_until_status(act=0, sta=_STA_RESET)
            await self._sleep(_RESET_PAUSE_S)
            await self._set({"ACT": 1})
            await self._sleep(_ACTIVATE_PAUSE_S)
            await self._wait_until_status(act=1, sta=_STA_ACTIVE)
        self._is_activated = True

    async def read_state(self) -> GripperState:
        """Return a fresh sample.

        Raises:
            DriverStaleError: the URCap cannot read the gripper.
            DriverError: it answered something that is not its protocol.
        """
        values = await self._get("POS", "OBJ", "STA", "FLT", "PRE")
        is_on_its_way = self._target is not None and values["PRE"] != self._target
        return GripperState(
            stamp_ns=self._clock.now_ns(),
            aperture_m=self._apertures.aperture_m(values["POS"]),
            object_status=GripperObject(0 if is_on_its_way else values["OBJ"]),
            is_active=values["STA"] == _STA_ACTIVE and not is_blocking(values["FLT"]),
            fault=values["FLT"],
        )

    async def move(self, command: GripperCommand) -> None:
        """Start a move; does not wait for its end.

        Raises:
            DriverError: the command is not finite, or `activate` was not called on
                this connection.
        """
        check_command(command)
        if not self._is_activated:
            raise DriverError(_DEVICE, "not activated on this connection")
        target = self._apertures.count(command.aperture_m)
        self._target = target
        await self._set(
            {
                "POS": target,
                "SPE": count_from_ratio(command.speed_ratio),
                "FOR": count_from_ratio(command.force_ratio),
                "GTO": 1,
            }
        )

    async def _wait_until_status(self, *, act: int, sta: int) -> None:
        deadline_ns = self._clock.now_ns() + ns_from_s(_ACTIVATION_DEADLINE_S)
        while True:
            values = await self._get("ACT", "STA", "FLT")
            if (values["ACT"], values["STA"]) == (act, sta):
                return
            if act and is_blocking(values["FLT"]):
                raise GripperFaultError(_DEVICE, describe_fault(values["FLT"]))
            if self._clock.now_ns() >= deadline_ns:
                raise DriverTimeoutError(_DEVICE, _ACTIVATION_DEADLINE_S)
            await self._sleep(_POLL_S)

    async def _sleep(self, duration_s: float) -> None:
        await self._clock.sleep_until_ns(self._clock.now_ns() + ns_from_s(duration_s))

    async def _set(self, values: Mapping[str, int]) -> None:
        text = "SET " + " ".join(f"{name} {value}" for name, value in values.items())
        answer = await self._exchange(text, 0)
        if answer != _ACK:
            self._is_spent = True
            raise DriverError(_DEVICE, f"answered {answer!r} to '{text}'")

    async def _get(self, *names: str) -> dict[str, int]:
        text = "\n".join(f"GET {name}" for name in names)
        answer = await self._exchange(text, len(names))
        try:
            return parse_values(answer, names)
        except DriverStaleError:
            raise
        except DriverError:
            self._is_spent = True
            raise

    async def _exchange(self, request: str, lines: int) -> bytes:
        """Send one request and read `lines` lines, or `ack` when there are none."""
        if self._is_spent:
            raise DriverUnreachableError(_DEVICE, "the link failed; open it again")
        # Spent until the whole answer is here: after a cancelled or failed request
        # the stream would hand its answer to the next one.
        self._is_spent = True
        try:
            async with asyncio.timeout(_DEADLINE_S):
                self._writer.write(request.encode("ascii") + b"\n")
                await self._writer.drain()
                if lines == 0:
                    answer = await self._reader.readexactly(len(_ACK))
                else:
                    answer = b"".join(
                        [await self._reader.readuntil(b"\n") for _ in range(lines)]
                    )
        except TimeoutError as error:
            raise DriverTimeoutError(_DEVICE, _DEADLINE_S) from error
        except asyncio.LimitOverrunError as error:
            raise DriverError(_DEVICE, "answered a line without end") from error
        except (OSError, asyncio.IncompleteReadError) as error:
            raise DriverUnreachableError(
                _DEVICE, "the URCap closed the connection"
            ) from error
        self._is_spent = False
        return answer


def parse_values(answer: bytes, names: Sequence[str]) -> dict[str, int]:
    """Return the values of a batched GET.

    Raises:
        DriverStaleError: a value is not readable, as during an emergency stop.
        DriverError: names or values are not those of the protocol.
    """
    lines = answer.split(b"\n")[:-1]
    values: dict[str, int] = {}
    for name, line in zip(names, lines, strict=True):
        key, _, text = line.decode("ascii", "replace").strip().partition(" ")
        if key != name:
            raise DriverError(_DEVICE, f"answered {line!r} to 'GET {name}'")
        if text == "?":
            raise DriverStaleError(
                _DEVICE, f"{name} is not readable; is the robot in emergency stop?"
            )
        is_number = text.isascii() and text.isdigit() and len(text) <= 3
        if not is_number or int(text) > _LARGEST.get(name, _BYTE):
            raise DriverError(_DEVICE, f"{name} has the value {text[:16]!r}")
        values[name] = int(text)
    return values


@asynccontextmanager
async def open_robotiq_urcap(
    config: RobotiqUrcapConfig, clock: Clock, apertures: ApertureMap | None = None
) -> AsyncIterator[RobotiqUrcapGripper]:
    """Connect to the URCap; `apertures` comes from a calibration, linear without.

    Raises:
        DriverUnreachableError: nothing listens there.
    """
    try:
        async with asyncio.timeout(_DEADLINE_S):
            reader, writer = await asyncio.open_connection(
                config.host, config.port, limit=1024
            )
    except (OSError, TimeoutError) as error:
        raise DriverUnreachableError(
            _DEVICE,
            f"no gripper URCap answers at {config.host}:{config.port}; check"
            " gripper.host and that the URCap is installed and running",
        ) from error
    try:
        curve = apertures or ApertureMap.linear(config.max_aperture_m)
        yield RobotiqUrcapGripper(reader, writer, curve, clock)
    finally:
        writer.close()
