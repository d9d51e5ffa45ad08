"""The loop of the servo process: connect, run cycles on time, connect again.

A link once lost closes the latch; connecting again goes on by itself, motion does not.
"""

import gc
from collections import deque
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Final

from cell.contracts.drivers import ArmDriver
from cell.contracts.errors import Complaint, DriverError
from cell.contracts.servo import HoldReason, ServoPhase
from cell.contracts.units import ns_from_s
from cell.servo.session import ArmSession, Desk

Warn = Callable[[str], None]
OpenArm = Callable[[Warn], AbstractContextManager[ArmDriver]]

SCHEDULING: Final = "scheduling"
"""Event, of the level of a warning: the kernel refused what makes cycles punctual or
cheap."""

_FIRST_PAUSE_S, _LAST_PAUSE_S = 0.1, 2.0
# While there is no arm: often enough for whoever reads the state.
_IDLE_PERIOD_S = 0.02
_BRAKE_TIMEOUT_S = 1.0
_LATE_RATIO = 1.25


class ServoLoop:
    """Owns the connection to the arm for the life of the process."""

    def __init__(
        self,
        open_arm: OpenArm,
        desk: Desk,
        now_ns: Callable[[], int],
        sleep_until_ns: Callable[[int], None],
        beat: Callable[[], None],
    ) -> None:
        self._open_arm = open_arm
        self._desk = desk
        self._now_ns = now_ns
        self._sleep_until_ns = sleep_until_ns
        self._beat = beat
        self._period_ns = ns_from_s(desk.tally.period_s)
        self._pause_s = _FIRST_PAUSE_S
        self._events: deque[tuple[str, dict[str, object]]] = deque(maxlen=256)
        self._record, desk.record = desk.record, self._note
        self._last_complaint = ""

    def run(self, must_stop: Callable[[], bool]) -> None:
        """Serve until asked to stop, then bring the arm to rest."""
        while not must_stop():
            try:
                with self._open_arm(self._warn) as arm:
                    self._note("arm connected", {})
                    self._desk.complain(None)
                    self._serve(ArmSession(arm, self._desk), must_stop)
            except DriverError as error:
                self._lose(error)
            self._wait(must_stop)
        self._desk.tally.guard.refresh()
        self._publish(ServoPhase.STOPPED)
        self._flush()

    def _serve(self, session: ArmSession, must_stop: Callable[[], bool]) -> None:
        """Run cycles on an absolute schedule; missed ones are never made up for."""
        started_ns = self._now_ns()
        deadline_ns = started_ns + self._period_ns
        is_excused = True
        while not must_stop():
            self._sleep_until_ns(deadline_ns)
            now_ns = self._now_ns()
            if self._desk.latch.is_armed and not is_excused:
                self._note_cycle(now_ns - started_ns)
            started_ns = now_ns
            is_excused = session.cycle(now_ns)
            self._beat()
            if not (self._desk.latch.is_armed and self._desk.follower.is_busy()):
                self._pause_s = _FIRST_PAUSE_S
                self._flush()
            deadline_ns += self._period_ns
            if is_excused or self._now_ns() > deadline_ns:
                # Two setpoints in quick succession would double the robot's speed.
                deadline_ns = self._now_ns() + self._period_ns
        self._brake(session)

    def _note_cycle(self, gap_ns: int) -> None:
        """Count a cycle that mattered; before a release none has anything to send."""
        self._desk.tally.armed_cycles += 1
        self._desk.tally.late_cycles += gap_ns > _LATE_RATIO * self._period_ns

    def _brake(self, session: ArmSession) -> None:
        deadline_ns = self._now_ns() + ns_from_s(_BRAKE_TIMEOUT_S)
        while not session.brake(self._now_ns()) and self._now_ns() < deadline_ns:
            self._sleep_until_ns(self._now_ns() + self._period_ns)
        session.end(self._now_ns())

    def _lose(self, error: DriverError) -> None:
        if self._desk.latch.is_armed:
            self._desk.latch = self._desk.latch.close(HoldReason.LINK_LOST)
            self._desk.tally.note_hold(HoldReason.LINK_LOST)
        self._desk.complain(Complaint.of(error))
        if str(error) != self._last_complaint:
            self._last_complaint = str(error)
            self._note("no arm", {"detail": str(error), "code": error.code.name})

    def _wait(self, must_stop: Callable[[], bool]) -> None:
        """Pause before the next try, longer each time, and stay alive meanwhile."""
        # The collector is off; failed tries leave cycles behind.
        gc.collect()
        until_ns = self._now_ns() + ns_from_s(self._pause_s)
        self._pause_s = min(2.0 * self._pause_s, _LAST_PAUSE_S)
        while not must_stop() and self._now_ns() < until_ns:
            self._publish(ServoPhase.CONNECTING)
            self._beat()
            self._flush()
            self._sleep_until_ns(self._now_ns() + ns_from_s(_IDLE_PERIOD_S))

    def _publish(self, phase: ServoPhase) -> None:
        desk = self._desk
        desk.tally.cycle += 1
        desk.tally.show_hold(desk.latch.reason)
        desk.port.write_state(
            desk.tally.make_state(
                phase, desk.latch, desk.follower, None, self._now_ns()
            )
        )

    def _warn(self, text: str) -> None:
        self._note(SCHEDULING, {"detail": text})

    def _note(self, event: str, fields: dict[str, object]) -> None:
        self._events.append((event, fields))

    def _flush(self) -> None:
        """Hand events over; never while the arm moves, for wording them takes time."""
        while self._events:
            self._record(*self._events.popleft())
