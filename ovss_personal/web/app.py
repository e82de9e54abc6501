"""The page as a web application: its requests, and who may make them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from fastapi import FastAPI, Request, Response
from fastapi.middleware.gzip import GZipMiddleware
from fastapi.middleware.trustedhost import TrustedHostMiddleware
from fastapi.responses import FileResponse, JSONResponse
from fastapi.staticfiles import StaticFiles

from ovss_personal.errors import OvssError, ResourceError
from ovss_personal.web import routes, uploads
from ovss_personal.web.tabs import UnknownError
from ovss_personal.web.turns import Turns, failure

if TYPE_CHECKING:
    from ovss_personal.bases.base import Base

STATIC = Path(__file__).parent / "static"
HEADERS = {
    "Content-Security-Policy": "default-src 'self'; img-src 'self' blob: data:; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}


def create_app(base: Base, hosts: Sequence[str] = ("127.0.0.1", "localhost", "[::1]")) -> FastAPI:
    """The page and its requests, on one base.

    Args:
        hosts: the names under which a browser may ask for the page; "*" is any.
    """
    app, turns = FastAPI(title="ovss_personal", openapi_url=None), Turns(base)
    app.state.tabs = turns.tabs

    @app.middleware("http")
    async def same_origin(request: Request, answer: Callable[[Request], Awaitable[Response]]) -> Response:
        origin = request.headers.get("origin")
        if origin is not None and origin.partition("://")[2] != request.headers.get("host"):
            return JSONResponse(failure("this request comes from another page."), 403)
        response = await answer(request)
        for name, value in HEADERS.items():
            response.headers.setdefault(name, value)
        return response

    app.add_middleware(GZipMiddleware, minimum_size=2000, compresslevel=3)
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=list(hosts))

    @app.exception_handler(OvssError)
    async def failed(_: Request, error: OvssError) -> JSONResponse:
        return JSONResponse(failure(error.message, error.hint, error.path), _status(error))

    @app.get("/")
    async def page() -> FileResponse:
        return FileResponse(STATIC / "index.html")

    for made in (routes.tab_routes, routes.photo_routes, routes.shot_routes, routes.concept_routes):
        app.include_router(made(turns))
    app.mount("/static", StaticFiles(directory=STATIC))
    return app


def _status(error: OvssError) -> int:
    """The HTTP status that says whose fault it is."""
    if isinstance(error, UnknownError):
        return 404
    if isinstance(error, uploads.TooLargeError):
        return 413
    if isinstance(error, ResourceError):
        return 507
    return 500 if type(error) is OvssError else 422
