"""Clients that mean no good, each kind as one coroutine that holds its sockets for a while."""

import asyncio
import contextlib
import socket
from collections.abc import Awaitable, Callable

Place = tuple[str, int]
Attack = Callable[[Place, float], Awaitable[None]]

HALF = b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: 90000\r\n\r\nsome"
CLOSING = b"GET /v2/health/live HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
LARGE = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
STEP_S = 0.5


async def lingering(place: Place, seconds: float) -> None:
    """Ask for the connection to be closed, and leave it open; again when the server closes."""
    await _hold(place, seconds, CLOSING, again=True)


async def half_bodies(place: Place, seconds: float) -> None:
    """Send the beginning of a body and no more."""
    await _hold(place, seconds, HALF, again=True)


async def silent(place: Place, seconds: float) -> None:
    """Connect and say nothing."""
    await _hold(place, seconds, b"", again=True)


async def slow_readers(place: Place, seconds: float) -> None:
    """Ask for page after page and read none."""
    await _hold(place, seconds, LARGE * 200, again=True, buffer=4096)


async def dripping(place: Place, seconds: float) -> None:
    """Send a header a byte at a time."""
    end = asyncio.get_running_loop().time() + seconds
    while asyncio.get_running_loop().time() < end:
        with contextlib.suppress(OSError):
            _, writer = await asyncio.open_connection(*place)
            writer.write(b"GET /models HTTP/1.1\r\nX-Slow: ")
            while asyncio.get_running_loop().time() < end:
                writer.write(b"a")
                await writer.drain()
                await asyncio.sleep(STEP_S)
            writer.close()
        await asyncio.sleep(0.1)


async def vanishing(place: Place, seconds: float, photo: bytes) -> None:
    """Post whole photos and reset the connection before the answer."""
    loop = asyncio.get_running_loop()
    end = loop.time() + seconds
    head = f"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: {len(photo)}\r\n\r\n".encode()
    while loop.time() < end:
        with contextlib.suppress(OSError):
            _, writer = await asyncio.open_connection(*place)
            writer.write(head + photo)
            await writer.drain()
            linger = (1).to_bytes(4, "little") + bytes(4)  # on, 0 s: a reset
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            writer.close()
        await asyncio.sleep(0.02)


async def _hold(
    place: Place, seconds: float, content: bytes, again: bool, buffer: int | None = None
) -> None:
    loop = asyncio.get_running_loop()
    end = loop.time() + seconds
    while loop.time() < end:
        connection = socket.socket()
        if buffer:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        connection.setblocking(False)
        with contextlib.suppress(OSError):
            await loop.sock_connect(connection, place)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(loop.sock_sendall(connection, content), end - loop.time())
            while loop.time() < end and not _closed(connection, buffer is not None):
                await asyncio.sleep(STEP_S)
        connection.close()
        await asyncio.sleep(0.1)


def _closed(connection: socket.socket, unread: bool) -> bool:
    """Whether the server has closed; one that must not read looks without taking."""
    try:
        part = connection.recv(65536, socket.MSG_PEEK if unread else 0)
    except BlockingIOError:
        return False
    except OSError:
        return True
    return not part


def attack(kind: Attack, place: Place, seconds: float, count: int) -> None:
    """Run `count` of one kind at once, for `seconds`."""

    async def all_of_them() -> None:
        await asyncio.gather(*(kind(place, seconds) for _ in range(count)))

    asyncio.run(all_of_them())
