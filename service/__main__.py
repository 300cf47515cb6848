"""`python -m service BUNDLE ...`: the application under gunicorn.

Each worker loads the bundles itself, after it was forked: ONNX Runtime's threads do not
survive a fork. The parent process only checks that they can be served.
"""

import os
import socket
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
from gunicorn.app.base import BaseApplication
from gunicorn.arbiter import Arbiter

from models.bundle import Bundle
from models.errors import LayerscopeError, SettingError
from service.app import create_app
from service.decode_memory import DecodeMemory
from service.guard import read_settings
from service.logs import Logger, printable
from service.network.front import Front
from service.network.worker import NetworkWorker
from service.settings import Settings, choose_workers

BACKLOG = 2048  # connections that the system keeps until a worker accepts them


class Server(BaseApplication):
    """gunicorn with the application inside, and no configuration file."""

    def __init__(self, bundles: list[Path], settings: Settings, options: dict[str, Any]):
        self._bundles, self._settings, self._options = bundles, settings, options
        self._decode_memory = DecodeMemory(settings.decode_bytes)  # one for all workers
        super().__init__()

    def load_config(self) -> None:
        """Hand our options to gunicorn."""
        for name, value in self._options.items():
            self.cfg.set(name, value)

    def load(self) -> Front:
        """The application, in each worker."""
        try:
            app = create_app(self._bundles, self._settings)
            app.extensions["decode_memory"] = self._decode_memory
            return Front(app)
        except LayerscopeError as error:
            click.echo(f"error: {printable(str(error))}", err=True)
            sys.exit(Arbiter.APP_LOAD_ERROR)  # tells the parent to stop, not to try again


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("bundles", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", default=8000, show_default=True, type=click.IntRange(1, 65535))
@click.option("--workers", default="auto", show_default=True, help="Processes; auto: one a core.")
@click.option("--max-megapixels", default=25.0, show_default=True, help="Of a posted photo.")
@click.option("--more-formats", is_flag=True, help="Also accept TIFF and AVIF.")
@click.option("--read-seconds", default=20.0, show_default=True,
              help="For a whole request to arrive.")  # fmt: skip
@click.option("--answer-seconds", default=30.0, show_default=True,
              help="To compute an answer, and again to send it.")  # fmt: skip
@click.option("--waiting", default=12, show_default=True,
              help="Requests that may wait in a worker; beyond it 503.")  # fmt: skip
@click.option("--decode-megabytes", default=600, show_default=True,
              help="Memory of all workers for large photos while they are decoded.")  # fmt: skip
@click.option("--allow-host", multiple=True, help="A name to answer for; repeatable; any if none.")
@click.option("--allow-origin", multiple=True,
              help="A site whose pages may ask, such as https://example.org; repeatable."
              )  # fmt: skip
@click.option("--api-keys", type=click.Path(path_type=Path), help="A file with one key a line.")
@click.option("--rate-limit", help="Posts of one key or address, such as 60/minute.")
def main(
    bundles: tuple[Path, ...],
    host: str,
    port: int,
    workers: str,
    max_megapixels: float,
    more_formats: bool,
    read_seconds: float,
    answer_seconds: float,
    waiting: int,
    decode_megabytes: int,
    allow_host: tuple[str, ...],
    allow_origin: tuple[str, ...],
    api_keys: Path | None,
    rate_limit: str | None,
) -> None:
    """Serve each BUNDLE over HTTP; the first is the default model."""
    try:
        count, threads = choose_workers(workers)
        settings = Settings(count, threads)
        settings = replace(
            settings,
            photo_megapixels=max_megapixels,
            more_formats=more_formats,
            read_s=read_seconds,
            answer_s=answer_seconds,
            waiting_photos=waiting,
            decode_bytes=decode_megabytes * 1_000_000,
            allow_hosts=allow_host,
            allow_origins=allow_origin,
            api_keys=api_keys,
            rate_limit=rate_limit,
        )
        read_settings(settings)
        opened = [Bundle(path) for path in bundles]
        for bundle in opened:
            bundle.verify()
        listener = listen(host, port)
    except LayerscopeError as error:
        click.echo(f"error: {printable(str(error))}", err=True)
        sys.exit(2)
    shown = f"[{host}]" if ":" in host else host
    names = printable(", ".join(bundle.manifest.name for bundle in opened))
    click.echo(
        f"serving {names} on http://{shown}:{port} "
        f"({count} workers, {threads} network threads each)"
    )
    options = {
        "bind": f"fd://{listener.detach()}",
        "workers": count,
        "worker_class": NetworkWorker,
        "logger_class": Logger,
        "asgi_loop": "asyncio",
        "asgi_lifespan": "off",
        "asgi_disconnect_grace_period": 0,
        "timeout": 30,  # of a worker whose event loop stands still; nothing may stop it that long
        "graceful_timeout": 20,
        "keepalive": 5,
        "max_requests": 0,
        "loglevel": "warning",
        "control_socket_disable": True,
    }
    NetworkWorker.settings = settings
    Server(list(bundles), settings, options).run()


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


if __name__ == "__main__":
    main(prog_name="python -m service")
