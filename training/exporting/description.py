"""What lies next to a model: labels.txt, export.json, the example that runs it, README.md."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import jinja2
from PIL import __version__ as pillow_version

from models.cores import usable_cores
from training.contents import library_versions
from training.exporting.formats import WRITTEN
from training.exporting.proof import Proof
from training.exporting.source import Source

FACTS = "export.json"
HERE = Path(__file__).parent


def describe(source: Source, form: str, file: str, size_bytes: int) -> dict[str, Any]:
    """Gather what is known of an export before it has been proven."""
    manifest, framing = source.bundle.manifest, source.bundle.manifest.framing
    return {
        "format": form,
        "int8": source.calibration is not None,
        "file": file,
        "size_bytes": size_bytes,
        "bundle": {
            "name": manifest.name,
            "version": manifest.version,
            "manifest_sha256": source.bundle.fingerprint,
        },
        "image": {"size": framing.size, "resize": framing.resize, "fraction": framing.fraction},
        "labels": source.labels,
        "libraries": library_versions(),
    }


def write_example(folder: Path, facts: Mapping[str, Any]) -> None:
    """Write labels.txt, export.json, and the example, which reads the latter."""
    (folder / "labels.txt").write_text("\n".join(facts["labels"]) + "\n", encoding="utf-8")
    (folder / FACTS).write_text(_as_json(facts), encoding="utf-8")
    for name, copy in (("decode", "decode"), (f"run_{facts['format']}", "example")):
        program = (HERE / "examples" / f"{name}.py").read_bytes()
        (folder / f"{copy}.py").write_bytes(program)


def write_proof(folder: Path, facts: Mapping[str, Any], proof: Proof) -> dict[str, Any]:
    """Add the proof to export.json, and write README.md. Returns all that is known."""
    whole = {**facts, "proof": asdict(proof)}
    (folder / FACTS).write_text(_as_json(whole), encoding="utf-8")
    form = WRITTEN[facts["format"]]
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(HERE),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        keep_trailing_newline=True,
    )
    text = environment.get_template("README.md.j2").render(
        facts,
        proof=proof,
        title=form.title,
        packages=f"{form.pinned} pillow=={pillow_version}",
        cores=usable_cores(),
    )
    (folder / "README.md").write_text(text, encoding="utf-8")
    return whole


def _as_json(facts: Mapping[str, Any]) -> str:
    return json.dumps(facts, indent=2, ensure_ascii=False) + "\n"
