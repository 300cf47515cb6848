"""What follows features, on rows that are made up: rows, seconds and peak memory of each step.

    python -m benchmarks.scale --rows 1000000 [--half] [--folder DIR] [--without near]
    python -m benchmarks.scale --arithmetic
    python -m benchmarks.scale --rates PHOTOS
    python -m benchmarks.scale --scheduler 2 16 64

The peak is that of the process's resident memory. Features lie in a file that is read, not mapped:
what the system keeps of it in memory is the system's, and not counted. `--arithmetic` prints the
tables of docs/scale.md, `--rates` measures what they are computed from, `--scheduler` what a
driver carries of so many pretended cores.
"""

import argparse
import tempfile
from pathlib import Path

import numpy as np

from benchmarks.scale.arithmetic import tables
from benchmarks.scale.made_rows import WIDTH, MadePhotos
from benchmarks.scale.rates import measure_rates
from benchmarks.scale.scheduler import measure_scheduler
from benchmarks.scale.steps import Step, measured, run_steps

STEPS = ("near", "doctor", "head", "exemplars")


def main() -> None:
    """Run the steps and print a line for each, or the arithmetic, or the rates."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--width", type=int, default=WIDTH)
    parser.add_argument("--half", action="store_true", help="rows in float16 on disk")
    parser.add_argument("--folder", type=Path, help="disk for the rows; else the temporary one")
    parser.add_argument("--without", nargs="*", choices=STEPS, default=[])
    parser.add_argument("--arithmetic", action="store_true")
    parser.add_argument("--rates", type=Path, metavar="PHOTOS")
    parser.add_argument("--scheduler", type=int, nargs="+", metavar="CORES")
    options = parser.parse_args()
    if options.arithmetic:
        print(tables())
        return
    if options.rates:
        print(measure_rates(options.rates))
        return
    if options.scheduler:
        print(measure_scheduler(options.scheduler))
        return
    dtype = np.float16 if options.half else np.float32
    steps: list[Step] = []

    def show(step: Step) -> None:
        steps.append(step)
        facts = ", ".join(f"{name} {value}" for name, value in step.facts.items())
        print(_line(step, facts), flush=True)

    print(f"{options.rows:,} rows of {options.width:,} numbers, {np.dtype(dtype)}\n")
    print("| step | s | of all cores, s | peak, MiB | |\n|---|---|---|---|---|")
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        with measured("(make the rows)", show):
            made = MadePhotos(options.rows, Path(folder), dtype, options.width)
        run_steps(made, set(options.without), show)
    own = steps[1:]
    seconds, cores = sum(step.seconds for step in own), sum(step.core_seconds for step in own)
    print(_line(Step("all", seconds, cores, max(step.peak for step in own)), ""))


def _line(step: Step, facts: str) -> str:
    cells = step.name, f"{step.seconds:.0f}", f"{step.core_seconds:.0f}", f"{step.peak:,}", facts
    return "| " + " | ".join(cells) + " |"


if __name__ == "__main__":
    main()
