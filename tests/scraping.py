"""What GET /metrics says, as Prometheus' own parser reads it."""

import urllib.request

from prometheus_client.parser import text_string_to_metric_families

from tests.serving import Server

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def parsed(text: str) -> Samples:
    found: Samples = {}
    for family in text_string_to_metric_families(text):
        for name, labels, value, *_ in family.samples:
            key = name, frozenset(labels.items())
            assert key not in found, key
            found[key] = value
    return found


def value(samples: Samples, name: str, **labels: str) -> float:
    return samples[name, frozenset(labels.items())]


def total(samples: Samples, name: str, **labels: str) -> float:
    """The sum of all series of a metric that have these labels."""
    wanted = set(labels.items())
    return sum(v for (found, own), v in samples.items() if found == name and wanted <= own)


def metrics_of(server: Server) -> Samples:
    with urllib.request.urlopen(f"http://127.0.0.1:{server.port}/metrics", timeout=30) as answer:
        return parsed(answer.read().decode())
