"""The supervisor: one task group, one decision loop, the PackML machine in its middle.

The decision loop is the pulse of everything that must not outlive it: it re-stamps the
servo command, moves the heartbeat that the line sees, and beats for the process host.
"""

import asyncio
import random
from collections import deque
from collections.abc import Sequence

from cell.contracts.errors import StopCategory
from cell.contracts.plc import PlcOutputs
from cell.contracts.units import ns_from_s, s_from_ns
from cell.supervisor.activities import ActivityRunner
from cell.supervisor.cause_table import FACTS
from cell.supervisor.causes import Cause
from cell.supervisor.conditions import Conditions, find_causes, find_missing
from cell.supervisor.decision import (
    Decision,
    Finding,
    Situation,
    decide,
    is_assist,
    make_reason,
)
from cell.supervisor.event_tail import EventTail
from cell.supervisor.machine import STOP_FAMILY
from cell.supervisor.permissives import Unmet, compute_unmet
from cell.supervisor.plc_exchange import PlcExchange, make_line_timing
from cell.supervisor.ports import Layout, Peers
from cell.supervisor.publisher import Publisher
from cell.supervisor.reaction_desk import ReactionDesk, find_degrading
from cell.supervisor.states import WAIT_STATES, Command, Mode, State
from cell.supervisor.station import make_station
from cell.supervisor.statistics import Statistics
from cell.supervisor.status import make_first_machine, parse_previous
from cell.supervisor.task_watch import check_tasks, raise_ended
from cell.supervisor.watch import Watch

_END_PATIENCE_S = 3.0
# Commands have lapsed and the line has noticed by then.
_STALL_S = 0.5
_LATE_TURNS = 1.5
# The line reads our block within two periods; then it knows how we ended.
_FAREWELL_S = 0.15
_MAINTENANCE_RATIO = 0.25
_HOST = "host"
# Where nothing moves before somebody commands it, the cell looks less often: less work
# for a computer that waits, and orders still do not lapse.
_WAITING = WAIT_STATES - {State.SUSPENDED}
_WAITING_PERIOD_S = 0.04
_STOPPING = (State.HOLDING, State.STOPPING, State.ABORTING)
_AT_REST = (State.STOPPED, State.ABORTED)
_ENDING = (Command.STOP, Command.ABORT)


class Supervisor:
    """Runs the cell. Construct it, then await `run`."""

    def __init__(self, peers: Peers, layout: Layout, rng: random.Random) -> None:
        """Read what an earlier life left; touch no device yet.

        Args:
            peers: everything it talks to.
            layout: the facts of this cell.
            rng: jitter of reconnects.
        """
        self._peers = peers
        self._layout = layout
        self._clock = clock = peers.clock
        left = peers.status.read()
        previous = parse_previous(left)
        self._machine = make_first_machine(previous, clock.now_ns())
        self._statistics = Statistics()
        self._statistics.restore(previous.figures)
        self._events = EventTail(peers.record)
        self._exchange = PlcExchange(
            peers.open_plc,
            make_line_timing(layout),
            clock,
            rng,
            self._make_outputs,
            self._is_moving,
        )
        self._station = make_station(
            peers, layout, self._exchange, self._statistics, self._events.add, left
        )
        self._desk = ReactionDesk(
            peers.ladder, self._machine, self._events, self._statistics
        )
        self._watch = Watch(
            self._station,
            self._exchange,
            peers.policy,
            peers.read_frame_stamp_ns,
            peers.find_lost_process,
            peers.find_given_up,
            peers.complaints,
        )
        self._publisher = Publisher(
            machine=self._machine,
            station=self._station,
            exchange=self._exchange,
            watch=self._watch,
            desk=self._desk,
            policy=peers.policy,
            events=self._events,
            status=peers.status,
            model_id=layout.model_id,
        )
        self._exchange.note_confirmed = self._publisher.note_confirmed
        picture = self._watch.read()
        self._findings = find_causes(picture)
        self._unmet = self._compute_unmet(picture)
        self._runner: ActivityRunner | None = None
        self._inbox: deque[tuple[Command, str]] = deque()
        self._asked_by = ""
        self._progress = 0
        self._period_s = layout.timing.command_period_s
        self._late_turns = 0
        self._has_executed = False
        self._quiet_since_ns = clock.now_ns()
        self._turned_ns = clock.now_ns()
        self._end_requested_ns: int | None = None
        self._rested_ns: int | None = None
        if previous.was_interrupted:
            self._desk.strike(Cause.SUPERVISOR_RESTARTED, clock.now_ns())
            self._note_stop(Finding(Cause.SUPERVISOR_RESTARTED))

    @property
    def state(self) -> State:
        """Present PackML state."""
        return self._machine.state

    @property
    def statistics(self) -> Statistics:
        """What was counted."""
        return self._statistics

    @property
    def cycle_phase(self) -> str:
        """What the grasp cycle does right now."""
        return "" if self._runner is None else self._runner.cycle.phase

    def submit(self, command: Command, by: str) -> None:
        """Ask for a PackML command from within this process, by name."""
        self._inbox.append((command, by))

    def acknowledge(self, by: str) -> None:
        """Acknowledge the present fault from within this process, by name."""
        self._desk.acknowledge(by)

    def request_end(self) -> None:
        """Ask for an orderly end: stop, tell the line, return from `run`."""
        if self._end_requested_ns is None:
            self._end_requested_ns = self._clock.now_ns()
            if self._machine.state not in _AT_REST:
                self.submit(Command.STOP, _HOST)

    async def run(self) -> None:
        """Run until an end is requested, a task fails, or cancellation.

        However it ends, the last order to the servo process is to hold.
        """
        station = self._station
        try:
            async with asyncio.TaskGroup() as tasks:
                links = [
                    tasks.create_task(self._exchange.run(), name="plc-exchange"),
                    tasks.create_task(station.gripper.run(), name="gripper"),
                    tasks.create_task(station.desk.run(), name="proposals"),
                    tasks.create_task(station.guardian.run(), name="guardian"),
                ]
                self._runner = ActivityRunner(tasks, station, self._find_unmet)
                await self._decide_until_end(links)
                self._runner.cancel()
                for link in links:
                    link.cancel()
        finally:
            station.motion.hold()
            self._publisher.publish(self.cycle_phase, self._find_unmet())

    async def _decide_until_end(self, links: Sequence[asyncio.Task[None]]) -> None:
        due_ns = self._turned_ns = self._clock.now_ns()
        while not self._may_end():
            check_tasks(links, self._peers.record)
            vanished = self._runner.find_vanished() if self._runner else ""
            if vanished:
                raise_ended(vanished, self._peers.record)
            self._turn()
            self._period_s = self._compute_period_s()
            # A turn that came late is not made up for: stamps count, not turns.
            due_ns = max(due_ns + ns_from_s(self._period_s), self._clock.now_ns())
            await self._clock.sleep_until_ns(due_ns)

    def _compute_period_s(self) -> float:
        """Return the time until the next turn [s]."""
        period_s = self._layout.timing.command_period_s
        if self._machine.state in _WAITING and not self._is_moving():
            return max(period_s, _WAITING_PERIOD_S)
        return period_s

    def _turn(self) -> None:
        """Look, decide, act once, and show that it was done."""
        now_ns = self._clock.now_ns()
        gap_s = s_from_ns(now_ns - self._turned_ns)
        self._publisher.longest_gap_s = max(self._publisher.longest_gap_s, gap_s)
        has_stalled = gap_s > _STALL_S
        if has_stalled:
            # What was wanted before the gap must not go on with the next stamp.
            self._station.motion.brake()
        is_quiet = self._is_line_quiet(gap_s)
        self._station.motion.refresh()
        self._station.guardian.look()
        picture = self._watch.read(has_stalled=has_stalled)
        self._findings = find_causes(picture)
        self._unmet = self._compute_unmet(picture)
        self._follow_line()
        situation = self._make_situation(now_ns)
        decision = self._desk.vet(decide(situation), self._asked_by, now_ns)
        if situation.command is not None and not _has_answered(decision):
            # Something more urgent came first; the command is not lost by it.
            self._inbox.appendleft((situation.command, self._asked_by))
        self._apply(decision, now_ns)
        self._desk.check()
        self._station.motion.vouch(may_move=not is_quiet)
        self._progress += 1
        self._peers.beat()
        self._count_time(now_ns)
        self._publisher.publish_when_due(self.cycle_phase, self._find_unmet())

    def _is_line_quiet(self, gap_s: float) -> bool:
        """Say whether the line is late, and not we ourselves."""
        is_late = gap_s > _LATE_TURNS * self._period_s
        self._late_turns = self._late_turns + 1 if is_late else 0
        # After a gap of our own, answers that are here may not have been read yet; a
        # second late turn in a row has had the time for that.
        return self._exchange.is_quiet() and self._late_turns != 1

    def _follow_line(self) -> None:
        """Take over what the line sets without a command."""
        line = self._exchange.read_inputs()
        ratio = 1.0 if line is None else line.speed_limit_ratio
        is_slow = self._machine.mode is Mode.MAINTENANCE
        self._station.motion.speed_limit_ratio = ratio * (
            _MAINTENANCE_RATIO if is_slow else 1.0
        )
        person = self._exchange.take_acknowledgement()
        if person is not None:
            self._desk.acknowledge(person)
        mode = self._exchange.take_mode()
        if mode is not None and mode is not self._machine.mode:
            is_done = self._machine.change_mode(mode)
            self._events.add("mode", {"wanted": mode.name, "granted": is_done})

    def _make_situation(self, now_ns: int) -> Situation:
        machine, gate = self._machine, self._station.gate
        findings = self._findings
        if findings:
            self._quiet_since_ns = now_ns
        is_moving = self._is_moving()
        activity = self._runner.current if self._runner is not None else None
        failure = self._watch.explain(activity.failure if activity else None)
        self._desk.follow(
            findings,
            failure,
            find_degrading(self._watch.alarms, gate.obstacle),
            now_ns,
            is_moving=is_moving,
        )
        return Situation(
            state=machine.state,
            mode=machine.mode,
            is_moving=is_moving,
            findings=findings,
            struck=machine.struck,
            ended=activity is not None and activity.has_ended,
            failure=failure,
            is_at_gate=gate.is_waiting,
            obstacle=gate.obstacle,
            reason=machine.reason.cause if machine.reason else None,
            is_commanded=Cause.COMMANDED in machine.latched,
            may_return=self._desk.may_return(now_ns),
            quiet_s=s_from_ns(now_ns - self._quiet_since_ns),
            needs_acknowledgement=self._desk.needs_acknowledgement(),
            unmet=tuple(entry.what for entry in self._find_unmet()),
            command=self._take_command(),
        )

    def _take_command(self) -> Command | None:
        if self._inbox:
            command, self._asked_by = self._inbox.popleft()
            return command
        self._asked_by = self._exchange.name_source()
        asked = self._exchange.take_command()
        # Whoever is about to leave begins nothing new.
        is_leaving = self._end_requested_ns is not None
        return None if is_leaving and asked not in _ENDING else asked

    def _apply(self, decision: Decision, now_ns: int) -> None:
        if decision.refusal:
            self._events.add_change("command_refused", decision.refusal)
        if decision.joins is not None and decision.accepted is not None:
            self._machine.latch(decision.joins)
            self._exchange.acknowledge(decision.accepted)
            self._events.add("also", {"cause": decision.joins.value})
        if decision.waits_for is not None:
            self._desk.wait_for(decision.waits_for, now_ns)
        if decision.trigger is None:
            return
        before = self._machine.state
        reason = make_reason(decision.finding, now_ns)
        if not self._machine.apply(decision.trigger, now_ns, reason):
            return
        if decision.accepted is not None:
            self._exchange.acknowledge(decision.accepted)
        if decision.finding is not None and decision.trigger is not None:
            self._note_stop(decision.finding)
        self._enter(before, decision)

    def _enter(self, before: State, decision: Decision) -> None:
        state = self._machine.state
        gate = self._station.gate
        gate.may_run = state in (State.EXECUTE, State.COMPLETING)
        gate.is_finishing = state is State.COMPLETING
        if state in _STOPPING:
            self._halt(decision.finding)
            if decision.finding is not None:
                self._station.guardian.note_stop(
                    decision.finding.cause, self._station.desk.take_ready
                )
        if self._runner is not None:
            self._runner.enter(state)
        reason = self._machine.reason
        fields: dict[str, object] = {"from": before.name, "to": state.name}
        if reason is not None:
            fields["reason"] = reason.describe()
        self._events.add("state", fields)
        # A restart must find the state that this life was in, not the one before.
        self._publisher.publish(self.cycle_phase, self._find_unmet())

    def _halt(self, finding: Finding | None) -> None:
        keeps_power = StopCategory.CONTROLLED_KEEP_POWER
        facts = None if finding is None else FACTS[finding.cause]
        if facts is not None and facts.stop is not keeps_power:
            self._station.motion.stop()
        elif facts is not None and facts.is_live:
            self._station.motion.brake()
        else:
            self._station.motion.hold()

    def _note_stop(self, finding: Finding) -> None:
        if self._machine.state in STOP_FAMILY and finding.cause is not Cause.COMMANDED:
            needs_help = is_assist(finding.cause)
            self._statistics.note_stop(finding.cause, is_assist=needs_help)

    def _may_end(self) -> bool:
        """Say whether an end was asked for and the line knows that we stopped."""
        if self._end_requested_ns is None:
            return False
        now_ns = self._clock.now_ns()
        if self._machine.state in _AT_REST and self._rested_ns is None:
            self._rested_ns = now_ns
        is_told = self._rested_ns is not None and (
            now_ns - self._rested_ns > ns_from_s(_FAREWELL_S)
        )
        return is_told or now_ns - self._end_requested_ns > ns_from_s(_END_PATIENCE_S)

    def _find_unmet(self) -> tuple[Unmet, ...]:
        return self._unmet

    def _compute_unmet(self, picture: Conditions) -> tuple[Unmet, ...]:
        return compute_unmet(
            find_missing(picture) if picture.is_making_ready else self._findings,
            None if picture.servo is None else picture.servo.phase,
            self._machine.state,
            is_making_ready=picture.is_making_ready,
        )

    def _count_time(self, now_ns: int) -> None:
        # Not by the time so far, which an earlier life has counted.
        self._has_executed |= self._machine.state is State.EXECUTE
        if self._has_executed:
            self._statistics.observed_s += s_from_ns(now_ns - self._turned_ns)
        self._turned_ns = now_ns

    def _is_moving(self) -> bool:
        return self._station.motion.is_moving()

    def _make_outputs(self) -> PlcOutputs:
        return self._publisher.make_outputs(self._progress, self._find_unmet())


def _has_answered(decision: Decision) -> bool:
    return decision.accepted is not None or bool(decision.refusal)
