"""What the Guardian shows of itself, and what it keeps for its next life."""

from dataclasses import dataclass


@dataclass(frozen=True)
class GuardianMemory:
    """What outlives a restart. Only what restricts is kept; evidence is not.

    Attributes:
        was_trusted: the learned policy was allowed to act.
        doubt: why it was withdrawn, in words; empty while it is trusted.
        trials: refusals in shadow since the last return or release.
        falls: withdrawals since a person last agreed.
        is_locked: only a person opens another trial.
        sums_nat: where the charts of the test stood, one for each [nat].
    """

    was_trusted: bool
    doubt: str = ""
    trials: int = 0
    falls: int = 0
    is_locked: bool = False
    sums_nat: tuple[float, ...] = ()


@dataclass(frozen=True)
class GuardianView:
    """Where the Guardian stands, for status and record.

    Attributes:
        trust: what the learned policy may do, in a word or two.
        doubt: why it was withdrawn, empty while it is trusted.
        shadow_attempts: attempts that count for its return so far.
        shadow_needed: how many it takes at least.
        awaits_release: nothing but a named person's release leads on.
        released_by: who agreed last, empty when nobody ever did.
        falls: withdrawals since a person last agreed.
        falls_max: at so many of them only a person leads on.
    """

    trust: str
    doubt: str
    shadow_attempts: int
    shadow_needed: int
    awaits_release: bool
    released_by: str
    falls: int
    falls_max: int
