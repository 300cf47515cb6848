"""What deploy/ has for Compose, Kubernetes and KServe, checked against their schemas offline."""

import importlib.resources
import json
import socket
import subprocess
import sys
import time
from typing import Any

import jsonschema
import kubernetes_validate
import promql_parser
import pytest
import yaml
from flask import Flask

from deploy.image_steps import stages
from service import health
from service.__main__ import main as service
from service.settings import Settings
from service.watching.metrics import METRICS
from tests.serving import ROOT, WAIT_S, Server

KUBERNETES = "1.37"  # the newest that the schemas know
CLUSTER = ROOT / "deploy/kubernetes"
LABEL = {"app.kubernetes.io/name": "layerscope"}
# What KServe 0.21 takes in a ServingRuntime beside what a pod has (its Python API lists it)
RUNTIME_FIELDS = {
    *("supportedModelFormats", "protocolVersions", "multiModel", "disabled", "replicas"),
    *("grpcEndpoint", "grpcDataEndpoint", "httpDataEndpoint", "builtInAdapter", "storageHelper"),
    *("workerSpec", "annotations", "labels"),
}
FORMAT_FIELDS = {"name": str, "version": str, "autoSelect": bool, "priority": int}


def load(path: str) -> dict[str, Any]:
    return yaml.safe_load((ROOT / "deploy" / path).read_text(encoding="utf-8"))


KUSTOMIZATION = load("kubernetes/kustomization.yaml")
MANIFESTS = {name: load(f"kubernetes/{name}") for name in KUSTOMIZATION["resources"]}
OF_KIND = {manifest["kind"]: manifest for manifest in MANIFESTS.values()}
POD = OF_KIND["Deployment"]["spec"]["template"]
RUNTIME = load("kserve/serving-runtime.yaml")
CONTAINERS = {
    "deployment": POD["spec"]["containers"][0],
    "serving runtime": RUNTIME["spec"]["containers"][0],
}


@pytest.mark.parametrize("name", MANIFESTS)
def test_a_manifest_is_valid_and_has_no_unknown_field(name):
    kubernetes_validate.validate(MANIFESTS[name], KUBERNETES, strict=True)


def test_an_unknown_field_would_be_found():
    wrong = json.loads(json.dumps(OF_KIND["Deployment"]))
    wrong["spec"]["template"]["spec"]["containers"][0]["readynessProbe"] = {}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(wrong, KUBERNETES, strict=True)


def test_the_kustomization_names_every_manifest_of_its_folder_and_the_image_they_use():
    files = {file.name for file in CLUSTER.iterdir()} - {"kustomization.yaml"}
    assert set(KUSTOMIZATION["resources"]) == files
    assert set(KUSTOMIZATION) == {"apiVersion", "kind", "images", "resources"}
    assert KUSTOMIZATION["apiVersion"] == "kustomize.config.k8s.io/v1beta1"
    assert [image["name"] for image in KUSTOMIZATION["images"]] == [
        POD["spec"]["containers"][0]["image"]
    ]


def test_the_cluster_has_all_that_a_service_needs():
    assert set(OF_KIND) == {
        *("Deployment", "Service", "HorizontalPodAutoscaler", "PodDisruptionBudget"),
        *("NetworkPolicy", "PersistentVolumeClaim"),
    }


def test_every_selector_finds_the_pods_and_no_others():
    assert POD["metadata"]["labels"] == LABEL
    assert OF_KIND["Service"]["spec"]["selector"] == LABEL
    assert OF_KIND["Deployment"]["spec"]["selector"]["matchLabels"] == LABEL
    assert OF_KIND["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"] == LABEL
    assert OF_KIND["NetworkPolicy"]["spec"]["podSelector"]["matchLabels"] == LABEL
    target = OF_KIND["HorizontalPodAutoscaler"]["spec"]["scaleTargetRef"]
    assert (target["kind"], target["name"]) == (
        "Deployment",
        OF_KIND["Deployment"]["metadata"]["name"],
    )


def test_the_pods_reach_nothing_and_are_reached_on_one_port_only():
    policy = OF_KIND["NetworkPolicy"]["spec"]
    assert policy["policyTypes"] == ["Ingress", "Egress"]
    assert policy["egress"] == []
    assert [rule["ports"] for rule in policy["ingress"]] == [[{"port": "http"}]]


def test_the_autoscaler_alone_decides_how_many_pods_there_are():
    assert "replicas" not in OF_KIND["Deployment"]["spec"]
    assert OF_KIND["HorizontalPodAutoscaler"]["spec"]["minReplicas"] >= 2  # one may be moved away


ADAPTER = load("watch/prometheus-adapter.yaml")["rules"]
SCALED_BY = {
    metric["pods"]["metric"]["name"]: metric["pods"]["target"]
    for metric in OF_KIND["HorizontalPodAutoscaler"]["spec"]["metrics"]
    if metric["type"] == "Pods"
}


def test_the_autoscaler_goes_by_a_queue_that_the_service_tells_and_the_adapter_passes_on():
    assert list(SCALED_BY) == [rule["name"]["as"] for rule in ADAPTER]
    for rule in ADAPTER:
        name = rule["name"]["as"]
        assert METRICS[name].kind == "gauge"  # a counter would have to be a rate
        assert rule["name"]["matches"] == name == rule["seriesQuery"].partition("{")[0]
        assert set(rule["resources"]["overrides"]) == {"namespace", "pod"}
        filled = rule["metricsQuery"].replace("<<.Series>>", name)
        filled = filled.replace("<<.LabelMatchers>>", 'namespace="a",pod=~"b|c"')
        query = filled.replace("<<.GroupBy>>", "pod")
        assert "<<" not in query
        for promql in (rule["seriesQuery"], query):
            promql_parser.parse(promql)  # raises ValueError where it is none
        assert query.endswith("by (pod)")  # one number for each pod, of all its lanes


def test_more_pods_are_asked_for_long_before_clients_are_refused():
    workers = int(POD["spec"]["containers"][0]["resources"]["limits"]["cpu"])
    places = workers * Settings().waiting_photos
    assert 1 <= int(SCALED_BY["layerscope_requests_waiting"]["averageValue"]) <= places / 4


@pytest.mark.parametrize("where", CONTAINERS)
def test_a_container_has_no_more_rights_than_it_needs(where):
    container = CONTAINERS[where]
    rights = {**POD["spec"]["securityContext"], **container["securityContext"]}
    if where == "serving runtime":
        rights = container["securityContext"]  # a KServe runtime has none for the whole pod
    assert rights["runAsNonRoot"] is True
    steps = stages((ROOT / "Dockerfile").read_text(encoding="utf-8"))["service"]
    user = next(step.rest for step in steps if step.verb == "USER")
    assert f"{rights['runAsUser']}:{rights['runAsGroup']}" == user
    assert rights["readOnlyRootFilesystem"] is True
    assert rights["allowPrivilegeEscalation"] is False
    assert rights["capabilities"] == {"drop": ["ALL"]}
    assert rights["seccompProfile"] == {"type": "RuntimeDefault"}


@pytest.mark.parametrize("where", CONTAINERS)
def test_a_container_may_write_to_a_small_folder_in_memory_only(where):
    volumes = POD["spec"]["volumes"] if where == "deployment" else RUNTIME["spec"]["volumes"]
    writable = [m["name"] for m in CONTAINERS[where]["volumeMounts"] if not m.get("readOnly")]
    assert writable == ["tmp"]
    assert {"name": "tmp", "emptyDir": {"medium": "Memory", "sizeLimit": "16Mi"}} in volumes


@pytest.mark.parametrize("where", CONTAINERS)
def test_a_probe_asks_a_route_that_the_service_has(where):
    app = Flask(__name__)
    app.register_blueprint(health.bp)
    routes = {rule.rule for rule in app.url_map.iter_rules()}
    probes = {
        kind: spec["httpGet"]["path"] for kind, spec in CONTAINERS[where].items() if "Probe" in kind
    }
    assert set(probes.values()) <= routes
    assert probes["readinessProbe"] == "/v2/health/ready"
    assert (
        probes["livenessProbe"] == "/v2/health/live"
    )  # a model that fails is no reason to restart


@pytest.mark.parametrize("where", CONTAINERS)
def test_the_service_takes_the_arguments_and_listens_where_it_is_asked(where, tmp_path):
    container = CONTAINERS[where]
    args = [
        str(tmp_path) if arg in ("/models", "/mnt/models") else arg for arg in container["args"]
    ]
    given = service.make_context("service", args).params
    assert given["host"] == "0.0.0.0"
    ports = {port["containerPort"] for port in container["ports"]}
    named = {port["name"]: port["containerPort"] for port in container["ports"]}
    asked = [spec["httpGet"]["port"] for kind, spec in container.items() if "Probe" in kind]
    assert {named.get(port, port) for port in asked} == ports == {given["port"]}


@pytest.mark.alone
def test_a_pod_without_a_model_is_alive_and_not_ready_so_that_it_waits_for_one(tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "service", "--models", str(tmp_path), "--port", str(port)]
    process = subprocess.Popen([*command, "--workers", "1"], cwd=ROOT, stderr=subprocess.DEVNULL)
    server = Server(port, process)
    limit = time.monotonic() + WAIT_S
    try:
        while True:
            try:
                assert server.ask("/v2/health/live")[0] == 200
                break
            except OSError:
                assert process.poll() is None, "the service ended"
                assert time.monotonic() < limit, "the service does not answer"
                time.sleep(0.05)
        assert server.ask("/v2/health/ready")[0] == 503
    finally:
        process.terminate()
        assert process.wait(WAIT_S) == 0


def test_a_pod_stops_only_after_open_requests_have_had_their_time():
    grace = POD["spec"]["terminationGracePeriodSeconds"]
    pause = CONTAINERS["deployment"]["lifecycle"]["preStop"]["sleep"]["seconds"]
    assert grace > pause + 20  # docs/serving.md: a stop takes 20 s at most


def test_the_serving_runtime_has_known_fields_and_a_pod_that_is_valid():
    spec = RUNTIME["spec"]
    assert (RUNTIME["apiVersion"], RUNTIME["kind"]) == (
        "serving.kserve.io/v1alpha1",
        "ServingRuntime",
    )
    of_a_pod = {field: value for field, value in spec.items() if field not in RUNTIME_FIELDS}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": RUNTIME["metadata"], "spec": of_a_pod}
    kubernetes_validate.validate(pod, KUBERNETES, strict=True)
    assert spec["containers"][0]["name"] == "kserve-container"  # KServe looks for this name
    for known in spec["supportedModelFormats"]:
        assert all(isinstance(value, FORMAT_FIELDS[field]) for field, value in known.items())


def test_the_serving_runtime_promises_the_open_inference_protocol_only_where_infer_is_served():
    served = "/infer" in "".join(file.read_text() for file in (ROOT / "service").rglob("*.py"))
    assert ("v2" in RUNTIME["spec"]["protocolVersions"]) is served


def test_the_inference_service_asks_for_what_the_runtime_offers():
    asked = load("kserve/inference-service.yaml")["spec"]["predictor"]["model"]
    offered = RUNTIME["spec"]
    assert asked["runtime"] == RUNTIME["metadata"]["name"]
    assert asked["protocolVersion"] in offered["protocolVersions"]
    known = [(each["name"], each["version"]) for each in offered["supportedModelFormats"]]
    assert (asked["modelFormat"]["name"], asked["modelFormat"]["version"]) in known


COMPOSE = load("compose.yaml")


def test_the_compose_file_is_valid():
    schemas = importlib.resources.files("check_jsonschema") / "builtin_schemas/vendor"
    schema = json.loads((schemas / "compose-spec.json").read_text(encoding="utf-8"))
    jsonschema.Draft7Validator(schema).validate(COMPOSE)


@pytest.mark.parametrize("name", COMPOSE["services"])
def test_every_container_of_the_compose_file_is_read_only_and_has_limits(name):
    container = COMPOSE["services"][name]
    assert container["read_only"] is True
    assert container["cap_drop"] == ["ALL"]
    assert container["security_opt"] == ["no-new-privileges:true"]
    assert container["mem_limit"]
    assert all(port.startswith("127.0.0.1:") for port in container.get("ports", []))


def test_only_the_service_starts_unless_it_is_to_be_watched():
    alone = [name for name, each in COMPOSE["services"].items() if "profiles" not in each]
    assert alone == ["layerscope"]


def test_every_file_that_the_compose_file_mounts_exists():
    mounted = [
        volume.split(":")[0]
        for container in COMPOSE["services"].values()
        for volume in container.get("volumes", [])
        if isinstance(volume, str) and volume.startswith(".")
    ]
    assert len(mounted) == 5
    for path in mounted:
        assert (ROOT / "deploy" / path).is_file(), path
