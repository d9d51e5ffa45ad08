"""Decides whether a policy may answer although a modality it needs is lost.

A compensation may make up for the lost one; its answer counts only at or above the
configured confidence. Below it, or without any compensation, the policy does not
answer, and whoever asked turns to the fallback policy, which never gets anything made
up. A fallback that cannot see either says so: that is no empty bin.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from cell.contracts.observation import Abstain, Modality, Observation
from cell.contracts.runtime import ModalityCompensation


@dataclass(frozen=True, eq=False)
class ModalityGate:
    """Lets observations through that hold what a policy needs.

    Attributes:
        compensation: makes up for what is lost; None where there is none.
        minimum_confidence: least confidence with which it may, 0..1.
    """

    compensation: ModalityCompensation | None = None
    minimum_confidence: float = 1.0

    def admit(
        self, observation: Observation, needs: frozenset[Modality], model: str
    ) -> Observation | Abstain:
        """Return what the policy may look at, or why it may not answer.

        Args:
            observation: as it was seen.
            needs: the modalities without which the policy is blind.
            model: name of the policy for the record.
        """
        missing = find_missing(observation, needs)
        if not missing:
            return observation
        reason = describe_missing(missing, observation.flaws)
        if self.compensation is None:
            return Abstain(observation.stamp_ns, reason, model, is_blind=True)
        made = self.compensation.compensate(observation, missing)
        if made is None:
            reason = f"{reason}, and nothing makes up for it"
        elif not self.minimum_confidence <= made.confidence <= 1.0:
            reason = (
                f"{reason}, and what makes up for it is sure to {made.confidence:.2f}"
                f" only, not to {self.minimum_confidence:.2f}"
            )
        elif find_missing(made.observation, needs):
            reason = f"{reason}, and what makes up for it leaves something out"
        else:
            return made.observation
        return Abstain(observation.stamp_ns, reason, model, is_blind=True)


def find_missing(
    observation: Observation, needs: frozenset[Modality]
) -> frozenset[Modality]:
    """Return what a policy needs and may not use; an absent key means it may not."""
    return frozenset(m for m in needs if observation.valid.get(m) is not True)


def describe_missing(
    missing: frozenset[Modality], flaws: Mapping[Modality, str]
) -> str:
    """Return one phrase for a person."""
    return "; ".join(
        f"no {modality.value}: {flaws.get(modality, 'there is none')}"
        for modality in sorted(missing)
    )
