"""Render findings as HTML: a section for the training report, and a page of its own.

Both open with the network off: pictures and styles are inside. Names of files and classes come
from other people; the templates escape them.
"""

import base64
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import jinja2
from markupsafe import Markup

from models.errors import ImageError
from models.images import Limits, shrink_image
from training.doctor.examine import PROBLEMS, Checkup, Finding
from training.doctor.exclusions import below
from training.places.reading import read_photo
from training.settings.printable import printable

SECTION = Path(__file__).with_name("section.html.j2")
PAGE = Path(__file__).with_name("page.html.j2")
PICTURE_PX = 160  # longest side
PICTURED = 48  # findings of each kind shown with pictures
LISTED = 500  # findings of each kind listed; the CSV has all


def render_section(
    checkup: Checkup, source: Path, limits: Limits = Limits(), pictured: int = PICTURED
) -> Markup:
    """Render the findings as one HTML section, escaped already.

    Args:
        source: the folder or CSV of the photos; paths are shown below it.
        pictured: findings of each kind with pictures; each decodes a photo.
    """
    kinds = []
    for code, problem in PROBLEMS.items():
        found = checkup.of(code)
        if found:
            shown = [_entry(finding, source, limits) for finding in found[:pictured]]
            rest = [_entry(finding, source, None) for finding in found[pictured:LISTED]]
            kinds.append((problem, len(found), shown, rest))
    template = _environment().from_string(SECTION.read_text(encoding="utf-8"))
    return Markup(template.render(checkup=checkup, kinds=kinds))


def write_page(
    path: Path, checkup: Checkup, source: Path, listed: str, limits: Limits = Limits()
) -> None:
    """Write a page of the findings; `listed` is the name of the list next to it."""
    template = _environment().from_string(PAGE.read_text(encoding="utf-8"))
    section = render_section(checkup, source, limits)
    page = template.render(name=printable(source.resolve().name), section=section, listed=listed)
    path.write_bytes(page.encode("utf-8", "replace"))  # a file's name may be no Unicode


def _environment() -> jinja2.Environment:
    return jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined)


def _entry(finding: Finding, source: Path, limits: Limits | None) -> dict[str, object]:
    """Prepare a finding for the template; without `limits` it has no pictures."""
    paths = [path for path in (finding.photo, finding.other) if path]
    pictures = _pictures(paths, limits) if limits and finding.code != "unreadable" else []
    other = below(finding.other, source) if finding.other else ""
    name = below(finding.photo, source)
    return {"name": name, "other": other, "detail": printable(finding.detail), "pictures": pictures}


def _pictures(paths: Sequence[Path], limits: Limits) -> list[str]:
    """Shrink photos to data URLs; those that cannot be read are left out."""
    found = []
    for path in paths:
        with suppress(ImageError, OSError):
            if not path.is_file():  # a pipe would never end
                continue
            small = shrink_image(read_photo(path, limits), PICTURE_PX, limits)
            found.append(f"data:image/jpeg;base64,{base64.b64encode(small).decode()}")
    return found
