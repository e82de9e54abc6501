"""The verb that serves the page."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from ovss_personal.cli.printing import at_once, note, print_json, say
from ovss_personal.cli.shell import DEFAULT_BASE, BaseOptions, DebugFlag, JsonFlag, verb
from ovss_personal.errors import UsageError


def register(app: typer.Typer) -> None:
    verb(app, "web", example="ovss-personal web --port 8000")(web)


def web(
    *,
    host: Annotated[str, typer.Option(help="The address to listen at.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="The port; 0 is any that is free.")] = 8000,
    base: BaseOptions = DEFAULT_BASE,
    as_json: JsonFlag = False,
    debug: DebugFlag = False,
) -> None:
    """Serve a page on which a thing is clicked in photos, named, learned and found in others.

    Needs the extra [web]. Photos stay on this computer; what a browser tab has is forgotten when it is closed.
    """
    from importlib.util import find_spec

    if any(find_spec(name) is None for name in ("fastapi", "uvicorn")):
        raise UsageError("the page needs more packages.", hint="pip install 'ovss-personal[web]'")
    at_once("loading …")
    from ovss_personal.web.server import LOCAL, serve

    segmenter = base.load()
    if host not in LOCAL:
        note(f"warning: anybody who can reach {host} may use this page; it asks for no password.")

    def ready(address: str) -> None:
        if as_json:
            print_json({"address": address, "base": segmenter.name})
        else:
            say(f"{address}  (base {segmenter.name}; Ctrl-C ends it)")
        sys.stdout.flush()

    serve(segmenter, host, port, ready)
