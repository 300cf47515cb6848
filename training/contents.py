"""The contents of every bundle: the network, its graphs, sample photos, library versions."""

import resource
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

# The name on the page -> the packages it may be installed as.
LIBRARIES = {
    "keras": ("keras",),
    "tensorflow": ("tensorflow-cpu", "tensorflow"),
    "onnx": ("onnx",),
    "onnxruntime": ("onnxruntime",),
    "scikit-learn": ("scikit-learn",),
    "numpy": ("numpy",),
    "pillow": ("pillow",),
}


def write_contents(
    folder: Path, files: dict[str, bytes], samples: list[tuple[bytes, str]]
) -> list[dict[str, str]]:
    """Write model.keras, the ONNX graphs and samples/.

    Args:
        files: file name -> content of the network in its forms.
        samples: JPEG and label of each sample photo.

    Returns:
        The samples as the manifest lists them: name and label.
    """
    for name, content in files.items():
        (folder / name).write_bytes(content)
    (folder / "samples").mkdir()
    for number, (picture, _) in enumerate(samples):
        (folder / "samples" / f"{number}.jpg").write_bytes(picture)
    return [{"name": f"{number}.jpg", "label": label} for number, (_, label) in enumerate(samples)]


def library_versions() -> dict[str, str]:
    """List the versions of the libraries that the numbers depend on."""
    found = {"python": sys.version.split()[0]}
    for name, packages in LIBRARIES.items():
        for package in packages:
            try:
                found.setdefault(name, version(package))
            except PackageNotFoundError:
                continue
    return found


def peak_memory_mib() -> int:
    """Read the most memory this process has held, in MiB."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak // (1024 if sys.platform == "linux" else 1024 * 1024)  # macOS counts bytes
