"""The end of a command: its last lines, and the same as JSON for whoever asks with --json."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from models.bundle import Manifest, writing
from training.photos.listing import Skipped, left_out_as_json, skipped_as_json
from training.settings.printable import printable


def _writable(context: Any, option: Any, path: Path | None) -> Path | None:
    """Check before the work that a file could be written there. Raises BadParameter."""
    if path and str(path) != "-" and (path.is_dir() or not path.parent.is_dir()):
        raise click.BadParameter(f"{path} is a folder, or lies in none: name a file")
    return path


summary = click.option(
    "--json", "summary", type=click.Path(path_type=Path), metavar="FILE", callback=_writable,
    help="File to write the result to as JSON, with what was left out; -: print it.",
)  # fmt: skip


def finish(lines: Sequence[str], summary: Path | None, facts: dict[str, Any]) -> None:
    """Print the last lines of a command, and write its JSON where it was asked for."""
    text = json.dumps(facts, indent=2)
    if summary and str(summary) != "-":
        with writing(summary):
            summary.write_text(text + "\n", encoding="utf-8")
    for line in lines:
        click.echo(printable(line), err=str(summary) == "-")
    if str(summary) == "-":
        click.echo(text)


def left_out_facts(skipped: Sequence[Skipped]) -> dict[str, Any]:
    """Gather what was not used: the kinds with their counts, and each file."""
    return {"left_out": left_out_as_json(skipped), "skipped": skipped_as_json(skipped)}


def bundle_facts(out: Path, manifest: Manifest) -> dict[str, Any]:
    """Gather what a script wants to know of a new bundle."""
    data, kept = manifest.data, ("photos", "classes", "skipped", "left_out")
    facts = {"bundle": str(out), "version": manifest.version, "class_names": manifest.class_names}
    return facts | {name: data.get(name) for name in kept} | {"metrics": manifest.metrics}
