"""Workers find one another, and do not wait for good."""

import socket
import threading

import pytest

from benchmarks.serving import free_port
from models.errors import SettingError, WorkerLost
from training.optimisation.meeting import GREETING, meet
from training.settings.cluster import Cluster

SOON_S = 0.3
ENOUGH_S = 30.0


def cluster(*ports, rank):
    return Cluster(tuple(f"127.0.0.1:{port}" for port in ports), rank)


def begin(at, wait_s):
    """A worker in a thread; what it ended with."""
    ended = []

    def run():
        try:
            meet(at, wait_s)
            ended.append("met")
        except (WorkerLost, SettingError) as error:
            ended.append(str(error))

    thread = threading.Thread(target=run)
    thread.start()
    return thread, ended


def test_three_workers_meet_whoever_comes_first():
    ports = [free_port() for _ in range(3)]
    begun = [begin(cluster(*ports, rank=rank), ENOUGH_S) for rank in (0, 2, 1)]
    for thread, _ in begun:
        thread.join()
    assert [ended for _, ended in begun] == [["met"]] * 3


def test_a_worker_that_does_not_come_is_named_and_the_one_that_came_is_not_kept():
    ports = [free_port() for _ in range(3)]
    thread, ended = begin(cluster(*ports, rank=1), 2 * SOON_S)
    with pytest.raises(WorkerLost, match=rf"nobody answers at 127\.0\.0\.1:{ports[2]}"):
        meet(cluster(*ports, rank=0), SOON_S)
    thread.join()
    assert ended[0].startswith("a worker is gone or cannot be reached: start all workers again")
    assert ended[0].endswith(f"(the chief did not call 127.0.0.1:{ports[1]})")


def test_strangers_and_a_chief_that_leaves_are_not_taken_for_the_chief():
    ports = [free_port() for _ in range(2)]
    thread, ended = begin(cluster(*ports, rank=1), ENOUGH_S)
    for said in (b"", b"GET / HTTP/1.1\r\n\r\n", GREETING[:5], b"\n"):
        while True:
            try:
                with socket.create_connection(("127.0.0.1", ports[1])) as stranger:
                    stranger.sendall(said)
                break
            except ConnectionRefusedError:
                assert not ended
    meet(cluster(*ports, rank=0), ENOUGH_S)
    thread.join()
    assert ended == ["met"]


def test_an_address_that_is_taken_is_refused_with_its_name():
    with socket.create_server(("", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(SettingError, match=rf"TF_CONFIG: cannot listen at 127\.0\.0\.1:{port}"):
            meet(cluster(1, port, rank=1), SOON_S)


@pytest.mark.parametrize("address", ["host", "host:", ":80", "host:http", "host:70000", "host:0"])
def test_what_is_no_address_is_refused(address):
    for rank in (0, 1):
        with pytest.raises(SettingError, match="is no address; expected host:port"):
            meet(Cluster(("a:1", address), rank), SOON_S)
