"""The socket on which the page is served, and how the server ends."""

from __future__ import annotations

import os
import secrets
import signal
import socket
import sys
from collections.abc import Callable, Sequence
from types import FrameType
from typing import TYPE_CHECKING

from ovss_personal.errors import UsageError

if TYPE_CHECKING:
    from ovss_personal.bases.base import Base
    from ovss_personal.web.turns import Turns

LOCAL = ("127.0.0.1", "localhost", "::1")
EVERYWHERE = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "[::1]"}  # and how this computer itself is called then
LAST_SECONDS = 2  # for answers that are on their way, and then for work, when the server ends


def serve(base: Base, host: str, port: int, ready: Callable[[str], None], allow_hosts: Sequence[str] = ()) -> None:
    """Serve the page until interrupted.

    Who does not ask from this computer needs a token, which is a part of the address. What is being worked at when the
    server is interrupted is given up; a second interruption ends the process at once.

    Args:
        host: the address to listen at.
        port: 0 is any that is free.
        ready: called with the page's address once it can be opened.
        allow_hosts: more names under which a browser may ask for the page, with or without a port.

    Raises:
        UsageError: nothing can listen there, or a name is none.
    """
    import uvicorn

    from ovss_personal.web.app import create_app
    from ovss_personal.web.guard import HOST, LOCAL_HOSTS, Door

    for name in allow_hosts:
        if not HOST.fullmatch(name):
            raise UsageError(f"'{name}' is no host's name.", hint="Give it as in an address: photos.example.org")
    listening = _listen(host, port)
    named = f"[{host}]" if ":" in host else host
    alone = host in LOCAL and not allow_hosts
    door = Door(
        hosts={*LOCAL_HOSTS, *(name.lower() for name in (named, *allow_hosts))},
        any_address=host not in LOCAL,
        token=None if alone else secrets.token_urlsafe(24),
    )
    app = create_app(base, door)
    turns: Turns = app.state.turns

    class Server(uvicorn.Server):
        def handle_exit(self, sig: int, frame: FrameType | None) -> None:
            turns.stop()
            super().handle_exit(sig, frame)
            signal.signal(sig, signal.SIG_DFL)  # the second one waits for nothing, not even for Python

    # What goes wrong in a request is logged by the guard; what is broken off at the end is no news.
    config = uvicorn.Config(app, log_level="critical", access_log=False, timeout_graceful_shutdown=LAST_SECONDS)
    shown = EVERYWHERE.get(host, named)
    ready(f"http://{shown}:{listening.getsockname()[1]}/" + ("" if alone else f"?token={door.token}"))
    try:
        Server(config).run(sockets=[listening])
    except KeyboardInterrupt:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        if not turns.end(LAST_SECONDS):
            # The interpreter would wait for a thread that is inside torch, or break it in the middle with a crash.
            print("interrupted", file=sys.stderr, flush=True)
            os._exit(130)
        raise
    turns.end(LAST_SECONDS)


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family)
    except (OSError, UnicodeError) as error:
        why = getattr(error, "strerror", None) or "it is no host's name"
        raise UsageError(
            f"the page cannot be served at {host} port {port} ({why}).",
            hint="Choose another --port, or 0 for any that is free.",
        ) from error
