"""What metrics and the access log cost a request, and what one scrape costs.

python -m benchmarks.watching
"""

import logging
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from flask import Flask
from prometheus_client.exposition import generate_latest

from models.classifier import Reading
from service.errors import REQUEST_ID
from service.logs import JsonLine
from service.shelf import Shelf
from service.watching.exposition import Workers
from service.watching.metrics import MOST_CLASSES, Metrics
from service.watching.record import RECORD, STAGES, Record
from service.watching.requests import Watch
from service.watching.shared_values import SharedValues

REQUESTS, WORKERS = 5_000, 8
MODEL: Any = SimpleNamespace(
    name="many",
    familiarity=SimpleNamespace(least=0.5),
    class_names=[f"class {number}" for number in range(MOST_CLASSES)],
)


def main() -> None:
    """Print microseconds of a request, and milliseconds of a scrape."""
    for access_log in (False, True):
        waited, used = cost(access_log)
        name = "metrics and a JSON line" if access_log else "metrics"
        print(f"{name}: {waited:.0f} us of a request, {used:.0f} us of processor time in all")
    values = SharedValues(WORKERS)
    for row in range(WORKERS):
        values.take(row)
        metrics = Metrics(values)
        for name in MODEL.class_names:
            metrics.count("layerscope_predictions_total", MODEL.name, name)
    for when in ("first", "next"):
        began = time.perf_counter()
        size = len(generate_latest(Workers(values, Shelf([]))))
        spent = (time.perf_counter() - began) * 1000
        print(f"{when} scrape of {WORKERS} workers, {MOST_CLASSES} classes: {spent:.0f} ms")
        print(f"    {size:,} bytes")


def cost(access_log: bool) -> tuple[float, float]:
    """Microseconds of a request and of the processor, for a photo that is predicted."""
    quiet = logging.FileHandler(Path("/dev/null"))
    quiet.setFormatter(JsonLine())
    logging.getLogger("service").handlers = [quiet]
    app = Flask(__name__)
    metrics = Metrics(SharedValues())
    watch = Watch(metrics, app.url_map, access_log)
    rows = np.random.default_rng(0).dirichlet(np.full(MOST_CLASSES, 0.01), 50).astype("f4")
    environ = {"PATH_INFO": "/predict", "REQUEST_METHOD": "POST", REQUEST_ID: "0123456789abcdef"}
    waited, used = 0.0, time.process_time()
    for number in range(REQUESTS):
        environ[RECORD] = Record(
            "/predict", "many", "1", 1, 40_000, 500, dict.fromkeys(STAGES, 0.001)
        )  # type: ignore[assignment]
        began = time.perf_counter()
        metrics.predicted(MODEL, Reading(rows[number % 50], 0.7))
        watch.answered(environ, 200, began)
        watch.left(environ, 200, began)
        waited += time.perf_counter() - began
        if number % 100 == 0:
            time.sleep(0.01)  # the thread writes its lines; they are not to be dropped
    watch.end()
    return waited / REQUESTS * 1e6, (time.process_time() - used) / REQUESTS * 1e6


if __name__ == "__main__":
    main()
