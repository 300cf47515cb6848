"""Recipes of training, judged on several photo sets and seeds.

    python -m benchmarks.transfer PHOTOS [PHOTOS ...] --rows FILE.jsonl
        [--recipes frozen default auto NAME=OPTIONS FILE.json ...] [--seeds 0 1 2] [--few 0 10 40]

A recipe is a name for options of `fit`, such as `"last=--fine-tune yes --keep last"`, or a JSON
file `{"NAME": "OPTIONS"}`; `frozen`, `default` and `auto` are without fine-tuning, with it, and
with `--fine-tune auto`. `--few N` thins training to N photos a class (0: all of them) and leaves
the test photos as they are. Each set, seed and recipe is one `fit --no-insight` in a process of
its own, with the cache that `fit` uses (LAYERSCOPE_CACHE), and one line in FILE: what is there
is not run again. Whole seconds are shorter where the cache has the photos already.

The table ends with each recipe's accuracy less that of `default`: the mean over sets, and the
worst set with its standard error over test photos.
"""

import argparse
import contextlib
import hashlib
import json
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.low_data import PhotoSet, choose_photos, read_sets, write_list
from benchmarks.ranking import HEADER, Row, format_numbers, means, pack_bits, tables, version_of
from benchmarks.recipes import Recipe, read_recipes
from models.bundle import Bundle, Manifest, writing
from models.classifier import Classifier
from models.cores import usable_cores
from models.errors import LayerscopeError, SettingError
from training.evaluation.evaluate import classify, label_indices, measure
from training.photos.listing import Listing, Photo
from training.sides.remembered import NAME as SIDES_FILE

Key = tuple[str, int, int, str]  # set, few, seed, recipe
NO_SETTINGS = ("seconds", "cpu_seconds", "peak_memory_mib", "fine_tuning", "seed", "insight")
ENDS_WITHIN_S = 20
CURVES = ("epochs", "best", "start_loss", "start_judged", "stopped", "kept", "rate_search")


class FitFailed(Exception):
    """`fit` ended with an error; the message is its last line."""


Fit = Callable[[list[str]], None]  # arguments of the command `fit`; raises FitFailed


@dataclass(frozen=True)
class Job:
    """One row to be: a set, perhaps thinned, a seed and a recipe."""

    photo_set: PhotoSet
    few: int  # training photos a class; 0: all of them
    seed: int
    recipe: Recipe
    sides: dict[str, list[Photo]]  # train, validation and test

    @property
    def key(self) -> Key:
        """What tells this row from all others of the file."""
        return self.photo_set.name, self.few, self.seed, self.recipe.name


def main() -> None:
    """Run what is missing, and print all rows and the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("photos", type=Path, nargs="+")
    parser.add_argument("--recipes", nargs="+", default=["frozen", "default", "auto"])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--few", type=int, nargs="+", default=[0])
    parser.add_argument("--rows", type=Path, required=True)
    options = parser.parse_args()
    if min(options.few) < 0:
        parser.error(f"--few is {min(options.few)}; expected 0 or more")
    for ending in (signal.SIGINT, signal.SIGTERM):  # no child is left behind, and none that a
        signal.signal(ending, signal.default_int_handler)  # shell's `&` makes deaf to SIGINT
    try:
        recipes, sets = read_recipes(options.recipes), read_sets(options.photos)
        jobs = list_jobs(sets, options.few, options.seeds, recipes)
        failed = run_jobs(jobs, options.rows, fit_in_child)
    except LayerscopeError as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        sys.exit(f"stopped: {options.rows} keeps its rows; run it again to go on")
    if failed:
        sys.exit(f"{failed} of {len(jobs)} rows failed; run it again to try them again")


def list_jobs(
    sets: Iterable[PhotoSet], few: Iterable[int], seeds: Iterable[int], recipes: Iterable[Recipe]
) -> list[Job]:
    """List all rows to be; recipes of one set and seed follow each other, for the cache's sake.

    Raises:
        PhotosError: a set cannot be divided.
    """
    return [
        Job(photo_set, count, seed, recipe, sides)
        for photo_set in sets
        for count in dict.fromkeys(few)
        for seed in dict.fromkeys(seeds)
        for sides in [choose_photos(photo_set, count, seed)]
        for recipe in recipes
    ]


def run_jobs(jobs: Sequence[Job], file: Path, fit: Fit) -> int:
    """Run the jobs whose rows `file` does not have, and print rows and tables.

    Returns:
        How many of them failed.

    Raises:
        SettingError: the file has a recipe of that name with other options.
        StorageError: the file cannot be written.
    """
    with writing(file):
        file.touch()
    known = {row_key(row): row for row in read_rows(file)}
    for job in jobs:
        row = known.get(job.key)
        if row and row["options"] != job.recipe.text:
            raise SettingError(
                f"{file} has rows of a recipe {job.recipe.name!r} with the options "
                f"{row['options']!r}, now {job.recipe.text!r}: choose another name, or another file"
            )
    failed = 0
    print(f"{'set':<28}{'recipe':<24}{'seed':>6}{HEADER}", flush=True)
    for job in jobs:
        try:
            if job.key not in known:
                known[job.key] = run_job(job, fit)
                with file.open("a", encoding="utf-8") as rows:
                    rows.write(json.dumps(known[job.key]) + "\n")
        except FitFailed as error:
            failed += 1
            print(f"{job.key} failed: {error}", file=sys.stderr, flush=True)
            continue
        row = known[job.key]
        found = format_numbers(means([row]))
        print(f"{version_of(row):<28}{row['recipe']:<24}{row['seed']:>6}{found}", flush=True)
    done = [known[job.key] for job in jobs if job.key in known]
    print("\n".join(tables(done, list(dict.fromkeys(job.recipe.name for job in jobs)))))
    return failed


def read_rows(file: Path) -> list[Row]:
    """Read the rows so far; what a kill left half written at the end is cut off."""
    if not file.exists():
        return []
    content = file.read_bytes()
    whole = content[: content.rfind(b"\n") + 1]
    if len(whole) < len(content):
        file.write_bytes(whole)
    return [json.loads(line) for line in whole.splitlines()]


def row_key(row: Row) -> Key:
    """What tells a row from all others, as `Job.key`."""
    return row["set"], row["few"], row["seed"], row["recipe"]


def fit_in_child(arguments: list[str]) -> None:
    """Run `python -m training fit` in a process of its own. Raises FitFailed."""
    command = [sys.executable, "-m", "training", "fit", *arguments]
    with subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    ) as child:
        try:
            _, said = child.communicate()
        except KeyboardInterrupt:  # it keeps what it has computed, and ends by itself
            child.send_signal(signal.SIGINT)
            try:
                child.communicate(timeout=ENDS_WITHIN_S)
            except subprocess.TimeoutExpired:  # an interrupt that falls into a library's clean-up
                child.terminate()  # is lost (Python prints "Exception ignored"): ask once more
            raise
    if child.returncode:
        lines = said.strip().splitlines()
        raise FitFailed(lines[-1] if lines else f"exit code {child.returncode}")


def run_job(job: Job, fit: Fit) -> dict[str, Any]:
    """Train one bundle and describe it as a row. Raises FitFailed."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        write_list(job.sides, place / "photos.csv")
        arguments = [str(place / "photos.csv"), "--no-insight", *job.recipe.options]
        started = time.perf_counter()
        fit([*arguments, "--out", str(place / "bundle"), "--seed", str(job.seed), "--quiet"])
        seconds = time.perf_counter() - started
        measured = measure_bundle(place / "bundle", job)
        manifest = Bundle(place / "bundle").manifest
    taken: dict[str, float] = manifest.training["seconds"]  # of each stage
    return {
        "set": job.photo_set.name,
        "few": job.few,
        "seed": job.seed,
        "recipe": job.recipe.name,
        "options": job.recipe.text,
        "settings": settings_of(manifest),
        "machine": machine(),
        "photos": manifest.data["photos"],
        **measured,
        **epochs_of(manifest),
        "training_s": round(sum(s for stage, s in taken.items() if stage.startswith("train ")), 2),
        "seconds": round(seconds, 2),
    }


def measure_bundle(path: Path, job: Job) -> dict[str, Any]:
    """Measure a bundle on its validation and test photos, as it is served.

    Returns:
        `validation` and `test`, each photos, accuracy, log_loss and ece; `right`, a bit for each
        test photo in order of content; `test_side`, the same for the same test photos.
    """
    classifier = Classifier(Bundle(path))
    recorded = json.loads((path / SIDES_FILE).read_text(encoding="utf-8"))["sides"]
    digest_of = dict(zip(job.photo_set.photos, job.photo_set.digests, strict=True))
    found: dict[str, Any] = {}
    for side in ("validation", "test"):
        used = {bytes.fromhex(digest) for digest in recorded[side]}  # without near copies
        photos = [photo for photo in job.sides[side] if digest_of[photo] in used]
        photos.sort(key=digest_of.__getitem__)
        answers = classify(classifier, Listing(photos=photos), usable_cores())
        labels = label_indices(answers.photos, classifier.class_names)
        numbers = measure(answers.probabilities, labels, classifier.class_names, answers.units)
        found[side] = {name: numbers[name] for name in ("photos", "accuracy", "log_loss")}
        found[side]["ece"] = numbers["expected_calibration_error"]
    content = b"".join(digest_of[photo] for photo in answers.photos)
    right = pack_bits(answers.probabilities.argmax(axis=1) == labels)
    return found | {"right": right, "test_side": hashlib.sha256(content).hexdigest()[:16]}


def settings_of(manifest: Manifest) -> dict[str, Any]:
    """Collect the settings that a bundle was trained with, those of fine-tuning included."""
    training = manifest.training
    found = {name: value for name, value in training.items() if name not in NO_SETTINGS}
    tuned: Mapping[str, Any] = training.get("fine_tuning", {})
    return found | {name: value for name, value in tuned.items() if name not in CURVES}


def epochs_of(manifest: Manifest) -> dict[str, Any]:
    """Say how many epochs the blocks were trained, which was kept, and whether the blocks were."""
    tuned = manifest.training.get("fine_tuning")
    if tuned is None:
        return {"epochs": 0, "kept_epoch": 0, "blocks_kept": False}
    kept = tuned["best"] + 1  # 0: as they were before
    return {"epochs": len(tuned["epochs"]), "kept_epoch": kept, "blocks_kept": tuned["kept"]}


def machine() -> str:
    """Name the processor, its widest vectors and the cores in use."""
    facts: dict[str, str] = {}
    with contextlib.suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        pairs: Iterable[list[str]] = (line.split(":", 1) for line in lines if ":" in line)
        facts = {name.strip(): value.strip() for name, value in pairs}
    flags = facts.get("flags", "").split()
    vectors = "AVX-512" if "avx512f" in flags else "AVX2" if "avx2" in flags else "no AVX2"
    return f"{facts.get('model name', 'unknown processor')}, {vectors}, {usable_cores()} cores"


if __name__ == "__main__":
    main()
