"""The table of layers that can be written in ONNX: the kind of a Keras layer -> its function.

The functions stand in `writers/`. A kind that is not here is refused by its name; so is a layer
with a setting that its function does not know.
"""

from collections.abc import Callable

from models.building.writers import (
    activations,
    convolutions,
    merging,
    normalisations,
    pooling,
    shapes,
)

WRITERS: dict[str, Callable[..., str]] = {
    **activations.WRITERS,
    **convolutions.WRITERS,
    **merging.WRITERS,
    **normalisations.WRITERS,
    **pooling.WRITERS,
    **shapes.WRITERS,
}
