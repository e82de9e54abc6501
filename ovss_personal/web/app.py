"""The page as a web application: its requests, and what is answered where they fail."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.middleware.gzip import GZipMiddleware
from fastapi.responses import FileResponse, JSONResponse
from fastapi.staticfiles import StaticFiles
from starlette.exceptions import HTTPException

from ovss_personal.errors import OvssError
from ovss_personal.web import routes
from ovss_personal.web.answers import STOPPED, StoppedError, failure, status, told
from ovss_personal.web.guard import Door, Guard
from ovss_personal.web.turns import Turns

if TYPE_CHECKING:
    from ovss_personal.bases.base import Base

STATIC = Path(__file__).parent / "static"
CLOSE = {"Connection": "close"}  # what is left of the request's body is not waited for


def create_app(base: Base, door: Door | None = None) -> FastAPI:
    """The page and its requests, on one base. Its `state.turns` is what the requests share.

    Args:
        door: what a request must show; by default, that it comes from this computer.
    """
    app, turns = FastAPI(title="ovss_personal", openapi_url=None), Turns(base)
    app.state.turns = turns
    app.add_middleware(GZipMiddleware, minimum_size=2000, compresslevel=3)
    app.add_middleware(Guard, door=door or Door())

    @app.exception_handler(OvssError)
    async def failed(_: Request, error: OvssError) -> JSONResponse:
        number = status(error)
        return JSONResponse(told(error), number, CLOSE if number in (408, 413) else None)

    @app.exception_handler(StoppedError)
    async def stopped(_: Request, __: StoppedError) -> JSONResponse:
        return JSONResponse(STOPPED, 503, CLOSE)

    @app.exception_handler(RequestValidationError)
    async def senseless(_: Request, __: RequestValidationError) -> JSONResponse:
        return JSONResponse(failure("the request makes no sense."), 422)

    @app.exception_handler(HTTPException)
    async def no_such(_: Request, error: HTTPException) -> JSONResponse:
        return JSONResponse(failure(f"there is nothing here ({error.detail})."), error.status_code, error.headers)

    @app.get("/")
    async def page() -> FileResponse:
        return FileResponse(STATIC / "index.html")

    for made in (routes.tab_routes, routes.photo_routes, routes.shot_routes, routes.concept_routes):
        app.include_router(made(turns))
    app.mount("/static", StaticFiles(directory=STATIC))
    return app
