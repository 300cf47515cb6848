"""Add insight to a bundle that has none: the command `insight`.

It runs the bundle's own ONNX graphs, so it needs no Keras, except for `--visualise`.
"""

import json
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from models.bundle import Bundle, LayerEntry, Manifest, check_target, new_bundle, seal
from models.errors import PhotosError, SettingError, UnknownChannel, UnknownLayer
from models.insight import INDEX
from training.doctor.near_copies import near_copies_of
from training.doctor.neighbours import require_index
from training.features.cache import FeatureCache
from training.features.compute import compute_features
from training.features.rows import refuse_beyond_memory
from training.features.summaries import LayerSummaries
from training.insight.write import Material, choose_layers, write_insight
from training.photos.find import find_photos, refuse_among_photos
from training.photos.listing import Listing, Skipped, say_left_out, say_notes
from training.places.bundles import published
from training.scale.engine import Workers
from training.scale.portable import PortableGraph
from training.settings.config import FitConfig
from training.settings.console import Stages
from training.sides.remembered import read_sides, shares_of, split_settings
from training.sides.split import fingerprint, split_photos

LISTING_SETTINGS = (
    "seed", "validation_share", "test_share", "max_megapixels", "more_formats", "merge_names",
    "leave_out_small",
)  # fmt: skip


@published("path", whole=True)
def add_insight(
    path: Path,
    source: Path,
    layers: Sequence[str],
    visualised: Sequence[str],
    stages: Stages,
    workers: Workers | None = None,
) -> tuple[Manifest, list[Skipped]]:
    """Find out with the photos of `source` what a bundle's layers detect; write it anew.

    Returns its manifest, and what was left out of the photos.

    Args:
        path: the bundle.
        layers: names of layers; none: every block.
        visualised: `LAYER:CHANNEL` of channels to compute a picture for, from noise.
        workers: threads, 1 or more, or a cluster; None: a thread for each core.

    Raises:
        LayerscopeError: the bundle, a name or the photos are unusable; the bundle is left
            unchanged.
    """
    check_target(path)
    bundle = Bundle(path)
    bundle.verify()
    manifest = bundle.manifest
    watched = choose_layers(manifest.layers, layers)
    wanted = [_channel(text, manifest.layers) for text in visualised]
    if not watched:
        raise PhotosError(f"{path} has no layer with feature maps to look into")
    settings = {key: manifest.training[key] for key in LISTING_SETTINGS if key in manifest.training}
    config = FitConfig(**settings)
    listing = _list_photos(source, config, stages)
    identity = (manifest.backbone["name"], str(manifest.backbone.get("weights", path.name)))
    cache = FeatureCache(config.cache, *identity, manifest.framing, config.limits)
    with closing(cache), new_bundle(path) as folder:
        summaries = LayerSummaries(watched)
        graph = PortableGraph(bundle.read("layers.onnx"))
        with stages.counted("compute features", len(listing.photos), "photos") as advance:
            threads = workers or config.workers
            features = compute_features(listing.photos, graph, cache, threads, advance, summaries)
        say_left_out(stages, skipped := listing.skipped + features.skipped, source)
        known = read_sides(path, split_settings(config))
        near = near_copies_of(features, cache)
        split = split_photos(
            features.photos,
            features.digests,
            shares_of(config),
            near=[(pair.one, pair.other) for pair in near] if known else (),
            known=known,
        )
        trained_on = manifest.data.get("fingerprint")
        if trained_on and trained_on != fingerprint(split, features.photos, features.digests):
            stages.say("these are not the photos the model was trained on, or not all of them")
        material = Material(features, split, manifest.framing, config)
        _copy_files(bundle, folder)
        index = write_insight(folder, watched, material, cache, stages)
        if wanted:
            _visualise(folder, manifest.layers, wanted, index, config.seed, stages)
        return seal(folder, manifest.model_copy(update={"files": {}}), path), skipped


def _list_photos(source: Path, config: FitConfig, stages: Stages) -> Listing:
    """List the photos, and refuse at once what cannot be done. Raises PhotosError, StorageError."""
    refuse_among_photos(config.cache, source, "the cache")
    listing = find_photos(source, config.merge_names)
    say_notes(stages, listing)
    refuse_beyond_memory(len(listing.photos))
    require_index(len(listing.photos))
    return listing


def _copy_files(bundle: Bundle, folder: Path) -> None:
    """Copy the files of a bundle, without its insight, into `folder`. Raises BundleError."""
    for name in bundle.manifest.files:
        if not name.startswith("insight/"):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(bundle.read(name))


def _channel(text: str, layers: Sequence[LayerEntry]) -> tuple[str, int]:
    """Parse `LAYER:CHANNEL`. Raises SettingError, UnknownLayer, UnknownChannel."""
    layer, colon, channel = text.rpartition(":")
    if not colon or not (channel.isascii() and channel.isdigit()):
        raise SettingError(f"--visualise is {text!r}; expected LAYER:CHANNEL, such as head_relu:5")
    entry = next((entry for entry in layers if entry.name == layer), None)
    if entry is None:
        raise UnknownLayer(layer, [entry.name for entry in layers])
    if int(channel) >= entry.channels:
        raise UnknownChannel(channel, entry.channels)
    return layer, int(channel)


def _visualise(
    folder: Path,
    layers: Sequence[LayerEntry],
    wanted: Sequence[tuple[str, int]],
    index: dict[str, Any],
    seed: int,
    stages: Stages,
) -> None:
    """Write a computed picture for each channel; insight.json records which converged."""
    from training.insight.visualise import visualise

    with stages.counted("compute what excites a channel", len(wanted), "channels") as advance:
        pictures = visualise(folder / "model.keras", wanted, seed, advance)
    place = folder / "insight" / "visualised"
    place.mkdir()
    numbers = {entry.name: number for number, entry in enumerate(layers)}
    index["visualised"] = []
    for (layer, channel), found in zip(wanted, pictures, strict=True):
        name = f"{numbers[layer]}-{channel}.webp"
        (place / name).write_bytes(found.picture)
        facts = {"layer": layer, "channel": channel, "file": f"insight/visualised/{name}"}
        index["visualised"].append(facts | {"answer": found.answer, "converged": found.converged})
        if not found.converged:
            stages.say(f"{layer}:{channel} did not converge: do not rely on its picture")
    (folder / INDEX).write_text(json.dumps(index, indent=1), encoding="utf-8")
