"""`fit` against the public Keras guide: same photos, same weights, one run.

    python -m benchmarks.training PHOTOS [--quick] [--fine-tune] [--picture FILE.png]

PHOTOS has train/ validation/ test/. Each side runs in a process of its own and is timed
from its start to its end, imports and all. The guide gains no insight, so the ratios are
those of `fit --no-insight`; a `fit` with insight is timed beside it, and a second one whose head
is of another kind. `--quick` lets the guide train two epochs and counts the second one ten times;
its accuracy is then not comparable and is left out. `--fine-tune` adds runs that train the upper
blocks too. `--picture` draws accuracy over wall time.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.curve import draw

EPOCHS = 10  # of the guide's frozen stage
TUNED = {
    "fit --fine-tune": ("--fine-tune", "yes"),
    "--fine-tune, 6 minutes": ("--fine-tune", "yes", "--minutes", "6"),
    "--fine-tune, 20 minutes, lite2": (
        *("--fine-tune", "yes", "--minutes", "20"),
        *("--backbone", "efficientnet-lite2"),
    ),
}
_GUIDE = """
import json, sys
from pathlib import Path
from benchmarks.guide import train
print(json.dumps(train(Path(sys.argv[1]), int(sys.argv[2]))))
"""


def main() -> None:
    """Run both sides and print a table and the ratios."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("photos", type=Path)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--fine-tune", action="store_true")
    parser.add_argument("--picture", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        first = run_fit(options.photos, place, "--no-insight")
        second = run_fit(options.photos, place, "--no-insight", "--head", "lda")
    with tempfile.TemporaryDirectory() as folder:
        whole = run_fit(options.photos, Path(folder))
    tuned = {}
    for name, more in TUNED.items() if options.fine_tune else ():
        with tempfile.TemporaryDirectory() as folder:
            tuned[name] = run_fit(options.photos, Path(folder), "--no-insight", *more)
    guide = run_guide(options.photos, options.quick)
    print(f"{'':<32}{'seconds':>10}{'accuracy':>10}{'peak MiB':>10}")
    rows = {
        "fit --no-insight": first,
        "a second head, lda": second,
        "fit, with insight": whole,
        **tuned,
        "guide": guide,
    }
    for name, row in rows.items():
        accuracy = "" if row["accuracy"] is None else f"{row['accuracy']:.3f}"
        print(f"{name:<32}{row['seconds']:>10.1f}{accuracy:>10}{row['peak_mib']:>10}")
    if options.picture:
        draw(rows, options.picture)
    for name in list(rows)[:-1]:
        print(f"{name}: 1/{guide['seconds'] / rows[name]['seconds']:.1f} of the guide's time")


def run_fit(photos: Path, place: Path, *options: str) -> dict[str, Any]:
    """One `fit` with its cache in `place`."""
    out = place / "bundle"
    command = [sys.executable, "-m", "training", "fit", str(photos), "--out", str(out), "--quiet"]
    command += options
    _, seconds, peak = timed(command, {"LAYERSCOPE_CACHE": str(place / "cache")})
    manifest = json.loads((out / "manifest.json").read_text())
    accuracy = manifest["metrics"]["test"]["accuracy"]
    return {"seconds": seconds, "accuracy": accuracy, "peak_mib": peak}


def run_guide(photos: Path, quick: bool) -> dict[str, Any]:
    """The guide's recipe; `quick` extrapolates from its second epoch."""
    epochs = 2 if quick else EPOCHS
    output, seconds, peak = timed([sys.executable, "-c", _GUIDE, str(photos), str(epochs)], {})
    answer = json.loads(output.splitlines()[-1])
    seconds -= answer["aside_seconds"]
    row = {"accuracy": answer["accuracy"], "peak_mib": peak, "curve": answer["curve"]}
    if quick:
        row["accuracy"] = None
        seconds += (EPOCHS - epochs) * answer["epoch_seconds"][1]
    return {"seconds": seconds, **row}


def timed(command: list[str], more: dict[str, str]) -> tuple[str, float, int]:
    """Output, wall seconds and peak memory in MiB of a process."""
    started = time.perf_counter()
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, env=os.environ | more, cwd=Path.cwd()
    )
    assert process.stdout is not None
    output = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(f"{' '.join(command[:4])} ... ended with {process.returncode}")
    return output, time.perf_counter() - started, usage.ru_maxrss // 1024


if __name__ == "__main__":
    main()
