"""Which channels a request asks for: `all`, `top:16` or `3,17,40`."""

import numpy as np

from models.errors import SettingError


def choose_channels(asked: str, strengths: np.ndarray) -> list[int]:
    """Channel indices in the order they are to be shown.

    Args:
        asked: `all`, `top:N` (the N strongest, strongest first) or indices with commas.
        strengths: (C,), how strongly each channel answers.

    Raises:
        SettingError: none of these, no channel, or an index the layer does not have.
    """
    count = len(strengths)
    if asked == "all":
        return list(range(count))
    kind, _, number = asked.partition(":")
    if kind == "top" and number.isascii() and number.isdigit() and len(number) < 10:
        if int(number) == 0:
            raise SettingError("channels is top:0; ask for at least one")
        order = np.argsort(-strengths, kind="stable")
        return [int(channel) for channel in order[: int(number)]]
    parts = asked.split(",")
    if not all(part.isascii() and part.isdigit() and len(part) < 10 for part in parts):
        shown = asked[:60]
        raise SettingError(
            f"channels is {shown!r}; expected all, top:16 or indices such as 3,17,40"
        )
    chosen = list(dict.fromkeys(int(part) for part in parts))
    if max(chosen) >= count:
        raise SettingError(f"channel {max(chosen)} is not there; the layer has 0 to {count - 1}")
    return chosen
