"""What each route takes and answers, by the name of its endpoint in Flask."""

from typing import Any, NamedTuple

from models.images import Limits
from service.described import answers
from service.described.answers import Answer
from service.incoming.queries import (
    ADDRESS,
    BY,
    CHANNELS,
    COLOUR,
    LABEL,
    METHOD,
    OVERLAY,
    SCALE,
    TILE,
    TOP,
    Query,
)
from service.incoming.uploads import FIELD
from service.lines import LINES
from service.protocols import bodies
from service.watching.exposition import OPEN

JSON, HTML, PNG, WEBP = "application/json", "text/html", "image/png", "image/webp"
BYTES = "application/octet-stream"

Kind = type[Answer] | type[bodies.Body]  # of JSON
Kinds = tuple[Kind, ...]  # one of these

LEFT_OUT = {"pages.page_file": "styles and scripts of the page, which change with it"}


class Operation(NamedTuple):
    """One route."""

    tag: str
    answers: dict[str, Kinds]  # media type -> JSON; (): it is none, or of no fixed shape
    photos: int | None = 0  # that are posted; None: several
    body: type[bodies.Body] | None = None  # that is posted
    query: tuple[Query, ...] = ()
    kept: bool = False  # a browser may keep it, and ask whether it is the same still
    parts: bool = False  # parts of it may be asked for


PREDICT, INSIDE, MODELS, PEOPLE, WATCHING = "Predict", "Look inside", "Models", "Pages", "Watching"
OIP, TF_SERVING = "Open Inference Protocol", "TensorFlow Serving"

OPERATIONS = {
    "models.predict": Operation(
        PREDICT,
        {JSON: (answers.Predicted, answers.ManyPredicted), LINES: ()},
        photos=None,
        query=(TOP,),
    ),
    "inside.all_activations": Operation(
        INSIDE, {JSON: (answers.AllActivations,)}, photos=1, query=(TOP, LABEL)
    ),
    "models.activations": Operation(
        INSIDE,
        {PNG: (), JSON: (answers.LayerNumbers,)},
        photos=1,
        query=(CHANNELS, TILE, BY, SCALE, COLOUR, OVERLAY, LABEL),
    ),
    "inside.saliency": Operation(
        INSIDE, {PNG: (), JSON: (answers.SaliencyAnswer,)}, photos=1, query=(LABEL, METHOD)
    ),
    "inside.layers": Operation(INSIDE, {JSON: (answers.Layers,)}),
    "inside.layer": Operation(INSIDE, {JSON: (answers.OneLayer,)}),
    "inside.channel": Operation(INSIDE, {JSON: (answers.Channel,)}),
    "inside.exemplars": Operation(INSIDE, {WEBP: ()}, query=(ADDRESS,), kept=True),
    "inside.visualisation": Operation(INSIDE, {WEBP: ()}, query=(ADDRESS,), kept=True),
    "models.models": Operation(MODELS, {JSON: (answers.Models,)}),
    "models.model": Operation(MODELS, {JSON: (answers.Model,)}),
    "pages.sample": Operation(MODELS, {"image/jpeg": ()}, kept=True),
    "pages.report": Operation(MODELS, {HTML: ()}, kept=True),
    "oip.server": Operation(OIP, {JSON: (bodies.ServerMetadata,)}),
    "oip.model": Operation(OIP, {JSON: (bodies.ModelMetadata,)}),
    "oip.ready": Operation(OIP, {JSON: (bodies.ModelReady,)}),
    "oip.infer": Operation(
        OIP, {JSON: (bodies.InferResponse,), BYTES: ()}, body=bodies.InferRequest
    ),
    "tf_serving.status": Operation(TF_SERVING, {JSON: (bodies.ModelStatus,)}),
    "tf_serving.metadata": Operation(TF_SERVING, {JSON: (bodies.SignatureMetadata,)}),
    "tf_serving.predict": Operation(
        TF_SERVING, {JSON: (bodies.RowAnswer, bodies.ColumnAnswer)}, body=bodies.PredictRequest
    ),
    "health.live": Operation(WATCHING, {JSON: (answers.Live,)}),
    "health.ready": Operation(WATCHING, {JSON: (answers.Ready,)}),
    "metrics.metrics": Operation(WATCHING, {"text/plain": (), OPEN: ()}),
    "pages.index": Operation(PEOPLE, {HTML: ()}, kept=True, parts=True),
    "described.document": Operation(PEOPLE, {JSON: ()}),
    "described.docs": Operation(PEOPLE, {HTML: ()}),
}
# The shape of what stands in a line; the line itself is text.
IN_LINES: Kinds = (answers.PhotoLine, answers.ErrorLine)
ERRORS: Kinds = (answers.ErrorAnswer, bodies.ProtocolError)


def photo_body(photos: int | None, limits: Limits, most: int) -> dict[str, Any]:
    """The body of a route to which `photos` are posted; None: up to `most`."""
    accepted = ", ".join(limits.formats)
    told = f"{accepted}; up to {limits.size_bytes:,} bytes and {limits.pixels:,} pixels."
    field: dict[str, Any] = {"type": "string", "format": "binary"}
    if photos is None:
        field = {"type": "array", "items": field, "minItems": 1, "maxItems": most}
        told += f" Up to {most} photos, each in a field `{FIELD}`."
    form = {"type": "object", "properties": {FIELD: field}, "required": [FIELD]}
    raw = [f"image/{name.lower()}" for name in limits.formats]
    content: dict[str, Any] = {kind: {} for kind in [*raw, BYTES]}
    content["multipart/form-data"] = {"schema": form}
    return {"required": True, "description": told, "content": content}
