"""The command `adopt`: somebody's model file -> a bundle.

The file is read in a process of its own and rebuilt from its text (`models/adopting/`). What it
does not say, how its program treated a photo, is declared, found on labelled photos, or
refused: a wrong guess would be answered with confidence.
"""

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from models.building.scalings import Front
from models.bundle import Bundle, Manifest, check_target, new_bundle, seal
from models.errors import SettingError
from models.examine import examine
from models.images import Framing
from training.adopt.config import AdoptConfig, MeasureConfig
from training.adopt.labels import check_count, read_labels
from training.adopt.measured import write_measured
from training.adopt.network import Source, check_answers, compile_source, read_source
from training.adopt.trial import Trial, match_labels, try_fronts
from training.contents import library_versions, write_contents
from training.features.backbone import attach, generate_pictures
from training.photos.levels import settle_levels
from training.places.bundles import published
from training.prepare import list_photos
from training.settings.console import Stages

FIND_OUT = (
    "look in the code that trained it for `/ 255` or `rescale=1./255` (--scaling 0..1), "
    "`/ 127.5 - 1` (--scaling -1..1), `preprocess_input` (of VGG and ResNet: caffe; of MobileNet "
    "and others: -1..1) or none of them (--scaling raw); or give --photos, a folder with a folder "
    "of photos for each class, and every scaling is tried"
)


@published()
def adopt(
    path: Path,
    labels: str,
    out: Path,
    photos: Path | None,
    config: AdoptConfig,
    stages: Stages,
) -> Manifest:
    """Turn a model that Keras saved into the bundle `out`.

    Args:
        labels: a file of class names, or names with commas between them.
        photos: labelled photos to find the scaling by, and to measure the network on.

    Raises:
        LayerscopeError: the file is hostile or cannot be adopted, a setting is missing or wrong,
            or a place cannot be written; nothing is left at `out` that was not there.
    """
    check_target(out)
    class_names = read_labels(labels)
    with stages.stage("read the model file"):
        source = read_source(path, config.size or None)
    _say_what_it_is(source, class_names, stages)
    framing = config.framing(source.shape)
    declared = _declared(config, source)
    if photos is None:
        if declared is None and not source.rebuilt.scalings:
            raise SettingError(
                f"{path.name} does not scale pixels inside, and nothing says how its program did: "
                f"{FIND_OUT}"
            )
        front = declared or Front(bgr=config.bgr, invert=config.invert)
        _warn_of_two(front, source, stages)
        return _write_plain(source, front, framing, class_names, out, config, stages)
    run = MeasureConfig(adopted=_name(path), square=framing, int8=config.int8)
    listing = list_photos(photos, out, run, stages)
    run = settle_levels(listing, run, stages)  # type: ignore[assignment]
    known = match_labels(listing.photos, class_names)
    listing.photos = [replace(photo, label=known[photo.label]) for photo in listing.photos]
    with stages.stage("try every scaling"):
        trial = try_fronts(source, listing.photos, class_names, run.framing, run.limits, declared)
    front = _choose(trial, declared, class_names, stages)
    _warn_of_two(front, source, stages)
    facts = _facts(source, front, config) | {"tried": trial.as_json()}
    run = replace(run, chosen=facts)
    return write_measured(source, front, listing, class_names, out, run, stages)


def in_words(manifest: Manifest) -> str:
    """Say in a line what an adopted bundle can do."""
    line = f"{len(manifest.class_names)} classes"
    if test := manifest.metrics.get("test"):
        return f"{line}, accuracy {test['accuracy']:.3f} on {test['photos']} photos"
    return f"{line}; without --photos it has predictions, maps and saliency only"


def _say_what_it_is(source: Source, class_names: list[str], stages: Stages) -> None:
    """Say what was read, and check that there is a name for each class."""
    ending, shape = source.ending, source.shape
    check_count(class_names, ending.classes, ending.unit)
    colours = "RGB" if source.channels == 3 else "grey"
    stages.say(
        f"{source.path.name}: saved by Keras {source.saved_by or 'of unknown version'}, "
        f"{len(source.rebuilt.network.layers) - 1} layers, reads {colours} images of "
        f"{shape[0]} x {shape[1]} px, ends with {ending.kind} ({ending.layer})"
    )
    if source.rebuilt.in_a_row:
        stages.say(
            "it reads the pixels as one row of numbers: taken for an image's rows, one after the "
            "other"
        )
    if ending.unit:
        what = "its probability" if ending.kind == "sigmoid" else "its logit, it is assumed"
        stages.say(
            f"it answers with one number, {what}: 1 means {class_names[1]!r}, "
            f"0 means {class_names[0]!r}; the other way round, turn --labels round"
        )
    if ending.kind == "logits" and source.rebuilt.loss in ("mse", "mean_squared_error", "mae"):
        raise SettingError(
            f"{source.path.name} was trained by {source.rebuilt.loss}, to estimate a number, not "
            "to choose a class: it is no classifier"
        )
    if shape[0] != shape[1]:
        stages.say(
            f"its input is oblong: a photo is brought to a square of {max(shape[:2])} px, and from "
            "there to the input inside the graph: whole and squashed by --resize squash, its "
            "middle by crop"
        )


def _declared(config: AdoptConfig, source: Source) -> Front | None:
    """Return the layers in front that were asked for; None: no scaling was."""
    front = Front(config.scaling or "raw", config.bgr, config.invert)
    front.check(source.channels)
    return None if config.scaling is None else front


def _warn_of_two(front: Front, source: Source, stages: Stages) -> None:
    scalings = source.rebuilt.scalings
    if scalings and front.scaling != "raw":
        stages.say(
            f"warning: the network scales pixels itself ({', '.join(scalings[:3])}), and so does "
            f"--scaling {front.scaling}: both are applied; leave one out unless its program "
            "did both"
        )


def _choose(trial: Trial, declared: Front | None, class_names: list[str], stages: Stages) -> Front:
    """Say how each scaling did, and choose: what was declared, else the best."""
    stages.say(f"accuracy on {trial.photos} photos, by what is done to the pixels:")
    for attempt in trial.attempts:
        stages.say(attempt.line())
    best, other = trial.best, trial.reordered
    if other is not None:
        order = ", ".join(class_names[label] for label in other.order)
        stages.say(
            f"warning: with {other.front} another order of the classes fits far better, "
            f"{other.matched:.3f} instead of {other.accuracy:.3f}: --labels {order!r}; check the "
            "order that it was trained with"
        )
        best = other
    if declared is None:
        stages.say(f"chosen: {best.front}, accuracy {best.accuracy:.3f}")
        return best.front
    mine = trial.of(declared)
    if mine is not None and best.accuracy - mine.accuracy > 0.05:
        stages.say(
            f"warning: {declared} was given and is used; {best.front} is right on "
            f"{best.accuracy:.3f} of the photos instead of {mine.accuracy:.3f}"
        )
    return declared


def _facts(source: Source, front: Front, config: AdoptConfig) -> dict[str, Any]:
    """Gather what the manifest records of where the network came from."""
    return {
        "adopted": source.path.name,
        "sha256": source.digest,
        "keras": source.saved_by,
        "weights": source.path.name,
        "ends_with": source.ending.kind,
        "resize": config.resize,
        "size": max(source.shape[:2]),
    } | asdict(front)


def _name(path: Path) -> str:
    """Return the name of a file without its ending, short."""
    return path.stem[:100] or "adopted"


def _write_plain(
    source: Source,
    front: Front,
    framing: Framing,
    class_names: list[str],
    out: Path,
    config: AdoptConfig,
    stages: Stages,
) -> Manifest:
    """Write a bundle of the network alone: it predicts, and shows its maps and saliency."""
    with stages.stage("compile the network, and compare it with the file's own"):
        pictures = generate_pictures(framing.size)
        compiled = compile_source(source, front, framing, pictures)
        files, parity = attach(compiled, source.ending.head, pictures)
        check_answers(source, files, front, framing, pictures)
    with new_bundle(out) as folder:
        write_contents(folder, files, [])
        manifest = Manifest(
            name=out.name,
            class_names=class_names,
            image=framing,
            backbone={"name": _name(source.path), "weights": compiled.identity},
            head={"kind": "adopted", "name": "its own head"},
            layers=compiled.layers,
            training=_facts(source, front, config),
            parity=parity,
            libraries=library_versions(),
        )
        sealed = seal(folder, manifest, out)
        examine(Bundle(folder))
        return sealed
