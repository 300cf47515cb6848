"""Choose the precision in which a bundle is served, by trying both on this machine.

INT8 is faster where the processor multiplies eight-bit numbers (VNNI, dot products of ARM), and
may be slower elsewhere. Older ones also add such products up in sixteen bits, which is too few
for some: so both graphs answer the bundle's samples here before INT8 is used.
"""

import time
from collections.abc import Sequence

import numpy as np

from models.bundle import Bundle
from models.classifier import Classifier
from models.errors import DeviceUnusable, ImageError
from models.precision import has_int8, probability_moved
from models.terms import PROCESSOR, Device, Precision

RUNS = 40  # of both, in turns; the quickest of each counts
ENOUGH = 10  # of them, where the times are clearly apart
CLOSE = 0.8, 1.1  # shares of the time in fp32 between which they are not
MOST_S = 2.0  # for all of them: large networks get fewer
GAIN = 0.95  # share of the time in fp32 below which INT8 is faster by more than chance
MOST_MOVED = 0.15  # mean share of the probability that may stand elsewhere: 5 times the usual


def open_fastest(bundle: Bundle, asked: str, device: Device = PROCESSOR) -> Classifier:
    """Open a bundle in the precision to serve it in.

    Args:
        asked: auto: the faster one; fp32; int8: wherever there is one.
        device: on which both are tried.

    Raises:
        BundleError: a graph does not load, or the manifest contradicts itself.
    """
    if not has_int8(bundle):
        only = Precision("fp32", "it has no int8" if asked != "fp32" else "asked for")
        return Classifier(bundle, precision=only, device=device)
    if asked != "auto":
        return Classifier(bundle, precision=asked, device=device)
    fp32 = Classifier(bundle, precision="fp32", device=device)
    try:
        int8 = Classifier(bundle, precision="int8", device=device)
    except DeviceUnusable as error:  # it was tried in fp32
        fp32.precision = Precision("fp32", f"in int8 {error}")
        return fp32
    answers, seconds = _try_in_turns((fp32, int8), _photos(fp32))
    fp32_ms, int8_ms = (round(1000 * taken, 3) for taken in seconds)
    used, why = "int8", "faster here"
    if probability_moved(*answers) > MOST_MOVED:
        used, why = "fp32", "int8 answers the samples otherwise on this processor"
    elif int8_ms > GAIN * fp32_ms:
        used, why = "fp32", "int8 is no faster here"
    chosen = int8 if used == "int8" else fp32
    chosen.precision = Precision(used, why, fp32_ms, int8_ms)
    return chosen


def _try_in_turns(
    both: Sequence[Classifier], photos: Sequence[np.ndarray]
) -> tuple[list[np.ndarray], list[float]]:
    """Have both answer each photo, in turns, so that a busy machine slows both alike.

    Returns:
        The probabilities of each, (N, K), and its quickest run in seconds. Photos are taken again
        until it is clear which is faster.
    """
    answers: list[list[np.ndarray]] = [[] for _ in both]
    quickest, ends = [np.inf] * len(both), time.perf_counter() + MOST_S
    for number in range(max(RUNS, len(photos))):
        for place, classifier in enumerate(both):
            started = time.perf_counter()
            answer = classifier.predict(photos[number % len(photos)][None])
            quickest[place] = min(quickest[place], time.perf_counter() - started)
            answers[place].append(answer)
        runs, share = number + 1, quickest[1] / quickest[0]
        clear = runs >= ENOUGH and not CLOSE[0] < share < CLOSE[1]
        if runs >= len(photos) and (clear or time.perf_counter() > ends):
            break
    return [np.concatenate(each[: len(photos)]) for each in answers], quickest


def _photos(classifier: Classifier) -> list[np.ndarray]:
    """Decode the samples of a bundle; where it has none, draw noise."""
    found = []
    for sample in classifier.manifest.data.get("samples", []):
        try:
            found.append(classifier.decode(classifier.bundle.read(f"samples/{sample['name']}")))
        except ImageError:
            continue
    size = classifier.framing.size
    noise = np.random.default_rng(0).integers(0, 256, (size, size, 3), np.uint8)
    return found or [noise]
