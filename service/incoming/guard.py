"""Who may ask: by host, by origin, by key, and how often. Looks at headers only.

The front asks before it reads a body, so that whoever is refused takes no place in a queue;
without the front, Flask asks before it looks for the route.
"""

import base64
import contextlib
import hashlib
import hmac
import ipaddress
import re
import time
from pathlib import Path
from typing import Any

from flask import current_app, request
from limits import RateLimitItem, parse
from limits.storage import MemoryStorage
from limits.strategies import FixedWindowRateLimiter
from werkzeug.sansio.utils import host_is_trusted

from models.errors import SettingError
from service.errors import HostRefused, KeyRefused, OriginRefused, TooManyRequests
from service.settings import Settings

ADMITTED = "layerscope.admitted"  # in the WSGI environment: has been checked
OPEN = ("/v2/health/",)  # asked by whoever watches the service, under any name, without a key
METRICS = "/metrics"
SHORTEST_KEY = 16
_IN_BRACKETS = re.compile(r"\[([0-9a-f:.]+)\](?::\d{1,5})?")
_LAST_DOT = re.compile(r"\.(?=(?::\d*)?\Z)")


class Guard:
    """The checks of one worker."""

    def __init__(self, settings: Settings):
        """Read the keys. Raises SettingError: a file or a rate that cannot be used."""
        self._settings = settings
        self._keys, self._rate = read_settings(settings)
        self._limiter = FixedWindowRateLimiter(MemoryStorage())

    def check(self, environ: dict[str, Any]) -> None:
        """Raise HostRefused, OriginRefused, KeyRefused or TooManyRequests."""
        if environ["PATH_INFO"].startswith(OPEN):
            return
        host = environ.get("HTTP_HOST", "")
        # Who scrapes asks by the address of each process; with keys, only who has one is told.
        by_any_name = environ["PATH_INFO"] == METRICS and self._keys
        hosts = () if by_any_name else self._settings.allow_hosts
        if hosts and not is_allowed(plain_host(host), [plain_host(one) for one in hosts]):
            raise HostRefused(
                f"this service does not answer for the host {host[:100]!r} (--allow-host)"
            )
        method = environ["REQUEST_METHOD"]
        if method == "OPTIONS":
            return  # a browser asks what it may do, without a key
        if method not in ("GET", "HEAD"):
            self._check_origin(environ, host)
        who = self._check_key(environ) if self._keys else address(environ["REMOTE_ADDR"])
        if self._rate is not None and method == "POST":
            self._count(self._rate, who)

    def _check_origin(self, environ: dict[str, Any], host: str) -> None:
        """Refuse what another site's page makes a browser send.

        Browsers say with Sec-Fetch-Site where a request comes from; older ones only send the
        Origin, and what is no browser sends neither.
        """
        origin = environ.get("HTTP_ORIGIN")
        if origin in self._settings.allow_origins:
            return
        site = environ.get("HTTP_SEC_FETCH_SITE")
        if site is None:
            own = origin is None or origin.partition("://")[2].lower() == host.lower()
        else:
            own = site in ("same-origin", "none")
        if not own:
            raise OriginRefused(
                f"a page of another site ({(origin or 'unknown')[:100]!r}) may not post here; "
                "the service allows one with --allow-origin"
            )

    def _check_key(self, environ: dict[str, Any]) -> str:
        """The short hash of the key that was sent; comparing takes the same time for all."""
        sent = sent_key(environ)
        digest = _digest(sent)
        matches = [hmac.compare_digest(digest, known) for known in self._keys]
        if sent and any(matches):
            return digest.hex()[:16]
        raise KeyRefused(
            "an API key is needed: send it as `Authorization: Bearer KEY` or `X-API-Key: KEY`"
            if not sent
            else "this API key is not known"
        )

    def _count(self, rate: RateLimitItem, who: str) -> None:
        if not self._limiter.hit(rate, who):
            reset, _ = self._limiter.get_window_stats(rate, who)
            raise TooManyRequests(
                f"more than {rate.amount} posts in {rate.get_expiry()} s",
                max(1, round(reset - time.time() + 0.5)),
            )


def read_settings(settings: Settings) -> tuple[list[bytes], RateLimitItem | None]:
    """The keys and the rate; starts nothing. Raises SettingError."""
    keys = [] if settings.api_keys is None else read_keys(settings.api_keys)
    rate = None if settings.rate_limit is None else parse_rate(settings.rate_limit)
    return keys, rate


def check_request() -> None:
    """Check the request that Flask is handling, unless the front has."""
    if not request.environ.get(ADMITTED):
        current_app.extensions["guard"].check(request.environ)


def sent_key(environ: dict[str, Any]) -> str:
    """The key in a request's headers, or nothing: a bearer's, or a browser's password.

    Letters beyond ASCII may come as UTF-8 or as Latin-1, in which WSGI hands over both.
    """
    kind, _, value = environ.get("HTTP_AUTHORIZATION", "").partition(" ")
    if kind.lower() == "bearer":
        return _letters(value)
    if kind.lower() == "basic":
        with contextlib.suppress(ValueError):  # no base64, or no UTF-8 in it
            return base64.b64decode(value, validate=True).decode().partition(":")[2]
    return _letters(environ.get("HTTP_X_API_KEY", ""))


def _letters(value: str) -> str:
    with contextlib.suppress(UnicodeError):
        return value.encode("latin-1").decode().strip()
    return value.strip()


def plain_host(host: str) -> str:
    """A host in small letters and without the dot that may end its name; the port stays."""
    return _LAST_DOT.sub("", host.lower())


def is_allowed(host: str, hosts: list[str]) -> bool:
    """Whether `host`, as a request names it, is one of `hosts`; ports do not count."""
    if not host.startswith("["):
        return host_is_trusted(host, [one for one in hosts if not one.startswith("[")] or [""])
    return in_brackets(host) in {in_brackets(one) for one in hosts} - {None}


def in_brackets(host: str) -> ipaddress.IPv6Address | None:
    """The IPv6 address of `[address]` or `[address]:port`; None: it is none."""
    found = _IN_BRACKETS.fullmatch(host)
    try:
        return ipaddress.IPv6Address(found[1]) if found else None
    except ValueError:
        return None


def address(client: str) -> str:
    """What a client is counted by: its address, of IPv6 the network of 64 bits it owns."""
    try:
        found = ipaddress.ip_address(client.partition("%")[0])
    except ValueError:
        return client
    if found.version == 4:
        return client
    return str(ipaddress.ip_network((found, 64), strict=False))


def read_keys(file: Path) -> list[bytes]:
    """The SHA-256 of each key in a file: one a line, empty lines and # comments aside.

    Raises:
        SettingError: no such file, no key, or one too short to be safe.
    """
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise SettingError(f"--api-keys {file}: cannot be read ({type(error).__name__})") from error
    found = [line.strip() for line in lines if line.strip() and not line.lstrip().startswith("#")]
    if not found:
        raise SettingError(f"--api-keys {file}: no key in it; expected one a line")
    for number, key in enumerate(found, start=1):
        if len(key) < SHORTEST_KEY:
            raise SettingError(
                f"--api-keys {file}: key {number} has {len(key)} characters; expected at least "
                f"{SHORTEST_KEY}, such as `openssl rand -hex 16` prints"
            )
    return [_digest(key) for key in found]


def parse_rate(text: str) -> RateLimitItem:
    """A rate such as 60/minute. Raises SettingError."""
    problem = f"--rate-limit is {text!r}; expected a rate such as 10/second or 600/hour"
    try:
        rate = parse(text)
    except ValueError as error:
        raise SettingError(problem) from error
    if rate.amount < 1 or rate.get_expiry() < 1:  # nobody could post
        raise SettingError(problem)
    return rate


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).digest()
