"""Read from a bundle what each layer detects; `training/insight/write.py` writes it.

Each layer has one file of plain arrays, read when it is first needed. Nothing here can make a
Python object out of a file.
"""

from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Annotated, Any, NamedTuple, NotRequired, TypeVar

import numpy as np
from pydantic import ConfigDict, Field, InstanceOf, TypeAdapter, ValidationError, with_config
from typing_extensions import TypedDict

from models.bundle import Bundle
from models.bundles.arrays import MOST_BYTES, read_arrays
from models.bundles.fields import ClassNames, Count, Number, Share, Text
from models.bundles.json_text import read_json
from models.bundles.manifest import LayerEntry
from models.errors import BundleError

INDEX = "insight/insight.json"
PICTURE_BYTES = 10_000_000  # of a channel's exemplars, or a picture computed: they are sent whole
MOST_EXEMPLARS = 100  # of a channel
LARGEST = 1e9  # number of a layer: sums and products of such fit into float32
ROWS = {  # array of a layer -> its dimensions after the first, which is the channels
    **dict.fromkeys(("mean", "peak", "alive", "class", "selectivity", "sprite_ends"), 0),
    **dict.fromkeys(("exemplar_photo", "exemplar_value", "probe_kernel"), 1),
    **dict.fromkeys(("exemplar_box", "exemplar_at"), 2),
}
_WHOLE = {"class", "exemplar_photo", "exemplar_box", "exemplar_at", "sprites", "sprite_ends"}
_KNOWN = {*ROWS, "sprites", "probe_bias", "weights"}


_Value = TypeVar("_Value")
_FileName = Annotated[InstanceOf[str], Field(max_length=20_000)]  # maybe no Unicode; escaped
_Few = Annotated[dict[str, _Value], Field(max_length=100)]


class LayerSummary(TypedDict):
    """What the index says of one layer."""

    name: str
    file: str
    probe_accuracy: Share
    dead_share: Share
    duplicate_share: Share


class Visualised(TypedDict):
    """A computed picture of a channel."""

    layer: str
    channel: Count
    file: str
    answer: Number
    converged: bool


@with_config(ConfigDict(extra="ignore"))
class Index(TypedDict):
    """What is read of `insight.json`; the rest is for people."""

    class_names: ClassNames
    chance: Number
    tile: Annotated[int, Field(ge=1, le=1000, strict=True)]
    exemplar_names: list[_FileName]
    exemplar_labels: list[Text]
    layers: list[LayerSummary]
    trust: _Few[Count | Number | _Few[Number] | None] | None
    visualised: NotRequired[Annotated[list[Visualised], Field(max_length=100_000)]]


_INDEX = TypeAdapter(Index)


class Exemplar(NamedTuple):
    """A training photo that excites a channel, and where."""

    photo: str  # file name
    label: str
    value: float  # the channel's largest answer on it
    box: list[int]  # px of the network's view: left, top, right, bottom of the receptive field
    at: list[int]  # px: x, y of the strongest position


class LayerInsight:
    """The facts about one layer. Arrays have a row for each channel."""

    def __init__(self, summary: LayerSummary, arrays: dict[str, np.ndarray]):
        self.probe_accuracy = summary["probe_accuracy"]
        self.dead_share = summary["dead_share"]
        self.duplicate_share = summary["duplicate_share"]
        self.arrays = arrays

    def __len__(self) -> int:
        return len(self.arrays["mean"])

    def sprite(self, channel: int) -> bytes:
        """Return the exemplars of one channel as a WebP with 3 x 3 tiles."""
        ends = self.arrays["sprite_ends"]
        start = ends[channel - 1] if channel else 0
        return self.arrays["sprites"][start : ends[channel]].tobytes()


class Insight:
    """The folder insight/ of one bundle."""

    def __init__(self, bundle: Bundle):
        """Read the index. Raises BundleError."""
        self._bundle = bundle
        try:
            self.index = _INDEX.validate_python(read_json(bundle.read(INDEX)))
        except (ValueError, RecursionError) as error:  # pydantic's is one
            raise BundleError(
                bundle.path, f"{INDEX} is not as expected: {_first(error)}"
            ) from error
        self._layers = {entry["name"]: entry for entry in self.index["layers"]}
        self.class_names = self.index["class_names"]
        self.layer = lru_cache(maxsize=64)(self._read_layer)

    @property
    def summaries(self) -> dict[str, dict[str, Any]]:
        """Probe accuracy, share of dead channels and of duplicates, by layer."""
        keys = ("probe_accuracy", "dead_share", "duplicate_share")
        return {name: {key: entry[key] for key in keys} for name, entry in self._layers.items()}  # type: ignore[literal-required]

    def check(self, layers: Mapping[str, LayerEntry], class_names: Iterable[str]) -> None:
        """See that every layer's file is there and fits. Raises BundleError.

        Args:
            layers: of the bundle, by name. class_names: of the bundle.
        """
        size = 0
        for name in self._layers:
            known = self._read_layer(name)
            channels = layers[name].channels if name in layers else None
            if known is None or len(known) != channels:
                found = None if known is None else len(known)
                reason = f"insight knows {found} channels of {name!r}; the manifest {channels}"
                raise BundleError(self._bundle.path, reason)
            size += sum(array.nbytes for array in known.arrays.values())
            if size > MOST_BYTES:  # a worker may come to keep all of it
                reason = f"insight unpacks to over {MOST_BYTES:,} bytes: look into fewer layers"
                raise BundleError(self._bundle.path, reason)
            weights = known.arrays.get("weights")
            if weights is not None and weights.shape != (channels, len(list(class_names))):
                raise BundleError(self._bundle.path, f"insight's weights of {name!r} do not fit")
        for entry in self.index.get("visualised", []):
            if (size := len(self._bundle.read(entry["file"]))) > PICTURE_BYTES:
                reason = f"{entry['file']} has {size:,} bytes; the limit is {PICTURE_BYTES:,}"
                raise BundleError(self._bundle.path, reason)

    def _read_layer(self, name: str) -> LayerInsight | None:
        """Read one layer; None if there is no insight on it. Raises BundleError."""
        entry = self._layers.get(name)
        if entry is None:
            return None
        file = f"insight/{entry['file']}"
        content = self._bundle.read(file)
        try:
            arrays = read_arrays(content, *ROWS, "sprites", "probe_bias")
            self._check_arrays(arrays)
        except ValueError as error:
            raise BundleError(self._bundle.path, f"{file} is not as expected: {error}") from error
        floats = {key: np.nan_to_num(a) for key, a in arrays.items() if a.dtype.kind == "f"}
        return LayerInsight(entry, arrays | floats)

    def _check_arrays(self, arrays: dict[str, np.ndarray]) -> None:
        """See that arrays fit together. Raises ValueError."""
        for key in _KNOWN & set(arrays):
            if arrays[key].dtype.kind not in ("iu" if key in _WHOLE else "f"):
                raise ValueError(f"{key} has the type {arrays[key].dtype}")
            if key not in _WHOLE and (np.abs(arrays[key]) > LARGEST).any():
                raise ValueError(f"{key} has numbers beyond {LARGEST:g}")
        channels, classes = len(arrays["mean"]), len(self.class_names)
        for key, more in ROWS.items():
            if arrays[key].ndim != 1 + more or len(arrays[key]) != channels:
                raise ValueError(f"{key} has shape {arrays[key].shape}; expected {channels} rows")
        photos, places = arrays["exemplar_photo"], arrays["exemplar_photo"].shape[1]
        known = min(len(self.index["exemplar_names"]), len(self.index["exemplar_labels"]))
        limits = {"class": classes, "exemplar_photo": known}
        for key, most in limits.items():
            if (arrays[key] >= most).any():
                raise ValueError(f"{key} names what is not among its {most}")
        if (photos < -1).any() or not MOST_EXEMPLARS >= places <= arrays["exemplar_value"].shape[1]:
            raise ValueError("exemplars do not fit")
        for key, width in (("exemplar_box", 4), ("exemplar_at", 2)):
            if arrays[key].shape[1] < places or arrays[key].shape[2] != width:
                raise ValueError(f"{key} has shape {arrays[key].shape}")
        if arrays["probe_kernel"].shape[1] != classes:
            raise ValueError(f"probe_kernel knows {arrays['probe_kernel'].shape[1]} classes")
        if arrays["sprites"].ndim != 1 or arrays["sprites"].dtype != np.uint8:
            raise ValueError("sprites are not bytes in a row")
        ends = arrays["sprite_ends"]
        sizes = np.diff(ends.astype(np.int64), prepend=0)
        if np.min(sizes, initial=0) < 0 or (channels and ends[-1] > arrays["sprites"].size):
            raise ValueError("sprite_ends do not lie in its sprites")
        if np.max(sizes, initial=0) > PICTURE_BYTES:
            raise ValueError(f"exemplars of a channel have more than {PICTURE_BYTES:,} bytes")

    def exemplars(self, layer: LayerInsight, channel: int) -> list[Exemplar]:
        """Return the photos that excite one channel most, strongest first."""
        arrays = layer.arrays
        found = []
        for place, photo in enumerate(arrays["exemplar_photo"][channel]):
            if photo >= 0:
                found.append(
                    Exemplar(
                        self.index["exemplar_names"][photo],
                        self.index["exemplar_labels"][photo],
                        float(arrays["exemplar_value"][channel, place]),
                        arrays["exemplar_box"][channel, place].tolist(),
                        arrays["exemplar_at"][channel, place].tolist(),
                    )
                )
        return found

    def visualised(self, layer: str, channel: int) -> Visualised | None:
        """The computed picture of a channel: its `file`, and whether it `converged`."""
        for entry in self.index.get("visualised", []):
            if (entry["layer"], entry["channel"]) == (layer, channel):
                return entry
        return None

    def label_of(self, layer: LayerInsight, channel: int) -> str | None:
        """Return the class a channel fires for most; None where it is dead."""
        label = int(layer.arrays["class"][channel])
        return self.class_names[label] if label >= 0 else None

    def effects(self, layer: LayerInsight, pooled: np.ndarray, label: str) -> np.ndarray | None:
        """Compute what the layer's linear probe loses of a class without each channel.

        Args:
            pooled: (C,) float32, the mean of each map.

        Returns:
            (C,) float32; None if the probe does not know the class.
        """
        if label not in self.class_names:
            return None
        weights: np.ndarray = layer.arrays["probe_kernel"][:, self.class_names.index(label)]
        return weights * pooled


def _first(error: Exception) -> str:
    """The first thing that is wrong, and where."""
    if isinstance(error, ValidationError):
        first = error.errors()[0]
        return f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
    return str(error)
