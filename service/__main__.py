"""`python -m service BUNDLE ...`: the application under gunicorn.

Each worker loads the bundles itself, after it was forked: ONNX Runtime's threads do not
survive a fork. The parent process only checks that they can be served.
"""

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
from flask import Flask
from gunicorn.app.base import BaseApplication
from gunicorn.arbiter import Arbiter

from models.bundle import Bundle
from models.errors import LayerscopeError
from service.app import create_app
from service.settings import Settings, choose_workers
from service.worker import DeadlineWorker


class Server(BaseApplication):
    """gunicorn with the application inside, and no configuration file."""

    def __init__(self, bundles: list[Path], settings: Settings, options: dict[str, Any]):
        self._bundles, self._settings, self._options = bundles, settings, options
        super().__init__()

    def load_config(self) -> None:
        """Hand our options to gunicorn."""
        for name, value in self._options.items():
            self.cfg.set(name, value)

    def load(self) -> Flask:
        """The application, in each worker."""
        try:
            return create_app(self._bundles, self._settings)
        except LayerscopeError as error:
            click.echo(f"error: {error}", err=True)
            sys.exit(Arbiter.APP_LOAD_ERROR)  # tells the parent to stop, not to try again


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("bundles", nargs=-1, required=True, type=click.Path(path_type=Path))
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
    host: str,
    port: int,
    workers: str,
    max_megapixels: float,
    more_formats: bool,
    read_seconds: float,
    answer_seconds: float,
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
        )
        opened = [Bundle(path) for path in bundles]
        for bundle in opened:
            bundle.verify()
    except LayerscopeError as error:
        click.echo(f"error: {error}", err=True)
        sys.exit(2)
    shown = f"[{host}]" if ":" in host else host
    click.echo(
        f"serving {', '.join(bundle.manifest.name for bundle in opened)} on http://{shown}:{port} "
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
    Server(list(bundles), settings, options).run()


if __name__ == "__main__":
    main(prog_name="python -m service")
