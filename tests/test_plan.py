"""What fine-tuning plans within some minutes: a later cut only where too little fits."""

import time
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import keras
import numpy as np
import pytest

from models.building.graph import mapped_layers
from models.building.head import DenseLayer
from training.fine_tuning.budget import Plan
from training.fine_tuning.cut import choose_cut
from training.fine_tuning.plan import ENOUGH_EPOCHS, plan_until
from training.fine_tuning.start import Start
from training.settings.config import FitConfig

CONFIG = FitConfig(backbone="tiny", size=128, fine_tune="yes", minutes=10, batch=4)
MANY = 10**9  # photos: no machine has the time for three epochs


def begin(photos: int) -> Start:
    """Four blocks at strides 16 to 64, and so many photos to train on."""
    x = image = keras.Input((128, 128, 3))
    for number, stride in enumerate((16, 2, 2, 1), start=1):
        x = keras.layers.Conv2D(4, 3, stride, padding="same", name=f"block{number}_conv")(x)
    backbone = keras.Model(image, keras.layers.GlobalAveragePooling2D(name="pool")(x))
    unused: Any = None
    split: Any = SimpleNamespace(train=range(photos), validation=range(4))
    return Start(
        backbone=backbone,
        layers=mapped_layers(backbone),
        identity="",
        features=unused,
        split=split,
        labels=np.arange(4) % 2,
        head=[DenseLayer(np.eye(4, 2, dtype=np.float32), np.zeros(2, np.float32))],
        began=0.0,
    )


@pytest.mark.parametrize(
    ("photos", "config", "cut", "plan"),
    [
        (8, CONFIG, "block1_conv", None),
        (MANY, CONFIG, "block2_conv", Plan(2, 1)),
        (MANY, replace(CONFIG, cut="block1_conv"), "block1_conv", Plan(2, 1)),
    ],
    ids=["enough fits", "too little fits", "too little fits at a cut that was set"],
)
def test_the_network_is_cut_a_block_later_where_too_few_epochs_fit(photos, config, cut, plan):
    start = begin(photos)
    assert choose_cut(start.layers, None) == "block1_conv"
    upper, found = plan_until(time.monotonic() + 600, start, config, "block1_conv")
    assert upper.cut == cut
    assert found == plan if plan else found.epochs >= ENOUGH_EPOCHS
    assert upper.model.input_shape[1:] == upper.tensor.shape[1:]
