"""A hub on loopback: as much of its protocol as a download needs, and the ways in which one goes wrong.

Below `/elsewhere/` it serves the same files as a server does that is no hub, after a redirection.
"""

from __future__ import annotations

import hashlib
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace

import huggingface_hub
import pytest

REPO = "somebody/tiny"


class FakeHub(ThreadingHTTPServer):
    """Serves `files` as the newest version of REPO.

    Attributes:
        files: name -> content.
        asked: (method, name, Range header) of each request for a file.
        tokens: the Authorization header of each of them.
        cuts: after how many bytes to hang up, for one GET after the other; those after them are answered whole.
        broken: answer every GET with 503.
        etag: what to call every version, in place of its sha256.
    """

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.files: dict[str, bytes] = {}
        self.asked: list[tuple[str, str, str | None]] = []
        self.tokens: list[str | None] = []
        self.cuts: list[int] = []
        self.broken = False
        self.etag: str | None = None

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    @property
    def ranges(self) -> list[str | None]:
        """The Range header of each GET."""
        return [header for method, _, header in self.asked if method == "GET"]


class Handler(BaseHTTPRequestHandler):
    server: FakeHub
    protocol_version = "HTTP/1.1"

    def do_HEAD(self) -> None:
        self.answer()

    def do_GET(self) -> None:
        content, begin = self.answer()
        due = content[begin:]
        sent = due[: self.server.cuts.pop(0)] if content and self.server.cuts else due
        self.wfile.write(sent)
        # Never after a whole answer: the client, who was not told, may be asking for more on this connection.
        self.close_connection = len(sent) < len(due)

    def answer(self) -> tuple[bytes, int]:
        """Send the headers; returns what to send after them, and from which byte on."""
        if self.path.startswith("/elsewhere/"):
            return self.redirect(self.path.replace("/elsewhere/", "/mirror/"))
        found = re.fullmatch(rf"/(?:{REPO}/resolve/[^/]+|mirror)/(.+)", self.path)
        if found is None:  # huggingface_hub has questions of its own, once a day
            return self.refuse(404, "RepoNotFound")
        wanted = self.headers["Range"]
        self.server.asked.append((self.command, found[1], wanted))
        self.server.tokens.append(self.headers["Authorization"])
        content = self.server.files.get(found[1])
        if content is None:
            return self.refuse(404, "EntryNotFound")
        if self.server.broken and self.command == "GET":
            return self.refuse(503, "Unavailable")
        begin = int(wanted.removeprefix("bytes=").removesuffix("-")) if wanted else 0
        digest = hashlib.sha256(content).hexdigest()
        self.send_response(206 if wanted else 200)
        self.send_header("ETag", f'"{self.server.etag or digest}"')
        if not self.path.startswith("/mirror/"):
            self.send_header("X-Repo-Commit", digest[:40])
        self.send_header("Content-Length", str(len(content) - begin))
        if wanted:
            self.send_header("Content-Range", f"bytes {begin}-{len(content) - 1}/{len(content)}")
        self.end_headers()
        return content, begin

    def redirect(self, path: str) -> tuple[bytes, int]:
        self.send_response(302)
        self.send_header("Location", path)
        self.send_header("Content-Length", "0")
        self.end_headers()
        return b"", 0

    def refuse(self, code: int, reason: str) -> tuple[bytes, int]:
        self.send_response(code)
        self.send_header("X-Error-Code", reason)
        self.send_header("Content-Length", "0")
        self.end_headers()
        return b"", 0

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def fake_hub() -> Iterator[FakeHub]:
    """Runs one, to which huggingface_hub turns meanwhile. It does not wait between attempts."""
    with FakeHub() as hub, pytest.MonkeyPatch.context() as patch:
        patch.setattr("huggingface_hub.constants.ENDPOINT", hub.address)
        template = hub.address + "/{repo_id}/resolve/{revision}/{filename}"
        patch.setattr("huggingface_hub.constants.HUGGINGFACE_CO_URL_TEMPLATE", template)
        patch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
        patch.setattr("huggingface_hub.constants.DOWNLOAD_CHUNK_SIZE", 100)  # bytes of a smaller chunk are lost
        patch.setattr("huggingface_hub.file_download.time", SimpleNamespace(sleep=lambda _: None))
        patch.setenv("NO_PROXY", "127.0.0.1")
        huggingface_hub.close_session()  # one made earlier knows other proxies
        thread = threading.Thread(target=hub.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield hub
        finally:
            huggingface_hub.close_session()
            hub.shutdown()
            thread.join()
