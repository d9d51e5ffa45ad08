"""Between the state machine and the reaction ladder.

Each turn the ladder is told what acts and what is there; each transition into a state
in which the arm moves for production passes it. The decisions propose, the ladder has
the last word: it can keep the cell at rest, and never starts anything.
"""

from collections.abc import Iterable
from typing import Any, Final

from cell.contracts.ladder import LadderState, ReactionLadder, Rung
from cell.supervisor.cause_table import FACTS
from cell.supervisor.causes import Cause
from cell.supervisor.decision import Decision, Finding, make_reason
from cell.supervisor.event_tail import EventTail
from cell.supervisor.machine import LATCHING, Machine
from cell.supervisor.reactions import compute_reaction
from cell.supervisor.rungs import ALARM_IDS, compute_rung
from cell.supervisor.states import SC, Command, State, next_state
from cell.supervisor.statistics import Statistics

MOTION_STATES: Final = frozenset(
    {
        State.STARTING,
        State.EXECUTE,
        State.UNHOLDING,
        State.UNSUSPENDING,
        State.COMPLETING,
    }
)
"""States in which the arm moves for production."""

_RELEASES: Final = frozenset(
    {
        Command.CLEAR,
        Command.RESET,
        Command.START,
        Command.UNHOLD,
        Command.UNSUSPEND,
        Command.COMPLETE,
    }
)
"""Commands that lead on; Hold, Suspend, Stop and Abort only ever end motion."""

_STOPS: Final = frozenset({Command.SUSPEND, Command.HOLD, Command.ABORT})


class LadderBreachError(RuntimeError):
    """The cell is in a state that the ladder forbids: a defect, so the process ends."""


class ReactionDesk:
    """Keeps the ladder's state for one life of the supervisor.

    Attributes:
        state: what the ladder remembers.
    """

    def __init__(
        self,
        ladder: ReactionLadder,
        machine: Machine,
        events: EventTail,
        statistics: Statistics,
    ) -> None:
        self.state = LadderState()
        self._ladder = ladder
        self._machine = machine
        self._events = events
        self._statistics = statistics

    def follow(
        self,
        findings: tuple[Finding, ...],
        failure: Finding | None,
        degrading: frozenset[Cause],
        now_ns: int,
        *,
        is_moving: bool,
    ) -> None:
        """Take one turn's sight of the causes into account.

        Args:
            findings: causes that are present.
            failure: what ended the activity of this state, None when nothing did.
            degrading: what work goes on with, from `find_degrading`.
            now_ns: monotonic clock [ns].
            is_moving: the arm moves or may move at any moment.
        """
        live = {f.cause: f.detail for f in findings if FACTS[f.cause].is_live}
        latches = {f.cause: f.latch_id for f in findings if f.latch_id is not None}
        for cause in self._machine.follow(frozenset(live), latches):
            fields: dict[str, object] = {"cause": cause.value}
            self._events.add("also", fields | {"detail": live[cause]})
        acting = set(live) if failure is None else {*live, failure.cause}
        struck = find_struck(self._machine.state, acting, is_moving=is_moving)
        # Puts a cell at rest on its rung as well; see `decide`.
        struck |= self._machine.struck & set(latches)
        present = frozenset(finding.cause.value for finding in findings)
        self._look(struck | degrading, present, now_ns, is_moving=is_moving)

    def strike(self, cause: Cause, now_ns: int) -> None:
        """Put a cause on its rung that was found before the first turn."""
        self._look(frozenset({cause}), frozenset(), now_ns, is_moving=False)

    def wait_for(self, finding: Finding, now_ns: int) -> None:
        """Say that the suspended cell waits for something else than before."""
        reason = make_reason(finding, now_ns)
        if reason is not None:
            self._machine.wait_for(reason)
            self._events.add("waits_for", {"cause": finding.cause.value})

    def acknowledge(self, by: str) -> None:
        """Note who acknowledged; it counts for a fault the arm has come to rest for."""
        why = self._find_against_acknowledgement(by)
        if why:
            self._events.add("acknowledge_refused", {"why": why})
            return
        self._machine.acknowledge()
        self._take(self._ladder.acknowledge(self.state, by))
        self._events.add("acknowledged", {"by": by.strip()})

    def needs_acknowledgement(self) -> bool:
        """Say whether Clear has to wait for a person."""
        is_fault = self._machine.needs_acknowledgement()
        return is_fault or self.state.needs_acknowledgement

    def may_return(self, now_ns: int) -> bool:
        """Say whether the present hold may end by itself; wears out."""
        machine = self._machine
        if machine.state is not State.HELD or not machine.may_return():
            return False
        if self.state.rung > Rung.HOLD:
            self._call_person()
            return False
        is_over = self._ladder.resume(self.state, now_ns) is not self.state
        return is_over or self.state.permits_motion

    def vet(self, decision: Decision, by: str, now_ns: int) -> Decision:
        """Return the decision, or one that stays where the ladder forbids motion.

        Args:
            decision: what would be done.
            by: who gave the command that it grants.
            now_ns: monotonic clock [ns].
        """
        trigger, machine = decision.trigger, self._machine
        if trigger is None or trigger is SC:
            return decision
        after = self.state
        if decision.accepted in _RELEASES:
            after = self._ladder.release(after, by)
        elif trigger is Command.UNHOLD:
            after = self._ladder.resume(after, now_ns)
        leads_to_motion = next_state(machine.state, trigger, machine.mode) in (
            MOTION_STATES
        )
        if leads_to_motion and not after.permits_motion:
            return self._refuse(decision)
        self._take(after)
        return decision

    def check(self) -> None:
        """End the process where the cell moves against the ladder.

        Raises:
            LadderBreachError: that is so, or was so before.
        """
        if self._machine.state in MOTION_STATES and not self.state.permits_motion:
            why = f"{self._machine.state.name} although {self._name_standing()}"
            self._take(self._ladder.terminate(self.state, why))
        if self.state.rung is Rung.TERMINATE:
            raise LadderBreachError(self.state.end_reason)

    def describe(self) -> dict[str, Any]:
        """Return the rung and what stands on it, for the status."""
        causes = [
            Cause(t.cause) for t in self.state.traces if t.is_seen or t.is_standing
        ]
        return {
            "rung": int(self.state.rung),
            "rung_name": self.state.rung.name,
            "causes": [cause.value for cause in causes],
            "alarm_ids": sorted(ALARM_IDS[cause] for cause in causes),
            "acknowledged_by": self.state.acknowledged_by,
        }

    def _find_against_acknowledgement(self, by: str) -> str:
        """Return why an acknowledgement counts for nothing, empty where it counts."""
        machine = self._machine
        if not by.strip():
            return "it names nobody: person_id is 0 at the line"
        if machine.state is State.ABORTING:
            return "the arm has not come to rest yet"
        if machine.state is not State.ABORTED:
            return (
                f"only an aborted cell wants one, and this one is {machine.state.name}"
            )
        is_known = machine.has_fault() or self.state.needs_acknowledgement
        return "" if is_known else "there is no fault"

    def _look(
        self,
        struck: frozenset[Cause],
        present: frozenset[str],
        now_ns: int,
        *,
        is_moving: bool,
    ) -> None:
        names = frozenset(cause.value for cause in struck)
        self._take(
            self._ladder.observe(
                self.state, names, present, now_ns, is_moving=is_moving
            )
        )

    def _refuse(self, decision: Decision) -> Decision:
        if decision.accepted is None:
            return Decision()
        why = f"the arm may not move: {self._name_standing()}"
        return Decision(refusal=why)

    def _call_person(self) -> None:
        if self._machine.latch(Cause.RETURNED_TOO_OFTEN):
            fields: dict[str, object] = {"cause": Cause.RETURNED_TOO_OFTEN.value}
            self._events.add("needs_person", fields | {"why": self._name_standing()})
            self._statistics.manual_assists += 1

    def _name_standing(self) -> str:
        standing = (Cause(t.cause) for t in self.state.traces if t.is_standing)
        return "; ".join(FACTS[cause].text for cause in standing)

    def _take(self, after: LadderState) -> None:
        """Keep a new state; record a change of what keeps the cell at rest."""
        before, self.state = self.state, after
        is_worth_it = not (before.permits_motion and after.permits_motion)
        if after.rung is not before.rung and is_worth_it:
            fields: dict[str, object] = {"from": before.rung.name}
            alarms = self.describe()["alarm_ids"]
            self._events.add("rung", fields | {"to": after.rung.name, "alarms": alarms})


def find_struck(
    state: State, acting: Iterable[Cause], *, is_moving: bool
) -> frozenset[Cause]:
    """Return which causes stop a state, or join the stop that it is part of."""
    return frozenset(
        cause
        for cause in acting
        if state in LATCHING
        or compute_reaction(cause, state, is_moving=is_moving) in _STOPS
    )


def find_degrading(
    alarms: Iterable[Finding], obstacle: Cause | None
) -> frozenset[Cause]:
    """Return what the cell works on with: alarms, and what it waits for at a gate."""
    causes = {alarm.cause for alarm in alarms}
    causes |= set() if obstacle is None else {obstacle}
    return frozenset(
        cause
        for cause in causes
        if compute_rung(cause, FACTS[cause].moving) <= Rung.DEGRADE
    )
