"""The Open Inference Protocol, version 2, over HTTP: what Triton and KServe speak.

Photos come as the input `image`, pixels that are framed already, or as `encoded`, the bytes of
JPEG, PNG and so on, which the service frames as it does for /predict. With the extensions for
binary data and for classification, as Triton has them. Health is in service/health.py.
"""

from typing import Any

from flask import Blueprint, Response, current_app, request

from models.classifier import Classifier
from service.errors import BadRequestBody, Busy
from service.headers import BINARY
from service.health import STOPPING
from service.incoming.asking import settings, shelf
from service.incoming.json_body import parsed, split_binary
from service.incoming.uploads import body_of
from service.protocols.answering import logits_of
from service.protocols.bodies import (
    InferRequest,
    InferResponse,
    ModelMetadata,
    ModelReady,
    ServerMetadata,
    check,
)
from service.protocols.oip_tensors import (
    inputs_of,
    outputs_of,
    read_photos,
    wanted_outputs,
    write_output,
)

bp = Blueprint("oip", __name__, url_prefix="/v2")
NAME, VERSION = "layerscope", "0.1.0"
PLAIN = "send it as it is; the client's option is request_compression_algorithm=None"


@bp.get("")
def server() -> dict[str, Any]:
    """The server."""
    extensions = ["binary_tensor_data", "classification"]
    return ServerMetadata(name=NAME, version=VERSION, extensions=extensions).model_dump()


@bp.get("/models/<name>")
def model(name: str) -> dict[str, Any]:
    """One model: what it takes and what it answers."""
    classifier = shelf().find(name)
    return ModelMetadata(
        name=name,
        versions=[classifier.manifest.version],
        platform="onnxruntime_onnx",
        inputs=inputs_of(classifier),
        outputs=outputs_of(classifier),
    ).model_dump()


@bp.get("/models/<name>/ready")
def ready(name: str) -> dict[str, Any]:
    """A model that is served has answered photos when it was loaded. Raises Busy at a stop."""
    if request.environ.get(STOPPING):
        raise Busy("the service is stopping")
    return ModelReady(name=shelf().find(name).name, ready=True).model_dump()


@bp.post("/models/<name>/infer")
def infer(name: str) -> Response:
    """The outputs that are asked for, for every photo."""
    classifier = shelf().find(name)
    asked, photos = _read(classifier)
    wanted = wanted_outputs(asked)
    answer = InferResponse(
        id=asked.id, model_name=name, model_version=classifier.manifest.version, outputs=[]
    )
    logits = logits_of(classifier, photos)
    blobs = []
    for one in wanted:
        binary = asked.parameters.binary_data_output
        tensor, blob = write_output(one, logits, classifier.class_names, binary)
        answer.outputs.append(tensor)
        blobs.append(blob)
    text = current_app.json.dumps(answer.model_dump(exclude_none=True)).encode()
    if all(tensor.parameters is None for tensor in answer.outputs):
        return Response(text, mimetype="application/json")
    headers = {BINARY: str(len(text))}
    return Response(b"".join([text, *blobs]), mimetype="application/octet-stream", headers=headers)


def _read(classifier: Classifier) -> tuple[InferRequest, list[Any]]:
    """The request and its photos; nothing of its JSON's `data` is kept. Raises BadRequestBody."""
    body = body_of(request, PLAIN)
    declared = request.headers.get(BINARY)
    size = split_binary(declared, len(body))
    if size is None:
        raise BadRequestBody(
            f"{BINARY} is {str(declared)[:20]!r}; expected the length of the JSON in bytes, "
            f"1 to {len(body):,}"
        )
    with parsed(body[:size], settings().activation_numbers) as document:
        asked = check(InferRequest, document)
        tail, side = body[size:], classifier.framing.size
        photos = read_photos(asked, tail, side, settings().photos_per_request)
        asked.inputs = []
        document.clear()
    return asked, photos
