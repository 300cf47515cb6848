"""Everything raised on purpose, as one tree.

LayerscopeError
├── ImageError            an encoded photo that cannot become pixels
│   ├── ImageEmpty        no bytes
│   ├── ImageUnsupported  not one of the accepted formats
│   ├── ImageTooLarge     over a limit: bytes, pixels, frames, scans, parts
│   └── ImageUnreadable   the right format, but broken or without a fixed range
├── UnknownName           asked for something by a name that is not in the list
│   ├── UnknownLayer      a layer with feature maps
│   ├── UnknownClass      a class of a model
│   ├── UnknownModel      a served model
│   └── UnknownBackbone   a row of the table of backbones
├── UnknownVersion        a version of a model that is not the one that is served
├── UnknownChannel        a channel that a layer does not have
├── WeightsUnreadable     pretrained weights that cannot be had or do not fit
├── ExportError           a network that cannot be written as ONNX
│   └── ParityError       it was, and does not answer as Keras does
├── AdoptError            a model file of somebody else's that cannot be adopted
├── FormatError           a saved model that cannot be had in another format
├── BundleError           a saved model that is missing, damaged or of another schema
├── PhotosError           a folder or list of photos nothing can be learnt from
├── UnusableGraph         a graph that does not answer as it must
├── DeviceUnusable        a device that does not start, or answers otherwise than the processor
├── SettingError          a setting out of its range, or two that contradict each other
├── Diverged              training whose loss is no longer a number
├── WorkerLost            a worker of a cluster that is gone, or never came
├── ClusterError          a Ray cluster that cannot be reached, or do what was asked of it
└── StorageError          a place that cannot be written: read-only, full, taken

Each message says what came, what was expected and what to change. `code` is the short
name that goes into HTTP answers; which status it gets is the service's business.
"""

import difflib
from collections.abc import Sequence
from pathlib import Path
from typing import Any


class LayerscopeError(Exception):
    """Raised on purpose; its text is written for the person who reads it."""

    code = "error"

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle text and facts: Exception would make the text anew, from what is no text."""
        return _restore, (type(self), self.args, vars(self))


def _restore(
    kind: type[LayerscopeError], args: tuple[Any, ...], facts: dict[str, Any]
) -> LayerscopeError:
    error = kind.__new__(kind, *args)
    vars(error).update(facts)
    return error


class ImageError(LayerscopeError):
    """An encoded photo that cannot become pixels."""

    code = "image_error"


class ImageEmpty(ImageError):
    """No bytes where a photo was expected."""

    code = "image_empty"


class ImageUnsupported(ImageError):
    """Not one of the accepted formats, whatever the file is called."""

    code = "image_unsupported"


class ImageTooLarge(ImageError):
    """Over a limit; found in the header, before any pixel is decoded."""

    code = "image_too_large"

    def __init__(self, found: int, limit: int, unit: str, remedy: str = ""):
        text = f"the image has {found:,} {unit}; the limit is {limit:,}"
        super().__init__(f"{text}; {remedy}" if remedy else text)


class ImageUnreadable(ImageError):
    """An accepted format whose content is broken or has no fixed range."""

    code = "image_unreadable"


class UnknownName(LayerscopeError):
    """No entry of that name; the message has the nearest ones."""

    code = "unknown_name"
    kind = "entry"

    def __init__(self, asked: str, known: Sequence[str]):
        near = ", ".join(difflib.get_close_matches(asked, known)) or "none close"
        span = f", {known[0]} to {known[-1]}" if known else ""
        shown = asked if len(asked) <= 80 else f"{asked[:80]}..."
        super().__init__(
            f"no {self.kind} {shown!r}; nearest names: {near}; {len(known)} to choose from{span}"
        )


class UnknownLayer(UnknownName):
    """The network has no layer of that name with feature maps."""

    code = "unknown_layer"
    kind = "layer with feature maps"


class UnknownClass(UnknownName):
    """The model has no class of that name."""

    code = "unknown_class"
    kind = "class"


class UnknownModel(UnknownName):
    """No model of that name is served."""

    code = "unknown_model"
    kind = "model"


class UnknownVersion(LayerscopeError):
    """The model is served in another version."""

    code = "unknown_version"

    def __init__(self, model: str, asked: str, served: str):
        super().__init__(f"version {asked[:64]!r} of {model} is not served; version {served!r} is")


class UnknownBackbone(UnknownName):
    """No row of that name in the table of backbones."""

    code = "unknown_backbone"
    kind = "backbone"


class UnknownChannel(LayerscopeError):
    """The layer has no channel of that number."""

    code = "unknown_channel"

    def __init__(self, asked: int | str, count: int):
        nearest = 0 if str(asked).startswith("-") else count - 1
        super().__init__(
            f"no channel {str(asked)[:20]}; the layer has 0 to {count - 1}, nearest: {nearest}"
        )


class WeightsUnreadable(LayerscopeError):
    """Pretrained weights that cannot be had, were altered, or do not fit."""

    code = "weights_unreadable"

    def __init__(self, source: Path | str, reason: str):
        super().__init__(f"weights {source}: {reason}")


class ExportError(LayerscopeError):
    """A network with a kind of layer that cannot be written as ONNX."""

    code = "export"

    def __init__(self, layer: str, kind: str):
        super().__init__(f"layer {layer!r} cannot be exported: {kind} has no ONNX form here")


class ParityError(ExportError):
    """The exported graph and Keras answer differently."""

    code = "parity"

    def __init__(self, difference: float, limit: float, what: str = "logits"):
        LayerscopeError.__init__(
            self,
            f"the ONNX graph's {what} differ from Keras' by {difference:.2g}, more than "
            f"{limit:.3g}; nothing was saved: please report the backbone and the versions",
        )


class AdoptError(LayerscopeError):
    """A model file that cannot be adopted: the text says why, and what to do."""

    code = "model_unusable"


class FormatError(LayerscopeError):
    """A saved model that cannot be written in another format, or answers otherwise there."""

    code = "format"


class BundleError(LayerscopeError):
    """A saved model that is missing, damaged, or of another schema."""

    code = "bundle_unusable"

    def __init__(self, path: Path, reason: str):
        super().__init__(f"bundle {path}: {reason}")
        self.reason = reason  # without the path, which is nobody's business outside


class PhotosError(LayerscopeError):
    """A folder or list of photos nothing can be learnt from."""

    code = "photos_unusable"


class UnusableGraph(LayerscopeError):
    """A graph that does not run, or answers otherwise than with a row of numbers for each photo."""

    code = "bundle_unusable"

    def __init__(self, reason: str):
        super().__init__(f"a graph of the bundle {reason}")
        self.reason = reason


class DeviceUnusable(LayerscopeError):
    """A device that does not start here, or answers otherwise than the processor."""

    code = "device_unusable"


class SettingError(LayerscopeError):
    """A setting out of its range; the message names it."""

    code = "setting"


class Diverged(LayerscopeError):
    """Training whose loss is no longer a number."""

    code = "diverged"

    def __init__(self, step: int, rate: float, largest: float):
        super().__init__(
            f"the loss is not a number at step {step}, where the learning rate was {rate:.2g}; "
            f"try --learning-rate {largest / 10:.2g}, or --warm-up 0.2"
        )


class WorkerLost(LayerscopeError):
    """One of the workers that train together is gone, or never came."""

    code = "worker_lost"

    def __init__(self, reason: str):
        super().__init__(
            "a worker is gone or cannot be reached: start all workers again, they go on after the "
            f"last whole epoch ({reason})"
        )
        self.reason = reason


class ClusterError(LayerscopeError):
    """A Ray cluster that cannot be reached, or a node of it that cannot do its part."""

    code = "cluster"


class StorageError(LayerscopeError):
    """A place that cannot be written: read-only, full, or taken by something else."""

    code = "storage"
