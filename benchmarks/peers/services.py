"""Who is compared: how each is installed, started and asked for one photo."""

import base64
import json
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks.peers.load import form, raw

APPS = Path(__file__).parent / "apps"
RUNTIME = ("onnxruntime==1.32.0", "numpy==2.4.6", "pillow==13.0.0")  # as our service has them


@dataclass(frozen=True)
class Service:
    """One way to serve the network."""

    name: str
    packages: tuple[str, ...]  # none: it is ours
    command: Callable[[Path, int, int], list[str]]  # programs, port, workers -> what is started
    request: Callable[[bytes], bytes]  # photo -> a whole request


def ours(bundle: Path, options: list[str]) -> Service:
    """Our service, as it is started by default but for `options`."""

    def command(programs: Path, port: int, workers: int) -> list[str]:
        start = [sys.executable, "-m", "service", str(bundle), "--port", str(port)]
        return [*start, "--workers", str(workers), *options]

    return Service("ours", (), command, lambda photo: form("/predict", photo))


def in_base64(photo: bytes) -> bytes:
    """A photo as MLServer's documentation sends binary content."""
    one = {
        "name": "image",
        "shape": [1, 1],
        "datatype": "BYTES",
        "parameters": {"content_type": "base64"},
        "data": [base64.b64encode(photo).decode()],
    }
    return raw("/v2/models/photo/infer", json.dumps({"inputs": [one]}).encode(), "application/json")


def _flask(programs: Path, port: int, workers: int) -> list[str]:
    place = ["-b", f"127.0.0.1:{port}", "--chdir", str(APPS)]
    threads = ["-k", "gthread", "--threads", "4"]  # also keeps connections open
    return [str(programs / "gunicorn"), "-w", str(workers), *threads, *place, "flask_app:app"]


def _litserve(programs: Path, port: int, workers: int) -> list[str]:
    return [str(programs / "python"), str(APPS / "litserve_app.py"), str(port), str(workers)]


def _bentoml(programs: Path, port: int, workers: int) -> list[str]:
    place = ["--host", "127.0.0.1", "--port", str(port), "--working-dir", str(APPS)]
    return [str(programs / "bentoml"), "serve", "bentoml_app:Classifier", *place]


def _mlserver(programs: Path, port: int, workers: int) -> list[str]:
    folder = programs.parent / "photo"  # with the two files that it reads
    folder.mkdir(exist_ok=True)
    server = {"host": "127.0.0.1", "http_port": port, "grpc_port": port + 1,
              "metrics_port": port + 2, "parallel_workers": workers, "debug": False}  # fmt: skip
    model = {"name": "photo", "implementation": "mlserver_app.Runtime"}
    (folder / "settings.json").write_text(json.dumps(server))
    (folder / "model-settings.json").write_text(json.dumps(model))
    return [str(programs / "mlserver"), "start", str(folder)]


PEERS = [
    Service("flask", ("flask==3.1.3", "gunicorn==27.0.1", *RUNTIME), _flask,
            lambda photo: form("/predict", photo)),
    Service("litserve", ("litserve==0.2.19", "python-multipart==0.0.34", *RUNTIME), _litserve,
            lambda photo: form("/predict", photo)),
    Service("bentoml", ("bentoml==1.4.40", *RUNTIME), _bentoml,
            lambda photo: form("/predict", photo)),
    Service("mlserver", ("mlserver==1.7.1", "uvloop==0.21.0", *RUNTIME), _mlserver, in_base64),
]  # fmt: skip


def environment_of(bundle: Path, graph: str, workers: int) -> dict[str, str]:
    """The variables that each service is started with."""
    return os.environ | {
        "PEER_BUNDLE": str(bundle.resolve()),
        "PEER_GRAPH": graph,
        "PEER_WORKERS": str(workers),
        "PYTHONPATH": os.pathsep.join([str(APPS), str(APPS.parents[2])]),
        "BENTOML_DO_NOT_TRACK": "True",
        "OMP_NUM_THREADS": "1",
    }
