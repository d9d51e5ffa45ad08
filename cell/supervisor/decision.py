"""What the state machine is told next, as one pure function of the situation.

Every transition of the running cell comes from here, so a search over situations can
show what the cell will never do by itself.
"""

from dataclasses import dataclass

from cell.supervisor.cause_table import FACTS
from cell.supervisor.causes import Cause, Clears
from cell.supervisor.machine import Reason
from cell.supervisor.reactions import compute_reaction, needs_person
from cell.supervisor.states import SC, Command, Mode, State, Trigger, next_state

RETURN_AFTER_S = 1.0
"""How long a self-clearing cause must be gone before production goes on."""


_STANDING = {
    Command.HOLD: (State.HOLDING, State.HELD),
    Command.SUSPEND: (State.SUSPENDING, State.SUSPENDED),
}
"""Stops that a command may find in place and still has to be remembered for."""


@dataclass(frozen=True)
class Finding:
    """A cause and what exactly it is this time.

    Attributes:
        cause: which.
        detail: what exactly, in words.
        latch_id: of a latch that nobody can explain, so that a person has to look
            even where nothing was in work; each one has a number of its own.
    """

    cause: Cause
    detail: str = ""
    latch_id: int | None = None


@dataclass(frozen=True)
class Situation:
    """Everything that decides about the next transition.

    Attributes:
        state: present state.
        mode: present mode.
        is_moving: the arm moves or may move at any moment.
        findings: causes that are present right now, the worst kind first.
        struck: those that are new in this picture, or a new latch.
        ended: the activity of this state is over.
        failure: what ended it, None when it ran through.
        is_at_gate: the cycle stands at a gate.
        obstacle: what it waits for there, None while that lasts a moment only.
        reason: cause of the present stop.
        is_commanded: somebody commanded the present stop, whatever else caused it.
        may_return: all causes of the stop end it by going away, and the budget for
            such returns is not used up.
        quiet_s: for how long no cause has been present [s].
        needs_acknowledgement: a person has to acknowledge before Clear.
        unmet: why the cell may not start.
        command: request from outside.
    """

    state: State
    mode: Mode
    is_moving: bool = False
    findings: tuple[Finding, ...] = ()
    struck: frozenset[Cause] = frozenset()
    ended: bool = False
    failure: Finding | None = None
    is_at_gate: bool = False
    obstacle: Cause | None = None
    reason: Cause | None = None
    is_commanded: bool = False
    may_return: bool = False
    quiet_s: float = 0.0
    needs_acknowledgement: bool = False
    unmet: tuple[str, ...] = ()
    command: Command | None = None


@dataclass(frozen=True)
class Decision:
    """What to apply, and what to answer.

    Attributes:
        trigger: for the machine, None when the state stays.
        finding: why, for stops.
        accepted: the command from outside that this grants.
        refusal: why the command from outside is not granted.
        joins: a cause that joins those of the present stop, so that it does not end
            by itself.
        waits_for: what the present stop waits for from now on.
    """

    trigger: Trigger | None = None
    finding: Finding | None = None
    accepted: Command | None = None
    refusal: str = ""
    joins: Cause | None = None
    waits_for: Finding | None = None


def decide(situation: Situation) -> Decision:
    """Return the next trigger: aborts, then stops and holds, then the rest."""
    own = _react_to_causes(situation)
    command = situation.command
    if own is not None and own.trigger is Command.ABORT:
        return own
    if command in (Command.ABORT, Command.STOP):
        granted = _answer(situation, command)
        if granted.trigger is not None:
            return granted
    if own is not None:
        return own
    if command is not None:
        return _answer(situation, command)
    return _proceed(situation)


def check_command(situation: Situation, command: Command) -> str:
    """Return why a command is not granted now, empty when it is."""
    if next_state(situation.state, command, situation.mode) is None:
        return (
            f"{command.name} is not possible in {situation.state.name}"
            f" ({situation.mode.name})"
        )
    if command is Command.CLEAR and situation.needs_acknowledgement:
        return "the fault has not been acknowledged"
    blocking = _find_blocking(situation, command)
    if blocking is not None:
        return FACTS[blocking].text
    if command is Command.START and situation.unmet:
        return "; ".join(situation.unmet)
    return ""


def _find_blocking(situation: Situation, command: Command) -> Cause | None:
    """Return a present cause that would undo the command at once."""
    if command not in (Command.CLEAR, Command.RESET, Command.UNHOLD):
        return None
    for finding in situation.findings:
        facts = FACTS[finding.cause]
        if facts.in_stopped or (command is Command.UNHOLD and not facts.disarms):
            return finding.cause
    return None


def _react_to_causes(situation: Situation) -> Decision | None:
    reactions = [(_react_to(situation, f), f) for f in _present(situation)]
    for wanted in (Command.ABORT, Command.STOP, Command.HOLD):
        for command, finding in reactions:
            is_wanted = command is wanted
            if is_wanted and next_state(situation.state, wanted, situation.mode):
                return Decision(trigger=wanted, finding=finding)
    if situation.ended and situation.failure is not None:
        return _give_up(situation, situation.failure)
    return None


def _react_to(situation: Situation, finding: Finding) -> Command | None:
    """Return what one finding asks for in this state.

    What nobody can explain aborts a cell that stops or stands as well: Reset and Start
    lead to motion, and the line may give both without anybody having looked. Each
    latch does so once, for it stays until a Reset arms the robot anew.
    """
    if finding.latch_id is not None and finding.cause in situation.struck:
        return Command.ABORT
    return compute_reaction(
        finding.cause, situation.state, is_moving=situation.is_moving
    )


def _present(situation: Situation) -> list[Finding]:
    live = [f for f in situation.findings if FACTS[f.cause].is_live]
    if situation.ended and situation.failure is not None:
        live.append(situation.failure)
    return live


def _give_up(situation: Situation, failure: Finding) -> Decision | None:
    """Leave a state whose activity failed and whose cause asks for nothing there."""
    if situation.state is not State.RESETTING:
        return None
    text = FACTS[failure.cause].text
    if failure.cause is Cause.RESET_FAILED:
        return Decision(trigger=Command.STOP, finding=failure)
    detail = f"{text} ({failure.detail})" if failure.detail else text
    finding = Finding(Cause.RESET_FAILED, detail)
    return Decision(trigger=Command.STOP, finding=finding)


def _answer(situation: Situation, command: Command) -> Decision:
    if situation.state in _STANDING.get(command, ()):
        # It stands already, perhaps for a cause that goes away by itself.
        return Decision(accepted=command, joins=Cause.COMMANDED)
    refusal = check_command(situation, command)
    if refusal:
        return Decision(refusal=refusal)
    finding = Finding(Cause.COMMANDED, f"{command.name.capitalize()} was commanded")
    return Decision(trigger=command, finding=finding, accepted=command)


def _proceed(situation: Situation) -> Decision:
    """Go on without anything from outside."""
    match situation.state:
        case State.EXECUTE if situation.obstacle is not None:
            finding = Finding(situation.obstacle)
            return Decision(trigger=Command.SUSPEND, finding=finding)
        case State.SUSPENDING:
            return Decision(trigger=SC if situation.is_at_gate else None)
        case State.SUSPENDED:
            return Decision(
                trigger=_leave_suspended(situation),
                waits_for=_find_other_obstacle(situation),
            )
        case State.UNSUSPENDING:
            return Decision(trigger=SC)
        case State.HELD:
            return Decision(trigger=_leave_held(situation))
        case State.EXECUTE:
            return Decision()
        case _:
            is_done = situation.ended and situation.failure is None
            is_acting = next_state(situation.state, SC, situation.mode) is not None
            return Decision(trigger=SC if is_done and is_acting else None)


def _leave_suspended(situation: Situation) -> Command | None:
    is_outside = situation.reason is not None and not needs_person(situation.reason)
    is_free = situation.obstacle is None and not situation.is_commanded
    may_go = is_outside and is_free
    return Command.UNSUSPEND if may_go else None


def _find_other_obstacle(situation: Situation) -> Finding | None:
    """Return what the line is waited for where that is not what it was any more.

    Who reads the first obstacle after that one is gone looks at the wrong thing. A stop
    that somebody commanded keeps that as its reason.
    """
    reason, obstacle = situation.reason, situation.obstacle
    is_other = obstacle is not None and obstacle is not reason
    is_outside = reason is not None and not needs_person(reason)
    return Finding(obstacle) if obstacle and is_other and is_outside else None


def _leave_held(situation: Situation) -> Command | None:
    is_quiet = not situation.findings and situation.quiet_s >= RETURN_AFTER_S
    may_go = situation.may_return and is_quiet and not situation.unmet
    return Command.UNHOLD if may_go else None


def make_reason(finding: Finding | None, now_ns: int) -> Reason | None:
    """Turn what a decision was based on into a reason."""
    if finding is None:
        return None
    return Reason(finding.cause, finding.detail, now_ns)


def is_assist(cause: Cause) -> bool:
    """Say whether a stop for this cause demands a person whom nobody called for."""
    return FACTS[cause].clears in (Clears.BY_UNHOLD, Clears.BY_CLEAR)
