"""The loop around the sessions, on a clock that moves by its own sleeps."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise

from cell.contracts.drivers import ArmDriver
from cell.contracts.errors import Complaint, DriverUnreachableError, FaultCode
from cell.contracts.servo import HoldReason, MotionMode, ServoPhase
from cell.servo.loop import SCHEDULING, ServoLoop, Warn
from tests.fakes.arm import FakeArm
from tests.unit.servo.servo_rig import MS, ServoRig


class LoopRig(ServoRig):
    """A loop whose world runs while it sleeps; plans say what happens when."""

    def __init__(self) -> None:
        super().__init__()
        self.plans: list[tuple[int, Callable[[], object]]] = []
        self.ends_ns = 0
        self.beats: list[int] = []
        self.opened_ns: list[int] = []
        self.is_reachable = True
        self.warn: Warn = lambda _text: None
        self.oversleep_ns = 0
        self.loop = ServoLoop(
            self._open, self.desk, lambda: self.now_ns, self._sleep, self._beat
        )

    def run(self, duration_ms: int) -> None:
        self.ends_ns = self.now_ns + duration_ms * MS
        self.loop.run(lambda: self.now_ns >= self.ends_ns)

    def after(self, delay_ms: int, action: Callable[[], object]) -> None:
        self.plans.append((self.now_ns + delay_ms * MS, action))

    @contextmanager
    def _open(self, warn: Warn) -> Iterator[ArmDriver]:
        self.warn = warn
        if not self.is_reachable:
            raise DriverUnreachableError("arm", "nobody there")
        self.opened_ns.append(self.now_ns)
        self.arm.is_gone = False
        self.arm.now_ns = self.now_ns
        try:
            yield self.arm
        finally:
            self.arm.close()

    def _sleep(self, deadline_ns: int) -> None:
        self.now_ns = max(self.now_ns, deadline_ns) + self.oversleep_ns
        self.oversleep_ns = 0
        if self.robot_lives:
            self.arm.now_ns = self.now_ns
        for due_ns, action in list(self.plans):
            if due_ns <= self.now_ns:
                self.plans.remove((due_ns, action))
                action()
        if self.vouches and self.port.command is not None:
            command = self.port.command
            self.port.command = type(command)(
                **{**vars(command), "stamp_ns": self.now_ns}
            )

    def _beat(self) -> None:
        self.beats.append(self.now_ns)

    def ask_for_release(self) -> None:
        newest = max(
            self.desk.latch.arm_id,
            0 if self.port.command is None else self.port.command.arm_id,
        )
        self.order(MotionMode.HOLD, arm_id=newest + 1)


def test_cycles_run_on_an_absolute_schedule() -> None:
    rig = LoopRig()

    rig.run(1000)

    assert 495 <= rig.state.cycle <= 505
    assert rig.state.late_cycles == 0
    assert rig.state.armed_cycles == 0
    assert rig.state.phase is ServoPhase.STOPPED
    assert rig.arm.calls[-1] == "close"


def test_a_late_cycle_is_counted_and_never_made_up_for() -> None:
    rig = LoopRig()

    def oversleep() -> None:
        rig.oversleep_ns = 9 * MS

    rig.after(100, rig.ask_for_release)
    rig.after(500, oversleep)
    rig.run(1000)

    assert rig.state.late_cycles == 1
    assert 445 <= rig.state.armed_cycles <= 450
    gaps = [b - a for a, b in pairwise(rig.beats)]
    assert min(gaps) >= 2 * MS


def test_a_late_cycle_before_a_release_counts_for_nothing() -> None:
    rig = LoopRig()

    def oversleep() -> None:
        rig.oversleep_ns = 9 * MS

    rig.after(500, oversleep)
    rig.after(600, rig.ask_for_release)
    rig.run(1000)

    assert rig.state.late_cycles == 0
    assert 195 <= rig.state.armed_cycles <= 200


def test_an_arm_that_is_not_there_is_asked_for_ever_less_often() -> None:
    rig = LoopRig()
    rig.is_reachable = False

    def come_up() -> None:
        rig.is_reachable = True

    rig.after(5000, come_up)
    rig.run(9000)

    assert len(rig.opened_ns) == 1
    assert rig.opened_ns[0] - 1_000 * MS < 7_500 * MS
    waiting = [s for s in rig.port.states if s.phase is ServoPhase.CONNECTING]
    assert len(waiting) > 100
    stamps = [s.stamp_ns for s in rig.port.states]
    assert max(b - a for a, b in pairwise(stamps)) <= 25 * MS
    assert [event for event, _ in rig.events].count("no arm") == 1


def test_what_is_wrong_with_the_arm_is_told_until_it_is_over() -> None:
    rig = LoopRig()
    rig.is_reachable = False
    told: list[Complaint | None] = []
    rig.desk.complain = told.append

    def come_up() -> None:
        rig.is_reachable = True

    rig.after(1000, come_up)
    rig.run(5000)

    assert told[0] == Complaint(FaultCode.DRIVER_UNREACHABLE, "arm: nobody there")
    assert told[-1] is None


def test_a_release_that_the_robot_refuses_is_told_until_one_succeeds() -> None:
    rig = LoopRig()
    told: list[Complaint | None] = []
    rig.desk.complain = told.append
    rig.arm.refuses = {"arm"}
    rig.after(100, rig.ask_for_release)
    rig.after(300, rig.arm.refuses.clear)
    rig.after(400, rig.ask_for_release)
    rig.run(600)

    refused = Complaint(FaultCode.DRIVER_PROTOCOL, "arm: arm refused")
    assert told == [None, refused, None]


def test_after_a_lost_link_it_connects_again_but_moves_only_when_released() -> None:
    rig = LoopRig()

    def lose() -> None:
        rig.arm.is_gone = True

    rig.after(100, rig.ask_for_release)
    rig.after(300, lose)
    rig.run(1500)

    assert len(rig.opened_ns) == 2
    states = [s for s in rig.port.states if s.phase is not ServoPhase.STOPPED]
    latched = [s for s in states if s.hold_reason is HoldReason.LINK_LOST]
    assert latched
    assert latched[-1].phase is ServoPhase.FAULT
    assert rig.arm.calls.count("arm 0.95") == 1


def test_a_release_after_a_lost_link_initialises_fully_again() -> None:
    rig = LoopRig()

    def lose() -> None:
        rig.arm.is_gone = True

    rig.after(100, rig.ask_for_release)
    rig.after(300, lose)
    rig.after(1000, rig.ask_for_release)
    rig.run(1500)

    assert rig.arm.calls.count("arm 0.95") == 2
    assert any(s.phase is ServoPhase.READY for s in rig.port.states[-50:])


def test_asked_to_end_it_brakes_stops_and_says_so() -> None:
    rig = LoopRig()
    rig.after(100, rig.ask_for_release)
    rig.after(200, lambda: rig.move_home_by([1.0, 0.0, 0.0, 0.0, 0.0, 0.0]))
    rig.run(500)

    assert rig.arm.calls[-2:] == ["stop", "close"]
    assert rig.speeds()[-1] == 0.0
    assert rig.speeds().max() > 1.0
    assert rig.state.phase is ServoPhase.STOPPED


def test_it_shows_life_in_every_state() -> None:
    rig = LoopRig()
    rig.is_reachable = False

    rig.run(1000)

    gaps = [b - a for a, b in pairwise(rig.beats)]
    assert max(gaps) <= 25 * MS


def test_events_are_not_written_while_the_arm_moves() -> None:
    rig = LoopRig()
    phases: list[ServoPhase] = []
    rig.loop._record = lambda _event, _fields: phases.append(rig.state.phase)
    rig.after(100, rig.ask_for_release)
    rig.after(200, lambda: rig.move_home_by([0.5, 0.0, 0.0, 0.0, 0.0, 0.0]))
    rig.run(2000)

    assert phases
    assert ServoPhase.MOVING not in phases


def test_what_the_driver_warns_of_waits_for_the_arm_to_rest() -> None:
    rig = LoopRig()
    written: list[tuple[str, dict[str, object], ServoPhase]] = []
    rig.loop._record = lambda event, fields: written.append(
        (event, fields, rig.state.phase)
    )
    phases: list[ServoPhase] = []

    def warn() -> None:
        phases.append(rig.state.phase)
        rig.warn("refused; accept the cost")

    rig.after(100, rig.ask_for_release)
    rig.after(200, lambda: rig.move_home_by([0.5, 0.0, 0.0, 0.0, 0.0, 0.0]))
    rig.after(250, warn)
    rig.run(2000)

    fields: dict[str, object] = {"detail": "refused; accept the cost"}
    assert phases == [ServoPhase.MOVING]
    assert [entry for entry in written if entry[0] == SCHEDULING] == [
        (SCHEDULING, fields, ServoPhase.READY)
    ]


def test_the_fake_is_an_arm() -> None:
    arm: ArmDriver = FakeArm()

    assert arm.read_state().robot_mode == 7
