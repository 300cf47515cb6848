"""The commands: `python -m training COMMAND`.

Results go to standard output, progress to standard error. An error is one line that says
what to change, exit code 2; a bug shows its traceback, exit code 1.
"""

import sys
from collections import Counter
from pathlib import Path
from typing import Any

import click

from models.building.backbones import BACKBONES
from models.bundle import Bundle
from training.adopt.config import AdoptConfig
from training.command import BUNDLE, PLACE, command, end_after, quiet, training
from training.command_output import bundle_facts, finish, left_out_facts, summary
from training.exporting.config import ExportConfig
from training.places.bundles import folder_of
from training.scale.choose import choose_workers, open_predictor
from training.settings.cluster import read_cluster
from training.settings.config import FitConfig, PredictConfig, SearchBudget
from training.settings.console import Stages
from training.settings.options import LOCAL, settings
from training.settings.printable import printable
from training.settings.quiet import load_keras

ENGINE_SETTINGS = ("engine", "address")
SEARCH_SETTINGS = (
    "backbone", "weights", "size", "resize", "fraction", "seed", "validation_share", "test_share",
    "device", "threads", *ENGINE_SETTINGS, "max_megapixels", "more_formats", "insight", "layers",
    "exclude", "merge_names", "leave_out_small", "int8",
)  # fmt: skip
CHECK_SETTINGS = (
    "backbone", "weights", "size", "device", "threads", *ENGINE_SETTINGS, "max_megapixels",
    "more_formats",
    "merge_names",
)  # fmt: skip


@command
@click.argument("photos", type=PLACE)
@click.option("--out", type=PLACE, required=True, help="Bundle to write.")
@settings()
@summary
@quiet
def fit(photos: Path, out: Path, summary: Path | None, quiet: bool, **chosen: Any) -> None:
    """Train on PHOTOS: class folders; train/ validation/ test/ with class folders; or a CSV."""
    config, cluster = FitConfig(**chosen), read_cluster()
    stages = Stages(quiet)
    from training.fit import fit as run
    from training.fit import train_share

    if cluster and cluster.rank > 0:
        train_share(photos, out, config, stages, cluster)
        click.echo(printable(f"{cluster} has trained its share: worker 1 writes {out}"))
        return
    manifest = run(photos, out, config, stages, cluster)
    test, report = manifest.metrics["test"], folder_of(out, manifest.version) / "report.html"
    line = (
        f"saved {out}: {len(manifest.class_names)} classes, "
        f"test accuracy {test['accuracy']:.3f} on {test['photos']} photos, "
        f"in {sum(stages.seconds.values()):.0f} s; read {report}"
    )
    finish([line], summary, bundle_facts(out, manifest))


@command
@click.option("--out", type=PLACE, required=True, help="Bundle to write.")
@settings("backbone")
@quiet
def imagenet(out: Path, backbone: str, quiet: bool) -> None:
    """Save the pretrained network itself, with its 1,000 classes."""
    from training.demo.imagenet import save_imagenet

    manifest = save_imagenet(out, FitConfig(backbone=backbone), Stages(quiet))
    click.echo(f"saved {out}: {len(manifest.class_names)} classes")


@command
@click.argument("bundle", type=BUNDLE)
@click.argument("photos", type=PLACE)
@click.option("--against", type=BUNDLE, metavar="OTHER",
              help="Bundle to compare with, on the same photos.")  # fmt: skip
@settings("precision", "device", of=PredictConfig)
@settings("merge_names", *ENGINE_SETTINGS)
@summary
@quiet
def evaluate(
    bundle: Path,
    photos: Path,
    against: Path | None,
    precision: str,
    device: str,
    merge_names: bool,
    summary: Path | None,
    quiet: bool,
    **engine: Any,
) -> None:
    """Measure BUNDLE on labelled PHOTOS (those of test/, if there is one); prints JSON."""
    from training.evaluation.compare import compare_bundles
    from training.evaluation.evaluate import evaluate_bundle

    stages, models, workers = Stages(quiet), [], choose_workers(FitConfig(**engine))
    for path in (bundle, *([against] if against else [])):
        opened = Bundle(path)
        opened.verify()
        models.append(open_predictor(opened, precision, FitConfig(device=device, **engine), stages))
    if len(models) == 1:
        numbers = evaluate_bundle(models[0], photos, workers, stages, merge_names)
    else:
        numbers = compare_bundles(models[0], models[1], photos, workers, stages, merge_names)
    if summary and str(summary) != "-":
        finish([], summary, numbers)
    finish([], Path("-"), numbers)


@command
@click.argument("bundle", type=BUNDLE)
@click.argument("photos", type=PLACE)
@click.option("--out", type=PLACE, required=True,
              help="File to write, *.jsonl, one line for each photo.")  # fmt: skip
@settings(of=PredictConfig)
@settings(*ENGINE_SETTINGS)
@summary
@quiet
def predict(
    bundle: Path, photos: Path, out: Path, summary: Path | None, quiet: bool, **chosen: Any
) -> None:
    """Predict every photo below PHOTOS, labelled or not."""
    from training.predict import predict_folder

    engine, stages = {name: chosen.pop(name) for name in ENGINE_SETTINGS}, Stages(quiet)
    config = PredictConfig(**chosen)
    asked = FitConfig(device=config.device, **engine)
    classifier = open_predictor(Bundle(bundle), config.precision, asked, stages)
    counts = predict_folder(classifier, photos, out, config.top, stages, choose_workers(asked))
    line = f"saved {out}: {counts.predicted} predictions, {counts.failed} files with an error"
    facts = {"predictions": str(out), "predicted": counts.predicted, "failed": counts.failed}
    finish([line], summary, facts | left_out_facts(counts.skipped))


@command
@click.argument("bundle", type=PLACE)
@click.argument("photos", type=PLACE)
@settings("layers", *ENGINE_SETTINGS)
@click.option("--visualise", multiple=True, metavar="LAYER:CHANNEL",
              help="Also compute what excites this channel; repeatable.")  # fmt: skip
@summary
@quiet
def insight(
    bundle: Path,
    photos: Path,
    layers: tuple[str, ...],
    visualise: tuple[str, ...],
    summary: Path | None,
    quiet: bool,
    **engine: Any,
) -> None:
    """Find out with PHOTOS what each layer of BUNDLE detects, and add it to the bundle."""
    from training.insight.add import add_insight

    stages = Stages(quiet)
    workers = choose_workers(FitConfig(**engine))
    manifest, skipped = add_insight(bundle, photos, layers, visualise, stages, workers)
    taken = sum(stages.seconds.values())
    line = f"saved {bundle}: version {manifest.version} has insight, in {taken:.0f} s"
    facts = {"bundle": str(bundle), "version": manifest.version}
    finish([line], summary, facts | left_out_facts(skipped))


@command
@click.argument("photos", type=PLACE)
@click.option("--out", type=PLACE, required=True, help="Bundle to write.")
@settings(of=SearchBudget)
@settings(*SEARCH_SETTINGS)
@summary
@quiet
def search(
    photos: Path,
    out: Path,
    minutes: float,
    trials: int,
    summary: Path | None,
    quiet: bool,
    **chosen: Any,
) -> None:
    """Try every kind of head and its hyperparameters on PHOTOS, and save the best.

    The trials are kept in OUT.study.jsonl: the same command goes on after a kill, and one with
    more minutes or trials after its end.
    """
    from training.search.run import search as run

    manifest = run(photos, out, FitConfig(**chosen), SearchBudget(minutes, trials), Stages(quiet))
    found = manifest.training["search"]
    line = f"saved {out} after {found['trials']} trials: {found['verdict']}"
    finish([line], summary, bundle_facts(out, manifest) | {"search": found})


@command
def backbones() -> None:
    """List the pretrained networks that `fit --backbone` takes."""
    click.echo(f"{'name':<20}{'size':>6}  weights")
    for row in BACKBONES.values():
        source = {"embedded": "embedded, offline", "imagenet": "downloaded by Keras"}
        click.echo(f"{row.name:<20}{row.size:>6}  {source.get(row.default_weights, 'none')}")


@command
@click.argument("photos", type=PLACE)
@click.option("--out", type=LOCAL, help="Page to write, *.html. [default: PHOTOS-check.html]")
@click.option("--exclude", type=PLACE,
              help="List of photos to leave out, text or CSV. [default: none]")  # fmt: skip
@settings(*CHECK_SETTINGS)
@summary
@quiet
def check(
    photos: Path,
    out: Path | None,
    exclude: Path | None,
    summary: Path | None,
    quiet: bool,
    **chosen: Any,
) -> None:
    """Find what is wrong with PHOTOS: damaged files, copies, doubtful labels. Deletes nothing."""
    from training.doctor.check import check as run

    checkup, page, skipped = run(photos, out, exclude, FitConfig(**chosen), Stages(quiet))
    table = page.with_suffix(".csv")
    saved = f"saved {page} and {table}: {len(checkup.findings):,} findings"
    facts = {
        "page": str(page),
        "list": str(table),
        "photos": checkup.photos,
        "classes": checkup.classes,
        "findings": Counter(finding.code for finding in checkup.findings),
        "notes": checkup.notes,
    }
    finish([*checkup.in_words(), saved], summary, facts | left_out_facts(skipped))


@command
@click.argument("model", type=LOCAL)
@click.option("--labels", required=True, help="File of class names, or names with commas.")
@click.option("--out", type=PLACE, required=True, help="Bundle to write.")
@click.option("--photos", type=PLACE, help="Labelled photos to measure the model on.")
@settings(of=AdoptConfig)
@summary
@quiet
def adopt(
    model: Path,
    labels: str,
    out: Path,
    photos: Path | None,
    summary: Path | None,
    quiet: bool,
    **chosen: Any,
) -> None:
    """Turn MODEL, a .keras or .h5 file of any Keras image classifier, into a bundle."""
    config = AdoptConfig(**chosen)
    load_keras()
    from training.adopt.adopt import adopt as run
    from training.adopt.adopt import in_words

    manifest = run(model, labels, out, photos, config, Stages(quiet))
    finish([f"saved {out}: {in_words(manifest)}"], summary, bundle_facts(out, manifest))


@command
@click.argument("bundle", type=BUNDLE)
@click.option("--out", type=LOCAL, required=True, help="Folder to write.")
@settings(of=ExportConfig)
@summary
@quiet
def export(bundle: Path, out: Path, summary: Path | None, quiet: bool, **chosen: Any) -> None:
    """Write BUNDLE in the format of another runtime, and prove it there on photos."""
    config = ExportConfig(**chosen)
    from training.exporting.export import export_bundle

    made = export_bundle(bundle, out, config, Stages(quiet))
    facts = {"export": str(out)} | made.facts | left_out_facts(made.skipped)
    finish([f"saved {out}: {made.in_words}; read {out / 'README.md'}"], summary, facts)


def main() -> None:
    """Run a command; a wrong option ends as one line, too."""
    try:
        training.main(prog_name="python -m training", standalone_mode=False)
    except click.ClickException as error:
        click.echo(f"error: {printable(error.format_message())} (see --help)", err=True)
        sys.exit(2)


if __name__ == "__main__":
    end_after(main)
