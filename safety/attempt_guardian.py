"""The Guardian as the cell holds it: the state machine with its state in one place.

Pure as the machine itself: time is an argument, and nothing here moves anything.
"""

from cell.contracts.attempt import AttemptJudgement, AttemptResult
from cell.contracts.guardian import GuardianMemory, GuardianView
from safety import guardian
from safety.guardian import Doubt, GuardianRules, GuardianState, Trust


class AttemptGuardian:
    """Implements `cell.contracts.runtime.Guardian` over the state machine.

    Attributes:
        state: for status and record.
        released_by: who agreed last, empty when nobody ever did.
    """

    def __init__(self, rules: GuardianRules) -> None:
        """Begin with the learned policy withdrawn, until `begin`."""
        self.state = GuardianState()
        self.released_by = ""
        self._rules = rules
        self._earlier_doubt = ""

    def begin(self, memory: GuardianMemory) -> None:
        """Start once, with what the life before left."""
        if self.state.doubt is Doubt.NOT_STARTED:
            self._earlier_doubt = memory.doubt
        self.state = guardian.begin(self._rules, self.state, memory)

    def forget(self) -> None:
        """Trust nothing until the next `begin`: another learned model runs now."""
        self.state = GuardianState(last_attempt=self.state.last_attempt)
        self.released_by = ""

    def permits_learned(self, now_ns: int) -> bool:
        """Say whether the learned policy may act; False means the scripted fallback."""
        self.state = guardian.look(self._rules, self.state, now_ns)
        return self.state.trust is Trust.TRUSTED

    def view(self) -> GuardianView:
        """Return where it stands."""
        state = self.state
        return GuardianView(
            trust=state.trust.value,
            doubt=self._describe_doubt(),
            shadow_attempts=state.comeback.attempts,
            shadow_needed=self._rules.comeback.attempts_min,
            awaits_release=state.is_locked or state.trust is Trust.MAY_RETURN,
            released_by=self.released_by,
            falls=state.falls,
            falls_max=self._rules.falls_max,
        )

    def remember(self) -> GuardianMemory | None:
        """Return what its next life has to know, None before it has begun."""
        state = self.state
        if state.doubt is Doubt.NOT_STARTED:
            return None
        return GuardianMemory(
            was_trusted=state.trust is Trust.TRUSTED,
            doubt=self._describe_doubt(),
            trials=state.trials,
            falls=state.falls,
            is_locked=state.is_locked,
            sums_nat=state.fall.sums_nat,
        )

    def expect_judgement(self, attempt: int, now_ns: int) -> None:
        """Say that an attempt has ended and that the network was asked about it."""
        if attempt <= self.state.last_attempt:
            self._withdraw(Doubt.OUT_OF_ORDER)
        else:
            self.state = guardian.expect(self._rules, self.state, now_ns)

    def note_attempt(
        self, judgement: AttemptJudgement, result: AttemptResult, now_ns: int
    ) -> None:
        """Take one attempt into account: executed, or agreed with while in shadow."""
        self.state = guardian.take(self._rules, self.state, judgement, result, now_ns)

    def note_disagreement(self) -> None:
        """Say that in shadow the learned policy proposed something else, or nothing."""
        self.state = guardian.disagree(self.state)

    def note_network_lost(self) -> None:
        """Say that the network is gone or failed to answer."""
        self._withdraw(Doubt.NETWORK_LOST)

    def release(self, person: str, now_ns: int) -> bool:
        """Let a named person agree; False when there was nothing to agree to.

        It shortens no evidence.
        """
        before = guardian.look(self._rules, self.state, now_ns)
        self.state = guardian.release(self._rules, before, person, now_ns)
        is_agreed = before.is_locked or self.state.trust is Trust.TRUSTED
        if self.state == before or not is_agreed:
            return False
        self.released_by = person.strip()
        return True

    def _describe_doubt(self) -> str:
        """Return why it was withdrawn; across restarts the first story stays."""
        doubt = self.state.doubt
        is_old = self._earlier_doubt and doubt is Doubt.DISTRUSTED_BEFORE
        return self._earlier_doubt if is_old else doubt.value

    def _withdraw(self, doubt: Doubt) -> None:
        self.state = guardian.withdraw(self._rules, self.state, doubt)
