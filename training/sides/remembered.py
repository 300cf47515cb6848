"""Which photo stood on which side: a file in the bundle, for the bundle that replaces it.

Photos are named by the SHA-256 of their bytes. What an earlier bundle recorded is kept also
for photos that are gone: they may come back.
"""

import json
from collections.abc import Mapping
from pathlib import Path

from models.errors import BundleError
from training.settings.config import FitConfig
from training.sides.split import Shares, Split

NAME = "split.json"
SIDES = ("train", "validation", "test")


def split_settings(config: FitConfig) -> dict[str, float]:
    """The settings that decide who stands where."""
    return {
        "seed": config.seed,
        "validation_share": config.validation_share,
        "test_share": config.test_share,
    }


def shares_of(config: FitConfig) -> Shares:
    """How a run deals out photos that come without a side."""
    return Shares(config.seed, config.validation_share, config.test_share, config.leave_out_small)


def write_sides(
    folder: Path,
    split: Split,
    digests: list[bytes],
    known: Mapping[bytes, str],
    settings: dict[str, float],
) -> None:
    """Write the sides of a split beside those that were known.

    Args:
        digests: of the photos that the split's indices mean.
        known: content -> side, what `read_sides` gave.
        settings: seed and shares that dealt them out.
    """
    sides = dict(known)
    for side in SIDES:
        sides |= dict.fromkeys((digests[index] for index in getattr(split, side)), side)
    listed = {
        side: sorted(digest.hex() for digest, stood in sides.items() if stood == side)
        for side in SIDES
    }
    content = json.dumps({"settings": settings, "sides": listed}, indent=0)
    (folder / NAME).write_text(content, encoding="utf-8")


def read_sides(folder: Path, settings: dict[str, float]) -> dict[bytes, str]:
    """Content -> side, as an earlier bundle at `folder` recorded them.

    Nothing where there is no such bundle, or where it was dealt out with other settings:
    who changes the seed or a share wants another split.

    Raises:
        BundleError: the file is damaged.
    """
    path = folder / NAME
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content["settings"] != settings:
            return {}
        return {bytes.fromhex(digest): side for side in SIDES for digest in content["sides"][side]}
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        advice = "delete it, and photos may change sides; or write to another place"
        raise BundleError(folder, f"{NAME} cannot be read ({error}): {advice}") from error
