"""The Guardian as the cell holds it: the state machine with its state in one place.

Pure as the machine itself: time is an argument, and nothing here moves anything.
"""

from cell.contracts.attempt import AttemptJudgement, AttemptResult
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

    def begin(self, *, was_trusted: bool) -> None:
        """Start once; `was_trusted` is what the record of the life before says."""
        self.state = guardian.begin(self._rules, self.state, was_trusted=was_trusted)

    def permits_learned(self, now_ns: int) -> bool:
        """Say whether the learned policy may act; False means the scripted fallback."""
        self.state = guardian.look(self._rules, self.state, now_ns)
        return self.state.trust is Trust.TRUSTED

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

    def _withdraw(self, doubt: Doubt) -> None:
        self.state = guardian.withdraw(self._rules, self.state, doubt)
