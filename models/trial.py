"""`python -m models.trial PATH NUMBER NAME VERSION KEY PRECISION DEVICE`: try one bundle.

A process of its own, so that a bundle that crashes the runtime, hangs or eats all memory takes
nothing else with it. It copies the bundle into the open file NUMBER and prints one line of JSON:
what it is, or why it is refused.
"""

import json
import os
import re
import resource
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

from models.bundle import Bundle
from models.bundles.pinned import PinnedBundle, pin
from models.errors import BundleError, DeviceUnusable, SettingError
from models.examine import examine
from models.terms import Terms

CPU_S = 600  # seconds of all cores, should nobody be left to stop this process
MEMORY = 3_000_000_000  # bytes to try any bundle in: 24 maps of a large network at once
COPIES = 8  # of its files beside that: as read, as hashed, as loaded, as the runtime arranges it
MOST_LETTERS = 5_000  # of a reason
_ALLOCATION = re.compile("bad_?alloc|AllocateRaw|Failed to allocate")  # of ONNX Runtime


def judge(path: Path, number: int, name: str, version: str, terms: Terms) -> dict[str, Any]:
    """Pin the bundle into `number` and examine the copy.

    Args:
        name, version: what it is to be called; empty: what its manifest says.

    Returns:
        `name`, `version`, `fingerprint`, `precision` and `device` to serve in and on; or the
        `reason` why it is refused, and `passing` if the machine may be why, so that it is worth
        another try.
    """
    known: dict[str, Any] = {}
    try:
        bundle = Bundle(path)
        known["version"] = bundle.manifest.version
        limit_memory(MEMORY + COPIES * sum(file.size for file in bundle.manifest.files.values()))
        if terms.key:
            from models.bundles.signature import check_signature, key_of

            check_signature(bundle, key_of(terms.key))
        pin(bundle, number)
        copy = PinnedBundle(path, os.dup(number), name or None, version or None)
        classifier = examine(copy, terms.precision, terms.device)
        return {
            "name": classifier.manifest.name,
            "version": classifier.manifest.version,
            "fingerprint": copy.fingerprint,
            "precision": classifier.precision,
            "device": classifier.device,
        }
    except BundleError as error:
        if _ALLOCATION.search(error.reason):
            what = error.reason.partition(":")[0]
            return known | {"reason": f"{what}: {_no_memory()}", "passing": True}
        return known | {"reason": error.reason}
    except (SettingError, DeviceUnusable) as error:
        return known | {"reason": str(error)}
    except OSError as error:
        return known | {
            "reason": f"it cannot be kept in memory: {error.strerror}",
            "passing": True,
        }
    except MemoryError:
        return known | {"reason": _no_memory(), "passing": True}
    except Exception as error:  # a graph or an array that nobody thought of
        return known | {"reason": f"{type(error).__name__}: {error}"}


def _no_memory() -> str:
    limit, _ = resource.getrlimit(resource.RLIMIT_DATA)
    return f"to try it takes more than {limit:,} bytes of memory, or none was left"


def limit_memory(size_bytes: int) -> None:
    """Let this process write to no more memory of its own; macOS does not count all of it.

    Not the address space: of that, threads and the runtime reserve much more than they use.
    """
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    if hard != resource.RLIM_INFINITY:
        size_bytes = min(size_bytes, hard)
    resource.setrlimit(resource.RLIMIT_DATA, (size_bytes, hard))


def main() -> None:
    """Read the command line, print the verdict."""
    path, number, name, version, *terms = sys.argv[1:]
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_S, CPU_S))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    limit_memory(MEMORY)  # until it is known how large the bundle is
    with suppress(OSError):  # only Linux has it: where memory runs out, this process goes first
        Path("/proc/self/oom_score_adj").write_text("1000")
    found = judge(Path(path), int(number), name, version, Terms(*terms))
    if "reason" in found:  # it may quote names of a graph, of any length
        found["reason"] = found["reason"][:MOST_LETTERS]
    print(json.dumps(found))


if __name__ == "__main__":
    main()
