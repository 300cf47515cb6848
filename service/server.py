"""gunicorn with the application inside.

Each worker loads the models itself, after it was forked: ONNX Runtime's threads do not
survive a fork. The parent process loads none; it keeps what workers load (`versions/keeper.py`),
and the code, which they share.
"""

import gc
import math
import os
import socket
import sys
import time
from typing import Any

import click
from gunicorn.app.base import BaseApplication

from models.errors import LayerscopeError, SettingError
from service.app import create_app
from service.incoming.decode_memory import DecodeMemory
from service.incoming.guard import read_settings
from service.logs import printable, say
from service.network.front import Front
from service.network.logger import Logger
from service.network.worker import NetworkWorker, ask_for_descriptors
from service.settings import Settings
from service.versions.arbiter import KeepingArbiter
from service.versions.follower import Follower
from service.versions.keeper import Keeper
from service.watching.metrics import Metrics
from service.watching.shared_values import SharedValues

BACKLOG = 2048  # connections that the system keeps until a worker accepts them
SPARE_ROWS = 8  # of the metrics, for workers that a signal adds or that end slowly


class Server(BaseApplication):
    """gunicorn with the application inside, and no configuration file."""

    def __init__(self, keeper: Keeper, settings: Settings, options: dict[str, Any]):
        self._keeper, self._settings, self._options = keeper, settings, options
        self._decode_memory = DecodeMemory(settings.decode_bytes)  # one for all workers
        self.values = SharedValues(settings.workers + SPARE_ROWS)  # likewise
        self.row: int | None = 0  # of the values, for the worker that is forked next
        super().__init__()

    def load_config(self) -> None:
        """Hand our options to gunicorn."""
        for name, value in self._options.items():
            self.cfg.set(name, value)

    def load(self) -> Front:
        """The application, in each worker."""
        try:
            self.follower = Follower(*self._keeper.join())  # the worker asks how much it holds
            app = create_app(self.follower.current, self._settings)
            app.extensions["decode_memory"] = self._decode_memory
            if self.row is not None:  # else more workers were added than there are rows
                self.values.take(self.row)
                app.extensions["metrics"] = Metrics(self.values)
            return Front(app)
        except LayerscopeError as error:  # it passed its trial: perhaps memory is short
            click.echo(f"error: {printable(str(error))}", err=True)
            time.sleep(1)
            sys.exit(1)  # the parent starts another worker

    def tell_start(self, address: str, given: dict[str, tuple[Any, str]]) -> None:
        """Say what is served, where, and by which settings.

        Args:
            given: settings that are not the default, each with where it came from.
        """
        keeper, settings = self._keeper, self._settings
        told = [f"{name} = {value} ({source})" for name, (value, source) in given.items()]
        say(f"settings: {', '.join(told) or 'the defaults'}", settings=given)
        say(
            f"serving {', '.join(keeper.names) or 'no model yet'} on {address} "
            f"({settings.workers} workers, {settings.request_threads} photos at once in each)"
        )
        for name, found in keeper.precisions.items():
            device = keeper.devices[name]
            say(f"{name}: precision {found}", model=name, precision=str(found))
            say(f"{name}: device {device}", model=name, device=str(device))

    def run(self) -> None:
        """Serve until a signal ends it."""
        gc.freeze()  # what is loaded stays: no worker looks through it, and so copies its pages
        KeepingArbiter(self, self._keeper).run()


def open_server(keeper: Keeper, settings: Settings, host: str, port: int) -> Server:
    """Wait until all is tried that is to be served, then take the port.

    Raises:
        SettingError: a file or a rate that cannot be used, or a port that is taken.
        BundleError: a bundle that was given by name is refused.
    """
    read_settings(settings)
    ask_for_descriptors(settings.connections)
    keeper.start()
    NetworkWorker.settings = settings
    return Server(keeper, settings, gunicorn_options(listen(host, port), settings))


def gunicorn_options(listener: socket.socket, settings: Settings) -> dict[str, Any]:
    """Set what gunicorn must know; it takes over the listening socket."""
    return {
        "bind": f"fd://{listener.detach()}",
        "workers": settings.workers,
        "worker_class": NetworkWorker,
        "logger_class": Logger,
        "asgi_loop": "asyncio",
        "http_parser": "python",  # what it keeps is counted in network/connection.py
        "asgi_lifespan": "off",
        "asgi_disconnect_grace_period": 0,
        # Of a worker whose event loop stands still; of a body, too, for which read_s comes first.
        "timeout": max(30, math.ceil(settings.read_s) + 1),
        "graceful_timeout": 20,
        "keepalive": 5,
        "max_requests": 0,
        "loglevel": "warning",
        "control_socket_disable": True,
    }


def listen(host: str, port: int) -> socket.socket:
    """Take the port, before anything says that it is served. Raises SettingError."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=BACKLOG)
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno and error.errno > 0 else str(error)
        raise SettingError(
            f"cannot listen on {host} port {port}: {reason}; choose another --port or --host"
        ) from error
