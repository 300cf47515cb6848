"""`python -m service BUNDLE ...`: the application under gunicorn.

Each worker loads the models itself, after it was forked: ONNX Runtime's threads do not
survive a fork. The parent process loads none; it keeps what workers load (`versions/keeper.py`).
"""

import os
import socket
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
from gunicorn.app.base import BaseApplication

from models.choose_precision import CHOICES
from models.device import DEVICES
from models.errors import LayerscopeError, SettingError
from models.trial import Terms
from service.app import create_app
from service.config_file import PREFIX, LocalPath, Port, chosen, prefer, take_config
from service.incoming.decode_memory import DecodeMemory
from service.incoming.guard import read_settings
from service.logs import FORMS, Logger, choose_form, printable, say, use_form
from service.network.front import Front
from service.network.worker import NetworkWorker, ask_for_descriptors
from service.settings import Settings, choose_workers
from service.versions.arbiter import KeepingArbiter
from service.versions.keeper import Keeper
from service.versions.sources import ModelFolder, NamedBundles
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
            self.follower = self._keeper.follow()  # the worker asks how much it holds
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

    def run(self) -> None:
        """Serve until a signal ends it."""
        KeepingArbiter(self, self._keeper).run()


@click.command(
    context_settings={"help_option_names": ["-h", "--help"], "auto_envvar_prefix": PREFIX}
)
@click.argument("bundles", nargs=-1, type=LocalPath(path_type=Path), envvar=f"{PREFIX}_BUNDLES")
@click.option("--config", is_eager=True, callback=take_config, metavar="FILE",
              type=click.Path(path_type=Path),
              help="A TOML file of these settings; a flag or LAYERSCOPE_NAME goes before it."
              )  # fmt: skip
@click.option(
    "--models",
    type=LocalPath(path_type=Path),
    metavar="DIR",
    help="Serve every bundle in DIR, NAME/ or NAME/VERSION/, and what comes later.",
)
@click.option(
    "--trust",
    type=click.Path(path_type=Path),
    metavar="KEY",
    help="Serve only what the owner of this public key signed.",
)
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", default=8000, show_default=True, type=click.IntRange(1, 65535), cls=Port)
@click.option("--workers", default="auto", show_default=True, help="Processes; auto: one a core.")
@click.option("--precision", default="auto", show_default=True, type=click.Choice(CHOICES),
              help="Of predictions; auto: int8 where a bundle has it and it is faster here."
              )  # fmt: skip
@click.option("--device", default="auto", show_default=True, type=click.Choice(DEVICES),
              help="That computes photos; auto: a GPU that answers as the processor, else that."
              )  # fmt: skip
@click.option("--max-megapixels", default=25.0, show_default=True, help="Of a posted photo.")
@click.option("--more-formats", is_flag=True, help="Also TIFF, AVIF, HEIC (pi-heif).")
@click.option("--read-seconds", default=20.0, show_default=True,
              help="For a whole request to arrive.")  # fmt: skip
@click.option("--answer-seconds", default=30.0, show_default=True,
              help="To compute an answer, and again to send it.")  # fmt: skip
@click.option("--waiting", default=16, show_default=True,
              help="Requests that may wait in a worker; beyond it 503.")  # fmt: skip
@click.option("--decode-megabytes", default=600, show_default=True,
              help="Memory of all workers for large photos while they are decoded.")  # fmt: skip
@click.option("--allow-host", multiple=True, help="A name to answer for; repeatable; any if none.")
@click.option("--allow-origin", multiple=True,
              help="A site whose pages may ask, such as https://example.org; repeatable."
              )  # fmt: skip
@click.option("--api-keys", type=click.Path(path_type=Path), help="A file with one key a line.")
@click.option("--rate-limit", help="Posts of one key or address, such as 60/minute.")
@click.option("--log", type=click.Choice(FORMS), default="auto", show_default=True,
              help="Form of the log; auto: text on a terminal, else JSON.")  # fmt: skip
@click.option("--access-log/--no-access-log", default=True, show_default=True,
              help="A line of the log for each request.")  # fmt: skip
@click.pass_context
def main(
    context: click.Context,
    bundles: tuple[Path, ...],
    config: Path | None,
    models: Path | None,
    trust: Path | None,
    host: str,
    port: int,
    workers: str,
    precision: str,
    device: str,
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
    log: str,
    access_log: bool,
) -> None:
    """Serve each BUNDLE over HTTP; the first is the default model. What replaces one is loaded."""
    try:
        use_form(choose_form(log))
        count, threads = choose_workers(workers)
        settings = replace(
            Settings(workers=count, request_threads=threads),
            precision=precision,
            device=device,
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
            access_log=access_log,
        )
        read_settings(settings)
        ask_for_descriptors(settings.connections)
        terms = Terms(precision=precision, device=device)
        keeper = open_keeper(*prefer(context, "bundles", "models"), trust, terms)
        listener = listen(host, port)
    except LayerscopeError as error:
        click.echo(f"error: {printable(str(error))}", err=True)
        sys.exit(2)
    shown = f"[{host}]" if ":" in host else host
    tell_start(f"http://{shown}:{port}", keeper, settings, chosen(context))
    NetworkWorker.settings = settings
    Server(keeper, settings, gunicorn_options(listener, count)).run()


def tell_start(
    address: str, keeper: Keeper, settings: Settings, given: dict[str, tuple[Any, str]]
) -> None:
    """Say what is served, where, and by which settings.

    Args:
        given: settings that are not the default, each with where it came from.
    """
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


def gunicorn_options(listener: socket.socket, workers: int) -> dict[str, Any]:
    """Set what gunicorn must know; it takes over the listening socket."""
    return {
        "bind": f"fd://{listener.detach()}",
        "workers": workers,
        "worker_class": NetworkWorker,
        "logger_class": Logger,
        "asgi_loop": "asyncio",
        "http_parser": "python",  # what it keeps is counted in network/connection.py
        "asgi_lifespan": "off",
        "asgi_disconnect_grace_period": 0,
        "timeout": 30,  # of a worker whose event loop stands still; nothing may stop it that long
        "graceful_timeout": 20,
        "keepalive": 5,
        "max_requests": 0,
        "loglevel": "warning",
        "control_socket_disable": True,
    }


def open_keeper(
    bundles: Sequence[Path], models: Path | None, trust: Path | None, terms: Terms
) -> Keeper:
    """Try what is to be served. Raises SettingError, BundleError."""
    if bool(bundles) == bool(models):
        raise SettingError("name one or more bundles to serve, or a folder of them with --models")
    if trust:
        from models.bundles.signature import read_key

        terms = terms._replace(key=bytes(read_key(trust)).hex())
    source = ModelFolder(models) if models else NamedBundles(list(bundles))
    keeper = Keeper(source, terms, say=say)
    keeper.start()
    return keeper


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
