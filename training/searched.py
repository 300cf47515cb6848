"""What a search came to, as a bundle keeps it."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Searched:
    """The outcome of a search."""

    summary: dict[str, Any]  # for the manifest
    files: dict[str, bytes]  # for the bundle's folder `search`: trials.json and pictures

    @property
    def verdict(self) -> str:
        """One paragraph for people."""
        return str(self.summary["verdict"])
