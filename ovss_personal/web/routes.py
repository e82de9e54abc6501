"""The requests that the page makes, by what they are about. Each names its tab."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, Field

from ovss_personal.errors import ShotsError, UsageError
from ovss_personal.store.files import safe_name
from ovss_personal.web import uploads, work
from ovss_personal.web.drawing import Steps
from ovss_personal.web.tabs import Tab, UnknownError
from ovss_personal.web.turns import Turns

MAX_SHOTS = 10


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


def tab_routes(turns: Turns) -> APIRouter:
    """Opening and closing a tab."""
    router, tabs = APIRouter(prefix="/api/tabs"), turns.tabs

    @router.post("")
    async def open_tab() -> dict[str, Any]:
        facts = {"base": turns.base.name, "photo_bytes": uploads.MAX_PHOTO_BYTES, "shots": MAX_SHOTS}
        return {"tab": tabs.open(), **facts}

    @router.post("/{name}/alive")
    async def alive(name: str) -> None:
        tabs.get(name)

    @router.post("/{name}/close")
    async def close_tab(name: str) -> None:
        tabs.close(name)

    return router


def photo_routes(turns: Turns) -> APIRouter:
    """Photos: taken in, shown, and what is found in them."""
    router, tabs = APIRouter(prefix="/api/tabs/{name}/photos"), turns.tabs

    @router.post("")
    async def add_photo(name: str, request: Request, file: str = "photo") -> dict[str, Any]:
        tab = tabs.get(name)
        async with turns.receiving:
            data = await uploads.read_body(request, uploads.MAX_PHOTO_BYTES)
            tabs.check_room(tab, len(data))
            photo, notes = await turns.take(work.take_in, turns.base, uploads.shown_name(file), data)
        key = secrets.token_urlsafe(9)
        tab.photos[key] = photo
        described, _ = await turns.take(work.describe_photo, key, photo)
        return {**described, "notes": notes}

    @router.get("/{key}/preview.jpg")
    async def preview(name: str, key: str) -> Response:
        return Response(tabs.get(name).photo(key).preview, media_type="image/jpeg")

    @router.delete("/{key}")
    async def remove_photo(name: str, key: str) -> None:
        tabs.get(name).photos.pop(key, None)

    @router.post("/{key}/find")
    async def find(name: str, key: str, asked: FindRequest) -> dict[str, Any]:
        tab = tabs.get(name)
        concepts = [tab.concept(concept) for concept in asked.concepts]
        found, notes = await turns.take(work.find, turns.base, tab.photo(key), asked.words, concepts)
        return {**found, "notes": notes}

    @router.post("/{key}/masks.zip")
    async def masks_zip(name: str, key: str, asked: FindRequest) -> Response:
        tab = tabs.get(name)
        concepts = [tab.concept(concept) for concept in asked.concepts]
        data, _ = await turns.take(work.result_zip, turns.base, tab.photo(key), asked.words, concepts)
        return _download(data, "masks.zip")

    @router.get("/{key}/negative/{concept}.png")
    async def negative(name: str, key: str, concept: str) -> Response:
        tab = tabs.get(name)
        png, _ = await turns.take(work.negative_mask, tab.photo(key), tab.concept(concept))
        return Response(png, media_type="image/png")

    return router


def shot_routes(turns: Turns) -> APIRouter:
    """What was marked: as a mask, as a folder of shots, and learned."""
    router, tabs = APIRouter(prefix="/api/tabs/{name}"), turns.tabs

    @router.post("/mask.png")
    async def mask(name: str, shot: DrawnShot) -> Response:
        png, _ = await turns.take(work.true_mask, tabs.get(name).photo(shot.photo), shot.steps)
        return Response(png, media_type="image/png")

    @router.post("/shots.zip")
    async def shots_zip(name: str, asked: ShotsRequest) -> Response:
        data, _ = await turns.take(work.shots_zip, _drawn_on(tabs.get(name), asked.shots))
        return _download(data, "shots.zip")

    @router.post("/learn")
    async def learn(name: str, asked: LearnRequest) -> dict[str, str]:
        tab = tabs.get(name)
        if not asked.shots:
            raise ShotsError("no photo is marked.", hint="Click the thing in at least one photo.")
        if any(job.state in ("waiting", "running") for job in tab.jobs.values()):
            raise UsageError("something is being learned already.", hint="Wait until it is done.")
        return {"job": turns.learn(tab, _drawn_on(tab, asked.shots), asked.name, asked.class_name)}

    @router.get("/jobs/{key}")
    async def job_state(name: str, key: str) -> dict[str, Any]:
        job = tabs.get(name).jobs.get(key)
        if job is None:
            raise UnknownError("this job is no longer here.")
        facts = {"state": job.state, "done": job.done, "total": job.total, "stage": job.stage}
        return {**facts, "losses": list(job.losses), "result": job.result, "error": job.error}

    return router


def concept_routes(turns: Turns) -> APIRouter:
    """Concepts: loaded, saved and forgotten."""
    router, tabs = APIRouter(prefix="/api/tabs/{name}/concepts"), turns.tabs

    @router.post("")
    async def load_concept(name: str, request: Request) -> dict[str, Any]:
        tab = tabs.get(name)
        async with turns.receiving:
            data = await uploads.read_body(request, uploads.MAX_CONCEPT_BYTES)
            concept, notes = await turns.take(uploads.concept_from_zip, turns.base, data)
        return {**work.describe_concept(tab.add_concept(concept), concept), "notes": notes}

    @router.post("/files")
    async def load_folder(name: str, request: Request) -> dict[str, Any]:
        tab = tabs.get(name)
        async with turns.receiving:
            data = await uploads.read_body(request, 2 * uploads.MAX_CONCEPT_BYTES)
            concept, notes = await turns.take(uploads.concept_from_files, turns.base, uploads.text_values(data))
        return {**work.describe_concept(tab.add_concept(concept), concept), "notes": notes}

    @router.get("/{key}.zip")
    async def save_concept(name: str, key: str) -> Response:
        concept = tabs.get(name).concept(key)
        folder = safe_name(concept.name)
        files, _ = await turns.take(uploads.concept_files, concept)
        return _download(work.zipped({f"{folder}/{file}": data for file, data in files.items()}), "concept.zip")

    @router.delete("/{key}")
    async def forget_concept(name: str, key: str) -> None:
        tabs.get(name).concepts.pop(key, None)

    return router


def _drawn_on(tab: Tab, shots: Sequence[DrawnShot]) -> list[work.Drawn]:
    return [(tab.photo(shot.photo), shot.steps) for shot in shots]


def _download(data: bytes, name: str) -> Response:
    """A zip; `name` is ours, and the page has a better one."""
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return Response(data, media_type="application/zip", headers=headers)
