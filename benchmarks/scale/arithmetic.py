"""From what one core does to time and cost of 1 million, 100 million and 1 billion photos.

What was measured stands in `RATES` and `AFTER`; what is assumed, in `ASSUMED`. The tables follow
from these alone, and docs/scale.md shows them.
"""

from collections.abc import Sequence

MILLIONS = (1, 100, 1000)  # of photos
CORES = (2, 64, 1024)
# Milliseconds of a core for one photo of 400 px, and its bytes: `--rates PHOTOS`, busy.
RATES = {"read": 0.03, "decode": 1.9, "network": 7.8, "rest": 1.0, "bytes": 28_000}
# What a million rows take after their features, and what any run takes: `--rows 1000000`.
AFTER = {"core seconds": 489.0, "bytes a photo": 1600.0, "base MiB": 1300.0}
# Milliseconds of a core that the driver of a cluster takes for a photo, which one process does for
# all of them: `--scheduler 16 64`, without and with summaries.
DRIVER = {"features": 0.24, "summaries": 0.36}
SCALING = 0.92  # of twice the cores, over two Ray nodes: half of 1.84 (docs/ray.md)
ASSUMED = {
    "USD a core hour": 0.04,
    "USD for 1,000 requests": 0.0004,
    "network of a machine, bytes a second": 1.25e9,  # 10 Gbit/s
    "requests a second, of one prefix": 5_500,  # of S3, as its documentation has it
    "GiB of a driver": 64,
}
STORED = {"features": 5_120, "thumbnail and facts": 3_200, "summaries": 29_000}  # bytes a photo


def core_s() -> float:
    """Return the seconds of a core that one photo takes up to its features."""
    return sum(RATES[name] for name in ("read", "decode", "network", "rest")) / 1000


def tables() -> str:
    """Write the tables in Markdown."""
    return "\n\n".join((_time_and_cost(), _bottlenecks(), _after()))


def _time_and_cost() -> str:
    rows = []
    for millions in MILLIONS:
        photos = millions * 1e6
        hours = photos * core_s() / 3600
        driver = photos * DRIVER["features"] / 1000
        walls = [_time(max(driver, photos * core_s() / cores / SCALING)) for cores in CORES]
        usd = hours * ASSUMED["USD a core hour"]
        requests = photos / 1000 * ASSUMED["USD for 1,000 requests"]
        stored = [_bytes(photos * STORED[name]) for name in ("features", "summaries")]
        rows.append([f"{millions:,} million", f"{hours:,.0f}", *walls, f"{usd:,.2f}",
                     f"{requests:,.1f}", _bytes(photos * RATES["bytes"]), *stored])  # fmt: skip
    head = ["photos", "core hours", *(f"{cores:,} cores" for cores in CORES), "cores, USD",
            "requests, USD", "photos weigh", "features", "summaries"]  # fmt: skip
    return _table(head, rows)


def _bottlenecks() -> str:
    link = ASSUMED["network of a machine, bytes a second"]
    prefix = ASSUMED["requests a second, of one prefix"]
    network, decode = RATES["network"] / 1000, RATES["decode"] / 1000
    shares = [f"{100 * RATES[name] / 1000 / core_s():.0f} %" for name in ("decode", "network")]
    memory = ASSUMED["GiB of a driver"] * 2**30 - AFTER["base MiB"] * 2**20
    rows = [
        ["one core", f"network {shares[1]}, decode {shares[0]} of its time",
         f"{1 / core_s():,.0f} photos/s"],
        ["the network ten times as fast (a GPU)", "decode",
         f"{1 / (core_s() - 0.9 * network):,.0f} photos/s a core; decode alone {1 / decode:,.0f}"],
        ["a link of 10 Gbit/s", "the object store's bandwidth",
         f"beyond {link / RATES['bytes'] * core_s():,.0f} cores"],
        ["one prefix of S3", "requests: use more prefixes, or tar shards",
         f"beyond {prefix * core_s():,.0f} cores"],
        ["one driver", "its writing of results, in one process",
         f"beyond {_most_cores('features')} cores; with summaries beyond "
         f"{_most_cores('summaries')}"],
        [f"a driver of {ASSUMED['GiB of a driver']} GiB", "its memory, after features",
         f"beyond {memory / AFTER['bytes a photo'] / 1e6:,.0f} million photos"],
    ]  # fmt: skip
    return _table(["with", "the bottleneck is", "at"], rows)


def _most_cores(what: str) -> str:
    """How many cores make as many photos a second as one driver takes."""
    return f"{1000 * core_s() / DRIVER[what] / SCALING:,.0f}"


def _after() -> str:
    rows = []
    for millions in (1, 10, 100):
        bytes_ = AFTER["base MiB"] * 2**20 + millions * 1e6 * AFTER["bytes a photo"]
        disk = millions * 1e6 * STORED["features"]
        rows.append([f"{millions} million", _bytes(bytes_), _bytes(disk),
                     _time(millions * AFTER["core seconds"])])  # fmt: skip
    return _table(["photos", "memory", "file of features", "time of one core, if linear"], rows)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _time(seconds: float) -> str:
    for size, name in ((365 * 86400, "years"), (86400, "days"), (3600, "hours"), (60, "minutes")):
        if seconds >= 2 * size:
            return f"{seconds / size:,.1f} {name}"
    return f"{seconds:,.0f} s"


def _bytes(count: float) -> str:
    for size, name in ((1e12, "TB"), (1e9, "GB"), (1e6, "MB")):
        if count >= size:
            return f"{count / size:,.1f} {name}"
    return f"{count:,.0f} bytes"
