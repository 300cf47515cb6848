"""Draw how often the network is right at each confidence: the report's reliability diagram."""

from markupsafe import Markup
from matplotlib.figure import Figure

from models.bundles.manifest import CalibrationTest, Manifest
from training.report.drawings import as_png
from training.report.page import Section, environment


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


def calibration_section(manifest: Manifest) -> Section:
    """Render the section on how far the probabilities can be trusted."""
    test = manifest.calibration.test if manifest.calibration else None
    content = environment().get_template("calibration.html.j2").render(
        calibration=manifest.calibration,
        reliability=draw_reliability(test) if test else None,
    )  # fmt: skip
    return Section("How far to trust it", "belief", Markup(content))
