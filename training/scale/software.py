"""Name the code and the packages that numbers depend on: a node with others is refused.

The name is part of every shard's, too: after a change of the code, shards are computed anew.
"""

import hashlib
import platform
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

ROOT = Path(__file__).parents[2]
ROOMS = ("models", "training")
PACKAGES = ("numpy", "pillow", "onnxruntime", "pi-heif")


def package_versions() -> str:
    """List Python and the packages that decode photos and run networks, with versions."""
    found = [f"Python {platform.python_version()}"]
    for package in PACKAGES:
        try:
            found.append(f"{package} {version(package)}")
        except PackageNotFoundError:
            found.append(f"no {package}")
    return ", ".join(found)


@cache
def code_hash() -> str:
    """Hash every source file of `models` and `training`; takes 20 ms, once in a process."""
    together = hashlib.sha256()
    for room in ROOMS:
        for file in sorted((ROOT / room).rglob("*.py")):
            together.update(file.relative_to(ROOT).as_posix().encode())
            together.update(file.read_bytes())
    return together.hexdigest()[:12]


def software() -> str:
    """Name code and packages together, in words for a message."""
    return f"code {code_hash()}, {package_versions()}"
