"""Look inside: all layers of one photo at once, saliency, and what each channel detects."""

import base64
import threading
from typing import Any

import numpy as np
from flask import Blueprint, Response, request, url_for
from werkzeug.exceptions import NotFound

from models import mosaic
from models.bundles.manifest import LayerEntry
from models.classifier import Classifier
from models.errors import UnknownChannel
from models.inside import Inside, LayerAnswer, choose_method, explain, look_inside
from models.insight import LayerInsight
from service.errors import Busy
from service.incoming.asking import drawing, number, said_by, settings, shelf, wants_json
from service.incoming.queries import TOP
from service.incoming.uploads import decode, photo_in
from service.watching.metrics import note_reading
from service.watching.record import stage

bp = Blueprint("inside", __name__)
_fine = threading.BoundedSemaphore(1)  # as long as many predictions: one at a time in a worker
FINE_PX = 56  # maps from this size on hardly shrink, and take most of the time to compress
HINT = "this layer was not looked into; `python -m training insight BUNDLE PHOTOS` adds it"


@bp.post("/activations", defaults={"name": None})
@bp.post("/models/<name>/activations")
def all_activations(name: str | None) -> dict[str, Any]:
    """Every block's answer to the posted photo, from one run of the network."""
    classifier = shelf().find(name)
    top = number(TOP)
    pixels = decode(classifier, photo_in(request), settings().limits)
    with stage("network"):
        inside = look_inside(classifier, pixels, request.args.get("label"))
    note_reading(classifier, inside.reading)
    label = classifier.class_names[inside.label]
    said = said_by(classifier) | classifier.describe(inside.reading, top)
    return said | {
        "label": label,
        "layers": [_layer_answer(layer) for layer in inside.layers],
        "saliency": _saliency(classifier, inside, "position"),
    }


@bp.post("/saliency", defaults={"name": None})
@bp.post("/models/<name>/saliency")
def saliency(name: str | None) -> Response | dict[str, Any]:
    """Which parts of the posted photo speak for a class: laid over it, or numbers."""
    classifier = shelf().find(name)
    method = choose_method(classifier, request.args.get("method"))
    pixels = decode(classifier, photo_in(request), settings().limits)
    fine = method != "position"
    if fine and not _fine.acquire(blocking=False):
        raise Busy("another photo is being covered part by part; try again in 3 seconds", 3)
    try:
        with stage("network"):
            found = explain(classifier, pixels, request.args.get("label"), method)
    finally:
        if fine:
            _fine.release()
    if wants_json(request.accept_mimetypes):
        return said_by(classifier) | _saliency(classifier, found, method)
    return drawing(classifier, mosaic.png(mosaic.lay_over(pixels, found.heat)))


@bp.get("/layers", defaults={"name": None})
@bp.get("/models/<name>/layers")
def layers(name: str | None) -> dict[str, Any]:
    """Every layer with feature maps, from photo to answer."""
    classifier = shelf().find(name)
    insight = classifier.insight
    return said_by(classifier) | {
        "insight": insight is not None,
        "chance": insight.index["chance"] if insight else None,
        "layers": [_entry(classifier, entry) for entry in classifier.manifest.layers],
    }


@bp.get("/layers/<layer>", defaults={"name": None})
@bp.get("/models/<name>/layers/<layer>")
def layer(name: str | None, layer: str) -> dict[str, Any]:
    """One layer and its channels."""
    classifier = shelf().find(name)
    entry = classifier.layer(layer)
    known = classifier.insight.layer(layer) if classifier.insight else None
    channels = [_facts(classifier, known, i) for i in range(entry.channels)] if known else None
    return said_by(classifier) | {
        "layer": _entry(classifier, entry),
        "channels": channels,
        "hint": None if known else HINT,
    }


@bp.get("/layers/<layer>/channels/<channel>", defaults={"name": None})
@bp.get("/models/<name>/layers/<layer>/channels/<channel>")
def channel(name: str | None, layer: str, channel: str) -> dict[str, Any]:
    """What one channel detects."""
    classifier = shelf().find(name)
    entry, index = _find(classifier, layer, channel)
    body = said_by(classifier) | {"layer": _entry(classifier, entry), "channel": index}
    insight = classifier.insight
    known = insight.layer(layer) if insight else None
    if insight is None or known is None:
        empty: dict[str, Any] = {"facts": None, "words": None, "exemplars": [], "image": None}
        return body | empty | {"tile": None, "visualisation": None, "hint": HINT}
    facts = _facts(classifier, known, index)
    if "weights" in known.arrays:
        order = np.argsort(-known.arrays["weights"][index], kind="stable")
        names = classifier.class_names
        facts["weights"] = [
            {"label": names[k], "weight": round(float(known.arrays["weights"][index, k]), 5)}
            for k in [*order[:20], *order[max(20, len(order) - 20) :]]
        ]
    else:
        facts["weights"] = None
    address: dict[str, Any] = {"name": classifier.name, "layer": layer, "channel": index}
    address["v"] = classifier.bundle.fingerprint[:16]
    computed = insight.visualised(layer, index)
    return body | {
        "facts": facts,
        "words": in_words(facts),
        "exemplars": [one._asdict() for one in insight.exemplars(known, index)],
        "image": url_for("inside.exemplars", **address),
        "tile": insight.index["tile"],
        "visualisation": url_for("inside.visualisation", **address) if computed else None,
        "visualisation_converged": computed["converged"] if computed else None,
        "hint": None,
    }


@bp.get("/models/<name>/layers/<layer>/channels/<channel>/exemplars")
def exemplars(name: str, layer: str, channel: str) -> Response:
    """The photos that excite one channel most, 3 x 3 in one WebP."""
    classifier = shelf().find(name)
    _, index = _find(classifier, layer, channel)
    known = classifier.insight.layer(layer) if classifier.insight else None
    if known is None:
        raise NotFound(HINT)
    return _kept(classifier, known.sprite(index))


@bp.get("/models/<name>/layers/<layer>/channels/<channel>/visualisation")
def visualisation(name: str, layer: str, channel: str) -> Response:
    """What excites one channel most, computed from noise."""
    classifier = shelf().find(name)
    _, index = _find(classifier, layer, channel)
    computed = classifier.insight.visualised(layer, index) if classifier.insight else None
    if computed is None:
        raise NotFound("no picture was computed for this channel: `insight --visualise` does")
    return _kept(classifier, classifier.bundle.read(computed["file"]))


def in_words(facts: dict[str, Any]) -> str:
    """A channel's facts as a person would say them."""
    if facts["dead"]:
        return "dead: it answered to none of the training photos"
    often = f"answers to {facts['alive']:.0%} of the training photos"
    if facts["selectivity"] < 0.2:
        return f"fires for all classes alike, a little more for “{facts['class']}”; {often}"
    return f"fires most for “{facts['class']}” ({facts['selectivity']:.2f}); {often}"


def _find(classifier: Classifier, layer: str, channel: str) -> tuple[LayerEntry, int]:
    """A layer and a channel of it. Raises UnknownLayer, UnknownChannel."""
    entry = classifier.layer(layer)
    digits = channel.isascii() and channel.isdigit() and len(channel) < 8
    if not digits or int(channel) >= entry.channels:
        raise UnknownChannel(channel, entry.channels)
    return entry, int(channel)


def _entry(classifier: Classifier, entry: LayerEntry) -> dict[str, Any]:
    unknown = {"probe_accuracy": None, "dead_share": None, "duplicate_share": None}
    found = classifier.insight.summaries.get(entry.name) if classifier.insight else None
    return entry.model_dump() | (found or unknown)


def _facts(classifier: Classifier, known: LayerInsight, channel: int) -> dict[str, Any]:
    assert classifier.insight is not None
    label = classifier.insight.label_of(known, channel)
    arrays = known.arrays
    return {
        "channel": channel,
        "mean": round(float(arrays["mean"][channel]), 5),
        "peak": round(float(arrays["peak"][channel]), 5),
        "alive": round(float(arrays["alive"][channel]), 4),
        "dead": label is None,
        "class": label,
        "selectivity": None if label is None else round(float(arrays["selectivity"][channel]), 4),
    }


def _layer_answer(layer: LayerAnswer) -> dict[str, Any]:
    sheet, peaks, columns = mosaic.contact_sheet(layer.maps)
    effects = layer.effects
    return layer.entry.model_dump() | {
        "peaks": _rounded(peaks),
        "strengths": _rounded(layer.strengths),
        "effects": None if effects is None else _rounded(effects),
        "columns": columns,
        "sheet": base64.b64encode(
            mosaic.plain_png(sheet, squeeze=layer.entry.height < FINE_PX)
        ).decode(),
    }


def _saliency(classifier: Classifier, found: Inside, method: str) -> dict[str, Any]:
    height, width = found.heat.shape
    return {
        "label": classifier.class_names[found.label],
        "probability": float(found.probabilities[found.label]),
        "method": method,
        "height": height,
        "width": width,
        "map": _rounded(found.heat),
    }


def _rounded(numbers: np.ndarray) -> list[Any]:
    """Plain numbers with five decimals; what is not finite counts as 0."""
    return np.nan_to_num(numbers.astype(np.float64), posinf=0, neginf=0).round(5).tolist()


def _kept(classifier: Classifier, picture: bytes) -> Response:
    """A picture that never changes for a version of a bundle: keep it for good."""
    response = Response(picture, mimetype="image/webp")
    response.add_etag()
    same = request.args.get("v") == classifier.bundle.fingerprint[:16]
    readers = "private" if settings().api_keys else "public"
    response.headers["Cache-Control"] = (
        f"{readers}, max-age=31536000, immutable" if same else "no-cache"
    )
    return response.make_conditional(request)  # type: ignore[return-value]
