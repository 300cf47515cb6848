"""The kinds of values that a manifest holds, each with its range."""

import json
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

LONGEST = 1_000  # letters of a name
MOST_LETTERS = 1_000_000  # of all class names: a prediction set may hold them all, for each photo

Count = Annotated[int, Field(ge=0, le=10**12, strict=True)]
Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False, strict=True)]
Number = Annotated[float, Field(allow_inf_nan=False, strict=True)]
Text = Annotated[str, Field(max_length=LONGEST)]
Interval = tuple[Number, Number]


def check_letters(names: list[str]) -> list[str]:
    """See that names are short, and short together, as JSON writes them. Raises ValueError."""
    if longest := next((name for name in names if len(name) > LONGEST), ""):
        raise ValueError(
            f"{longest[:20]!r}... of {len(longest):,} letters; the limit is {LONGEST:,}"
        )
    if sum(len(json.dumps(name)) - 2 for name in names) > MOST_LETTERS:
        raise ValueError(f"more than {MOST_LETTERS:,} letters together, as JSON writes them")
    return names


ClassNames = Annotated[list[Text], Field(max_length=1_000_000), AfterValidator(check_letters)]


class Strict(BaseModel):
    """A part of a manifest: never changed, and without fields that nobody reads."""

    model_config = ConfigDict(frozen=True, extra="forbid")
