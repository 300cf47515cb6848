"""Clients that ask without a pause while versions change, and what each version has to answer."""

import http.client
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from tests.making import COLOURS, colour_bundle, picture
from tests.serving import WAIT_S, Server

PHOTO = picture(COLOURS["red"])
PAUSE_S = 0.005  # of a client between two requests: the service is to have time to swap


def sharpness(number: int) -> float:
    """What tells version `number` from the others."""
    return 0.001 * number


def make(target: Path, number: int) -> Path:
    """A bundle that answers as version `number` does."""
    return colour_bundle(target, sharpness(number))


def expected(number: int) -> float:
    """How probable red is to version `number` on PHOTO."""
    powers = np.exp(sharpness(number) * np.array(COLOURS["red"], float))
    return float(powers[0] / powers.sum())


class Said(NamedTuple):
    """One answer, or why there was none."""

    began: float
    ended: float
    version: int  # 0: no answer
    probability: float
    problem: str = ""


class Client(threading.Thread):
    """Posts PHOTO again and again over one connection that it keeps."""

    def __init__(self, port: int, path: str, said: list[Said]):
        super().__init__(daemon=True)
        self.said = said  # of all clients
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        self._path, self._ended = path, threading.Event()

    def run(self) -> None:
        while not self._ended.is_set():
            began = time.monotonic()
            try:
                self._connection.request("POST", self._path, PHOTO)
                response = self._connection.getresponse()
                answer = json.loads(response.read())
                if response.status != 200:
                    raise OSError(f"{response.status} {answer}")
                red = next(p for p in answer["predictions"] if p["label"] == "red")
                found = int(answer["version"]), red["probability"]
                self.said.append(Said(began, time.monotonic(), *found))
                time.sleep(PAUSE_S)
            except (OSError, http.client.HTTPException, ValueError, KeyError) as error:
                self._connection.close()
                self.said.append(Said(began, time.monotonic(), 0, 0, repr(error)))

    def stop(self) -> None:
        self._ended.set()
        self.join(WAIT_S)
        self._connection.close()


@contextmanager
def asking(server: Server, count: int, path: str = "/predict") -> Iterator[list[Said]]:
    """`count` clients during the block, and all that they have been told so far."""
    said: list[Said] = []
    clients = [Client(server.port, path, said) for _ in range(count)]
    for client in clients:
        client.start()
    try:
        yield said
    finally:
        for client in clients:
            client.stop()


def check(said: list[Said]) -> set[int]:
    """See that nothing failed, that each answer is its version's, and that none came too late.

    Returns:
        The versions that answered.
    """
    assert [one.problem for one in said if one.problem] == []
    for one in said:
        assert abs(one.probability - expected(one.version)) < 1e-5, one
    newest, seen = 0, sorted((one.ended, one.version) for one in said)
    ends = iter(seen)
    following = next(ends, None)
    for one in sorted(said):  # by when they began
        while following and following[0] < one.began:
            newest, following = max(newest, following[1]), next(ends, None)
        assert one.version >= newest, f"{one} began after version {newest} had answered"
    return {one.version for one in said}


def wait_for(condition: Callable[[], Any], what: str) -> Any:
    """What `condition` gives once it is something."""
    limit = time.monotonic() + WAIT_S
    while True:
        if found := condition():
            return found
        assert time.monotonic() < limit, f"waited in vain for {what}"
        time.sleep(0.05)


def served(server: Server, name: str = "colours") -> str | None:
    """The version of a model that answers."""
    models = server.ask("/models")[1]["models"]
    return next((one["version"] for one in models if one["name"] == name), None)


def wait_for_version(server: Server, version: str | None, name: str = "colours") -> None:
    wait_for(lambda: served(server, name) == version or None, f"version {version} of {name}")


def wait_until_said(said: list[Said], version: int) -> None:
    """Until a client was answered by `version`: workers take it up one after the other."""
    wait_for(lambda: any(one.version == version for one in said) or None, f"version {version}")


def wait_for_refusal(server: Server, version: str | None = None) -> str:
    """The reason why something was refused."""

    def reason() -> str | None:
        refused = server.ask("/models")[1]["refused"]
        found = [one["reason"] for one in refused if version in (None, one["version"])]
        return found[0] if found else None

    return str(wait_for(reason, "a refusal"))
