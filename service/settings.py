"""What the server may be told, checked when it is made."""

import re
from dataclasses import dataclass
from pathlib import Path

from models.cores import usable_cores
from models.decoding.limits import FORMATS, MORE_FORMATS, Limits
from models.errors import SettingError

MAX_WORKERS = 64
_ORIGIN = re.compile(r"https?://[^/\s@?#]+")


@dataclass(frozen=True)
class Settings:
    """One running service. Sizes in bytes, times in seconds."""

    workers: int = 1  # processes; each holds its own copy of every model
    precision: str = "auto"  # of predictions: fp32, int8, or the faster one
    device: str = "auto"  # that computes photos: cpu, cuda, or what is there
    request_threads: int = 1  # photos a worker answers at once: its share of the cores
    waiting_photos: int = 16  # requests that may wait in a worker; beyond it 503
    connections: int = 2_000  # open ones of a worker; beyond it the oldest that waits is cut
    buffer_bytes: int = 128_000_000  # of a worker, for requests that arrive, answers that leave
    decode_bytes: int = 600_000_000  # of all workers, for photos that are being decoded
    upload_bytes: int = 32_000_000  # of a whole request
    photo_bytes: int = 20_000_000
    photo_megapixels: float = 25.0
    photos_per_request: int = 32
    activation_numbers: int = 2_000_000  # of a JSON answer; a PNG sheet is far smaller
    sheet_pixels: int = 16_000_000
    more_formats: bool = False  # also accept TIFF, AVIF, HEIC
    read_s: float = 20.0  # for a whole request to arrive, from accept or its first byte
    answer_s: float = 30.0  # to compute an answer, and again to send it
    allow_hosts: tuple[str, ...] = ()  # names the service answers for; empty: any
    allow_origins: tuple[str, ...] = ()  # sites whose pages may ask, such as https://example.org
    api_keys: Path | None = None  # a file with one key a line; None: no key is asked for
    rate_limit: str | None = None  # posts of one key or address, such as 60/minute
    access_log: bool = True  # a line of the log for each request

    def __post_init__(self) -> None:
        if not 1 <= self.workers <= MAX_WORKERS:
            raise SettingError(f"--workers is {self.workers}; expected auto or 1 to {MAX_WORKERS}")
        for name, limit in (("read", self.read_s), ("answer", self.answer_s)):
            if not 0.1 <= limit <= 3600:
                raise SettingError(f"--{name}-seconds is {limit}; expected 0.1 to 3600")
        if not 0.001 <= self.photo_megapixels <= 1000:
            raise SettingError(
                f"--max-megapixels is {self.photo_megapixels}; expected 0.001 to 1000"
            )
        if not 0 <= self.waiting_photos <= 10_000:
            raise SettingError(f"--waiting is {self.waiting_photos}; expected 0 to 10000")
        if not 32_000_000 <= self.decode_bytes <= 1_000_000_000_000:
            raise SettingError(
                f"--decode-megabytes is {self.decode_bytes / 1e6:g}; expected 32 to 1000000"
            )
        for origin in self.allow_origins:
            if not _ORIGIN.fullmatch(origin):
                raise SettingError(
                    f"--allow-origin is {origin!r}; expected a scheme and a host, no path, such as "
                    "https://example.org or http://localhost:3000"
                )

    @property
    def limits(self) -> Limits:
        """What one posted photo may cost."""
        formats = FORMATS + MORE_FORMATS if self.more_formats else FORMATS
        pixels = int(self.photo_megapixels * 1e6)
        return Limits(size_bytes=self.photo_bytes, pixels=pixels, formats=formats)


def choose_workers(asked: str) -> tuple[int, int]:
    """Workers, and photos each answers at once, for `--workers`: `auto` or a number.

    As many photos are in work as there are cores, each on one core: more only drive one
    another's numbers out of the caches (docs/performance.md has the figures).

    Raises:
        SettingError: neither `auto` nor a number.
    """
    cores = usable_cores()
    if asked == "auto":
        return min(cores, MAX_WORKERS), 1
    number = asked.isascii() and asked.isdigit() and len(asked) < 8
    if not number or not 1 <= int(asked) <= MAX_WORKERS:
        raise SettingError(f"--workers is {asked[:40]!r}; expected auto or 1 to {MAX_WORKERS}")
    return int(asked), max(1, cores // int(asked))
