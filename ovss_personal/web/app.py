"""The requests that the page makes. Each names its tab; what needs the base waits for its turn on one thread."""

from __future__ import annotations

import asyncio
import logging
import secrets
import warnings
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

from fastapi import FastAPI, Request, Response
from fastapi.middleware.gzip import GZipMiddleware
from fastapi.middleware.trustedhost import TrustedHostMiddleware
from fastapi.responses import FileResponse, JSONResponse
from fastapi.staticfiles import StaticFiles
from pydantic import BaseModel, Field

from ovss_personal.engine.plan import FIT_WORDS
from ovss_personal.errors import OvssError, OvssWarning, ResourceError, ShotsError, UsageError
from ovss_personal.io.vocabulary import named_words
from ovss_personal.store.files import safe_name
from ovss_personal.web import uploads, work
from ovss_personal.web.drawing import Steps
from ovss_personal.web.tabs import Job, Tab, TabClosedError, Tabs, UnknownError

if TYPE_CHECKING:
    from ovss_personal.bases.base import Base

STATIC = Path(__file__).parent / "static"
MAX_SHOTS = 10
WORDS_AT_ONCE = 4
UPLOADS_AT_ONCE = 4  # held in memory before it is known what they are
HEADERS = {
    "Content-Security-Policy": "default-src 'self'; img-src 'self' blob: data:; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
T = TypeVar("T")


class DrawnShot(BaseModel):
    """What was marked on one photo."""

    photo: str
    steps: Steps


class LearnRequest(BaseModel):
    name: str
    class_name: str
    shots: Annotated[list[DrawnShot], Field(max_length=MAX_SHOTS)]


class ShotsRequest(BaseModel):
    shots: Annotated[list[DrawnShot], Field(min_length=1, max_length=MAX_SHOTS)]


class FindRequest(BaseModel):
    words: Annotated[str, Field(max_length=20_000)]
    concepts: list[str]


def create_app(base: Base, hosts: Sequence[str] = ("127.0.0.1", "localhost", "[::1]")) -> FastAPI:
    """The page and its requests, on one base.

    Args:
        hosts: the names under which a browser may ask for the page; "*" is any.
    """
    app = FastAPI(title="ovss_personal", openapi_url=None)
    tabs = Tabs()
    worker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="base")
    _read_ahead(worker, base, named_words(FIT_WORDS))
    receiving = asyncio.Semaphore(UPLOADS_AT_ONCE)
    app.state.tabs = tabs

    async def in_turn(function: Callable[..., T], *args: Any) -> tuple[T, list[str]]:
        """What the function returns when its turn on the base's thread has come, and the warnings on the way."""
        return await asyncio.wrap_future(worker.submit(_with_warnings, function, *args))

    def drawn_on(tab: Tab, shots: Sequence[DrawnShot]) -> list[work.Drawn]:
        return [(tab.photo(shot.photo), shot.steps) for shot in shots]

    @app.middleware("http")
    async def same_origin(request: Request, answer: Callable[[Request], Awaitable[Response]]) -> Response:
        origin = request.headers.get("origin")
        if origin is not None and origin.partition("://")[2] != request.headers.get("host"):
            return JSONResponse(_failure("this request comes from another page."), 403)
        response = await answer(request)
        for name, value in HEADERS.items():
            response.headers.setdefault(name, value)
        return response

    app.add_middleware(GZipMiddleware, minimum_size=2000, compresslevel=3)
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=list(hosts))

    @app.exception_handler(OvssError)
    async def failed(_: Request, error: OvssError) -> JSONResponse:
        return JSONResponse(_failure(error.message, error.hint, error.path), _status(error))

    @app.get("/")
    async def page() -> FileResponse:
        return FileResponse(STATIC / "index.html")

    @app.post("/api/tabs")
    async def open_tab() -> dict[str, Any]:
        facts = {"base": base.name, "photo_bytes": uploads.MAX_PHOTO_BYTES, "shots": MAX_SHOTS}
        return {"tab": tabs.open(), **facts}

    @app.post("/api/tabs/{name}/alive")
    async def alive(name: str) -> None:
        tabs.get(name)

    @app.post("/api/tabs/{name}/close")
    async def close_tab(name: str) -> None:
        tabs.close(name)

    @app.post("/api/tabs/{name}/photos")
    async def add_photo(name: str, request: Request, file: str = "photo") -> dict[str, Any]:
        tab = tabs.get(name)
        async with receiving:
            data = await uploads.read_body(request, uploads.MAX_PHOTO_BYTES)
            tabs.check_room(tab, len(data))
            photo, notes = await in_turn(work.take_in, base, uploads.shown_name(file), data)
        key = secrets.token_urlsafe(9)
        tab.photos[key] = photo
        described, _ = await in_turn(work.describe_photo, key, photo)
        return {**described, "notes": notes}

    @app.get("/api/tabs/{name}/photos/{key}/preview.jpg")
    async def preview(name: str, key: str) -> Response:
        return Response(tabs.get(name).photo(key).preview, media_type="image/jpeg")

    @app.delete("/api/tabs/{name}/photos/{key}")
    async def remove_photo(name: str, key: str) -> None:
        tabs.get(name).photos.pop(key, None)

    @app.post("/api/tabs/{name}/mask.png")
    async def mask(name: str, shot: DrawnShot) -> Response:
        png, _ = await in_turn(work.true_mask, tabs.get(name).photo(shot.photo), shot.steps)
        return Response(png, media_type="image/png")

    @app.post("/api/tabs/{name}/shots.zip")
    async def shots_zip(name: str, asked: ShotsRequest) -> Response:
        data, _ = await in_turn(work.shots_zip, drawn_on(tabs.get(name), asked.shots))
        return _download(data, "shots.zip")

    @app.post("/api/tabs/{name}/learn")
    async def learn(name: str, asked: LearnRequest) -> dict[str, str]:
        tab = tabs.get(name)
        if not asked.shots:
            raise ShotsError("no photo is marked.", hint="Click the thing in at least one photo.")
        if any(job.state in ("waiting", "running") for job in tab.jobs.values()):
            raise UsageError("something is being learned already.", hint="Wait until it is done.")
        drawn, job, key = drawn_on(tab, asked.shots), Job(), secrets.token_urlsafe(9)
        tab.jobs = {key: job}
        worker.submit(_learn, base, tab, job, drawn, asked)
        return {"job": key}

    @app.get("/api/tabs/{name}/jobs/{key}")
    async def job_state(name: str, key: str) -> dict[str, Any]:
        job = tabs.get(name).jobs.get(key)
        if job is None:
            raise UnknownError("this job is no longer here.")
        facts = {"state": job.state, "done": job.done, "total": job.total, "stage": job.stage}
        return {**facts, "losses": list(job.losses), "result": job.result, "error": job.error}

    @app.post("/api/tabs/{name}/concepts")
    async def load_concept(name: str, request: Request) -> dict[str, Any]:
        tab = tabs.get(name)
        async with receiving:
            data = await uploads.read_body(request, uploads.MAX_CONCEPT_BYTES)
            concept, notes = await in_turn(uploads.concept_from_zip, base, data)
        return {**work.describe_concept(tab.add_concept(concept), concept), "notes": notes}

    @app.post("/api/tabs/{name}/concepts/files")
    async def load_folder(name: str, request: Request) -> dict[str, Any]:
        tab = tabs.get(name)
        async with receiving:
            data = await uploads.read_body(request, 2 * uploads.MAX_CONCEPT_BYTES)
            files = uploads.text_values(data)
            concept, notes = await in_turn(uploads.concept_from_files, base, files)
        return {**work.describe_concept(tab.add_concept(concept), concept), "notes": notes}

    @app.get("/api/tabs/{name}/concepts/{key}.zip")
    async def save_concept(name: str, key: str) -> Response:
        concept = tabs.get(name).concept(key)
        folder = safe_name(concept.name)
        files, _ = await in_turn(uploads.concept_files, concept)
        return _download(work.zipped({f"{folder}/{file}": data for file, data in files.items()}), "concept.zip")

    @app.delete("/api/tabs/{name}/concepts/{key}")
    async def forget_concept(name: str, key: str) -> None:
        tabs.get(name).concepts.pop(key, None)

    @app.post("/api/tabs/{name}/photos/{key}/find")
    async def find(name: str, key: str, asked: FindRequest) -> dict[str, Any]:
        tab = tabs.get(name)
        concepts = [tab.concept(concept) for concept in asked.concepts]
        found, notes = await in_turn(work.find, base, tab.photo(key), asked.words, concepts)
        return {**found, "notes": notes}

    @app.post("/api/tabs/{name}/photos/{key}/masks.zip")
    async def masks_zip(name: str, key: str, asked: FindRequest) -> Response:
        tab = tabs.get(name)
        concepts = [tab.concept(concept) for concept in asked.concepts]
        data, _ = await in_turn(work.result_zip, base, tab.photo(key), asked.words, concepts)
        return _download(data, "masks.zip")

    @app.get("/api/tabs/{name}/photos/{key}/negative/{concept}.png")
    async def negative(name: str, key: str, concept: str) -> Response:
        tab = tabs.get(name)
        png, _ = await in_turn(work.negative_mask, tab.photo(key), tab.concept(concept))
        return Response(png, media_type="image/png")

    app.mount("/static", StaticFiles(directory=STATIC))
    return app


def _read_ahead(worker: Executor, base: Base, words: Sequence[str]) -> None:
    """Encode the words of every fit before anybody waits for them; a few at a time, so that nobody waits for that."""

    def some() -> None:
        base.encode(words[:WORDS_AT_ONCE])
        _read_ahead(worker, base, words[WORDS_AT_ONCE:])

    with suppress(RuntimeError):  # the server is going down
        if words:
            worker.submit(some)


def _learn(base: Base, tab: Tab, job: Job, drawn: Sequence[work.Drawn], asked: LearnRequest) -> None:
    """Run a job to its end, whatever that is; it is told in the job."""
    if tab.closed:
        return
    job.state = "running"
    try:
        concept, notes = _with_warnings(work.learn, base, tab, job, drawn, asked.name, asked.class_name)
        job.result = {**work.describe_concept(tab.add_concept(concept), concept), "notes": notes}
        job.state = "done"
    except OvssError as error:
        job.error, job.state = _failure(error.message, error.hint, error.path)["error"], "failed"
    except TabClosedError:
        job.state = "failed"
    except Exception:
        logging.getLogger(__name__).exception("learning failed")
        job.error, job.state = _failure("something went wrong that should not.")["error"], "failed"


def _with_warnings(function: Callable[..., T], *args: Any) -> tuple[T, list[str]]:
    """What the function returns, and what it warned the user of."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("ignore")
        warnings.simplefilter("always", OvssWarning)
        try:
            value = function(*args)
        except MemoryError as error:
            raise ResourceError("out of memory.", hint="Use smaller photos.") from error
    return value, [str(warning.message) for warning in caught]


def _failure(message: str, hint: str | None = None, path: str | None = None) -> dict[str, dict[str, str | None]]:
    return {"error": {"message": message if path is None else f"{path}: {message}", "hint": hint}}


def _status(error: OvssError) -> int:
    """The HTTP status that says whose fault it is."""
    if isinstance(error, UnknownError):
        return 404
    if isinstance(error, uploads.TooLargeError):
        return 413
    if isinstance(error, ResourceError):
        return 507
    return 500 if type(error) is OvssError else 422


def _download(data: bytes, name: str) -> Response:
    """A zip; `name` is ours, and the page has a better one."""
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return Response(data, media_type="application/zip", headers=headers)
