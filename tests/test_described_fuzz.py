"""schemathesis reads the document and asks a real server what it allows, and what it forbids.

Every answer has to be one that the document has: its status, content type, headers and schema;
nothing is answered with 5xx but 503. The cases are the same in each run.
"""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from models.bundle import Bundle
from tests.browsing import SAMPLES, with_samples
from tests.posting import BROKEN
from tests.serving import ROOT, Server, serving

pytestmark = [pytest.mark.pairs, pytest.mark.slow]

KEY = "a-key-of-enough-characters"
EXAMPLES = 12  # of each operation, kind of data and phase that has no fixed number
CONFIG = """
warnings = false
[generation]
deterministic = true
max-examples = {examples}
with-security-parameters = false # beside the good key it takes a bad one for a way in
[phases.stateful]
enabled = false
[dictionaries]
{dictionaries}
[parameters]
{parameters}
[checks]
not_a_server_error.expected-statuses = ["2xx", "3xx", "4xx", 503]
negative_data_rejection.expected-statuses = ["4xx", 503]
positive_data_acceptance.enabled = {whole}

# A type cannot say that a tensor's shape, kind and data fit each other and the model.
[[operations]]
include-path-regex = "^/v[12]/"
checks.positive_data_acceptance.enabled = false

# Behind the name of a layer that is not there, no other parameter would be looked at.
[[operations]]
include-path-regex = "activations/"
parameters."path.layer" = "{layer}"

# GET /v1/models/NAME matches this address too, so it is among the methods that are allowed.
[[operations]]
include-path-regex = "verb"
checks.positive_data_acceptance.enabled = false
checks.allow_header_conformance.enabled = false
"""


@pytest.fixture(scope="module")
def server(bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    keys = tmp_path_factory.mktemp("keys") / "keys"
    keys.write_text(KEY)
    options = ("--no-access-log", "--api-keys", str(keys))
    with serving(bundle, workers=1, options=options) as running:
        yield running


@pytest.fixture(scope="module")
def bundle(insight_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return with_samples(insight_bundle, tmp_path_factory.mktemp("bundles") / "colours")


def write_config(bundle: Path, place: Path, broken: bool) -> Path:
    """What schemathesis is told: names that exist, beside those that it makes up."""
    layers = [layer.name for layer in Bundle(bundle).manifest.layers]
    known = {
        "name": ["colours"],
        "version": ["1"],
        "layer": layers,
        "channel": [0, 7],
        "file": list(SAMPLES),
    }
    bindings = [f'"path.{key}" = {{dictionary = "{key}", probability = 0.8}}' for key in known]
    text = CONFIG.format(
        examples=EXAMPLES,
        dictionaries="\n".join(
            f"{key}.values = {json.dumps(found)}" for key, found in known.items()
        ),
        parameters="\n".join(bindings),
        layer=layers[-1],
        whole=json.dumps(not broken),
    )
    config = place / "schemathesis.toml"
    config.write_text(text)
    return config


@pytest.mark.parametrize("broken", [False, True], ids=["whole photos", "broken ones, as JSON"])
def test_every_answer_is_one_that_the_document_has(
    bundle: Path, server: Server, tmp_path: Path, broken: bool
) -> None:
    program = shutil.which("schemathesis", path=str(Path(sys.executable).parent))
    assert program, "schemathesis is not installed: `make setup`"
    config = write_config(bundle, tmp_path, broken)
    command = [program, "--config-file", str(config), "--no-color", "run"]
    command += [f"http://127.0.0.1:{server.port}/openapi.json"]
    command += ["--header", f"X-API-Key: {KEY}"]
    command += ["--header", "Accept: application/json"] if broken else []
    environment = os.environ | {"SCHEMATHESIS_HOOKS": "tests.posting", "PYTHONPATH": str(ROOT)}
    environment |= {BROKEN: "1"} if broken else {}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-2000:]
    (count,) = [line.split()[0] for line in done.stdout.splitlines() if " generated, " in line]
    assert int(count) > 1_000  # else hardly anything was asked
    assert server.ask("/v2/health/ready")[0] == 200
