"""The supervisor's end of the policy worker's socket.

`run` owns the connection and all reading; `propose` only writes and waits, so a slow,
hung or restarted worker costs a deadline, never a task.
"""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import structlog

from cell.contracts.drivers import Clock
from cell.contracts.errors import (
    DriverUnreachableError,
    PolicyError,
    PolicyTimeoutError,
)
from cell.contracts.runtime import Proposal
from cell.contracts.units import ns_from_s
from policies.runtime.wire import (
    MessageDecoder,
    ProposeRequest,
    Readiness,
    encode_message,
    is_greeting,
    parse_answer,
    parse_readiness,
    request_message,
)

_RECONNECT_S = 0.2
_DEVICE = "policy worker"
_READ_BYTES = 65536


class PolicyWorkerClient:
    """Asks the policy worker for grasps. One call at a time.

    `run` must be under way in the caller's task group.
    """

    def __init__(self, socket_path: Path, deadline_s: float, clock: Clock) -> None:
        self._path = socket_path
        self._deadline_s = deadline_s
        self._clock = clock
        self._writer: asyncio.StreamWriter | None = None
        self._readiness: Readiness | None = None
        self._pending: dict[int, asyncio.Future[Proposal]] = {}
        self._last_id = 0
        self._log = structlog.get_logger()

    def is_ready(self) -> bool:
        """Say whether a worker is connected, with the live model or its stand-in."""
        return self._readiness is not None

    def model_name(self) -> str:
        """Return name and version of what answers as live, empty while unknown."""
        greeting = self._readiness
        return "" if greeting is None else greeting.model or greeting.fallback

    def fallback_name(self) -> str:
        """Return name and version of the fallback policy, empty while unknown."""
        return "" if self._readiness is None else self._readiness.fallback

    def has_learned(self) -> bool:
        """Say whether it is a learned policy that answers as live."""
        return self._readiness is not None and bool(self._readiness.sha256)

    def model_sha256(self) -> str:
        """Return the digest of the learned model that runs there, empty for none."""
        return "" if self._readiness is None else self._readiness.sha256

    def readiness(self) -> Readiness | None:
        """Return the worker's greeting, None while not connected."""
        return self._readiness

    async def run(self) -> None:
        """Keep the connection open until cancelled."""
        while True:
            await self._serve_connection()
            await self._clock.sleep_until_ns(
                self._clock.now_ns() + ns_from_s(_RECONNECT_S)
            )

    async def propose(
        self,
        *,
        fallback: bool,
        min_frame_stamp_ns: int,
        exclude_base_m: Sequence[tuple[float, float]] = (),
    ) -> Proposal:
        """Ask for a grasp on a frame that arrived at or after the given stamp.

        Args:
            fallback: ask the scripted policy instead of the live one.
            min_frame_stamp_ns: oldest acceptable arrival of the camera frame.
            exclude_base_m: points in base xy to stay away from [m].

        Raises:
            PolicyTimeoutError: no answer within the deadline.
            PolicyError: the worker could not answer, or its answer may not be used.
            DriverUnreachableError: the worker is not there, or went away.
        """
        writer = self._writer
        if writer is None or self._readiness is None:
            raise DriverUnreachableError(_DEVICE, f"nothing listens at {self._path}")
        self._last_id += 1
        request = ProposeRequest(
            request_id=self._last_id,
            policy="fallback" if fallback else "live",
            min_stamp_ns=min_frame_stamp_ns,
            exclude_base_m=tuple(exclude_base_m),
        )
        future: asyncio.Future[Proposal] = asyncio.get_running_loop().create_future()
        self._pending[request.request_id] = future
        try:
            async with asyncio.timeout(self._deadline_s):
                writer.write(encode_message(request_message(request)))
                await writer.drain()
                timed = await future
        except TimeoutError as error:
            raise PolicyTimeoutError(
                f"the policy worker gave no answer within {self._deadline_s:.2f} s"
            ) from error
        except OSError as error:
            raise DriverUnreachableError(_DEVICE, "the connection broke") from error
        finally:
            del self._pending[request.request_id]
        if timed.answer.observed_stamp_ns < min_frame_stamp_ns:
            raise PolicyError("the policy worker answered on an older frame than asked")
        return timed

    async def _serve_connection(self) -> None:
        try:
            reader, writer = await asyncio.open_unix_connection(str(self._path))
        except OSError:
            return
        self._writer = writer
        try:
            await self._read_messages(reader)
        except (OSError, PolicyError) as error:
            self._log.warning("policy_connection_failed", reason=str(error))
        finally:
            self._writer = None
            self._readiness = None
            self._fail_pending()
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()

    async def _read_messages(self, reader: asyncio.StreamReader) -> None:
        decoder = MessageDecoder()
        while chunk := await reader.read(_READ_BYTES):
            for message in decoder.feed(chunk):
                greeting = self._readiness
                if greeting is not None and not is_greeting(message):
                    self._resolve(message, greeting)
                    continue
                self._readiness = parse_readiness(message)
                self._log.info(
                    "policy_worker_connected"
                    if greeting is None
                    else "policies_replaced",
                    model=self._readiness.model,
                    error=self._readiness.error,
                )

    def _resolve(self, message: dict[str, object], greeting: Readiness) -> None:
        request_id = message.get("id")
        future = self._pending.get(request_id) if isinstance(request_id, int) else None
        # An answer that missed its deadline has nobody waiting any more.
        if future is None or future.done():
            return
        try:
            # The greeting before an answer says whose it is, not the one before the
            # question: the worker may have replaced its policies in between.
            answer = replace(parse_answer(message), model_sha256=greeting.sha256)
            future.set_result(answer)
        except PolicyError as error:
            future.set_exception(error)

    def _fail_pending(self) -> None:
        for future in self._pending.values():
            if not future.done():
                future.set_exception(
                    DriverUnreachableError(_DEVICE, "it went away while thinking")
                )
