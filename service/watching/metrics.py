"""The table of all metrics, and the events that count in them.

Labels never come from a client as they are: an unknown path is one label, and models and classes
are those of the operator.
"""

from bisect import bisect_left
from typing import NamedTuple

from flask import current_app

from models.classifier import Classifier, Reading
from service.watching.record import STAGES, Record, record
from service.watching.shared_values import SharedValues, label

MOST_CLASSES = 1_000  # of a model that have a label of their own, in the order of the manifest
OTHER = "(other)"  # the label of all further classes
UNKNOWN = "(unknown)"  # of a path that is no route
BROKEN = "(broken)"  # of what is no request, or did not arrive whole
CLIENT_LEFT = 499  # counts as the status where a client left before its answer

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_CONFIDENCE = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99, 1.0)


class Metric(NamedTuple):
    """One metric as Prometheus knows it."""

    kind: str  # counter, histogram, gauge: a sum over workers, worker: one gauge for each worker
    labels: tuple[str, ...]
    help: str
    buckets: tuple[float, ...] = ()  # upper bounds


METRICS = {
    "layerscope_requests_total": Metric(
        "counter", ("route", "status"), "Requests that were answered."
    ),
    "layerscope_request_seconds": Metric(
        "histogram", ("route",), "Time from a request's head to its answer.", _SECONDS
    ),
    "layerscope_stage_seconds": Metric(
        "histogram", ("stage",), "Time of posted photos in each stage.", _SECONDS
    ),
    "layerscope_received_bytes_total": Metric("counter", (), "Bytes of bodies that arrived."),
    "layerscope_sent_bytes_total": Metric("counter", (), "Bytes of bodies that were sent."),
    "layerscope_predictions_total": Metric(
        "counter", ("model", "class"), "Photos by the class that was most probable."
    ),
    "layerscope_confidence": Metric(
        "histogram", ("model",), "Probability of the most probable class.", _CONFIDENCE
    ),
    "layerscope_photos_judged_total": Metric(
        "counter", ("model",), "Photos that were compared with the training photos."
    ),
    "layerscope_photos_unlike_total": Metric(
        "counter", ("model",), "Photos that are not like the training photos."
    ),
    "layerscope_requests_running": Metric("gauge", ("lane",), "Requests that a thread answers."),
    "layerscope_requests_waiting": Metric("gauge", ("lane",), "Requests that wait for a thread."),
    "layerscope_connections": Metric("gauge", (), "Open connections."),
    "layerscope_load": Metric(
        "gauge", (), "Requests in work or waiting, and connections taken lately."
    ),
    "layerscope_held_bytes": Metric(
        "worker", ("worker",), "Memory for requests that arrive and answers that leave."
    ),
    "layerscope_memory_bytes": Metric("worker", ("worker",), "Resident memory of a worker."),
    "layerscope_worker_starts_total": Metric("counter", (), "Workers that were started."),
    "layerscope_lines_dropped_total": Metric(
        "counter", (), "Lines of the access log that were not written in time."
    ),
    "layerscope_series_dropped_total": Metric(
        "counter", (), "Events that no place was left to count."
    ),
    "layerscope_workers": Metric("shelf", (), "Workers that run."),
    "layerscope_model_info": Metric(
        "shelf", ("model", "version", "fingerprint"), "1 for each model that is served."
    ),
    "layerscope_models_refused": Metric("shelf", (), "Versions that were found and are refused."),
}


class Metrics:
    """The events of one worker."""

    def __init__(self, values: SharedValues):
        """Count into `values`, in the row that this process took."""
        self.values = values
        values.add(("layerscope_series_dropped_total",), [(0, 0.0)])  # has its place for certain

    def count(self, name: str, *labels: str, amount: float = 1.0) -> None:
        """Add to a counter."""
        self._add((name, *labels), [(0, amount)])

    def observe(self, name: str, number: float, *labels: str) -> None:
        """Add a number to a histogram: to its bucket, and to the sum."""
        buckets = METRICS[name].buckets
        amounts = [(bisect_left(buckets, number), 1.0), (len(buckets) + 1, number)]
        self._add((name, *labels), amounts, len(buckets) + 2)

    def set(self, name: str, number: float, *labels: str) -> None:
        """Set a gauge of this worker."""
        self.values.set((name, *labels), number)

    def answered(self, route: str, status: int, seconds: float) -> None:
        """Count a request."""
        self.count("layerscope_requests_total", route, str(status))
        self.observe("layerscope_request_seconds", seconds, route)

    def left(self, record: Record) -> None:
        """Count the bytes of a request, and the stages of one that brought photos."""
        self.count("layerscope_received_bytes_total", amount=record.received)
        self.count("layerscope_sent_bytes_total", amount=record.sent)
        if record.photos:
            for stage in STAGES:
                if stage in record.times:
                    self.observe("layerscope_stage_seconds", record.times[stage], stage)

    def predicted(self, classifier: Classifier, reading: Reading) -> None:
        """Count the answer to one photo."""
        model = label(classifier.name)
        index = int(reading.probabilities.argmax())
        name = label(classifier.class_names[index]) if index < MOST_CLASSES else OTHER
        self.count("layerscope_predictions_total", model, name)
        confidence = min(1.0, float(reading.probabilities[index]))  # float32 may sum to 1.0000001
        self.observe("layerscope_confidence", confidence, model)
        known = classifier.familiarity
        if known is not None and reading.familiarity is not None:
            unlike = float(reading.familiarity < known.least)
            self.count("layerscope_photos_judged_total", model)
            self.count("layerscope_photos_unlike_total", model, amount=unlike)

    def _add(self, key: tuple[str, ...], amounts: list[tuple[int, float]], width: int = 1) -> None:
        if not self.values.add(key, amounts, width):
            self.values.add(("layerscope_series_dropped_total",), [(0, 1.0)])


def note_reading(classifier: Classifier, reading: Reading) -> Reading:
    """Count an answer that the request being handled gives; the same reading."""
    metrics: Metrics = current_app.extensions["metrics"]
    metrics.predicted(classifier, reading)
    return reading


def note_model(classifier: Classifier) -> None:
    """Let the log say which model answers."""
    found = record()
    found.model, found.version = classifier.name, classifier.manifest.version
