"""What must not hold up the page, fill its memory or make it stumble."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fakes import FakeBase, photo
from web.page import Page, encoded, marked, outline, zip_of

pytest.importorskip("fastapi", reason="the page's extra [web] is not installed")

from fastapi import FastAPI
from fastapi.testclient import TestClient
from httpx import Response

from ovss_personal.errors import MaskError
from ovss_personal.structures import Proposals
from ovss_personal.web import answers, bodies, drawing, tabs, turns
from ovss_personal.web.memory import give_back
from ovss_personal.web.worker import Turn, Worker


def stroke(points: int, radius: float = 5000) -> dict[str, Any]:
    return {"kind": "stroke", "add": True, "radius": radius, "points": [[1, 1]] * points}


@pytest.fixture(scope="module")
def large(base: FakeBase) -> Proposals:
    """What is seen in a photo of 12 megapixels."""
    return base.propose([np.zeros((3000, 4000, 3), np.uint8)])[0]


def drawn(steps: list[dict[str, Any]], proposals: Proposals) -> Any:
    """The mask of steps as a request has them."""
    from pydantic import TypeAdapter

    return drawing.draw(TypeAdapter(drawing.Steps).validate_python(steps), proposals, "photo.jpg")


def told(answer: Response) -> str:
    """The sentence of an answer that is below 500."""
    assert 400 <= answer.status_code < 500, (answer.status_code, answer.text[:200])
    message = answer.json()["error"]["message"]
    assert message.endswith((".", "…")) and len(message) < 1000 and "Traceback" not in message
    return str(message)


@pytest.mark.parametrize(
    "steps",
    [
        [stroke(5000)],
        [stroke(5000)] * 10,
        [outline(0)] * 200,
        [{"kind": "stroke", "add": True, "radius": 400, "points": [[0, 0], [4000, 3000]] * 2000}],
        [{"kind": "stroke", "add": False, "radius": 1, "points": [[-1e5, -1e5], [1e5, 1e5]] * 2000}],
    ],
    ids=["wide", "wide strokes", "outlines", "long", "far"],
)
def test_more_than_can_be_drawn_in_a_moment_is_refused_at_once(steps: list[dict[str, Any]], large: Proposals) -> None:
    began = time.perf_counter()
    with pytest.raises(MaskError, match="too much is marked"):
        drawn(steps, large)
    assert time.perf_counter() - began < 5


def test_what_a_user_paints_is_not_refused(large: Proposals) -> None:
    around = [[2000 + 900 * np.cos(a), 1500 + 900 * np.sin(a)] for a in np.linspace(0, 20, 300)]
    painted = {"kind": "stroke", "add": True, "radius": 400, "points": around}  # the brush at its largest
    mask = drawn([painted] * 3 + [outline(5, x=0.2, y=0.2)], large)
    assert mask[1500, 2900] and mask[100, 100] and not mask[2990, 3990]


def test_the_attack_on_mask_png_is_answered_at_once(page: Page) -> None:
    shot = marked(page.add(photo("red")))
    for steps in ([stroke(5000)] * 20, [stroke(200)] * 500):
        began = time.perf_counter()
        answer = page.client.post(page.at("mask.png"), json=shot | {"steps": steps})
        assert "too much is marked" in told(answer) and time.perf_counter() - began < 5
    began = time.perf_counter()
    allowed = page.client.post(page.at("mask.png"), json=shot | {"steps": [stroke(5000)]})
    assert allowed.status_code == 200 and time.perf_counter() - began < 10
    whole = page.client.post(page.at("mask.png"), json=shot | {"steps": [stroke(5000)] * 500})
    assert whole.status_code == 413  # 35 MB of them


def test_work_stops_between_the_points_of_a_stroke(large: Proposals, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drawing, "MAX_WORK", float("inf"))
    worker, turn = Worker(), Turn(seconds=0.2)
    began = time.perf_counter()
    future = worker.submit(turn, drawn, [stroke(5000)], large)
    with pytest.raises(answers.TooLongError, match=r"longer than 0\.2 seconds"):
        future.result(30)
    assert time.perf_counter() - began < 20
    assert worker.end(10)


def test_work_for_nobody_is_not_begun(base: FakeBase) -> None:
    tab, worker, called = tabs.Tab(), Worker(), []
    tab.closed = True
    with pytest.raises(answers.StoppedError):
        worker.submit(Turn(tab), called.append, 1).result(10)
    assert called == [] and worker.submit(Turn(tabs.Tab()), len, "abc").result(10) == 3
    assert worker.end(10)


def test_nothing_is_begun_once_the_server_ends() -> None:
    worker, called = Worker(), []
    begun, held = threading.Event(), threading.Event()
    first = worker.submit(Turn(), lambda: begun.set() or held.wait(20))
    assert begun.wait(10)
    second = worker.submit(Turn(), called.append, 1)
    worker.stop()
    held.set()
    assert worker.end(10) and first.result() and isinstance(second.exception(10), answers.StoppedError)
    with pytest.raises(answers.StoppedError):
        worker.submit(Turn(), called.append, 2)
    assert called == []


def test_a_program_ends_without_a_crash_though_its_page_still_works() -> None:
    code = """
import time, torch
from ovss_personal.web.worker import Turn, Worker
worker = Worker()

def again():
    torch.randn(300, 300).svd()
    worker.submit(Turn(), again)

again()
time.sleep(0.2)
"""
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (ended.returncode, ended.stderr) == (0, "")


def test_a_photo_that_is_being_looked_at_when_its_tab_is_closed_is_not_kept(app: FastAPI, page: Page) -> None:
    tab = app.state.turns.tabs.get(page.tab)
    tab.closed = True
    answer = page.upload(encoded(photo("red")))
    assert answer.status_code == 503 and answer.json() == answers.STOPPED and tab.photos == {}


def test_learning_is_stopped_when_it_is_asked_to_or_its_tab_is_gone(app: FastAPI, page: Page) -> None:
    shots = [marked(page.add(photo("red", top=4 * i, noise=i + 1))) for i in range(2)]
    shared: turns.Turns = app.state.turns
    tab = shared.tabs.get(page.tab)
    ways: list[Callable[[str], object]] = [
        lambda job: page.client.delete(page.at(f"jobs/{job}")),
        lambda _: setattr(tab, "heard", tab.heard - tabs.LEFT_SECONDS - 1),
        lambda _: shared.tabs.close(page.tab),
    ]
    for stop in ways:
        blocked = hold(shared)
        asked = {"name": "my mug", "class_name": "mug", "shots": shots}
        job = page.client.post(page.at("learn"), json=asked).json()["job"]
        stop(job)
        blocked()
        deadline = time.monotonic() + 10
        while tab.jobs[job].state in ("waiting", "running") and time.monotonic() < deadline:
            time.sleep(0.01)
        assert tab.jobs[job].state == "failed" and tab.jobs[job].error == answers.STOPPED["error"]


def hold(shared: turns.Turns) -> Callable[[], None]:
    """Keep the base's thread busy until what is returned is called."""
    released = threading.Event()
    shared._worker.submit(Turn(), released.wait, 20)
    return released.set


def test_one_tab_cannot_fill_the_queue(page: Page, app: FastAPI, monkeypatch: pytest.MonkeyPatch) -> None:
    shot = marked(page.add(photo("red")))
    monkeypatch.setattr(turns, "MAX_WAITING", 0)
    answer = page.client.post(page.at("mask.png"), json=shot)
    assert answer.status_code == 503 and "too much at once" in answer.json()["error"]["message"]


def test_words_are_bounded(page: Page, base: FakeBase) -> None:
    key = page.add(photo("red"))["photo"]
    began = time.perf_counter()
    assert "3000 words, and 200 at most" in told(page.find(key, ",".join(f"w{i}" for i in range(3000))))
    assert "at most 300 characters" in told(page.find(key, "a" * 10_000))
    assert time.perf_counter() - began < 5
    assert len(page.find(key, ",".join(f"w{i}" for i in range(200))).json()["words"]) == 201


def test_words_are_read_a_few_at_a_time(page: Page, base: FakeBase, monkeypatch: pytest.MonkeyPatch) -> None:
    key = page.add(photo("red"))["photo"]
    asked: list[int] = []
    encode = base.encode

    def slow(words: Any) -> Any:
        asked.append(len(words))
        time.sleep(0.02)
        return encode(words)

    monkeypatch.setattr(base, "encode", slow)
    monkeypatch.setattr(turns, "WORK_SECONDS", 0.1)
    answer = page.find(key, ",".join(f"v{i}" for i in range(200)))
    assert "longer than 0.1 seconds" in told(answer) and max(asked) <= 8 and len(asked) < 25


@pytest.mark.parametrize("path", ["learn", "mask.png", "shots.zip", "photos", "concepts", "concepts/files"])
def test_no_body_is_read_for_an_unknown_tab(client: TestClient, path: str) -> None:
    read: list[bytes] = []

    def endless() -> Any:
        for _ in range(100):
            read.append(b"x" * 2**20)
            yield read[-1]

    known: Page = Page(client)
    answer = client.post(f"/api/tabs/unknown/{path}", content=endless())
    assert answer.status_code == 404 and "gone" in told(answer)
    assert client.post(known.at("learn"), content=b"x" * (bodies.MAX_JSON_BYTES + 1)).status_code == 413


@pytest.mark.parametrize("path", ["learn", "mask.png", "shots.zip", "photos/KEY/find", "photos/KEY/masks.zip"])
@pytest.mark.parametrize("chunked", [False, True])
def test_json_has_a_cap_everywhere(page: Page, path: str, chunked: bool) -> None:
    path = path.replace("KEY", page.add(photo("red"))["photo"])
    data = b'{"name": "' + b"x" * bodies.MAX_JSON_BYTES
    answer = page.client.post(page.at(path), content=iter([data[:1000], data[1000:]]) if chunked else data)
    assert answer.status_code == 413 and "2 MB" in told(answer)


SENSELESS = [
    b'{"words": NaN, "concepts": []}',
    b'{"words": "\\ud800", "concepts": []}',
    b'{"words": "a", "concepts": ["\\udfff"]}',
    b'{"words": "\xed\xa0\x80", "concepts": []}',
    b"\xff\xfe",
    b"[" * 100_000,
    b'{"words": ' + b"9" * 10_000 + b"}",
    b'{"words": "a"}',
    b'{"words": "a", "concepts": {}}',
    b"null",
    b"",
]


@pytest.mark.parametrize("body", SENSELESS)
def test_senseless_json_gets_one_sentence(page: Page, body: bytes) -> None:
    key = page.add(photo("red"))["photo"]
    answer = page.client.post(page.at(f"photos/{key}/find"), content=body)
    assert answer.status_code == 422 and "makes no sense" in told(answer)


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999", "1e9"])
def test_numbers_that_are_none_get_one_sentence(page: Page, number: str) -> None:
    key = page.add(photo("red"))["photo"]
    for steps in (
        '{"kind": "stroke", "add": true, "radius": NUMBER, "points": [[1, 1]]}',
        '{"kind": "stroke", "add": true, "radius": 1, "points": [[NUMBER, 1]]}',
        '{"kind": "outline", "add": true, "proposal": 0, "at": [NUMBER, 0]}',
    ):
        body = f'{{"photo": "{key}", "steps": [{steps.replace("NUMBER", number)}]}}'
        assert "makes no sense (steps.0" in told(page.client.post(page.at("mask.png"), content=body))


def test_paths_and_methods_that_there_are_not_get_one_sentence(client: TestClient) -> None:
    for path in ("/nothing", "/static/%00", "/static/" + "a" * 5000, "/static/..%2fapp.py", "/api/tabs/%ff/close/x"):
        assert told(client.get(path))
    assert told(client.put("/api/tabs")) and told(client.delete("/"))


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("words", [f"w{i}" for i in range(501)]),
        ("words", ["a" * 1_000_000]),
        ("losses", {"\ud800": 1.0}),
        ("losses", {"seg": float("nan")}),
        ("losses", {"seg": 10**400}),
        ("album", {"photos": float("inf"), "used": 1}),
        ("shots", [{"sha256": "a", "iou": float("nan")}]),
        ("concept", "\ud800"),
        ("\ud800", 1),
    ],
)
def test_a_concept_that_says_odd_things(page: Page, saved: dict[str, bytes], key: str, value: object) -> None:
    config = json.loads(saved["adapter_config.json"]) | {key: value}
    files = saved | {"adapter_config.json": json.dumps(config).encode()}
    answer = page.client.post(page.at("concepts"), content=zip_of(files))
    if key == "\ud800":  # left out, with a word
        assert answer.status_code == 200 and "\\ud800" in answer.json()["notes"][0]
    else:
        assert answer.status_code == 422 and told(answer)


def test_too_many_bytes_on_their_way_are_refused_and_then_forgotten(
    app: FastAPI, page: Page, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bodies, "MAX_ARRIVING_BYTES", 100)
    answer = page.upload(encoded(photo("red", noise=1)))
    assert answer.status_code == 503 and "at once" in answer.json()["error"]["message"]
    monkeypatch.undo()
    assert app.state.turns.arriving._held == 0 and page.add(photo("red"))["size"] == [32, 32]


def test_a_bug_is_told_in_one_sentence(page: Page, app: FastAPI, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app.state.turns.tabs, "open", lambda: 1 / 0)
    answer = page.client.post("/api/tabs")
    assert answer.status_code == 500 and answer.json() == answers.BUG


def test_a_tab_that_is_closed_keeps_nothing(app: FastAPI, page: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    import gc
    import weakref

    shots = [marked(page.add(photo("red", top=4 * i, noise=i + 1))) for i in range(2)]
    assert page.learn(shots)["state"] == "done"
    key = page.add(photo("red"))["photo"]
    assert page.find(key, "tree").status_code == 200
    tab = app.state.turns.tabs.get(page.tab)
    kept = [weakref.ref(photo.proposals.masks) for photo in tab.photos.values()]
    kept += [weakref.ref(concept.head) for concept in tab.concepts.values()]
    assert len(kept) == 4 and all(one() is not None for one in kept)
    del tab
    given_back = threading.Event()
    monkeypatch.setattr(turns, "give_back", given_back.set)
    assert page.client.post(page.at("close")).status_code == 200
    assert given_back.wait(10)
    gc.collect()
    assert [one() for one in kept] == [None] * 4


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere nothing need be done")
def test_free_memory_goes_back_to_the_system() -> None:
    def resident() -> int:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    pieces = [bytes(60_000) for _ in range(2000)]  # so small that the C library keeps them
    last = bytes(60_000)
    full = resident()
    del pieces
    give_back()
    assert full - resident() > 80_000_000 and len(last) == 60_000
