"""The page's server as a process: connections that stall, clients that leave, and its end."""

from __future__ import annotations

import json
import os
import re
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from fakes import photo
from web.page import encoded

pytest.importorskip("fastapi", reason="the page's extra [web] is not installed")

TESTS = Path(__file__).parents[1]
# A base that, shown a photo of 40 pixels, looks at it for a minute, and cannot be interrupted, as torch cannot.
PROGRAM = """
import sys, time
from fakes import FakeBase
from ovss_personal import bases
from ovss_personal.web import bodies
bodies.SILENCE_SECONDS = 3

class Slow(FakeBase):
    def propose(self, images):
        if images[0].shape[1] == 40:
            time.sleep(60)
        return super().propose(images)

    def encode(self, words):
        if "slow" in words[0]:
            print("reading", words[0], file=sys.stderr, flush=True)
            time.sleep(0.5)
        return super().encode(words)

bases.load_base = lambda *_, **__: Slow()
sys.argv = ["ovss-personal", "web", "--port", "0", *sys.argv[1:]]
from ovss_personal.cli import main
main()
"""


class Server:
    """The program in a process of its own."""

    def __init__(self, *arguments: str) -> None:
        path = os.pathsep.join([str(TESTS), str(TESTS.parent)])
        self.process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, *arguments],
            env=os.environ | {"PYTHONPATH": path, "PYTHONUNBUFFERED": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            # Where the tests run in the background of a script, an interruption would be ignored by what they start.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )
        assert self.process.stdout is not None
        self.address = self.process.stdout.readline().split()[0]
        found = re.match(r"http://127\.0\.0\.1:(\d+)/", self.address)
        assert found, self.address
        self.port = int(found[1])
        self.connections: list[socket.socket] = []
        self.client = httpx.Client(base_url=f"http://127.0.0.1:{self.port}", timeout=20)

    def post(self, path: str, data: bytes = b"") -> dict[str, object]:
        answer = self.client.post(path, content=data)
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    def half(self, path: str, declared: int, body: bytes = b"x") -> socket.socket:
        """A connection on which a request has begun to come."""
        connection = socket.create_connection(("127.0.0.1", self.port), timeout=20)
        self.connections.append(connection)
        head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {declared}\r\n\r\n"
        connection.sendall(head.encode() + body)
        return connection

    def close(self) -> None:
        for connection in self.connections:
            connection.close()
        self.client.close()
        self.process.kill()
        self.process.communicate()

    def interrupt(self) -> None:
        self.process.send_signal(signal.SIGINT)

    def ended(self, seconds: float) -> int:
        return self.process.wait(seconds)


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    server = Server()
    yield server
    server.close()


@pytest.fixture
def ending() -> Iterator[Server]:
    server = Server()
    yield server
    server.close()


def whole(connection: socket.socket) -> str:
    """What comes until the connection is closed."""
    return b"".join(iter(lambda: connection.recv(4000), b"")).decode()


def small(width: int = 32) -> bytes:
    return encoded(photo("red").repeat(2, 1)[:, :width])


def test_stalled_uploads_block_nobody_and_are_given_up(server: Server) -> None:
    tab = server.post("/api/tabs")["tab"]
    stalled = [server.half(f"/api/tabs/{tab}/photos", 1000) for _ in range(20)]
    assert server.post(f"/api/tabs/{tab}/photos", small())["size"] == [32, 32]
    assert select.select(stalled, [], [], 0)[0] == []  # before any of those is given up
    answers = [whole(connection) for connection in stalled]
    assert all(answer.startswith("HTTP/1.1 408") and "nothing came for 3 seconds" in answer for answer in answers)
    drip = server.half(f"/api/tabs/{tab}/learn", 3 * 2**20)
    assert drip.recv(100).startswith(b"HTTP/1.1 413")
    unknown = server.half("/api/tabs/unknown/learn", 2**40)
    assert unknown.recv(100).startswith(b"HTTP/1.1 404")


def test_a_client_that_leaves_ends_its_work(server: Server) -> None:
    tab = server.post("/api/tabs")["tab"]
    key = server.post(f"/api/tabs/{tab}/photos", small())["photo"]
    words = ",".join(f"slow {number}" for number in range(200))  # twelve seconds of them
    body = json.dumps({"words": words, "concepts": []}).encode()
    connection = server.half(f"/api/tabs/{tab}/photos/{key}/find", len(body), body)
    assert server.process.stderr is not None
    assert server.process.stderr.readline().startswith("reading")
    connection.close()
    began = time.monotonic()
    assert server.post(f"/api/tabs/{tab}/photos/{key}/find", b'{"words": "tree", "concepts": []}')["words"]
    assert time.monotonic() - began < 8


def test_two_interruptions_end_it_at_once_whatever_it_does(ending: Server) -> None:
    tab = ending.post("/api/tabs")["tab"]
    data = small(40)
    ending.half(f"/api/tabs/{tab}/photos", len(data), data)
    time.sleep(0.5)
    ending.interrupt()
    time.sleep(0.3)
    began = time.monotonic()
    ending.interrupt()
    assert ending.ended(5) in (-signal.SIGINT, 130) and time.monotonic() - began < 3


def test_one_interruption_ends_it_in_seconds_though_the_base_is_busy_and_clients_wait(ending: Server) -> None:
    tab = ending.post("/api/tabs")["tab"]
    data = small(40)
    ending.half(f"/api/tabs/{tab}/photos", len(data), data)
    ending.half(f"/api/tabs/{tab}/photos", 1000)
    time.sleep(0.5)
    ending.interrupt()
    assert ending.ended(20) == 130
    assert ending.process.stderr is not None
    assert ending.process.stderr.read().splitlines() == ["interrupted"]


def test_others_need_the_token_that_is_printed() -> None:
    server = Server("--host", "0.0.0.0", "--allow-host", "photos.example.org")
    try:
        token = server.address.partition("?token=")[2]
        assert len(token) >= 32 and server.client.get("/").status_code == 401
        assert server.client.get("/", params={"token": token}, headers={"host": "evil.example"}).status_code == 400
        named = server.client.get("/", params={"token": token}, headers={"host": "photos.example.org"})
        assert "Teach it your own thing" in named.text and token in named.headers["set-cookie"]
        server.interrupt()
        assert server.ended(20) == 130
    finally:
        server.close()
