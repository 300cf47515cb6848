"""Workers find one another before TensorFlow begins, which would wait for a missing one for good.

The chief calls every other worker at its address. When all have answered, it tells each that all
are there; TensorFlow then takes the same addresses.
"""

import socket
import time
from collections.abc import Sequence
from contextlib import ExitStack, suppress

from models.errors import SettingError, WorkerLost
from training.settings.cluster import VARIABLE, Cluster

WAIT_S = 600.0  # machines start at different times, and some list photos for minutes
PAUSE_S = 0.2  # between two calls
GREETING = b"layerscope: all workers are here\n"


def meet(cluster: Cluster, wait_s: float = WAIT_S) -> None:
    """Wait until all workers are there.

    Raises:
        WorkerLost: one did not come in time. SettingError: this one's address cannot be taken.
    """
    ends = time.monotonic() + wait_s
    if cluster.rank == 0:
        _call(cluster.addresses[1:], ends)
    else:
        _wait_for_call(cluster.addresses[cluster.rank], ends)


def _call(addresses: Sequence[str], ends: float) -> None:
    """Connect to every other worker, and greet all when the last has come."""
    with ExitStack() as opened:
        links = [opened.enter_context(_connected(address, ends)) for address in addresses]
        for link, address in zip(links, addresses, strict=True):
            try:
                link.sendall(GREETING)
            except OSError as error:
                raise WorkerLost(f"the one at {address} came and left: {error}") from error


def _connected(address: str, ends: float) -> socket.socket:
    while True:
        try:
            return socket.create_connection(_parts(address), timeout=5.0)
        except OSError as error:
            if time.monotonic() > ends:
                raise WorkerLost(f"nobody answers at {address}: {error}") from error
            time.sleep(PAUSE_S)


def _wait_for_call(address: str, ends: float) -> None:
    """Listen until the chief greets; strangers, and a chief that leaves, do not count."""
    try:
        listener = socket.create_server(("", _parts(address)[1]))
    except OSError as error:
        raise SettingError(f"{VARIABLE}: cannot listen at {address}: {error.strerror}") from error
    with listener:
        while (left := ends - time.monotonic()) > 0:
            listener.settimeout(left)
            with suppress(OSError):  # time is up, or the other side left
                link, _ = listener.accept()
                with link:
                    link.settimeout(max(0.1, ends - time.monotonic()))
                    with link.makefile("rb") as lines:
                        if lines.readline(len(GREETING)) == GREETING:
                            return
    raise WorkerLost(f"the chief did not call {address}")


def _parts(address: str) -> tuple[str, int]:
    """Divide host:port. Raises SettingError."""
    host, _, port = address.rpartition(":")
    if not host or not port.isdigit() or not 0 < int(port) < 65_536:
        raise SettingError(f"{VARIABLE}: {address!r} is no address; expected host:port")
    return host.strip("[]"), int(port)
