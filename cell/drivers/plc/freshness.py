"""Whether the line PLC is alive, judged by what its block says. Pure.

A connection that answers proves nothing: a frozen program keeps its last image. So
the PLC's counter must move, our own counter must come back, and both are measured on
our monotonic clock only.
"""

from collections import deque

from cell.contracts.errors import DriverStaleError, FaultCode
from cell.contracts.plc import PlcInputs
from cell.contracts.units import ns_from_s, s_from_ns

_DEVICE = "plc"
_COUNTER_MODULUS = 0x10000
# A step beyond this is a counter that ran backwards, seen modulo 2**16.
_LARGEST_STEP = 0x7FFF


class PlcHeartbeatLostError(DriverStaleError):
    """The PLC answers, but its program is frozen, restarted or not the one we knew."""

    code = FaultCode.PLC_HEARTBEAT_LOST


class HeartbeatTracker:
    """Follows both heartbeats and the boot number over one connection.

    A fresh connection needs a fresh tracker.
    """

    def __init__(self, timeout_s: float, period_s: float) -> None:
        """Build a tracker.

        Args:
            timeout_s: a frozen PLC, or one that no longer hears us, is refused and
                answered at the latest this long after it began.
            period_s: time between two calls of `check`.
        """
        # Up to one period passes before we see its last change and one until we look
        # again after the limit; half a period is for jitter.
        limit_s = max(timeout_s - 2.5 * period_s, timeout_s / 2)
        self._limit_ns = ns_from_s(limit_s)
        # Up to one period passes before a counter is sent that gets lost, one until we
        # look again after the limit, and one for whoever acts on it. What is left is
        # enough for a PLC that scans every 0.1 s.
        echo_limit_s = max(timeout_s - 3.0 * period_s, timeout_s / 2)
        self._echo_limit_ns = ns_from_s(echo_limit_s)
        self._last: PlcInputs | None = None
        self._changed_ns = 0
        self._unanswered: deque[tuple[int, int]] = deque()

    def age_s(self, now_ns: int) -> float:
        """Return the time since the PLC's counter last moved [s]."""
        return s_from_ns(now_ns - self._changed_ns) if self._last else float("inf")

    def note_sent(self, heartbeat: int, now_ns: int) -> None:
        """Remember that our counter went out with this value."""
        if not self._unanswered or self._unanswered[-1][0] != heartbeat:
            self._unanswered.append((heartbeat, now_ns))

    def check(self, inputs: PlcInputs, now_ns: int) -> None:
        """Judge one block.

        Raises:
            PlcHeartbeatLostError: counter frozen or running backwards, our counter
                not echoed, or another boot number.
        """
        last = self._last
        if last is None or self._counter_moved(last, inputs):
            self._changed_ns = now_ns
        self._last = inputs
        self._drop_answered(inputs.heartbeat_echo)
        if now_ns - self._changed_ns > self._limit_ns:
            raise PlcHeartbeatLostError(
                _DEVICE,
                f"heartbeat stands at {inputs.heartbeat} for"
                f" {s_from_ns(now_ns - self._changed_ns):.3f} s: is the PLC in RUN?",
            )
        self._check_echo(inputs.heartbeat_echo, now_ns)

    def _counter_moved(self, last: PlcInputs, inputs: PlcInputs) -> bool:
        if inputs.boot_id != last.boot_id:
            raise PlcHeartbeatLostError(
                _DEVICE,
                f"the PLC restarted (boot_id {last.boot_id} -> {inputs.boot_id})",
            )
        step = (inputs.heartbeat - last.heartbeat) % _COUNTER_MODULUS
        if step > _LARGEST_STEP:
            raise PlcHeartbeatLostError(
                _DEVICE,
                f"heartbeat ran backwards ({last.heartbeat} -> {inputs.heartbeat}):"
                " the PLC restarted, or a second program writes its block",
            )
        return step != 0

    def _drop_answered(self, echo: int) -> None:
        sent = [value for value, _ in self._unanswered]
        if echo in sent:
            for _ in range(sent.index(echo) + 1):
                self._unanswered.popleft()

    def _check_echo(self, echo: int, now_ns: int) -> None:
        if not self._unanswered:
            return
        value, sent_ns = self._unanswered[0]
        if now_ns - sent_ns > self._echo_limit_ns:
            raise PlcHeartbeatLostError(
                _DEVICE,
                f"our heartbeat {value} is not echoed for"
                f" {s_from_ns(now_ns - sent_ns):.3f} s (echo {echo}):"
                " does the PLC read our block, or does another client write it?",
            )
