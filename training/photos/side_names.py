"""Names that say a side: `train`, `Testing`, `valid_set`, `images-train`, `val2017`.

As in other libraries, `dev` is validation, and `eval` and `holdout` are test; `eval` is
validation where a test side stands beside it and no validation.
"""

import re
import unicodedata
from collections.abc import Iterable

SIDES = ("train", "validation", "test")
_WORDS = {
    "train": r"train(?:ing|val)?|trn",
    "validation": r"val(?:id(?:ation|ate|ating)?)?|dev(?:elopment)?",
    "test": r"test(?:ing)?|tst|holdout|heldout|eval(?:uation|uating)?",
}
_FILLER = (
    r"sets?|data|data?sets?|images?|imgs?|photos?|pictures?|pics?|splits?|folders?|dirs?|subset|"
    r"samples?|examples?|files?|side|classes|jpe?gs?|pngs?|my|the|new|final|full|all|\d{1,4}"
)
_PART = re.compile(
    rf"(?:{_FILLER})?(?:"
    + "|".join(f"(?P<{side}>{words})" for side, words in _WORDS.items())
    + rf")s?(?:{_FILLER})?(?:\d{{1,4}})?"
)
_ONLY_FILLER = re.compile(rf"(?:{_FILLER})+")
_EVAL = re.compile(r"eval", re.IGNORECASE)


def side_of(name: str) -> str | None:
    """The side that a name alone says; None: it says none, or more than a side."""
    side, rest = _parse(name)
    return None if rest else side


def sides_of(names: Iterable[str]) -> dict[str, str]:
    """Name -> side, for those of some names side by side that say one.

    Names that say more than a side, such as `seg_train` and `seg_test`, count where the rest is
    the same and one of them is train.
    """
    parsed = {name: _parse(name) for name in names}
    found = {name: side for name, (side, rest) in parsed.items() if side and not rest}
    if not found:
        alike: dict[tuple[str, ...], dict[str, str]] = {}
        for name, (side, rest) in parsed.items():
            if side:
                alike.setdefault(rest, {})[name] = side
        for group in alike.values():
            if "train" in group.values() and len(set(group.values())) > 1:
                found |= group
    others = {side for name, side in found.items() if not _EVAL.search(name)}
    if "test" in others and "validation" not in others:
        found |= {name: "validation" for name in found if _EVAL.search(name)}
    return found


def _parse(name: str) -> tuple[str | None, tuple[str, ...]]:
    """The side that a name says, and its other words."""
    text = unicodedata.normalize("NFC", name)
    text = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", text).lower()  # trainSet
    text = re.sub(r"(hold|held|train)[\W_]+(out|val)(?![a-z])", r"\1\2", text)  # one word
    sides, rest = set(), []
    for part in filter(None, re.split(r"[\W_]+", text)):
        if match := _PART.fullmatch(part):
            sides.add(match.lastgroup)
        elif not _ONLY_FILLER.fullmatch(part):
            rest.append(part)
    return (sides.pop() if len(sides) == 1 else None), tuple(rest)
