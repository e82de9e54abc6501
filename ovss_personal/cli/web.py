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
    allow_host: Annotated[
        list[str] | None,
        typer.Option(help="A name under which browsers ask for the page, as behind a proxy; may be given again."),
    ] = None,
    base: BaseOptions = DEFAULT_BASE,
    as_json: JsonFlag = False,
    debug: DebugFlag = False,
) -> None:
    """Serve a page on which a thing is clicked in photos, named, learned and found in others.

    Needs the extra [web]. Photos stay on this computer; what a browser tab has is forgotten when it is closed. With
    another --host, or an --allow-host, the page asks for the token that is a part of the printed address.
    """
    from importlib.util import find_spec

    if any(find_spec(name) is None for name in ("fastapi", "uvicorn")):
        raise UsageError("the page needs more packages.", hint="pip install 'ovss-personal[web]'")
    at_once("loading …")
    from ovss_personal.web.server import LOCAL, serve

    segmenter = base.load()
    if host not in LOCAL:
        note(
            f"warning: anybody who can reach {host} and has the address below, with its token, may use this page; "
            "photos and token are sent unencrypted, so where others share the network put a proxy with https before it."
        )

    def ready(address: str) -> None:
        if as_json:
            print_json({"address": address, "base": segmenter.name})
        else:
            say(f"{address}  (base {segmenter.name}; Ctrl-C ends it)")
        sys.stdout.flush()

    serve(segmenter, host, port, ready, allow_host or ())
