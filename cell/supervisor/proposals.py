"""Asks the policy worker ahead of time, so that the arm need not wait for it.

One task owns the conversation with the worker. The grasp cycle requests while the arm
still places the previous part, and collects when it is ready to pick.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from cell.contracts.drivers import Clock
from cell.contracts.errors import DriverError, PolicyError, PolicyTimeoutError
from cell.contracts.runtime import Proposal
from cell.contracts.units import ns_from_s, s_from_ns
from cell.supervisor.causes import Cause
from cell.supervisor.ports import PolicyClient, ReadFrameStamp

_POLL_S = 0.01
_FRAME_PATIENCE_S = 2.0


@dataclass(frozen=True)
class NoProposal:
    """Why there is no answer.

    Attributes:
        cause: as it would be reported if nothing else helps.
        detail: for a person.
    """

    cause: Cause
    detail: str


@dataclass(frozen=True)
class _Request:
    number: int
    min_frame_stamp_ns: int
    fallback: bool
    exclude_base_m: tuple[tuple[float, float], ...]


class ProposalDesk:
    """Holds at most one request and its outcome."""

    def __init__(
        self, policy: PolicyClient, read_frame_stamp_ns: ReadFrameStamp, clock: Clock
    ) -> None:
        self._policy = policy
        self._read_frame_stamp_ns = read_frame_stamp_ns
        self._clock = clock
        self._asked = asyncio.Event()
        self._answered_ns: int | None = None
        self._request: _Request | None = None
        self._outcome: tuple[int, Proposal | NoProposal] | None = None
        self._count = 0
        self._is_fallback = False

    def request(
        self,
        min_frame_stamp_ns: int,
        *,
        fallback: bool = False,
        exclude_base_m: Sequence[tuple[float, float]] = (),
    ) -> None:
        """Ask on a frame not older than the stamp; replaces any earlier request."""
        self._count += 1
        self._request = _Request(
            self._count, min_frame_stamp_ns, fallback, tuple(exclude_base_m)
        )
        self._outcome = None
        self._is_fallback = fallback
        self._asked.set()

    def withdraw(self) -> None:
        """Forget request and outcome; an answer that is still to come, too."""
        self._count += 1
        self._request, self._outcome = None, None

    def is_requested(self, *, fallback: bool) -> bool:
        """Say whether an answer of that policy is on its way or waiting."""
        is_pending = self._request is not None or self._outcome is not None
        return is_pending and self._is_fallback is fallback

    def age_s(self) -> float:
        """Return the time since the policy last answered [s]."""
        if self._answered_ns is None:
            return float("inf")
        return s_from_ns(self._clock.now_ns() - self._answered_ns)

    async def collect(self) -> Proposal | NoProposal:
        """Wait for the outcome of the newest request and take it."""
        while self._outcome is None or self._outcome[0] != self._count:
            await self._sleep()
        outcome = self._outcome[1]
        self.withdraw()
        return outcome

    def take_ready(self) -> Proposal | NoProposal | None:
        """Take the outcome of the newest request if it is there, and forget both."""
        outcome, newest = self._outcome, self._count
        self.withdraw()
        return outcome[1] if outcome is not None and outcome[0] == newest else None

    async def run(self) -> None:
        """Serve requests; ends by cancellation."""
        while True:
            await self._asked.wait()
            self._asked.clear()
            request = self._request
            if request is None:
                continue
            outcome = await self._answer(request)
            if request.number == self._count:
                self._outcome = (request.number, outcome)
                self._request = None

    async def _answer(self, request: _Request) -> Proposal | NoProposal:
        if not await self._wait_frame(request):
            return NoProposal(Cause.CAMERA_STALE, self._describe_frame())
        try:
            proposal = await self._policy.propose(
                fallback=request.fallback,
                min_frame_stamp_ns=request.min_frame_stamp_ns,
                exclude_base_m=request.exclude_base_m,
            )
        except PolicyTimeoutError as error:
            return NoProposal(Cause.POLICY_TIMEOUT, str(error))
        except PolicyError as error:
            return NoProposal(Cause.POLICY_OUTPUT_INVALID, str(error))
        except DriverError as error:
            return NoProposal(Cause.POLICY_UNAVAILABLE, error.detail)
        self._answered_ns = self._clock.now_ns()
        return proposal

    async def _wait_frame(self, request: _Request) -> bool:
        deadline_ns = self._clock.now_ns() + ns_from_s(_FRAME_PATIENCE_S)
        while request.number == self._count:
            stamp_ns = self._read_frame_stamp_ns()
            if stamp_ns is not None and stamp_ns >= request.min_frame_stamp_ns:
                return True
            if self._clock.now_ns() > deadline_ns:
                return False
            await self._sleep()
        return False

    def _describe_frame(self) -> str:
        stamp_ns = self._read_frame_stamp_ns()
        if stamp_ns is None:
            return "no frame has ever arrived"
        age_s = s_from_ns(self._clock.now_ns() - stamp_ns)
        return f"the newest frame is {age_s:.1f} s old"

    async def _sleep(self) -> None:
        await self._clock.sleep_until_ns(self._clock.now_ns() + ns_from_s(_POLL_S))
