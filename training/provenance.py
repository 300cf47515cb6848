"""What a run was made with: versions, and the memory it took."""

import resource
import sys
from importlib.metadata import PackageNotFoundError, version

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


def library_versions() -> dict[str, str]:
    """Versions of what the numbers depend on."""
    found = {"python": sys.version.split()[0]}
    for name, packages in LIBRARIES.items():
        for package in packages:
            try:
                found.setdefault(name, version(package))
            except PackageNotFoundError:
                continue
    return found


def peak_memory_mib() -> int:
    """The most memory this process has held, in MiB."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak // (1024 if sys.platform == "linux" else 1024 * 1024)  # macOS counts bytes
