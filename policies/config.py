"""The sections of `config.yaml` that say which model picks, and what watches it."""

from typing import Annotated, Final, Literal

from pydantic import Field

from cell.contracts.model import Section

SCRIPTED: Final = "scripted"
"""The policy that needs no model."""

KNOWN_POLICIES: Final = ("heightmap", SCRIPTED)
"""The policies that Cellward ships; models of other names may lie beside them."""

PolicyName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]{0,63}$")]


class PolicyConfig(Section):
    """Live policy, its fallback, and the bounds on their answers.

    The fallback is the policy that can never lack a model.

    `directory` is relative to the checkout unless it is absolute.
    """

    live: PolicyName
    fallback: Literal["scripted"] = SCRIPTED
    directory: Annotated[str, Field(min_length=1)] = "policies/models"
    deadline_s: Annotated[float, Field(ge=0.2, le=2.0)] = 1.0
    """For one answer [s]. Twice this ends the worker, before its host's patience of 5 s
    does."""
    minimum_score: Annotated[float, Field(ge=0.05, le=0.9)] = 0.3
    """Below it the policy abstains; near 0 it never would, near 1 it always would."""
    compensation_confidence: Annotated[float, Field(ge=0.5, le=1.0)] = 0.8
    """How sure of itself must be what makes up for a lost modality."""
    recheck_s: Annotated[float, Field(ge=1.0, le=3600.0)] = 3600.0
    """From one look at the running model's files to the next [s]; a file that is not
    the one any more that was loaded makes the fallback pick."""


class GuardianConfig(Section):
    """The network that watches the learned policy, and the way back from the fallback.

    Attributes:
        model: its folder below `policy.directory`.
        deadline_s: for one answer; a later one counts as silence [s].
        uses_features: whether how grasps feel decides as well as how they end; only for
            a model that was calibrated on attempts of this very cell.
        trusts_new_model: whether a learned model that this cell has not yet picked with
            may act at once; otherwise it has to show its worth in shadow first.
        return_attempts_min: attempts in shadow that a return takes at least.
        return_agreement_min: share of the looks in shadow in which the learned policy
            must have proposed what the fallback then did.
        falls_max: withdrawals since a person last agreed after which only a person's
            release leads on; fewer than the built-in three, if any.
        needs_release: whether a named person must agree to each return.
    """

    model: PolicyName = "guardian"
    deadline_s: Annotated[float, Field(ge=0.001, le=5.0)] = 1.0
    uses_features: bool = False
    trusts_new_model: bool = True
    return_attempts_min: Annotated[int, Field(ge=20, le=10_000)] = 50
    return_agreement_min: Annotated[float, Field(ge=0.05, le=1.0)] = 0.1
    falls_max: Annotated[int, Field(ge=1, le=3)] = 3
    needs_release: bool = False
