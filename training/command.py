"""What all commands have in common: how deliberate errors and Ctrl-C end, and `--quiet`."""

import atexit
import functools
import os
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from models.errors import LayerscopeError
from training.places.address import Url, as_place
from training.places.bundles import fetch_bundle
from training.settings.printable import printable


class Place(click.ParamType[Path]):
    """A path of this machine, or an address such as `s3://bucket/photos`."""

    name = "path"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Path:
        """Make a path of either kind. Raises BadParameter for an address that cannot be read."""
        try:
            return value if isinstance(value, Path) else as_place(value)
        except LayerscopeError as error:
            self.fail(str(error), param, ctx)


class BundleToRead(Place):
    """A bundle that is only read; one at an address is fetched, and goes when the command ends."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Path:
        """Make a path of this machine. Raises BadParameter for a bundle that cannot be used."""
        place = super().convert(value, param, ctx)
        if not isinstance(place, Url) or ctx is None:
            return place
        folder = tempfile.mkdtemp(prefix="bundle-")
        remove = functools.partial(shutil.rmtree, folder, ignore_errors=True)
        ctx.call_on_close(remove)  # at the end of the command
        atexit.register(remove)  # where an option after this one is wrong: click ends nothing then
        try:
            fetch_bundle(place, here := Path(folder) / place.name)
        except LayerscopeError as error:
            self.fail(str(error), param, ctx)
        return here


PLACE = Place()
BUNDLE = BundleToRead()


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
