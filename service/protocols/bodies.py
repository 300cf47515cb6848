"""Every JSON body of the two protocols, as types: what is read is checked by them.

Fields that are not named here are ignored, as both protocols ask. `data`, `instances` and
`inputs` may hold millions of numbers: pixels.py and oip_tensors.py check those.
"""

from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.config import JsonDict

from service.errors import BadRequestBody

MOST_INPUTS, MOST_OUTPUTS = 8, 16
# The examples of the documentation: a white photo of 8 x 8 pixels, as the two protocols have it.
_PHOTO = (
    "iVBORw0KGgoAAAANSUhEUgAAAAgAAAAICAAAAADhZOFXAAAAEElEQVR4nGP8zwABTAwUMQBJQQEPeWDz+AAAAABJRU5Er"
    "kJggg=="
)
_ENCODED: JsonDict = {"name": "encoded", "datatype": "BYTES", "shape": [1], "data": [_PHOTO]}
Name = Annotated[str, Field(max_length=200)]
# Python refuses to write numbers of 4,301 digits, such as a sum of larger ones could have.
MOST_INT = 10**40
Size = Annotated[int, Field(ge=1, lt=MOST_INT)]  # of one dimension


class Body(BaseModel):
    """Part of a body; no text is taken for a number, nor a number for a text."""

    model_config = ConfigDict(strict=True, extra="ignore")


class ProtocolError(Body):
    """The answer to a request that failed, in both protocols."""

    error: str


# The Open Inference Protocol


class InputParameters(Body):
    """Where the numbers of an input are."""

    binary_data_size: Annotated[int, Field(ge=0, lt=MOST_INT)] | None = None  # bytes after the JSON
    shared_memory_region: Any = None  # refused


class InputTensor(Body):
    """Photos, as pixels or encoded."""

    name: Name
    shape: list[Size] = Field(max_length=8)
    datatype: Name
    parameters: InputParameters = InputParameters()
    data: list[Any] | None = None  # flat or nested, row by row


class OutputParameters(Body):
    """How an output is to be written."""

    binary_data: bool | None = None
    classification: Annotated[int, Field(ge=0, lt=MOST_INT)] | None = (
        None  # the best so many, as text
    )
    shared_memory_region: Any = None  # refused


class RequestedOutput(Body):
    """One output that is wanted."""

    name: Name
    parameters: OutputParameters = OutputParameters()


class InferParameters(Body):
    """What holds for the whole request."""

    binary_data_output: bool = False


class InferRequest(Body):
    """What is posted to /v2/models/NAME/infer."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"inputs": [_ENCODED], "outputs": [{"name": "label"}]}]}
    )
    id: str | None = Field(None, max_length=1_000)
    parameters: InferParameters = InferParameters()
    inputs: list[InputTensor] = Field(min_length=1, max_length=MOST_INPUTS)
    outputs: list[RequestedOutput] = Field([], max_length=MOST_OUTPUTS)


class BinarySize(Body):
    """Where the numbers of an output are, if not in `data`."""

    binary_data_size: int  # bytes after the JSON


class OutputTensor(Body):
    """One output; its numbers row by row."""

    name: str
    datatype: str
    shape: list[int]
    parameters: BinarySize | None = None
    data: list[float] | list[str] | None = None


class InferResponse(Body):
    """The answer to an InferRequest."""

    id: str | None = None
    model_name: str
    model_version: str
    outputs: list[OutputTensor]


class TensorMetadata(Body):
    """What a tensor looks like; -1 is any size."""

    name: str
    datatype: str
    shape: list[int]


class ModelMetadata(Body):
    """One model."""

    name: str
    versions: list[str]
    platform: str
    inputs: list[TensorMetadata]
    outputs: list[TensorMetadata]


class ServerMetadata(Body):
    """The server."""

    name: str
    version: str
    extensions: list[str]


class ModelReady(Body):
    """A model answers."""

    name: str
    ready: bool


# TensorFlow Serving


class PredictRequest(Body):
    """What is posted to /v1/models/NAME:predict: one of `instances` and `inputs`."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"instances": [{"b64": _PHOTO}]}]})
    signature_name: Name = ""
    instances: list[Any] | None = None  # by rows
    inputs: list[Any] | dict[str, Any] | None = None  # by columns


class RowAnswer(Body):
    """The answer to `instances`."""

    predictions: list[Any]


class ColumnAnswer(Body):
    """The answer to `inputs`."""

    outputs: list[Any] | dict[str, list[Any]]


class VersionError(Body):
    """Why a version is not served: nothing, for those that are."""

    error_code: str = "OK"
    error_message: str = ""


class VersionStatus(Body):
    """One version that is served."""

    version: str
    state: str = "AVAILABLE"
    status: VersionError = VersionError()


class ModelStatus(Body):
    """The answer to GET /v1/models/NAME."""

    model_version_status: list[VersionStatus]


class ModelSpec(Body):
    """Which version of a model is described."""

    name: str
    version: str
    signature_name: str = ""


class SignatureMetadata(Body):
    """The answer to GET /v1/models/NAME/metadata: what a model takes and answers."""

    model_spec: ModelSpec
    metadata: dict[str, Any]  # TensorFlow's own description of signatures


Checked = TypeVar("Checked", bound=Body)


def check(kind: type[Checked], document: Any) -> Checked:
    """Read a parsed JSON document as `kind`. Raises BadRequestBody."""
    try:
        return kind.model_validate(document)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "the body"
        said = "Input should be an object" if first["type"] == "model_type" else first["msg"][:200]
        raise BadRequestBody(f"{where[:100]}: {said}; {_in_words(first['input'])} came") from None


def _in_words(value: Any) -> str:
    """A value for a message; one that may be long only by its kind."""
    if isinstance(value, (dict, list)):
        return "an object" if isinstance(value, dict) else "a list"
    return repr(value[:40] if isinstance(value, str) else value)[:60]
