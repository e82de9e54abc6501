"""The requests that the page makes, by what they are about. Each names its tab; no body is read for an unknown one."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, Field

from ovss_personal.errors import ShotsError, UsageError
from ovss_personal.store.files import safe_name
from ovss_personal.web import uploads, work
from ovss_personal.web.answers import UnknownError
from ovss_personal.web.drawing import Steps
from ovss_personal.web.tabs import MAX_CONCEPTS, Job, Tab
from ovss_personal.web.turns import Turns

MAX_SHOTS = 10
Key = Annotated[str, Field(max_length=100)]
Name = Annotated[str, Field(max_length=1000)]


class DrawnShot(BaseModel):
    """What was marked on one photo."""

    photo: Key
    steps: Steps


class LearnRequest(BaseModel):
    name: Name
    class_name: Name
    shots: Annotated[list[DrawnShot], Field(max_length=MAX_SHOTS)]


class ShotsRequest(BaseModel):
    shots: Annotated[list[DrawnShot], Field(min_length=1, max_length=MAX_SHOTS)]


class FindRequest(BaseModel):
    words: Annotated[str, Field(max_length=20_000)]
    concepts: Annotated[list[Key], Field(max_length=MAX_CONCEPTS)]


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
    async def add_photo(name: str, request: Request, file: str = "photo") -> Response:
        tab = tabs.get(name)
        tabs.check_room(tab, 0)
        async with turns.arriving.body(request, uploads.MAX_PHOTO_BYTES) as data:
            tabs.check_room(tab, len(data))
            photo, notes = await turns.take(request, tab, work.take_in, turns.base, uploads.shown_name(file), data)
        described, _ = await turns.take(request, tab, work.describe_photo, photo)
        key = tabs.add_photo(tab, photo)
        return _json({"photo": key, **described, "notes": notes})

    @router.get("/{key}/preview.jpg")
    async def preview(name: str, key: str) -> Response:
        return Response(tabs.get(name).photo(key).preview, media_type="image/jpeg")

    @router.delete("/{key}")
    async def remove_photo(name: str, key: str) -> None:
        tabs.get(name).photos.pop(key, None)

    @router.post("/{key}/find")
    async def find(name: str, key: str, request: Request) -> Response:
        tab = tabs.get(name)
        photo, asked = tab.photo(key), await turns.arriving.json(request, FindRequest)
        concepts = [tab.concept(concept) for concept in asked.concepts]
        found, notes = await turns.take(request, tab, work.find, turns.base, photo, asked.words, concepts)
        return _json({**found, "notes": notes})

    @router.post("/{key}/masks.zip")
    async def masks_zip(name: str, key: str, request: Request) -> Response:
        tab = tabs.get(name)
        photo, asked = tab.photo(key), await turns.arriving.json(request, FindRequest)
        concepts = [tab.concept(concept) for concept in asked.concepts]
        data, _ = await turns.take(request, tab, work.result_zip, turns.base, photo, asked.words, concepts)
        return _download(data, "masks.zip")

    @router.get("/{key}/negative/{concept}.png")
    async def negative(name: str, key: str, concept: str, request: Request) -> Response:
        tab = tabs.get(name)
        png, _ = await turns.take(request, tab, work.negative_mask, tab.photo(key), tab.concept(concept))
        return Response(png, media_type="image/png")

    return router


def shot_routes(turns: Turns) -> APIRouter:
    """What was marked: as a mask, as a folder of shots, and learned."""
    router, tabs = APIRouter(prefix="/api/tabs/{name}"), turns.tabs

    @router.post("/mask.png")
    async def mask(name: str, request: Request) -> Response:
        tab = tabs.get(name)
        shot = await turns.arriving.json(request, DrawnShot)
        png, _ = await turns.take(request, tab, work.true_mask, tab.photo(shot.photo), shot.steps)
        return Response(png, media_type="image/png")

    @router.post("/shots.zip")
    async def shots_zip(name: str, request: Request) -> Response:
        tab = tabs.get(name)
        asked = await turns.arriving.json(request, ShotsRequest)
        data, _ = await turns.take(request, tab, work.shots_zip, _drawn_on(tab, asked.shots))
        return _download(data, "shots.zip")

    @router.post("/learn")
    async def learn(name: str, request: Request) -> dict[str, str]:
        tab = tabs.get(name)
        asked = await turns.arriving.json(request, LearnRequest)
        if not asked.shots:
            raise ShotsError("no photo is marked.", hint="Click the thing in at least one photo.")
        if any(job.state in ("waiting", "running") for job in tab.jobs.values()):
            raise UsageError("something is being learned already.", hint="Wait until it is done.")
        return {"job": turns.learn(tab, _drawn_on(tab, asked.shots), asked.name, asked.class_name)}

    @router.get("/jobs/{key}")
    async def job_state(name: str, key: str) -> dict[str, Any]:
        job = _job(tabs.get(name), key)
        facts = {"state": job.state, "done": job.done, "total": job.total, "stage": job.stage}
        return {**facts, "losses": list(job.losses), "result": job.result, "error": job.error}

    @router.delete("/jobs/{key}")
    async def stop_job(name: str, key: str) -> None:
        _job(tabs.get(name), key).turn.stop()

    return router


def concept_routes(turns: Turns) -> APIRouter:
    """Concepts: loaded, saved and forgotten."""
    router, tabs = APIRouter(prefix="/api/tabs/{name}/concepts"), turns.tabs

    @router.post("")
    async def load_concept(name: str, request: Request) -> dict[str, Any]:
        tab = tabs.get(name)
        async with turns.arriving.body(request, uploads.MAX_CONCEPT_BYTES) as data:
            concept, notes = await turns.take(request, tab, uploads.concept_from_zip, turns.base, data)
        return {**work.describe_concept(tab.add_concept(concept), concept), "notes": notes}

    @router.post("/files")
    async def load_folder(name: str, request: Request) -> dict[str, Any]:
        tab = tabs.get(name)
        async with turns.arriving.body(request, 2 * uploads.MAX_CONCEPT_BYTES) as data:
            concept, notes = await turns.take(request, tab, uploads.concept_from_json, turns.base, data)
        return {**work.describe_concept(tab.add_concept(concept), concept), "notes": notes}

    @router.get("/{key}.zip")
    async def save_concept(name: str, key: str, request: Request) -> Response:
        tab = tabs.get(name)
        concept = tab.concept(key)
        folder = safe_name(concept.name)
        files, _ = await turns.take(request, tab, uploads.concept_files, concept)
        return _download(work.zipped({f"{folder}/{file}": data for file, data in files.items()}), "concept.zip")

    @router.delete("/{key}")
    async def forget_concept(name: str, key: str) -> None:
        tabs.get(name).concepts.pop(key, None)

    return router


def _job(tab: Tab, key: str) -> Job:
    job = tab.jobs.get(key)
    if job is None:
        raise UnknownError("this job is no longer here.")
    return job


def _drawn_on(tab: Tab, shots: Sequence[DrawnShot]) -> list[work.Drawn]:
    return [(tab.photo(shot.photo), shot.steps) for shot in shots]


def _json(value: dict[str, Any]) -> Response:
    """An answer of millions of numbers, which FastAPI would look at one by one."""
    return Response(json.dumps(value, allow_nan=False), media_type="application/json")


def _download(data: bytes, name: str) -> Response:
    """A zip; `name` is ours, and the page has a better one."""
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return Response(data, media_type="application/zip", headers=headers)
