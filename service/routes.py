"""Predict, activations, layers, models: bytes in, the models room's own verbs, answer out.

Every route is there twice: for the first model, and below /models/NAME for any.
"""

from typing import Any

import numpy as np
from flask import Blueprint, Response, current_app, request
from werkzeug.datastructures import MIMEAccept

from models import mosaic
from models.bundle import LayerEntry
from models.classifier import Classifier
from models.errors import SettingError
from service.channels import choose_channels
from service.settings import Settings
from service.shelf import Shelf
from service.uploads import decode_all, photo_in, photos_in

bp = Blueprint("models", __name__)
_NULL: Any = None  # what JSON has for a number that is not finite


def _shelf() -> Shelf:
    return current_app.extensions["shelf"]


def _settings() -> Settings:
    return current_app.extensions["settings"]


def _number(name: str, default: int, lowest: int, highest: int) -> int:
    """A whole number from the query. Raises SettingError."""
    text = request.args.get(name, str(default))
    if not (text.isascii() and text.isdigit() and lowest <= int(text) <= highest):
        raise SettingError(f"{name} is {text[:40]!r}; expected {lowest} to {highest}")
    return int(text)


def _said_by(classifier: Classifier) -> dict[str, str]:
    """Who answers: the model and its version."""
    return {"model": classifier.name, "version": classifier.manifest.version}


@bp.post("/predict", defaults={"name": None})
@bp.post("/models/<name>/predict")
def predict(name: str | None) -> dict[str, Any]:
    """The most probable classes of each posted photo."""
    classifier = _shelf().find(name)
    top = _number("top", 5, 1, 1000)
    encoded = photos_in(request, _settings().photos_per_request)
    pixels = decode_all(classifier, encoded, _settings().limits)
    results = [
        {
            "predictions": [
                p._asdict() for p in classifier.top(classifier.predict(one[None])[0], top)
            ]
        }
        for one in pixels  # one by one: a batch is no faster on a CPU and holds more memory
    ]
    if len(results) == 1:
        return _said_by(classifier) | results[0]
    return _said_by(classifier) | {"results": results}


@bp.post("/activations/<path:layer>", defaults={"name": None})
@bp.post("/models/<name>/activations/<path:layer>")
def activations(name: str | None, layer: str) -> Response | dict[str, Any]:
    """One layer's feature maps for the posted photo: a PNG sheet, or numbers as JSON."""
    classifier = _shelf().find(name)
    entry = classifier.layer(layer)
    tile = _number("tile", 0, 0, 512)
    pixels = classifier.decode(photo_in(request), _settings().limits)
    maps = classifier.look(pixels, [layer]).maps[layer]
    strengths = mosaic.strengths(maps)
    chosen = choose_channels(request.args.get("channels", "all"), strengths)
    if _wants_json(request.accept_mimetypes):
        return _said_by(classifier) | _as_numbers(entry, maps, strengths, chosen)
    side = max(tile, entry.height, entry.width)
    if len(chosen) * side * side > _settings().sheet_pixels:
        raise SettingError(
            f"{len(chosen)} channels of {side} px make a sheet of more than "
            f"{_settings().sheet_pixels:,} pixels: ask for fewer channels or a smaller tile"
        )
    sheet = mosaic.draw(maps[..., chosen], tile, brightest=mosaic.peak(maps))
    return Response(mosaic.png(sheet), mimetype="image/png")


@bp.get("/layers", defaults={"name": None})
@bp.get("/models/<name>/layers")
def layers(name: str | None) -> dict[str, Any]:
    """Every layer with feature maps, from photo to answer."""
    classifier = _shelf().find(name)
    entries = [entry.model_dump() for entry in classifier.manifest.layers]
    return _said_by(classifier) | {"layers": entries}


@bp.get("/models")
def models() -> dict[str, Any]:
    """Every model that is served, the first one first."""
    return {"models": [_describe(classifier) for classifier in _shelf()]}


@bp.get("/models/<name>")
def model(name: str) -> dict[str, Any]:
    """One model."""
    return _describe(_shelf().find(name))


def _describe(classifier: Classifier) -> dict[str, Any]:
    manifest = classifier.manifest
    test = manifest.metrics.get("test", {})
    has_report = "report.html" in manifest.files
    return _said_by(classifier) | {
        "name": classifier.name,
        "backbone": manifest.backbone.get("name"),
        "image_size": manifest.image.size,
        "resize": manifest.image.resize,
        "fraction": manifest.image.fraction,
        "classes": len(manifest.class_names),
        "class_names": manifest.class_names[:20],
        "accuracy": test.get("accuracy"),
        "layers": len(manifest.layers),
        "depths": classifier.depths(6),
        "samples": manifest.data.get("samples", []),
        "report": f"/models/{classifier.name}/report" if has_report else None,
    }


def _wants_json(accepted: MIMEAccept) -> bool:
    best = accepted.best_match(["image/png", "application/json"], default="image/png")
    return best == "application/json"


def _as_numbers(
    entry: LayerEntry, maps: np.ndarray, strengths: np.ndarray, chosen: list[int]
) -> dict[str, Any]:
    """The chosen channels as numbers; what is not finite is null."""
    count = len(chosen) * entry.height * entry.width
    limit = _settings().activation_numbers
    if count > limit:
        raise SettingError(
            f"{len(chosen)} channels of {entry.height} x {entry.width} are {count:,} numbers; "
            f"the limit is {limit:,}: ask for fewer with ?channels=top:16"
        )
    pictures = maps[..., chosen].transpose(2, 0, 1).astype(float).round(5)
    numbers = np.where(np.isfinite(pictures), pictures.astype(object), _NULL).tolist()
    return {
        "layer": entry.model_dump(),
        "channels": [
            {"channel": channel, "strength": round(float(strengths[channel]), 6), "map": picture}
            for channel, picture in zip(chosen, numbers, strict=True)
        ],
    }
