"""The section of `config.yaml` that describes the virtual cell.

It lives here and not with the virtual cell, for the product may not import that.
"""

from typing import Annotated, Final, Self

from pydantic import Field, model_validator

from cell.contracts.model import Section

MAX_PARTS: Final = 24
"""Slots for parts in the world."""


class VirtualCellConfig(Section):
    """Whether the virtual cell runs, and what lies in its bin."""

    enabled: bool
    seed: Annotated[int, Field(ge=0, le=2**32 - 1)] = 0
    parts_in_bin: Annotated[int, Field(ge=1, le=MAX_PARTS)] = 12
    refill_below: Annotated[int, Field(ge=0, le=MAX_PARTS)] = 4
    autostart: bool = True

    @model_validator(mode="after")
    def _refill_starts_below_full(self) -> Self:
        if self.refill_below >= self.parts_in_bin:
            raise ValueError("refill_below must be smaller than parts_in_bin")
        return self
