"""Predict, one layer's activations, models: bytes in, the models room's own verbs, answer out.

Every route is there twice: for the first model, and below /models/NAME for any.
"""

from typing import Any

import numpy as np
import orjson
from flask import Blueprint, Response, current_app, request
from PIL import Image

from models import mosaic
from models.classifier import Classifier, Reading
from models.errors import SettingError
from models.inside import LayerAnswer, class_index, effects_of
from models.natural_order import natural_order
from service.incoming.asking import choice, drawing, number, said_by, settings, shelf, wants_json
from service.incoming.channels import choose_channels
from service.incoming.queries import BY, COLOUR, OVERLAY, SCALE, TILE, TOP
from service.incoming.uploads import decode, decode_all, photo_in, photos_in
from service.lines import answer_in_lines, wants_lines
from service.watching.metrics import note_reading
from service.watching.record import stage

bp = Blueprint("models", __name__)
OVERLAY_PX = 112  # a tile over the photo, where no size is asked for
BANDS = 3  # of a pixel of the photo; one of a map has one


@bp.post("/predict", defaults={"name": None})
@bp.post("/models/<name>/predict")
def predict(name: str | None) -> Response | dict[str, Any]:
    """The most probable classes of each posted photo; in lines if those are accepted."""
    classifier = shelf().find(name)
    top = number(TOP)
    encoded = photos_in(request, settings().photos_per_request)
    if wants_lines():
        return answer_in_lines(classifier, encoded, top)
    pixels = decode_all(classifier, encoded, settings().limits)
    results = [
        classifier.describe(_read(classifier, one), top)
        for one in pixels  # one by one: a batch is no faster on a CPU and holds more memory
    ]
    if len(results) == 1:
        return said_by(classifier) | results[0]
    return said_by(classifier) | {"results": results}


def _read(classifier: Classifier, photo: np.ndarray) -> Reading:
    with stage("network"):
        reading = classifier.read(photo)
    return note_reading(classifier, reading)


@bp.post("/activations/<path:layer>", defaults={"name": None})
@bp.post("/models/<name>/activations/<path:layer>")
def activations(name: str | None, layer: str) -> Response:
    """One layer's feature maps for the posted photo: a PNG sheet, or numbers as JSON."""
    classifier = shelf().find(name)
    entry = classifier.layer(layer)
    tile = number(TILE)
    by = choice(BY)
    one_scale = choice(SCALE) == "layer"
    colours = mosaic.EMBER if choice(COLOUR) == "ember" else mosaic.GREY
    over = choice(OVERLAY) == "1"
    pixels = decode(classifier, photo_in(request), settings().limits)
    with stage("network"):
        answer = classifier.look(pixels, [layer])
    maps = answer.maps[layer]
    label = class_index(classifier, answer.probabilities, request.args.get("label"))
    as_json = wants_json(request.accept_mimetypes)
    strengths, effects = mosaic.strengths(maps), None
    if as_json or by == "effect":  # they take longer than the rest together
        effects = effects_of(classifier, layer, maps, label)
    ranks = strengths if by == "strength" else effects
    if ranks is None:
        raise SettingError(
            f"what the channels of {layer} add to a class is not known: ask by=strength, or add "
            "it to the bundle with `python -m training insight`"
        )
    chosen = choose_channels(request.args.get("channels", "all"), ranks)
    if as_json:
        said = LayerAnswer(entry, maps, strengths, effects)
        return _as_numbers(classifier, said, chosen)
    side = max(entry.height, entry.width)
    if over:
        side = max(tile or OVERLAY_PX, side)
    else:
        side *= mosaic.tile_zoom(tile, entry.height, entry.width)
    most = settings().sheet_pixels // (BANDS if over else 1)
    if len(chosen) * side * side > most:
        raise SettingError(
            f"{len(chosen)} channels of {side} px make a sheet of more than {most:,} pixels: "
            "ask for fewer channels or a smaller tile"
        )
    shown = maps[..., chosen] if one_scale else mosaic.each_its_own(maps[..., chosen])
    if over:
        photo = np.asarray(Image.fromarray(pixels).resize((side, side)))
        brightest = mosaic.peak(maps) if one_scale else 1.0
        sheet = mosaic.draw_over(photo, shown, brightest, colours)
    else:
        sheet = mosaic.draw(shown, tile, brightest=mosaic.peak(maps) if one_scale else 1.0)
    return drawing(classifier, mosaic.png(sheet, colours))


@bp.get("/models")
def models() -> dict[str, Any]:
    """Every model that is served, the first one first; and versions that are refused, with why."""
    refused = [{"model": one.name, "version": one.version, "state": "refused",
                "reason": one.reason} for one in shelf().refused]  # fmt: skip
    return {"models": [_describe(classifier) for classifier in shelf()], "refused": refused}


@bp.get("/models/<name>")
def model(name: str) -> dict[str, Any]:
    """One model."""
    return _describe(shelf().find(name))


def _describe(classifier: Classifier) -> dict[str, Any]:
    manifest = classifier.manifest
    test = manifest.metrics.get("test", {})
    has_report = "report.html" in manifest.files
    return said_by(classifier) | {
        "name": classifier.name,
        "state": "ready",
        "backbone": manifest.backbone.get("name"),
        "image_size": manifest.image.size,
        "resize": manifest.image.resize,
        "fraction": manifest.image.fraction,
        "classes": len(manifest.class_names),
        "class_names": natural_order(manifest.class_names)[:20],
        "accuracy": test.get("accuracy"),
        "coverage": classifier.coverage,
        "precision": classifier.precision._asdict(),
        "device": classifier.device._asdict(),
        "layers": len(manifest.layers),
        "depths": classifier.depths(6),
        "samples": manifest.data.get("samples", []),
        "report": f"/models/{classifier.name}/report" if has_report else None,
        "insight": classifier.insight is not None,
        "trust": classifier.insight.index["trust"] if classifier.insight else None,
    }


def _as_numbers(classifier: Classifier, said: LayerAnswer, chosen: list[int]) -> Response:
    """The chosen channels as numbers; what is not finite is null."""
    entry = said.entry
    count = len(chosen) * entry.height * entry.width
    limit = settings().activation_numbers
    if count > limit:
        raise SettingError(
            f"{len(chosen)} channels of {entry.height} x {entry.width} are {count:,} numbers; "
            f"the limit is {limit:,}: ask for fewer with ?channels=top:16"
        )
    strengths = np.nan_to_num(said.strengths).round(6)
    effects = None if said.effects is None else np.nan_to_num(said.effects).round(6)
    channels = [  # one by one: a million numbers at once would hold up every other thread
        orjson.dumps(
            {
                "channel": channel,
                "strength": strengths[channel],
                "effect": None if effects is None else effects[channel],
                "map": np.ascontiguousarray(said.maps[..., channel]).round(5),
            },
            option=orjson.OPT_SERIALIZE_NUMPY,
        )
        for channel in chosen
    ]
    facts = current_app.json.dumps(said_by(classifier) | {"layer": entry.model_dump()})
    start = facts.removesuffix("}").encode() + b', "channels": ['
    return Response(start + b", ".join(channels) + b"]}", mimetype="application/json")
