"""Examine photos and write a page and a list of findings: the command `check`."""

from contextlib import closing
from pathlib import Path

from models.errors import SettingError, StorageError
from training.doctor.examine import Checkup, examine
from training.doctor.exclusions import leave_out, write_list
from training.doctor.near_copies import near_copies_of
from training.doctor.neighbours import require_index
from training.doctor.page import write_page
from training.doctor.suspects import suspects_of
from training.features.backbone import compile_backbone
from training.features.cache import FeatureCache
from training.features.compute import compute_features
from training.features.rows import refuse_beyond_memory
from training.photos.find import find_photos, refuse_among_photos
from training.photos.levels import settle_levels
from training.photos.listing import Skipped, say_left_out, say_notes
from training.scale.choose import choose_workers, open_network
from training.settings.config import FitConfig
from training.settings.console import Stages


def check(
    source: Path, out: Path | None, exclude: Path | None, config: FitConfig, stages: Stages
) -> tuple[Checkup, Path, list[Skipped]]:
    """Examine the photos of `source`; returns findings, the page's path, and what was left out.

    Args:
        out: the page to write, *.html; None: a new name in the current folder.
        exclude: a list of photos to leave out.

    Raises:
        LayerscopeError: the photos, the list or the place is unusable.
    """
    page = _place(source, out, exclude)
    table = page.with_suffix(".csv")
    refuse_among_photos(config.cache, source, "the cache")
    listing = find_photos(source, config.merge_names)
    say_notes(stages, listing)
    if exclude:
        listing = leave_out(listing, source, exclude)
    config = settle_levels(listing, config, stages)
    refuse_beyond_memory(len(listing.photos))
    require_index(len(listing.photos))
    compiled = compile_backbone(config, stages)
    asked = compiled.graph_with(["features"])
    graph = open_network(asked, "features", config, stages)
    cache = FeatureCache(
        config.cache, config.row.name, compiled.identity, config.framing, config.limits
    )
    with closing(cache):
        with stages.counted("compute features", len(listing.photos), "photos") as advance:
            workers = choose_workers(config)
            features = compute_features(listing.photos, graph, cache, workers, advance)
        appearances = cache.appearances()
        with stages.stage("look for near copies"):
            near = near_copies_of(features, cache)
        with stages.stage("examine labels and photos"):
            suspects = suspects_of(features, near, cache)
            checkup = examine(listing, features, appearances, near, config.framing.size, suspects)
    with stages.stage("write the page"):
        try:
            write_list(table, checkup.findings, source)
            write_page(page, checkup, source, table.name, config.limits)
        except OSError as error:
            raise StorageError(f"--out {page}: {error.strerror}; name another place") from error
    skipped = listing.skipped + features.skipped
    say_left_out(stages, skipped, source, table)
    return checkup, page, skipped


def _place(source: Path, out: Path | None, exclude: Path | None) -> Path:
    """Choose the path of the page; never overwrite a list that a person may have edited."""
    if out is None:
        name = source.resolve().stem if source.is_file() else source.resolve().name
        stem, number = f"{name or 'photos'}-check", 1
        out = Path(f"{stem}.html")
        while out.exists() or out.with_suffix(".csv").exists():
            number += 1
            out = Path(f"{stem}-{number}.html")
    if out.suffix.lower() not in (".html", ".htm"):
        raise SettingError(f"--out is {out}; expected a name that ends in .html")
    if not out.parent.is_dir():
        raise StorageError(f"--out {out}: there is no folder {out.parent}; make it first")
    if exclude and out.with_suffix(".csv").resolve() == exclude.resolve():
        raise SettingError(f"--out {out} would overwrite {exclude}, the list of --exclude: "
                           "give another --out")  # fmt: skip
    return out
