"""The socket on which the page is served."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import TYPE_CHECKING

from ovss_personal.errors import UsageError

if TYPE_CHECKING:
    from ovss_personal.bases.base import Base

LOCAL = ("127.0.0.1", "localhost", "::1")


def serve(base: Base, host: str, port: int, ready: Callable[[str], None]) -> None:
    """Serve the page until interrupted.

    Args:
        host: the address to listen at. At one that is not this computer's own, anybody who reaches it may use it.
        port: 0 is any that is free.
        ready: called with the page's address once it can be opened.

    Raises:
        UsageError: nothing can listen there.
    """
    import uvicorn

    from ovss_personal.web.app import create_app

    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listening = socket.create_server((host, port), family=family)
    except OSError as error:
        raise UsageError(
            f"the page cannot be served at {host} port {port} ({error.strerror}).",
            hint="Choose another --port, or 0 for any that is free.",
        ) from error
    named = f"[{host}]" if ":" in host else host
    app = create_app(base, hosts=("127.0.0.1", "localhost", "[::1]") if host in LOCAL else ("*",))
    ready(f"http://{named}:{listening.getsockname()[1]}/")
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", access_log=False))
    server.run(sockets=[listening])
