"""Shares, times and energies as a person reads them."""


def percent(share: float, digits: int = 1) -> str:
    """0.9032 -> 90.3 %."""
    return f"{100 * share:.{digits}f} %"


def duration(seconds: float) -> str:
    """Seconds, minutes or hours, whichever is read most easily."""
    if seconds < 100:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"


def energy(watt_hours: float) -> str:
    """Watt hours with two digits at most: it is an estimate."""
    if watt_hours >= 1000:
        return f"{watt_hours / 1000:.1f} kWh"
    if watt_hours >= 0.1:
        return f"{watt_hours:.0f} Wh" if watt_hours >= 10 else f"{watt_hours:.2g} Wh"
    return f"{1000 * watt_hours:.0f} mWh" if watt_hours >= 0.001 else "under 1 mWh"
