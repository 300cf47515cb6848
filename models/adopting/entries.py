"""The entries of a configuration: models and layers, each with a class, a name and settings."""

from typing import Any

from models.errors import AdoptError

MODELS = ("Sequential", "Functional", "Model")


def settings_of(entry: Any) -> dict[str, Any]:
    """Return the settings of a layer or model; the oldest files have a list of layers there."""
    config = entry.get("config") if isinstance(entry, dict) else None
    if isinstance(config, list):
        return {"layers": config, "name": "sequential"}
    return config if isinstance(config, dict) else {}


def layers_of(entry: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the layers of a model. Raises AdoptError where there are none."""
    found = settings_of(entry).get("layers")
    if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
        raise AdoptError(f"a model of class {str(entry.get('class_name'))[:60]!r} has no layers")
    return found


def name_of(entry: dict[str, Any]) -> str:
    """Return a layer's name. Raises AdoptError where it has none."""
    name = settings_of(entry).get("name", entry.get("name"))
    name = entry.get("name", name) if isinstance(entry.get("name"), str) else name
    if not isinstance(name, str) or not name or len(name) > 300:
        raise AdoptError(f"a layer of kind {str(entry.get('class_name'))[:60]!r} has no name")
    return name
