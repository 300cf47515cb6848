"""Short names for all that a cached result depends on: another recipe, another name."""

import hashlib


def name_of(recipe: object) -> str:
    """Name a recipe in 24 letters, by its `repr`."""
    return hashlib.sha256(repr(recipe).encode()).hexdigest()[:24]


def hash_of(content: bytes) -> str:
    """Hash long content, for a recipe that it is part of."""
    return hashlib.sha256(content).hexdigest()
