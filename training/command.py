"""What all commands have in common: how deliberate errors and Ctrl-C end, and `--quiet`."""

import functools
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from models.errors import LayerscopeError
from training.settings.printable import printable

FOLDER = click.Path(path_type=Path)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def training() -> None:
    """Turn a folder of photos into an image classifier."""


def command(function: Callable[..., None]) -> click.Command:
    """Make a command whose deliberate errors end as one line and exit code 2."""

    @functools.wraps(function)
    def run(*args: Any, **options: Any) -> None:
        try:
            function(*args, **options)
        except LayerscopeError as error:
            click.echo(f"error: {printable(str(error))}", err=True)
            sys.exit(2)
        except KeyboardInterrupt:
            message = "stopped: what was computed so far is kept; run it again to go on"
            click.echo(message, err=True)
            sys.exit(130)

    return training.command()(run)


quiet = click.option("--quiet", is_flag=True, help="Show no progress.")


def end_after(main: Callable[[], None]) -> None:
    """Run a program and end with its exit code, without the time that TensorFlow takes to end.

    It is a second, and more where it waits for other workers; everything is on disk by then.
    """
    code: str | int | None = 0
    try:
        main()
    except SystemExit as ended:
        code = ended.code
    if "tensorflow" in sys.modules and isinstance(code, int):
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    sys.exit(code)
