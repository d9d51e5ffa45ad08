"""The supervisor's end of the Guardian worker's socket.

`run` owns the connection and all reading; `judge` only writes and waits, so a slow,
hung or restarted worker costs a deadline, never a task.
"""

import asyncio
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

import structlog

from cell.contracts.attempt import AttemptFeatures, AttemptJudgement
from cell.contracts.drivers import Clock
from cell.contracts.errors import (
    DriverUnreachableError,
    PolicyError,
    PolicyTimeoutError,
)
from cell.contracts.units import ns_from_s
from policies.runtime.guardian_wire import (
    GuardianGreeting,
    attempt_message,
    parse_greeting,
    parse_judgement,
)
from policies.runtime.wire import MessageDecoder, encode_message

_RECONNECT_S = 0.2
_DEVICE = "Guardian worker"
_READ_BYTES = 65536


class GuardianWorkerClient:
    """Has attempts judged. One call at a time.

    `run` must be under way in the caller's task group.
    """

    def __init__(
        self, socket_path: Path, sha256: str, deadline_s: float, clock: Clock
    ) -> None:
        """Say where to ask, and which network the answers have to come from.

        Args:
            socket_path: where the worker listens.
            sha256: digest of the model whose calibration the answers are weighed by.
            deadline_s: for one answer [s].
            clock: for reconnects.
        """
        self._path = socket_path
        self._sha256 = sha256
        self._deadline_s = deadline_s
        self._clock = clock
        self._writer: asyncio.StreamWriter | None = None
        self._greeting: GuardianGreeting | None = None
        self._pending: dict[int, asyncio.Future[AttemptJudgement]] = {}
        self._log = structlog.get_logger()

    def is_ready(self) -> bool:
        """Say whether the very network is there that the calibration belongs to."""
        greeting = self._greeting
        return (
            greeting is not None and greeting.ready and greeting.sha256 == self._sha256
        )

    async def run(self) -> None:
        """Keep the connection open until cancelled."""
        while True:
            await self._serve_connection()
            await self._clock.sleep_until_ns(
                self._clock.now_ns() + ns_from_s(_RECONNECT_S)
            )

    async def judge(self, features: AttemptFeatures) -> AttemptJudgement:
        """Have one attempt judged.

        Raises:
            PolicyTimeoutError: no answer within the deadline.
            PolicyError: the worker could not answer.
            DriverUnreachableError: the worker is not there, or went away.
        """
        writer = self._writer
        if writer is None or not self.is_ready():
            raise DriverUnreachableError(_DEVICE, f"nothing fitting at {self._path}")
        loop = asyncio.get_running_loop()
        future: asyncio.Future[AttemptJudgement] = loop.create_future()
        self._pending[features.attempt] = future
        try:
            async with asyncio.timeout(self._deadline_s):
                writer.write(encode_message(attempt_message(features)))
                await writer.drain()
                said = await future
        except TimeoutError as error:
            raise PolicyTimeoutError(
                f"the Guardian gave no answer within {self._deadline_s:.2f} s"
            ) from error
        except OSError as error:
            raise DriverUnreachableError(_DEVICE, "the connection broke") from error
        finally:
            del self._pending[features.attempt]
        # What a real cell's charts can be calibrated on.
        self._log.info("attempt_judged", **asdict(features), said=asdict(said))
        return said

    async def _serve_connection(self) -> None:
        try:
            reader, writer = await asyncio.open_unix_connection(str(self._path))
        except OSError:
            return
        self._writer = writer
        try:
            await self._read_messages(reader)
        except (OSError, PolicyError) as error:
            self._log.warning("guardian_connection_failed", reason=str(error))
        finally:
            self._writer = None
            self._greeting = None
            self._fail_pending()
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()

    async def _read_messages(self, reader: asyncio.StreamReader) -> None:
        decoder = MessageDecoder()
        while chunk := await reader.read(_READ_BYTES):
            for message in decoder.feed(chunk):
                if self._greeting is None:
                    self._greet(parse_greeting(message))
                else:
                    self._resolve(message)

    def _greet(self, greeting: GuardianGreeting) -> None:
        self._greeting = greeting
        is_other = greeting.ready and greeting.sha256 != self._sha256
        self._log.info(
            "guardian_connected",
            model=greeting.model,
            error="another model than was read" if is_other else greeting.error,
        )

    def _resolve(self, message: dict[str, Any]) -> None:
        number = message.get("attempt")
        future = self._pending.get(number) if isinstance(number, int) else None
        # An answer that missed its deadline has nobody waiting any more.
        if future is None or future.done():
            return
        try:
            future.set_result(parse_judgement(message))
        except PolicyError as error:
            future.set_exception(error)

    def _fail_pending(self) -> None:
        for future in self._pending.values():
            if not future.done():
                future.set_exception(
                    DriverUnreachableError(_DEVICE, "it went away while thinking")
                )
