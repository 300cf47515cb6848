"""Where a backbone is cut: below, nothing is trained; above, everything is."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from models.building import export
from models.building.head import Head
from models.bundle import LayerEntry
from models.errors import SettingError, UnknownLayer
from models.runtime import Graph
from training.fine_tuning.folded import fold
from training.fine_tuning.products import usual_precision
from training.heads.neural import trainable_head
from training.scale.choose import open_network
from training.settings.config import FitConfig

DEEPEST_STRIDE = 16  # of the cut that is chosen: the blocks after it are the last stage


class _AsServed(keras.layers.Layer):
    """Blocks that are called as in serving, while they learn.

    BatchNorm keeps its ImageNet statistics, which small batches would overwrite, and learns its
    scales and offsets. A functional model would pass on that it is being trained.
    """

    def __init__(self, blocks: keras.Model):
        super().__init__()
        self.blocks = blocks

    def call(self, maps: Any) -> Any:
        return self.blocks(maps, training=False)


@dataclass(frozen=True)
class Upper:
    """The network on both sides of a cut."""

    cut: str  # name of the layer
    tensor: Any  # its output, in Keras
    lower: Graph  # photos -> `cut`
    model: keras.Model  # from the cut to logits
    dense: list[keras.layers.Dense | None]  # the head's own layers

    def forget_head(self) -> None:
        """Set the head's last layer to zero: it learns anew, together with the blocks."""
        last = self.dense[-1]
        if last is not None:
            last.set_weights([np.zeros(weight.shape, np.float32) for weight in last.weights])


def choose_cut(layers: Sequence[LayerEntry], given: str | None) -> str:
    """Choose the layer to cut at: the given one, or the last block at `DEEPEST_STRIDE` or less.

    Raises:
        UnknownLayer: no such layer.
        SettingError: one that not every path passes through, or the last.
    """
    trunk = [layer for layer in layers if layer.trunk][:-1]
    if given is None:
        fine = [layer for layer in trunk if layer.block and layer.stride <= DEEPEST_STRIDE]
        if not fine:
            raise SettingError("no layer to cut at: this backbone has no block below its last")
        return fine[-1].name
    if given not in {layer.name for layer in layers}:
        raise UnknownLayer(given, [layer.name for layer in trunk])
    if given not in {layer.name for layer in trunk}:
        names = ", ".join(layer.name for layer in trunk if layer.block)
        raise SettingError(f"--cut {given}: not every path passes there; these can be cut: {names}")
    return given


def later_cut(layers: Sequence[LayerEntry], cut: str) -> str | None:
    """Find the next block after a cut, where less is left to train; None after the last."""
    names = [layer.name for layer in layers if layer.trunk and layer.block][:-1]
    after = names.index(cut) + 1 if cut in names else len(names)
    return names[after] if after < len(names) else None


def cut_network(
    backbone: keras.Model, head: Head, cut: str, dropout: float, config: FitConfig
) -> Upper:
    """Divide a network at a cut; both sides share their layers with the backbone.

    Args:
        dropout: in front of each layer of the head.
        config: seed, device, and the precision of the matrix products above the cut.
    """
    tensor = backbone.get_layer(cut).output
    precision = config.precision or usual_precision()
    lower = open_network(export.to_onnx(backbone, {"cut": tensor}), "cut", config)
    inner, maps = keras.Input(tensor.shape[1:]), keras.Input(tensor.shape[1:])
    blocks = keras.Model(
        inner, fold(keras.Model(tensor, backbone.output), inner, tensor, precision)
    )
    logits, dense = trainable_head(_AsServed(blocks)(maps), head, dropout, config.seed)
    return Upper(cut, tensor, lower, keras.Model(maps, logits), dense)
