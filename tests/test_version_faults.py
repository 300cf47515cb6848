"""The machine or an administrator gets in the way of a swap, by real processes."""

import ctypes
import os
import resource
import signal
import socket
import time

import pytest

from service.versions.catalogue import Catalogue, Edition, send
from service.versions.follower import Follower
from tests.making import colour_bundle
from tests.serving import serving
from tests.watching import make, served, wait_for, wait_for_refusal, wait_for_version

PR_CAPBSET_DROP, READS_ALL = 24, (1, 2)  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH


def without_rights() -> None:
    """Before a program starts: permissions then hold for root too."""
    for right in READS_ALL:
        ctypes.CDLL(None).prctl(PR_CAPBSET_DROP, right, 0, 0, 0)


@pytest.mark.pairs
@pytest.mark.skipif(not hasattr(resource, "prlimit"), reason="Linux sets another process's limits")
def test_a_worker_that_has_no_descriptor_for_a_version_makes_way_for_another(tmp_path):
    bundle = make(tmp_path / "colours", 1)
    with serving(bundle, workers=1) as server:
        before = server.workers()
        _, hard = resource.prlimit(before[0], resource.RLIMIT_NOFILE)
        resource.prlimit(before[0], resource.RLIMIT_NOFILE, (3, hard))
        make(bundle, 2)
        wait_for(lambda: not set(before) & set(server.workers()), "the worker's end")
        wait_for_version(server, "2")
        make(bundle, 3)
        wait_for_version(server, "3")
        assert server.ask("/models")[1]["refused"] == []


@pytest.mark.pairs
@pytest.mark.parametrize(
    ("closed", "mode"), [(".", 0o000), (".", 0o444), ("colours", 0o444), ("colours/1", 0o000)]
)
def test_a_folder_that_is_closed_for_a_while_changes_nothing(closed, mode, tmp_path):
    folder = tmp_path / "models"
    (folder / "colours").mkdir(parents=True)
    make(folder / "colours" / "1", 1)
    log, options = tmp_path / "log", ("--models", str(folder))
    with (
        log.open("wb") as words,
        serving(options=options, preexec_fn=without_rights, stderr=words) as server,
    ):
        (folder / closed).chmod(mode)
        try:
            if closed == "." and mode == 0:  # it is not known whose fault it would be
                wait_for(lambda: b"Permission denied" in log.read_bytes(), "a warning")
            else:
                assert "Permission" in wait_for_refusal(server)
            time.sleep(1.5)  # three looks
            assert served(server) == "1"
        finally:
            (folder / closed).chmod(0o755)
        wait_for(lambda: not server.ask("/models")[1]["refused"] or None, "no refusal")
        make(folder / "colours" / "2", 2)
        wait_for_version(server, "2")


@pytest.mark.pairs
def test_a_link_that_leads_nowhere_stops_no_other_model(tmp_path):
    folder = tmp_path / "models"
    folder.mkdir()
    (folder / "again").symlink_to("again")
    make(folder / "colours", 1)
    with serving(options=("--models", str(folder))) as server:
        assert served(server) == "1"
        assert "its folder cannot be read" in wait_for_refusal(server)


@pytest.fixture
def followed():
    """A follower of an empty catalogue: itself, the parent's end of its line, what ended it."""
    ours, theirs = socket.socketpair()
    published, stops = memoryview(bytearray(8)).cast("Q"), []
    before = signal.signal(signal.SIGTERM, lambda number, frame: stops.append(number))
    follower = Follower(Catalogue(0, (), ()), theirs, published)
    yield follower, ours, published, stops
    ours.close()
    try:
        wait_for(lambda: stops, "the follower's end")
    finally:
        signal.signal(signal.SIGTERM, before)
        theirs.close()


@pytest.mark.parametrize("message", [{}, [], {"editions": 7}, {"keep": []}])
def test_a_message_that_is_not_understood_ends_the_worker(message, followed):
    _, ours, _, stops = followed
    send(ours, message)
    wait_for(lambda: stops, "the end")


def test_a_version_without_its_descriptor_ends_the_worker(followed):
    _, ours, _, stops = followed
    edition = Edition("colours", "2", "colours", "", 0)
    send(ours, Catalogue(1, (edition,), ())._asdict())
    wait_for(lambda: stops, "the end")


def test_a_worker_that_lost_its_parents_line_still_answers_its_last_requests(followed):
    follower, ours, published, stops = followed
    served_before = follower.current()
    ours.close()
    wait_for(lambda: stops, "the end")
    published[0] = 1
    assert follower.current() is served_before


@pytest.mark.pairs
def test_models_are_counted_where_descriptors_are_few(tmp_path):
    bundles = [colour_bundle(tmp_path / f"m{number}") for number in range(30)]

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (100, 100))

    with serving(*bundles, workers=1, preexec_fn=limit) as server:
        worker = server.workers()
        held = [server.connect() for _ in range(120)]
        try:
            make(bundles[0], 2)
            wait_for_version(server, "2", "m0")
            assert server.workers() == worker  # a descriptor was free for the new version
            assert len(os.listdir(f"/proc/{worker[0]}/fd")) <= 90
        finally:
            for one in held:
                one.close()


@pytest.mark.pairs
@pytest.mark.skipif(not hasattr(resource, "prlimit"), reason="Linux sets another process's limits")
def test_as_many_models_are_served_as_the_hard_limit_on_descriptors_allows(tmp_path):
    folder = tmp_path / "models"
    folder.mkdir()
    for number in range(30):
        colour_bundle(folder / f"m{number}")

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (40, 4096))

    options = ("--models", str(folder))
    with serving(workers=1, options=options, preexec_fn=limit) as server:
        assert len(server.ask("/models")[1]["models"]) == 30
        for pid in (server.process.pid, *server.workers()):
            assert resource.prlimit(pid, resource.RLIMIT_NOFILE) == (3030, 4096)


@pytest.mark.pairs
@pytest.mark.skipif(not hasattr(resource, "prlimit"), reason="Linux sets another process's limits")
@pytest.mark.parametrize("spare", [-4, 2], ids=["it is not forked", "it does not begin"])
def test_a_worker_that_cannot_be_started_leaves_the_other_to_serve(spare, tmp_path):
    log = tmp_path / "log"
    with log.open("wb") as words, serving(make(tmp_path / "colours", 1), stderr=words) as server:
        parent = server.process.pid
        opened = [int(name) for name in os.listdir(f"/proc/{parent}/fd")]
        usual = resource.prlimit(parent, resource.RLIMIT_NOFILE)
        resource.prlimit(parent, resource.RLIMIT_NOFILE, (max(opened) + spare, usual[1]))
        killed, other = server.workers()
        os.kill(killed, signal.SIGKILL)
        wait_for(lambda: b"pen files" in log.read_bytes(), "a word on descriptors")
        for _ in range(30):
            assert server.ask("/models")[0] == 200
            assert other in server.workers()
            time.sleep(0.1)
        resource.prlimit(parent, resource.RLIMIT_NOFILE, usual)
        wait_for(lambda: len(set(server.workers()) - {killed}) == 2, "another worker")
        make(tmp_path / "colours", 2)
        wait_for_version(server, "2")
