"""A version that is replaced, added or damaged while it serves, by real processes under load."""

import json
import os
import shutil
import signal
import threading
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from models.bundles.names import MANIFEST
from tests.crafting import change_weights, edit, endless_loop, make_key, replace, sign
from tests.making import colour_bundle
from tests.serving import serving
from tests.watching import (
    PHOTO,
    asking,
    check,
    expected,
    make,
    served,
    wait_for,
    wait_for_refusal,
    wait_for_version,
    wait_until_said,
)

pytestmark = pytest.mark.pairs


@pytest.fixture
def folder(tmp_path):
    """A folder of models with `colours/1/`."""
    (tmp_path / "models" / "colours").mkdir(parents=True)
    make(tmp_path / "models" / "colours" / "1", 1)
    return tmp_path / "models"


def put(folder: Path, number: int, made: Path | None = None) -> Path:
    """Add version `number` as someone who copies: file by file, the manifest where it falls."""
    target = folder / "colours" / str(number)
    source = made or make(folder.parent / f"made{number}", number)
    shutil.copytree(source, target)
    return target


@pytest.mark.parametrize("swaps", [6, pytest.param(50, marks=pytest.mark.longest)])
def test_no_request_fails_while_versions_are_swapped_and_each_names_its_own(swaps, tmp_path):
    bundle = make(tmp_path / "colours", 1)
    with serving(bundle) as server, asking(server, 4) as said:
        for number in range(2, swaps + 2):
            make(bundle, number)
            wait_for_version(server, str(number))
    assert check(said) == set(range(1, swaps + 2))
    assert len(said) > 20 * swaps


def test_versions_of_a_folder_are_added_pinned_and_taken_away(folder):
    colour_bundle(folder / "other")
    with serving(options=("--models", str(folder))) as server, asking(server, 2) as said:
        assert server.ask("/v2/health/ready")[1]["models"] == ["colours", "other"]
        wait_until_said(said, 1)
        newest = put(folder, 10)  # 10 > 9: versions are numbers
        put(folder, 9)
        wait_until_said(said, 10)
        shutil.rmtree(newest)
        wait_until_said(said, 9)
    assert {one.version for one in said} == {1, 9, 10}
    assert [one.problem for one in said if one.problem] == []
    assert all(abs(one.probability - expected(one.version)) < 1e-5 for one in said)


def test_a_pin_holds_a_version_and_a_model_taken_away_is_gone(folder):
    colour_bundle(folder / "other")
    put(folder, 2)
    pin = folder / "colours" / "PIN"
    pin.write_text("1\n")
    with serving(options=("--models", str(folder))) as server:
        assert served(server) == "1"
        pin.write_text("7")
        assert "PIN names version '7', which is not there" in wait_for_refusal(server)
        assert served(server) == "1"
        pin.unlink()
        wait_for_version(server, "2")
        shutil.rmtree(folder / "colours")
        wait_for_version(server, None)
        assert server.ask("/models/colours/predict", PHOTO)[0] == 404
        assert server.ask("/predict", PHOTO)[1]["model"] == "other"


def test_a_version_can_be_asked_by_its_address(folder):
    with serving(options=("--models", str(folder))) as server:
        status, answer = server.ask("/models/colours/versions/1/predict", PHOTO)
        assert (status, answer["version"]) == (200, "1")
        status, answer = server.ask("/models/colours/versions/2/predict", PHOTO)
        assert (status, answer["error"]["code"]) == (404, "unknown_version")
        assert "version '1' is" in answer["error"]["message"]


def half_copied(bundle):
    (bundle / MANIFEST).unlink()


def truncated(bundle):
    os.truncate(bundle / "predict.onnx", 50)


def flipped(bundle):
    content = bytearray((bundle / "predict.onnx").read_bytes())
    content[60] ^= 4
    (bundle / "predict.onnx").write_bytes(content)


def flipped_manifest(bundle):
    (bundle / MANIFEST).write_text((bundle / MANIFEST).read_text().replace("green", "greem"))


def of_another_schema(bundle):
    edit(bundle, lambda fields: fields.update(schema_version=4))


def wrong_hash(bundle):
    edit(bundle, lambda fields: fields["files"]["predict.onnx"].update(sha256="0" * 64))


def not_a_number(bundle):
    change_weights(bundle, "predict.onnx", lambda numbers: numbers * np.float32(np.nan))


def all_zero(bundle):
    change_weights(bundle, "predict.onnx", np.zeros_like)


def with_a_pipe(bundle):
    (bundle / "predict.onnx").unlink()
    os.mkfifo(bundle / "predict.onnx")


def that_never_ends(bundle):
    replace(bundle, "predict.onnx", endless_loop())


BROKEN = {
    half_copied: "no manifest.json",
    truncated: "predict.onnx was altered",
    flipped: "predict.onnx was altered",
    flipped_manifest: "not what its own SHA-256 says",
    of_another_schema: "schema version 4",
    wrong_hash: "predict.onnx was altered",
    not_a_number: "not all finite",
    all_zero: "answers every photo alike",
    with_a_pipe: "not a regular file",
    that_never_ends: "perhaps without end",
}


def test_whatever_is_wrong_with_a_new_version_the_old_one_serves_on(folder, tmp_path):
    log = tmp_path / "log"
    models = ("--models", str(folder))
    with (
        log.open("wb") as words,
        serving(options=models, stdout=words, stderr=words) as server,
        asking(server, 2) as said,
    ):
        for number, spoil in enumerate(BROKEN, start=2):
            made = make(tmp_path / f"made{number}", number)
            spoil(made)
            if spoil is with_a_pipe:
                made.rename(folder / "colours" / str(number))  # it cannot be copied
            else:
                put(folder, number, made)
        for number, (spoil, reason) in enumerate(BROKEN.items(), start=2):
            found = wait_for_refusal(server, str(number))
            assert reason in found, spoil
            assert str(tmp_path) not in found
        assert served(server) == "1"
    assert check(said) == {1}
    text = log.read_text()
    for number in range(2, 2 + len(BROKEN)):
        assert f"model colours: version {number} is refused: " in text
    assert "version 1 serves on" in text
    assert "Traceback" not in text


def test_a_version_that_is_mended_is_served(folder, tmp_path):
    with serving(options=("--models", str(folder))) as server:
        target = put(folder, 2)
        content = (target / "predict.onnx").read_bytes()
        truncated(target)
        wait_for_refusal(server, "2")
        (target / "predict.onnx").write_bytes(content)
        wait_for_version(server, "2")
        assert server.ask("/models")[1]["refused"] == []


@pytest.mark.parametrize("spoil", [flipped, shutil.rmtree, half_copied])
def test_a_worker_that_comes_later_serves_what_the_others_do(spoil, tmp_path):
    bundle = make(tmp_path / "colours", 3)
    edit(bundle, lambda fields: fields.update(version="3"))
    with serving(bundle) as server:
        spoil(bundle)
        server.process.send_signal(signal.SIGHUP)
        before = server.workers()
        os.kill(before[0], signal.SIGKILL)
        wait_for(lambda: len({*server.workers()} - {before[0]}) == 2 or None, "a new worker")
        with asking(server, 8) as said:
            time.sleep(2)
        assert set(before[1:]) < set(server.workers())  # the healthy one was left alone
        if spoil is not shutil.rmtree:
            assert "predict.onnx" in wait_for_refusal(server) or spoil is half_copied
    assert check(said) == {3}


def test_a_swap_waits_for_every_worker_and_for_none_that_is_dead(tmp_path):
    bundle = make(tmp_path / "colours", 1)
    with serving(bundle) as server:
        stopped = server.workers()[0]
        os.kill(stopped, signal.SIGSTOP)
        try:
            make(bundle, 2)
            time.sleep(4)
            with asking(server, 2) as said:  # where one is taken by the stopped one, it waits
                time.sleep(1)
                os.kill(stopped, signal.SIGKILL)
                wait_for_version(server, "2")
        finally:
            os.kill(stopped, signal.SIGCONT) if Path(f"/proc/{stopped}").exists() else None
    failed = [one for one in said if one.problem]
    assert len(failed) <= 2  # in flight at the one that was killed
    answered = [one for one in said if not one.problem]
    assert {1, 2} <= check(answered) | {1}


def test_sixteen_racing_reloads_end_with_what_is_there(tmp_path):
    bundle = make(tmp_path / "colours", 1)
    with serving(bundle) as server, asking(server, 2) as said:

        def reload():
            make(bundle, 1)
            server.process.send_signal(signal.SIGHUP)

        racers = [threading.Thread(target=reload) for _ in range(16)]
        for racer in racers:
            racer.start()
        for racer in racers:
            racer.join()
        last = json.loads((bundle / MANIFEST).read_text())["version"]
        wait_for_version(server, last)
    assert [one.problem for one in said if one.problem] == []
    assert all(abs(one.probability - expected(1)) < 1e-5 for one in said)


def held(pid: int) -> int:
    """How many bundles a process holds."""
    found = 0
    with suppress(OSError):  # it ended
        for place in Path(f"/proc/{pid}/fd").iterdir():
            with suppress(FileNotFoundError):  # closed since
                found += os.readlink(place).startswith("/memfd:bundle")
    return found


@pytest.mark.skipif(not hasattr(os, "memfd_create"), reason="files in memory are Linux'")
def test_only_the_version_that_is_served_stays_in_memory(tmp_path):
    bundle = make(tmp_path / "colours", 1)
    with serving(bundle) as server:
        for number in (2, 3, 4):
            make(bundle, number)
            wait_for_version(server, str(number))
        os.kill(server.workers()[0], signal.SIGKILL)

        def copies() -> list[int]:
            return [held(pid) for pid in (server.process.pid, *server.workers())]

        wait_for(lambda: copies() == [1, 1, 1] or None, "one copy in each, also in the new worker")


def test_only_signed_bundles_are_served_where_a_key_is_trusted(folder, tmp_path):
    key = make_key(tmp_path)
    sign(folder / "colours" / "1", key)
    options = ("--models", str(folder), "--trust", str(key / "public.pem"))
    with serving(options=options) as server:
        target = put(folder, 2)
        assert "no manifest.sig" in wait_for_refusal(server, "2")
        assert served(server) == "1"
        sign(target, key)
        wait_for_version(server, "2")


def test_an_empty_folder_waits_for_its_first_model(tmp_path):
    (tmp_path / "models").mkdir()
    colour_bundle(tmp_path / "ready")  # the server is ready once there is one
    starting = threading.Timer(1.5, (tmp_path / "ready").rename, [tmp_path / "models" / "late"])
    starting.start()
    with serving(options=("--models", str(tmp_path / "models"))) as server:
        assert served(server, "late") == "1"
