"""The comparison with other servers asks fairly, and takes no error for an answer."""

import socket
import threading

import pytest

from benchmarks.peers.load import Refused, ask, ask_all, form
from benchmarks.peers.services import PEERS, in_base64

LENGTH = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
CHUNKS = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
BUSY = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 4\r\n\r\nbusy"


@pytest.mark.parametrize("answer", [LENGTH, CHUNKS])
def test_an_answer_is_read_to_its_end_however_it_arrives(answer):
    here, there = socket.socketpair()
    with here, there:
        there.sendall(answer[:20])
        threading.Timer(0.01, lambda: there.sendall(answer[20:])).start()
        assert b"hello" in ask(here, b"request")
        assert there.recv(100) == b"request"


def test_what_is_refused_counts_for_no_answer():
    with socket.create_server(("127.0.0.1", 0)) as server:

        def refuse():
            client, _ = server.accept()
            with client:
                client.recv(1000)
                client.sendall(BUSY)

        thread = threading.Thread(target=refuse)
        thread.start()
        with pytest.raises(Refused, match="503"):
            ask_all(server.getsockname()[1], [b"GET / HTTP/1.1\r\n\r\n"], 1, 60.0)
        thread.join()


def test_every_request_holds_the_whole_photo():
    photo = b"\xff\xd8 a photo"
    head, _, body = form("/predict", photo).partition(b"\r\n\r\n")
    assert f"Content-Length: {len(body)}".encode() in head
    assert photo in body
    assert b"/9ggYSBwaG90bw==" in in_base64(photo)


def test_every_package_of_a_peer_is_pinned():
    assert all("==" in package for peer in PEERS for package in peer.packages)
