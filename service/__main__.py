"""`python -m service BUNDLE ...`: the command line, and the trials.

A bundle takes most of a second to be tried, in a process of its own. So this file imports little:
the trials begin first, and what serves (`server.py`) is loaded while they run.
"""

import gc
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from models.errors import LayerscopeError, SettingError
from models.terms import DEVICES, PRECISIONS, Terms
from service.config_file import PREFIX, LocalPath, Port, chosen, prefer, take_config
from service.logs import FORMS, choose_form, printable, say, use_form
from service.settings import Settings, choose_workers
from service.versions.keeper import Keeper
from service.versions.sources import ModelFolder, NamedBundles

if TYPE_CHECKING:
    from service.server import Server


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
@click.option("--precision", default="auto", show_default=True, type=click.Choice(PRECISIONS),
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
        terms = Terms(precision=precision, device=device)
        keeper = open_keeper(*prefer(context, "bundles", "models"), trust, terms)
        server = load_server(keeper, settings, host, port)
    except LayerscopeError as error:
        click.echo(f"error: {printable(str(error))}", err=True)
        sys.exit(2)
    shown = f"[{host}]" if ":" in host else host
    server.tell_start(f"http://{shown}:{port}", chosen(context))
    server.run()


def open_keeper(
    bundles: Sequence[Path], models: Path | None, trust: Path | None, terms: Terms
) -> Keeper:
    """Begin to try what is to be served. Raises SettingError."""
    if bool(bundles) == bool(models):
        raise SettingError("name one or more bundles to serve, or a folder of them with --models")
    if trust:
        from models.bundles.signature import read_key

        terms = terms._replace(key=bytes(read_key(trust)).hex())
    source = ModelFolder(models) if models else NamedBundles(list(bundles))
    keeper = Keeper(source, terms, say=say)
    keeper.begin()
    return keeper


def load_server(keeper: Keeper, settings: Settings, host: str, port: int) -> "Server":
    """Load what serves, while trials run; wait for them. Raises SettingError, BundleError."""
    try:
        gc.disable()  # it would look for rubbish among code, again and again
        from service.server import open_server  # here: to load it takes half a second

        gc.enable()
        return open_server(keeper, settings, host, port)
    except BaseException:  # Ctrl-C too: no trial goes on alone
        keeper.end()
        raise


if __name__ == "__main__":
    main(prog_name="python -m service")
