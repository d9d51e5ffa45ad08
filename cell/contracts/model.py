"""Base of every configuration model."""

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    """A frozen section: unknown keys, NaN and infinity are refused."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", allow_inf_nan=False, strict=False
    )
