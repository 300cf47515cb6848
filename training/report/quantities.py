"""Write shares, times, energies and settings as people read them."""

from collections.abc import Mapping
from typing import Any


def percent(share: float, digits: int = 1) -> str:
    """Write a share: 0.9032 -> 90.3 %."""
    return f"{100 * share:.{digits}f} %"


def duration(seconds: float) -> str:
    """Write a time in seconds, minutes or hours, whichever is easiest to read."""
    if seconds < 100:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"


def energy(watt_hours: float) -> str:
    """Write watt hours with at most two digits: they are an estimate."""
    if watt_hours >= 1000:
        return f"{watt_hours / 1000:.1f} kWh"
    if watt_hours >= 0.1:
        return f"{watt_hours:.0f} Wh" if watt_hours >= 10 else f"{watt_hours:.2g} Wh"
    return f"{1000 * watt_hours:.0f} mWh" if watt_hours >= 0.001 else "under 1 mWh"


def settings_in_words(settings: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return the name and value of each plain setting; records and empty lists are left out."""
    found = []
    for name, value in settings.items():
        if isinstance(value, bool):
            found.append((name, "yes" if value else "no"))
        elif isinstance(value, list | tuple) and all(isinstance(v, str | int) for v in value):
            found += [(name, ", ".join(map(str, value)))] if value else []
        elif isinstance(value, str | int | float):
            found.append((name, f"{value:g}" if isinstance(value, float) else str(value)))
    return found
