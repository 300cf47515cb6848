"""GET /metrics: the sums of all workers, in the form that Prometheus asks for.

prometheus-client writes the two forms and chooses between them; the numbers are ours.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from operator import add

from flask import Blueprint, Response, current_app, request
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from service.incoming.asking import shelf
from service.shelf import Shelf
from service.watching.metrics import METRICS, Metrics
from service.watching.shared_values import SharedValues, label

bp = Blueprint("metrics", __name__)
OPEN = "application/openmetrics-text"
Series = dict[tuple[str, ...], list[float]]  # labels -> numbers


@bp.get("/metrics")
def metrics() -> Response:
    """Counters, histograms and gauges of all workers."""
    counted: Metrics = current_app.extensions["metrics"]
    # Not the header itself: what a client writes as a version must not reach the library.
    asked = OPEN if OPEN in request.headers.get("Accept", "") else ""
    write, kind = choose_encoder(asked)
    return Response(write(Workers(counted.values, shelf())), content_type=kind)


class Workers(Collector):
    """All metrics at one instant."""

    def __init__(self, values: SharedValues, shelf: Shelf):
        self._values, self._shelf = values, shelf

    def collect(self) -> Iterator[Metric]:
        """Every metric, in the order of the table."""
        sums = {name: dict[tuple[str, ...], list[float]]() for name in METRICS}
        alive = defaultdict[int, bool](bool)
        for row, living, (name, *labels), numbers in self._values.read():
            alive[row] |= living
            known = METRICS.get(name)
            if known is None or (known.kind in ("gauge", "worker") and not living):
                continue
            own = (str(row),) if known.kind == "worker" else tuple(labels)
            before = sums[name].get(own)
            sums[name][own] = list(map(add, before, numbers)) if before else list(numbers)
        sums["layerscope_workers"][()] = [float(sum(alive.values()))]
        sums["layerscope_models_refused"][()] = [float(len(self._shelf.refused))]
        for one in self._shelf:
            described = one.name, one.manifest.version, one.bundle.fingerprint[:16]
            sums["layerscope_model_info"][tuple(map(label, described))] = [1.0]
        for name, series in sums.items():
            yield family(name, series)


def family(name: str, series: Series) -> Metric:
    """One metric with all its series."""
    kind, labels, text, buckets = METRICS[name]
    if kind == "histogram":
        histogram = HistogramMetricFamily(name, text, labels=labels)
        for own, numbers in series.items():
            histogram.add_metric(own, list(cumulated(buckets, numbers)), numbers[-1])
        return histogram
    maker = CounterMetricFamily if kind == "counter" else GaugeMetricFamily
    found = maker(name, text, labels=labels)
    for own, numbers in series.items():
        found.add_metric(own, numbers[0])
    return found


def cumulated(buckets: Iterable[float], numbers: Sequence[float]) -> Iterator[tuple[str, float]]:
    """Buckets as Prometheus has them: each also counts what is in those below it."""
    total = 0.0
    for bound, number in zip([*buckets, float("inf")], numbers, strict=False):
        total += number
        yield floatToGoString(bound), total
