"""The kinds of values that a manifest holds, each with its range."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Count = Annotated[int, Field(ge=0, le=10**12, strict=True)]
Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False, strict=True)]
Number = Annotated[float, Field(allow_inf_nan=False, strict=True)]
Text = Annotated[str, Field(max_length=1000)]
Interval = tuple[Number, Number]


class Strict(BaseModel):
    """A part of a manifest: never changed, and without fields that nobody reads."""

    model_config = ConfigDict(frozen=True, extra="forbid")
