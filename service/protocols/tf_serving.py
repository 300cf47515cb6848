"""TensorFlow Serving's REST: status, metadata, predict.

A photo is `{"b64": "..."}`, its encoded bytes, or S rows of S pixels of three numbers, framed
already; either may stand under the name `image`. What is answered is chosen by the signature:
`serving_default` answers probabilities in the order of the classes, as an exported Keras
classifier does; `labelled` also the name of the most probable class.
"""

from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

from flask import Blueprint, Response, jsonify, request
from werkzeug.exceptions import NotFound

from models.classifier import Classifier, softmax
from service.errors import BadRequestBody, TooManyPhotos
from service.headers import VERSION
from service.incoming.asking import settings, shelf
from service.incoming.json_body import parsed
from service.incoming.uploads import body_of
from service.protocols.answering import logits_of
from service.protocols.bodies import (
    ColumnAnswer,
    ModelSpec,
    ModelStatus,
    PredictRequest,
    RowAnswer,
    SignatureMetadata,
    VersionStatus,
    check,
)
from service.protocols.oip_tensors import from_base64
from service.protocols.pixels import pixels_of

bp = Blueprint("tf_serving", __name__, url_prefix="/v1")
INPUT = "image"
DEFAULT, LABELLED = "serving_default", "labelled"
_METHOD = "tensorflow/serving/predict"


@bp.get("/models/<name>")
def status(name: str) -> dict[str, Any]:
    """The version that is served; any text may be one, TensorFlow Serving's are numbers."""
    version = shelf().find(name).manifest.version
    return ModelStatus(model_version_status=[VersionStatus(version=version)]).model_dump()


@bp.get("/models/<name>/metadata")
def metadata(name: str) -> dict[str, Any]:
    """What a model takes and answers, as TensorFlow describes signatures."""
    classifier = shelf().find(name)
    classes = len(classifier.class_names)
    inputs = {INPUT: _tensor(INPUT, "DT_STRING", -1)}
    probabilities = {"probabilities": _tensor("probabilities", "DT_FLOAT", -1, classes)}
    label = {"label": _tensor("label", "DT_STRING", -1)}
    signatures = {
        DEFAULT: {"inputs": inputs, "outputs": probabilities, "method_name": _METHOD},
        LABELLED: {"inputs": inputs, "outputs": probabilities | label, "method_name": _METHOD},
    }
    version = classifier.manifest.version
    return SignatureMetadata(
        model_spec=ModelSpec(name=name, version=version),
        metadata={"signature_def": {"signature_def": signatures}},
    ).model_dump()


@bp.post("/models/<name>:<verb>")
def predict(name: str, verb: str) -> Response:
    """Probabilities for every photo, by rows or by columns as they came.

    The protocol has no field for the version that answered: a header names it.
    """
    if verb != "predict":
        raise NotFound(f":{verb[:40]} is not offered: ask for :predict, with photos")
    classifier = shelf().find(name)
    with parsed(body_of(request, "send it as it is"), settings().activation_numbers) as document:
        asked = check(PredictRequest, document)
        photos = _photos(asked, classifier.framing.size)
        rows, labelled = asked.instances is not None, asked.signature_name == LABELLED
        del asked, document
    columns = _answer(classifier, photos)
    outputs: Any = columns if labelled else columns["probabilities"]
    if rows and labelled:
        outputs = [
            dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)
        ]
    answer = RowAnswer(predictions=outputs) if rows else ColumnAnswer(outputs=outputs)
    response = jsonify(answer.model_dump())
    response.headers[VERSION] = quote(classifier.manifest.version)
    return response


def _answer(classifier: Classifier, photos: Sequence[Any]) -> dict[str, list[Any]]:
    names = classifier.class_names
    found = softmax(logits_of(classifier, list(photos)))
    return {
        "probabilities": found.tolist(),
        "label": [names[row.argmax()] for row in found],
    }


def _photos(asked: PredictRequest, side: int) -> list[Any]:
    """Encoded photos, or arrays (S, S, 3). Raises BadRequestBody, TooManyPhotos."""
    if asked.signature_name not in ("", DEFAULT, LABELLED):
        raise BadRequestBody(
            f"signature_name is {asked.signature_name[:40]!r}; expected {DEFAULT} or {LABELLED}"
        )
    if (asked.instances is None) == (asked.inputs is None):
        raise BadRequestBody("expected one of `instances`, by rows, and `inputs`, by columns")
    rows = asked.instances
    if rows is None:
        inputs = asked.inputs
        rows = _only(inputs, "inputs") if isinstance(inputs, dict) else inputs
    if not isinstance(rows, list) or not rows:
        raise BadRequestBody("expected a list of photos; none came")
    if len(rows) > (most := settings().photos_per_request):
        raise TooManyPhotos(f"{len(rows):,} photos in one request; the limit is {most}")
    photos = [_photo(row, side, f"photo {number}") for number, row in enumerate(rows, start=1)]
    if len({isinstance(photo, bytes) for photo in photos}) > 1:
        raise BadRequestBody("encoded photos and pixels came together: send one kind at a time")
    return photos


def _photo(row: Any, side: int, what: str) -> Any:
    """One instance: `{"b64": text}` or pixels, perhaps under the name of the input."""
    if isinstance(row, dict) and "b64" not in row:
        row = _only(row, what)
    if isinstance(row, dict):
        return from_base64(row.get("b64"), what)
    return pixels_of(row, (side, side, 3), what)


def _only(named: dict[str, Any], what: str) -> Any:
    """What stands under the name of the one input. Raises BadRequestBody."""
    if list(named) != [INPUT]:
        came = ", ".join(f"`{name[:40]}`" for name in list(named)[:5]) or "nothing"
        raise BadRequestBody(f'{what} has {came}; expected `{INPUT}`, or {{"b64": "..."}}')
    return named[INPUT]


def _tensor(name: str, kind: str, *sizes: int) -> dict[str, Any]:
    dims = [{"size": str(size), "name": ""} for size in sizes]  # int64 is text in JSON
    shape = {"dim": dims, "unknown_rank": False}
    return {"dtype": kind, "tensor_shape": shape, "name": f"{name}:0"}
