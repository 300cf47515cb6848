"""Labels and meaning of the tensors inside a LiteRT file, as MediaPipe and Android read them.

Two parts: a flatbuffer of the schema `metadata_schema.fbs` (identifier M001) in the model's own
list of metadata, which says that the input is an RGB picture and that labels.txt names the
outputs; and labels.txt itself, in a zip after the end of the model. The package that wrote
both, tflite-support, is not kept any more.
"""

import io
import zipfile
from collections.abc import Sequence
from typing import Any

import flatbuffers

from training.exporting.source import Source

ENTRY = b"TFLITE_METADATA"
LABELS = "labels.txt"
RGB, AXIS_LABELS, IMAGE_PROPERTIES, FEATURE_PROPERTIES = 1, 2, 2, 1  # of enums of the schema


def add_metadata(model: bytes, source: Source) -> bytes:
    """Return `model` with metadata, and labels.txt in a zip at its end."""
    from tensorflow.lite.python import schema_py_generated as schema
    from tensorflow.lite.tools import flatbuffer_utils

    parsed = flatbuffer_utils.convert_bytearray_to_object(bytearray(model))
    buffer, entry = schema.BufferT(), schema.MetadataT()
    buffer.data = _describe(source)
    entry.name, entry.buffer = ENTRY, len(parsed.buffers)
    parsed.buffers.append(buffer)
    parsed.metadata = [*(parsed.metadata or []), entry]
    whole = io.BytesIO(flatbuffer_utils.convert_object_to_bytearray(parsed))
    with zipfile.ZipFile(whole, "a") as archive:  # offsets count from the start of the model
        content = "\n".join(source.labels) + "\n"
        archive.writestr(zipfile.ZipInfo(LABELS), content)  # no time of day: equal bytes
    return whole.getvalue()


def _describe(source: Source) -> bytes:
    """Write the flatbuffer `ModelMetadata`; numbers are the places of fields in their tables."""
    manifest, builder = source.bundle.manifest, flatbuffers.Builder()
    size = manifest.framing.size
    side = _table(builder, (("Uint32", 0, size), ("Uint32", 1, size)))  # ImageSize
    picture = _table(builder, (("Int8", 0, RGB), ("Offset", 1, side)))  # ImageProperties
    framing = f"raw RGB, 0 to 255; {manifest.framing.resize} of {manifest.framing.fraction:g}"
    image = _tensor(builder, ("image", framing), (IMAGE_PROPERTIES, picture), ())
    file = _table(  # AssociatedFile: name, description, type
        builder,
        (("Offset", 0, _text(builder, LABELS)), ("Offset", 1, _text(builder, "class names")),
         ("Int8", 2, AXIS_LABELS)),
    )  # fmt: skip
    plain = _table(builder, ())  # FeatureProperties
    meaning = ("probabilities", "one for each line of labels.txt")
    answer = _tensor(builder, meaning, (FEATURE_PROPERTIES, plain), (file,))
    inputs, outputs = _vector(builder, (image,)), _vector(builder, (answer,))
    graph = _table(builder, (("Offset", 2, inputs), ("Offset", 3, outputs)))  # SubGraphMetadata
    texts = {0: manifest.name, 1: "image classifier", 2: manifest.version, 7: "1.0.0"}
    fields = [("Offset", place, _text(builder, text)) for place, text in texts.items()]
    model = _table(builder, [*fields, ("Offset", 3, _vector(builder, (graph,)))])
    builder.Finish(model, file_identifier=b"M001")
    return bytes(builder.Output())


def _tensor(
    builder: Any, texts: tuple[str, str], content: tuple[int, int], files: Sequence[int]
) -> int:
    """Write a `TensorMetadata`: name and description, kind of content, associated files."""
    kind, properties = content
    held = _table(builder, (("Uint8", 0, kind), ("Offset", 1, properties)))
    fields = [("Offset", place, _text(builder, text)) for place, text in enumerate(texts)]
    fields.append(("Offset", 3, held))
    if files:
        fields.append(("Offset", 6, _vector(builder, files)))
    return _table(builder, fields)


def _text(builder: Any, text: str) -> int:
    return int(builder.CreateString(text))


def _vector(builder: Any, offsets: Sequence[int]) -> int:
    builder.StartVector(4, len(offsets), 4)
    for offset in reversed(offsets):
        builder.PrependUOffsetTRelative(offset)
    return int(builder.EndVector())


def _table(builder: Any, fields: Sequence[tuple[str, int, int]]) -> int:
    """Write a table. Each field: its type, its place in the schema, its value."""
    builder.StartObject(8)  # the most fields that any of these tables has
    for kind, place, value in fields:
        prepend = "PrependUOffsetTRelative" if kind == "Offset" else f"Prepend{kind}"
        getattr(builder, f"{prepend}Slot")(place, value, 0)
    return int(builder.EndObject())
