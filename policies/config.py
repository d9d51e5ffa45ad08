"""The section of `config.yaml` that says which model picks, and within what bounds."""

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
    deadline_s: Annotated[float, Field(gt=0.0, le=10.0)] = 1.0
    minimum_score: Annotated[float, Field(ge=0.0, le=1.0)] = 0.3
    compensation_confidence: Annotated[float, Field(gt=0.0, le=1.0)] = 0.8
    """How sure of itself must be what makes up for a lost modality."""
