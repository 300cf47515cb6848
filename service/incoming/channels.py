"""Which channels a request asks for: `all`, `top:16` or `3,17,40`."""

import numpy as np

from models.errors import SettingError, UnknownChannel


def choose_channels(asked: str, ranks: np.ndarray) -> list[int]:
    """Channel indices in the order they are to be shown.

    Args:
        asked: `all`, `top:N` (the N highest, highest first) or indices with commas.
        ranks: (C,), how strongly each channel answers, or what it adds to a class.

    Raises:
        SettingError: none of these, or no channel.
        UnknownChannel: an index the layer does not have.
    """
    count = len(ranks)
    if asked == "all":
        return list(range(count))
    kind, _, number = asked.partition(":")
    if kind == "top" and number.isascii() and number.isdigit() and len(number) < 10:
        if int(number) == 0:
            raise SettingError("channels is top:0; ask for at least one")
        order = np.argsort(-ranks, kind="stable")
        return [int(channel) for channel in order[: int(number)]]
    parts = asked.split(",")
    if not all(part.isascii() and part.isdigit() and len(part) < 10 for part in parts):
        shown = asked[:60]
        raise SettingError(
            f"channels is {shown!r}; expected all, top:16 or indices such as 3,17,40"
        )
    chosen = list(dict.fromkeys(int(part) for part in parts))
    if max(chosen) >= count:
        raise UnknownChannel(max(chosen), count)
    return chosen
