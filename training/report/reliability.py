"""Show how far the probabilities can be trusted: the report's reliability diagram, and words."""

from markupsafe import Markup
from matplotlib.figure import Figure

from models.bundles.calibration import CalibrationTest, Reliability
from models.bundles.manifest import Manifest
from training.report.drawings import as_png
from training.report.page import Section, environment
from training.report.quantities import percent


def draw_reliability(test: CalibrationTest) -> bytes:
    """Draw accuracy by confidence, before and after calibration, as a PNG.

    Args:
        test: `calibration.test` of a manifest. A whisker is a bin's 95 % interval.
    """
    figure = Figure(figsize=(5.4, 4.6), layout="constrained", dpi=110)
    axes = figure.add_subplot()
    axes.plot(
        [0, 1], [0, 1], color="#999", linestyle="--", linewidth=1, label="confidence = accuracy"
    )
    for name, found, colour in (
        ("before", test.before, "#c77d3a"),
        ("after", test.after, "#0b7285"),
    ):
        bins = found.bins
        sure = [each.confidence for each in bins]
        right = [each.accuracy for each in bins]
        ends = [each.accuracy_interval for each in bins]
        below = [max(0.0, r - low) for r, (low, _) in zip(right, ends, strict=True)]
        above = [max(0.0, high - r) for r, (_, high) in zip(right, ends, strict=True)]
        error = 100 * found.expected_calibration_error
        axes.errorbar(
            sure,
            right,
            yerr=[below, above] if name == "after" else None,
            marker="o",
            color=colour,
            capsize=3,
            label=f"{name} calibration: off by {error:.1f} points",
        )
    axes.set_xlim(0, 1.02)
    axes.set_ylim(0, 1.02)
    axes.set_xlabel("confidence in the predicted class")
    axes.set_ylabel("share that is right")
    axes.legend(loc="lower right", fontsize=9)
    return as_png(figure)


def error_in_words(found: Reliability) -> str:
    """Write the calibration error, its interval, and what chance alone would show."""
    error = percent(found.expected_calibration_error)
    if found.error_interval is None or found.error_by_chance is None:
        return error  # measured by an earlier version
    low, high = map(percent, found.error_interval)
    chance = percent(found.error_by_chance)
    return f"{error} (95 % interval {low} to {high}; by chance alone up to {chance})"


def caveats(manifest: Manifest) -> list[str]:
    """List, in sentences, why the calibration may be worse than it looks."""
    calibration, found = manifest.calibration, []
    if calibration is None:
        return []
    photos = f"{calibration.photos:,} photos"
    if (sets := manifest.thresholds.prediction_set) and calibration.coverage_interval:
        low, high = map(percent, calibration.coverage_interval)
        found.append(
            f"The prediction sets were made for {percent(sets.coverage, 0)} on {photos}. By the "
            f"luck of which photos these were, their threshold holds the true class of {low} to "
            f"{high} of all further photos like them (95 % interval); more validation photos "
            "narrow this. The predicted class belongs to every set, so the sets may hold more."
        )
    tuning = manifest.training.get("fine_tuning") or {}
    if not tuning.get("kept"):
        return found
    keep = tuning.get("hyperparameters", {}).get("keep")
    chosen = ["the epoch that was kept"] * (keep == "best")
    chosen += ["whether to keep the trained blocks"] * (
        manifest.training.get("fine_tune") == "auto"
    )
    if chosen:
        found.append(
            f"The {photos} that the temperature and the sets were fitted on also chose "
            f"{' and '.join(chosen)}: the network does a little better on them than on others, "
            "so it may be surer of itself than it should be. The test photos chose nothing."
        )
    return found


def calibration_section(manifest: Manifest) -> Section:
    """Render the section on how far the probabilities can be trusted."""
    test = manifest.calibration.test if manifest.calibration else None
    content = environment().get_template("calibration.html.j2").render(
        calibration=manifest.calibration,
        reliability=draw_reliability(test) if test else None,
        error=error_in_words(test.after) if test else "",
        caveats=caveats(manifest),
    )  # fmt: skip
    return Section("How far to trust it", "belief", Markup(content))
