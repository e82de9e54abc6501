"""Whatever is asked of the page is answered, and never by a failure of the server."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from fakes import FakeBase, photo
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from web.page import Page, marked, outline

pytest.importorskip("fastapi", reason="the page's extra [web] is not installed")

from fastapi.testclient import TestClient

PATHS = {
    "POST": (
        *("photos", "photos/PHOTO/find", "photos/PHOTO/masks.zip", "mask.png", "shots.zip", "learn"),
        *("concepts", "concepts/files", "alive"),
    ),
    "GET": ("photos/PHOTO/preview.jpg", "photos/PHOTO/negative/CONCEPT.png", "jobs/none", "concepts/CONCEPT.zip"),
    "DELETE": ("photos/none", "concepts/none", "jobs/none"),
}
SOUND = {
    "photo": "PHOTO",
    "steps": [outline(0), {"kind": "stroke", "add": True, "radius": 3.0, "points": [[4.0, 4.0], [20.0, 9.0]]}],
    "words": "tree, hat on my cup",
    "concepts": ["CONCEPT"],
    "name": "my mug",
    "class_name": "mug",
    "shots": [],
    "adapter_config.json": "e30=",
    "adapter_model.safetensors": "",
}

texts = st.text(st.characters(), max_size=40) | st.sampled_from(
    ["\ud800", "\0", "a" * 400, ",", " ", "../x", "coco-stuff"]
)
numbers = st.integers(-(10**30), 10**30) | st.floats() | st.sampled_from([0, 1, 5, 1e5, 5000])
values = st.recursive(
    st.none() | st.booleans() | numbers | texts | st.sampled_from(["PHOTO", "CONCEPT"]),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(texts | st.sampled_from(sorted(SOUND)), inner, max_size=4)
    ),
    max_leaves=12,
)


@st.composite
def bodies(draw: st.DrawFn) -> bytes:
    """Sound JSON of the page in which something was changed, or anything."""
    if draw(st.integers(0, 9)) == 0:
        return draw(st.binary(max_size=200))
    body: dict[str, Any] = json.loads(json.dumps(SOUND))
    body["shots"] = [{"photo": "PHOTO", "steps": body["steps"]}] * draw(st.integers(0, 3))
    for _ in range(draw(st.integers(0, 3))):
        place: Any = body
        while isinstance(place, dict | list) and place:
            keys = sorted(place) if isinstance(place, dict) else range(len(place))
            key = draw(st.sampled_from(keys))
            if draw(st.booleans()) or not isinstance(place[key], dict | list):
                place[key] = draw(values)
                break
            place = place[key]
    text = json.dumps(body, ensure_ascii=draw(st.booleans()))
    return text.encode("utf-8", "surrogatepass")


requests = st.sampled_from(sorted((method, path) for method, paths in PATHS.items() for path in paths))
pieces = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=8) | st.sampled_from(
    ["/", "%00", "%ff", "..", "%2f"]
)
odd_paths = st.lists(pieces, max_size=8).map("".join)


@pytest.fixture(scope="module")
def base() -> FakeBase:
    base = FakeBase(extra_words=("other",))
    base.fit_defaults = replace(base.fit_defaults, iterations=2)
    return base


@pytest.fixture(scope="module")
def known(client: TestClient) -> dict[str, str]:
    """A tab with a photo and a concept."""
    page = Page(client)
    shots = [marked(page.add(photo("red", top=4 * i, noise=i + 1))) for i in range(2)]
    concept = page.learn(shots, name="my cup")["result"]["concept"]
    return {"TAB": page.tab, "PHOTO": shots[0]["photo"], "CONCEPT": concept}


def answered(client: TestClient, known: dict[str, str], method: str, path: str, body: bytes, name: str = "") -> None:
    for word, key in known.items():
        path, body = path.replace(word, key), body.replace(word.encode(), key.encode())
    answer = client.request(method, f"http://testserver{path}", content=body, params={"file": name} if name else None)
    assert answer.status_code < 500, (method, path, body, answer.text)
    if answer.status_code >= 400 and method != "HEAD":
        message = answer.json()["error"]["message"]
        assert message and len(message) < 1000 and "Traceback" not in message


def fuzz(count: int) -> Any:
    checks = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large]
    return settings(max_examples=count, deadline=None, derandomize=True, database=None, suppress_health_check=checks)


@fuzz(150)
@given(requests, bodies(), texts)
def test_the_page_s_requests_with_anything_in_them(
    client: TestClient, known: dict[str, str], request_line: tuple[str, str], body: bytes, name: str
) -> None:
    method, path = request_line
    answered(client, known, method, f"/api/tabs/TAB/{path}", body, name.encode("utf-8", "replace").decode())


@fuzz(100)
@given(st.sampled_from(["GET", "POST", "DELETE", "HEAD", "PUT", "OPTIONS"]), odd_paths, st.booleans())
def test_paths_that_there_are_not(client: TestClient, known: dict[str, str], method: str, path: str, api: bool) -> None:
    answered(client, known, method, ("/api/tabs/TAB/" if api else "/static/") + path, b"")


@pytest.mark.slow
def test_ten_thousand_requests(client: TestClient, known: dict[str, str]) -> None:
    paths = st.sampled_from(["/api/tabs/TAB/", "/static/", "/", "/api/"])

    @fuzz(10_000)
    @given(requests, bodies(), texts, paths, odd_paths, st.integers(0, 4))
    def ask(request_line: tuple[str, str], body: bytes, name: str, start: str, odd: str, kind: int) -> None:
        method, path = request_line
        where = start + odd if kind == 0 else f"/api/tabs/TAB/{path}"
        answered(client, known, method, where, body, name.encode("utf-8", "replace").decode())

    ask()
