"""Model files as people have them: livened, saved, and with their text changed."""

import json
import zipfile
from collections.abc import Callable
from pathlib import Path

import h5py
import keras
import numpy as np
from keras import layers

CLASSES = ("ant", "bee", "cow")


def liven(model: keras.Model, seed: int = 1) -> keras.Model:
    """Give every weight a value of its own: a dropped bias or swapped statistic then shows."""
    rng = np.random.default_rng(seed)
    for weight in model.weights:
        name, shape = weight.path.rpartition("/")[2], weight.shape
        if "seed" in name or name == "count":
            continue
        if name in ("gamma", "scale", "moving_variance", "variance"):
            weight.assign(rng.uniform(0.5, 1.5, shape))
        elif name in ("beta", "bias", "moving_mean", "alpha", "mean"):
            weight.assign(rng.normal(0, 0.3, shape))
        else:
            fan = max(1, int(np.prod(shape[:-1])))
            weight.assign(rng.normal(0, (2 / fan) ** 0.5, shape))
    for layer in model._flatten_layers():
        if isinstance(layer, layers.Normalization) and layer.built and layer.input_mean is None:
            layer.finalize_state()
    return model


def save(model: keras.Model, path: Path) -> keras.Model:
    """Save a model and load it again, as its users do: `never called`, and without a trace."""
    model.save(path)
    return keras.models.load_model(path, compile=False)


def edit_archive(source: Path, target: Path, edit: Callable[[dict], object]) -> Path:
    """Copy a `.keras` file with a changed configuration."""
    members = read_archive(source)
    config = json.loads(members["config.json"])
    edit(config)
    members["config.json"] = json.dumps(config).encode()
    return write_archive(target, members)


def read_archive(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def write_archive(target: Path, members: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(target, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return target


def edit_h5(path: Path, edit: Callable[[dict], object]) -> Path:
    """Change the configuration in a legacy file, in place."""
    with h5py.File(path, "r+") as file:
        config = json.loads(file.attrs["model_config"])
        edit(config)
        file.attrs["model_config"] = json.dumps(config)
    return path


def photos_for(size: int, count: int = 6) -> np.ndarray:
    """Draw (count, size, size, 3) uint8: smooth, of one colour each, and noise."""
    rng = np.random.default_rng(0)
    low = rng.integers(0, 256, (count, 4, 4, 3))
    smooth = np.stack([np.kron(one, np.ones((size // 4 + 1, size // 4 + 1, 1))) for one in low])
    noise = rng.integers(-40, 41, (count, size, size, 3))
    return np.clip(smooth[:, :size, :size] + noise, 0, 255).astype(np.uint8)
