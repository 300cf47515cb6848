"""`python -m service BUNDLE ...`: the application under gunicorn.

Each worker loads the models itself, after it was forked: ONNX Runtime's threads do not
survive a fork. The parent process loads none; it keeps what workers load (`versions/keeper.py`).
"""

import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
from flask import Flask
from gunicorn.app.base import BaseApplication

from models.errors import LayerscopeError, SettingError
from service.app import create_app
from service.settings import Settings, choose_workers
from service.versions.arbiter import KeepingArbiter
from service.versions.keeper import Keeper
from service.versions.sources import ModelFolder, NamedBundles
from service.worker import DeadlineWorker


class Server(BaseApplication):
    """gunicorn with the application inside, and no configuration file."""

    def __init__(self, keeper: Keeper, settings: Settings, options: dict[str, Any]):
        self._keeper, self._settings, self._options = keeper, settings, options
        super().__init__()

    def load_config(self) -> None:
        """Hand our options to gunicorn."""
        for name, value in self._options.items():
            self.cfg.set(name, value)

    def load(self) -> Flask:
        """The application, in each worker."""
        try:
            return create_app(self._keeper.follow().current, self._settings)
        except LayerscopeError as error:  # it passed its trial: perhaps memory is short
            click.echo(f"error: {error}", err=True)
            time.sleep(1)
            sys.exit(1)  # the parent starts another worker

    def run(self) -> None:
        """Serve until a signal ends it."""
        KeepingArbiter(self, self._keeper).run()


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("bundles", nargs=-1, type=click.Path(path_type=Path))
@click.option(
    "--models",
    type=click.Path(path_type=Path),
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
@click.option("--port", default=8000, show_default=True, type=click.IntRange(1, 65535))
@click.option("--workers", default="auto", show_default=True, help="Processes; auto: one a core.")
@click.option("--max-megapixels", default=25.0, show_default=True, help="Of a posted photo.")
@click.option("--more-formats", is_flag=True, help="Also TIFF, AVIF, HEIC (pi-heif).")
@click.option("--read-seconds", default=20.0, show_default=True,
              help="For a whole request to arrive.")  # fmt: skip
@click.option("--answer-seconds", default=30.0, show_default=True,
              help="To compute an answer and to send it.")  # fmt: skip
def main(
    bundles: tuple[Path, ...],
    models: Path | None,
    trust: Path | None,
    host: str,
    port: int,
    workers: str,
    max_megapixels: float,
    more_formats: bool,
    read_seconds: float,
    answer_seconds: float,
) -> None:
    """Serve each BUNDLE over HTTP; the first is the default model. What replaces one is loaded."""
    try:
        count, threads = choose_workers(workers)
        settings = Settings(count, threads)
        settings = replace(
            settings,
            photo_megapixels=max_megapixels,
            more_formats=more_formats,
            read_s=read_seconds,
            answer_s=answer_seconds,
        )
        keeper = open_keeper(bundles, models, trust, threads)
    except LayerscopeError as error:
        click.echo(f"error: {error}", err=True)
        sys.exit(2)
    shown = f"[{host}]" if ":" in host else host
    click.echo(
        f"serving {', '.join(keeper.names) or 'no model yet'} on http://{shown}:{port} "
        f"({count} workers, {threads} network threads each)"
    )
    options = {
        "bind": f"{shown}:{port}",
        "workers": count,
        "worker_class": DeadlineWorker,
        "threads": settings.request_threads,
        "timeout": 60,
        "graceful_timeout": 20,
        "keepalive": 5,
        "max_requests": 0,
        "loglevel": "warning",
        "control_socket_disable": True,
    }
    DeadlineWorker.read_s, DeadlineWorker.answer_s = settings.read_s, settings.answer_s
    Server(keeper, settings, options).run()


def open_keeper(
    bundles: Sequence[Path], models: Path | None, trust: Path | None, threads: int
) -> Keeper:
    """Try what is to be served. Raises SettingError, BundleError."""
    if bool(bundles) == bool(models):
        raise SettingError("name one or more bundles to serve, or a folder of them with --models")
    key = ""
    if trust:
        from models.bundles.signature import read_key

        key = bytes(read_key(trust)).hex()
    source = ModelFolder(models) if models else NamedBundles(list(bundles))
    keeper = Keeper(source, threads, key, say=click.echo)
    keeper.start()
    return keeper


if __name__ == "__main__":
    main(prog_name="python -m service")
