"""The dashboard and what feeds it: Prometheus asks the prober, and the prober asks the service."""

import json
import os
import re
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

import promql_parser
import pytest
import yaml

from service.watching.metrics import METRICS
from tests.serving import ROOT, WAIT_S, serving

WATCH = ROOT / "deploy/watch"
DASHBOARD = json.loads((WATCH / "dashboard.json").read_text(encoding="utf-8"))
QUERIES = [
    target["expr"].replace("$__range", "6h")
    for panel in DASHBOARD["panels"]
    for target in panel["targets"]
]
JOBS = {
    job["job_name"]: job
    for job in yaml.safe_load((WATCH / "prometheus.yaml").read_text(encoding="utf-8"))[
        "scrape_configs"
    ]
}
PROBED = {name: job for name, job in JOBS.items() if "params" in job}
PROBER = "prometheus-blackbox-exporter"


def tool(name: str) -> str:
    """Find a program of Debian's; without it the test is skipped, but where CI runs it fails."""
    path = shutil.which(name)
    if path is None:
        reason = f"needs {name}, of the Debian package prometheus or {PROBER}"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    return path


def metrics_in(query: str) -> set[tuple[str, str]]:
    """The metrics that a query reads, each with the job it reads them from."""
    promql_parser.parse(query)  # raises ValueError where it is none
    return set(re.findall(r'(\w+)\{job="([\w-]+)"\}', query))


@pytest.mark.parametrize("query", QUERIES)
def test_a_query_of_the_dashboard_can_be_read_and_says_from_which_job(query):
    assert metrics_in(query)
    assert {job for _, job in metrics_in(query)} <= set(JOBS)


def test_every_panel_has_its_place_and_no_two_overlap():
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        x, y, width, height = (panel["gridPos"][side] for side in "xywh")
        assert x + width <= 24, panel["title"]  # Grafana has 24 columns
        cells = {(x + right, y + down) for right in range(width) for down in range(height)}
        assert not cells & taken, panel["title"]
        taken |= cells


def test_the_dashboard_reads_the_source_that_is_set_up_with_it():
    sources = yaml.safe_load((WATCH / "grafana-sources.yaml").read_text(encoding="utf-8"))
    known = {(source["type"], source["uid"]) for source in sources["datasources"]}
    assert {(p["datasource"]["type"], p["datasource"]["uid"]) for p in DASHBOARD["panels"]} == known


def test_the_jobs_ask_the_containers_of_the_compose_file():
    compose = yaml.safe_load((ROOT / "deploy/compose.yaml").read_text(encoding="utf-8"))
    modules = yaml.safe_load((WATCH / "prober.yaml").read_text(encoding="utf-8"))["modules"]
    for job in PROBED.values():
        assert job["params"]["module"][0] in modules
        target = urllib.parse.urlsplit(job["static_configs"][0]["targets"][0])
        assert (target.hostname, target.port) == ("layerscope", 8000)
        prober = job["relabel_configs"][-1]["replacement"].split(":")[0]
        assert {target.hostname, prober} <= set(compose["services"])


def test_prometheus_scrapes_the_service_itself():
    (job,) = [job for name, job in JOBS.items() if name not in PROBED]
    assert job["job_name"] == "layerscope"
    assert job["static_configs"][0]["targets"] == ["layerscope:8000"]
    assert job.get("metrics_path", "/metrics") == "/metrics"  # Prometheus' own default


def test_every_metric_and_label_of_the_service_on_the_dashboard_is_one_that_it_has():
    shown = 0
    for query in QUERIES:
        for name, job in metrics_in(query):
            if job in PROBED:
                continue
            base = re.sub(r"_(bucket|sum|count)$", "", name)
            metric = METRICS[base]
            assert (base != name) == (metric.kind == "histogram"), name
            by = {
                word for group in re.findall(r"by \(([^)]*)\)", query) for word in group.split(", ")
            }
            assert by <= {*metric.labels, "le"}, query
            shown += 1
    assert shown > 10  # else nothing is tested


def test_prometheus_takes_its_settings():
    command = [tool("promtool"), "check", "config", str(WATCH / "prometheus.yaml")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def probe(prober: int, service: int, job: str) -> dict[str, float]:
    """What Prometheus would be told of a job: each metric without labels, or the last with them."""
    target = JOBS[job]["static_configs"][0]["targets"][0].replace(
        "layerscope:8000", f"127.0.0.1:{service}"
    )
    query = urllib.parse.urlencode({"module": JOBS[job]["params"]["module"][0], "target": target})
    limit = time.monotonic() + WAIT_S
    while True:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{prober}/probe?{query}") as answer:
                lines = answer.read().decode().splitlines()
            break
        except urllib.error.URLError:  # it has not started to listen
            assert time.monotonic() < limit
            time.sleep(0.1)
    pairs = (line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
    return {name.partition("{")[0]: float(value) for name, value in pairs}


@pytest.mark.alone
def test_every_metric_of_the_dashboard_comes_from_the_prober_that_asks_a_real_service(
    tiny_bundle: Path,
):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [tool(PROBER), f"--config.file={WATCH / 'prober.yaml'}"]
    prober = subprocess.Popen(
        [*command, f"--web.listen-address=127.0.0.1:{port}"], stderr=subprocess.DEVNULL
    )
    try:
        with serving(tiny_bundle, workers=1) as server:
            told = {job: probe(port, server.port, job) for job in PROBED}
        for query in QUERIES:
            for metric, job in metrics_in(query):
                assert job not in PROBED or metric in told[job], query
        for job in PROBED:  # ready, and the photo in prober.yaml gets a prediction
            assert told[job]["probe_success"] == 1, told[job]
        assert (
            probe(port, server.port, "layerscope-predict")["probe_success"] == 0
        )  # it has stopped
    finally:
        prober.terminate()
        prober.wait(WAIT_S)
