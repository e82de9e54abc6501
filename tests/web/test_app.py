"""The page's requests, on a base that sees colours."""

from __future__ import annotations

import io
import json
import random
import struct
import sys
import zipfile
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from typing import Any

import numpy as np
import pytest
from corpus import HEIC_HEAD
from fakes import FakeBase, photo
from PIL import Image
from web.page import RED, Page, encoded, marked, outline, painted, png_of, zip_of

pytest.importorskip("fastapi", reason="the page's extra [web] is not installed")

from fastapi import FastAPI
from fastapi.testclient import TestClient
from httpx import Response

from ovss_personal.web import tabs as tabs_module
from ovss_personal.web import uploads
from ovss_personal.web.answers import UnknownError
from ovss_personal.web.tabs import Tabs


def test_the_page_and_its_parts_are_served_and_run_nothing_from_elsewhere(client: TestClient) -> None:
    answer = client.get("/")
    assert "Teach it your own thing" in answer.text
    assert answer.headers["content-security-policy"].startswith("default-src 'self'")
    assert client.get("/static/main.js").status_code == client.get("/static/page.css").status_code == 200
    assert client.get("/static/../app.py").status_code == 404


def test_other_hosts_and_pages_are_turned_away(client: TestClient) -> None:
    assert client.get("/", headers={"host": "evil.example"}).status_code == 400
    assert client.post("/api/tabs", headers={"origin": "http://evil.example"}).status_code == 403
    assert client.post("/api/tabs", headers={"origin": "http://testserver"}).status_code == 200


def test_outlines_are_the_proposals_run_length_coded(page: Page) -> None:
    described = page.add(photo("red"))
    assert described["size"] == described["preview"] == described["grid"] == [32, 32]
    by_id = {outline["id"]: outline["runs"] for outline in described["outlines"]}
    mask = np.repeat([i % 2 for i in range(len(by_id[RED]))], by_id[RED]).reshape(32, 32)
    assert mask[10:22, 10:22].all() and mask[:6].sum() == mask[:, :6].sum() == 0
    assert all(sum(runs) == 1024 for runs in by_id.values())
    assert 4 not in by_id  # a proposal that is everywhere is no outline


def test_from_photos_to_labels_with_one_look_at_each(page: Page, base: FakeBase) -> None:
    before = base.looks
    shots = [marked(page.add(photo("red", top=4 * i, noise=i + 1))) for i in range(3)]
    job = page.learn(shots)
    assert job["state"] == "done" and len(job["losses"]) == 60
    assert job["losses"][-1] < job["losses"][0]
    result = job["result"]
    assert [row["leave_one_out"] > 0.7 for row in result["shots"]] == [True] * 3
    test = page.add(photo("red", top=12, left=4, noise=50))
    assert base.looks - before == 4
    for words in ("a green thing, tree", "tree", "hat on my mug, tree", ""):
        found = page.find(test["photo"], words, result["concept"]).json()
        names = [word["word"] for word in found["words"]]
        assert names[-1] == "my mug" and found["words"][-1]["present"]
        assert (painted(found)[14:26, 6:18] == len(names) - 1).all()
    assert names == ["background", "my mug"] and (painted(found) == 0).mean() > 0.7  # no words: only what is mine
    assert found["words"][0]["background"]
    assert base.looks - before == 4
    composed = page.find(test["photo"], "hat on my mug", result["concept"]).json()["words"][0]["composed"]
    assert composed == "hat on a mug (joint)"


def test_a_photo_that_does_not_fit_the_others_is_told(page: Page) -> None:
    shots = [marked(page.add(photo("red", top=4 * i, noise=i + 1))) for i in range(3)]
    shots.append(marked(page.add(photo("blue", noise=9), name="blue.png"), proposal=2))
    result = page.learn(shots)["result"]
    assert [row["outlier"] for row in result["shots"]] == [False, False, False, True]
    assert "blue.png does not fit the others" in result["notes"][0]


def test_masks_have_the_photo_s_true_size_and_stand_upright(page: Page) -> None:
    large = np.kron(photo("red", top=8, left=8, size=8), np.ones((125, 94, 1), np.uint8))
    exif = Image.Exif()
    exif[0x0112] = 6  # shown turned by a right angle
    described = page.upload(encoded(large, "JPEG", exif=exif), "phone.jpg").json()
    assert described["size"] == [3008, 4000] and described["preview"] == [770, 1024]
    steps: list[dict[str, Any]] = [outline(RED, x=0.6)]
    steps.append({"kind": "stroke", "add": True, "radius": 50, "points": [[3500, 2800], [3700, 2800]]})
    steps.append({"kind": "stroke", "add": False, "radius": 20, "points": [[3600, 2800]]})
    request = {"photo": described["photo"], "steps": steps}
    mask = png_of(page.client.post(page.at("mask.png"), json=request)) > 0
    assert mask.shape == (3008, 4000)
    # The square lies at rows 1000..2000 and columns 752..1504 as stored, so at columns 2000..3000 when shown.
    assert mask[1000:1300, 2250:2750].all() and not mask[:, :1500].any()
    assert mask[2800, 3520] and not mask[2800, 3600] and mask[2755, 3600] and not mask[2700, 3600]
    with zipfile.ZipFile(io.BytesIO(page.client.post(page.at("shots.zip"), json={"shots": [request]}).content)) as z:
        assert sorted(z.namelist()) == ["images/1.jpeg", "masks/1.png"]
        assert np.array_equal(png_of(Response(200, content=z.read("masks/1.png"))) > 0, mask)
    answer = page.client.post(
        page.at(f"photos/{described['photo']}/masks.zip"), json={"words": "a red thing, a grey thing", "concepts": []}
    )
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        assert png_of(Response(200, content=archive.read("labels.png"))).shape == (3008, 4000)
        coco = json.loads(archive.read("coco.json"))
    assert coco["images"][0]["file_name"] == "phone.jpg" and coco["images"][0]["height"] == 3008
    assert {c["name"] for c in coco["categories"]} == {"a red thing", "a grey thing", "other"}


def test_only_the_piece_that_was_clicked_is_taken(page: Page) -> None:
    two = np.full((64, 64, 3), 128, np.uint8)
    two[8:24, 8:24] = two[40:56, 40:56] = photo("red")[16, 16]
    request = marked(page.add(two)) | {"steps": [outline(RED, x=0.75, y=0.75)]}
    mask = png_of(page.client.post(page.at("mask.png"), json=request)) > 0
    assert mask[44:52, 44:52].all() and not mask[:32].any() and not mask[:, :32].any()
    nowhere = request | {"steps": [outline(RED, x=0.01, y=0.99)]}
    assert page.client.post(page.at("mask.png"), json=nowhere).status_code == 422


def test_a_concept_goes_out_as_a_zip_and_comes_back_in_another_tab(client: TestClient, page: Page) -> None:
    import base64

    result = page.teach()
    data = client.get(page.at(f"concepts/{result['concept']}.zip")).content
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        files = {name.rpartition("/")[2]: archive.read(name) for name in archive.namelist()}
        assert all(name.startswith("my_mug/") for name in archive.namelist())
    assert set(files) == {"adapter_config.json", "adapter_model.safetensors", "README.md"}
    other = Page(client)
    again = client.post(other.at("concepts"), content=data).json()
    texts = {name: base64.b64encode(content).decode() for name, content in files.items()}
    folder = client.post(other.at("concepts/files"), json=texts).json()
    assert again["name"] == folder["name"] == "my mug" and again["shots"] == folder["shots"]
    test = other.add(photo("red", top=12, noise=50))
    labels = painted(other.find(test["photo"], "tree", folder["concept"]).json())
    assert (labels[14:26, 10:22] == 2).all()
    # The first one of that name made room for the second.
    assert other.find(test["photo"], "tree", again["concept"]).status_code == 404


def test_a_phone_s_heic_is_read_with_pillow_heif_and_else_told_what_it_is(
    page: Page, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = photo("red", top=12, noise=3)
    if find_spec("pillow_heif"):
        import pillow_heif

        phone = io.BytesIO()
        # Stored on its side, as phones do.
        pillow_heif.from_pillow(Image.fromarray(np.rot90(shown))).save(phone, quality=100, exif=orientation(6))
        described = page.upload(phone.getvalue(), "phone.heic").json()
        preview = page.client.get(page.at(f"photos/{described['photo']}/preview.jpg"))
        assert described["size"] == [32, 32]
        assert np.abs(png_of(preview)[14:20, 10:18].mean((0, 1)) - shown[14:20, 10:18].mean((0, 1))).max() < 12
    monkeypatch.setitem(sys.modules, "pillow_heif", None)  # as if it were not installed
    monkeypatch.delitem(Image.OPEN, "HEIF", raising=False)
    answer = page.upload(HEIC_HEAD, "phone.heic")
    assert answer.status_code == 422
    assert answer.json()["error"]["message"] == "phone.heic: this is a HEIC picture, which needs pillow-heif."
    assert "pip install pillow-heif" in answer.json()["error"]["hint"]


def orientation(value: int) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = value
    return exif.tobytes()


def test_the_negative_mask_is_a_picture(page: Page) -> None:
    result, test = page.teach(), page.add(photo("red", noise=50))
    grey = png_of(page.client.get(page.at(f"photos/{test['photo']}/negative/{result['concept']}.png")))
    assert grey.shape == (32, 32) and grey[14:18, 14:18].mean() < grey[0, :4].mean()


def test_tabs_do_not_see_each_other(client: TestClient, page: Page) -> None:
    result, described = page.teach(), page.add(photo("red"))
    other = Page(client)
    assert other.tab != page.tab
    assert client.get(other.at(f"photos/{described['photo']}/preview.jpg")).status_code == 404
    assert client.get(other.at(f"concepts/{result['concept']}.zip")).status_code == 404
    own = other.add(photo("red"))
    assert other.find(own["photo"], "tree", result["concept"]).status_code == 404
    assert client.post("/api/tabs/guess/photos", content=encoded(photo("red"))).status_code == 404


def test_a_closed_tab_is_forgotten(client: TestClient, page: Page, app: FastAPI) -> None:
    page.add(photo("red"))
    count = len(app.state.turns.tabs._tabs)
    assert client.post(page.at("close")).status_code == 200
    assert len(app.state.turns.tabs._tabs) == count - 1
    assert page.upload(encoded(photo("red"))).status_code == 404


def test_an_idle_tab_is_forgotten_and_tabs_are_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    tabs = Tabs()
    monkeypatch.setattr(tabs_module, "MAX_TABS", 2)
    first, second = tabs.open(), tabs.open()
    with pytest.raises(tabs_module.ResourceError, match="2 tabs are open already"):
        tabs.open()
    tab = tabs.get(first)
    tab.heard -= tabs_module.IDLE_SECONDS + 1
    tabs.open()
    assert tab.closed and tabs.get(second)
    with pytest.raises(UnknownError):
        tabs.get(first)


def test_photos_have_limits(page: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tabs_module, "MAX_BYTES", 10)
    assert page.upload(encoded(photo("red"))).status_code == 507
    monkeypatch.setattr(tabs_module, "MAX_PHOTOS", 0)
    assert page.upload(encoded(photo("red"))).status_code == 422


@pytest.mark.parametrize("chunked", [False, True])
def test_too_much_is_not_read(page: Page, monkeypatch: pytest.MonkeyPatch, chunked: bool) -> None:
    monkeypatch.setattr(uploads, "MAX_PHOTO_BYTES", 1000)
    content = iter([b"x" * 600] * 5) if chunked else b"x" * 3000
    answer = page.client.post(page.at("photos"), content=content)
    assert answer.status_code == 413 and "not accepted" in answer.json()["error"]["message"]


def test_names_from_users_are_told_back_and_no_paths(page: Page) -> None:
    evil = '<img src=x onerror=alert(1)>"'
    assert page.add(photo("red"), name=f"../../etc/{evil}")["name"] == evil
    assert page.add(photo("red"), name="..\\x\n/\u202e")["name"] == "photo"
    shots = [marked(page.add(photo("red", top=4 * i, noise=i + 1))) for i in range(2)]
    result = page.learn(shots, name=f"../{evil}")["result"]
    assert result["name"] == f"../{evil}"
    saved = page.client.get(page.at(f"concepts/{result['concept']}.zip")).content
    with zipfile.ZipFile(io.BytesIO(saved)) as archive:
        assert {name.partition("/")[0] for name in archive.namelist()} == {"img_src_x_onerror_alert_1"}


def test_words_are_no_files(page: Page, tmp_path: Any) -> None:
    secret = tmp_path / "secret.txt"
    secret.write_text("password\n")
    test = page.add(photo("red"))
    words = [word["word"] for word in page.find(test["photo"], str(secret)).json()["words"]]
    assert words == [str(secret), "other"]
    assert len(page.find(test["photo"], "coco-stuff").json()["words"]) == 172


def bad_learning(page: Page, key: str) -> list[dict[str, Any]]:
    stroke = {"kind": "stroke", "add": True, "radius": 3, "points": [[1, 1]]}
    return [
        {},
        {"name": "my mug", "class_name": "mug", "shots": []},
        {"name": "my mug", "class_name": "mug", "shots": [{"photo": "none", "steps": [stroke]}]},
        {"name": "my mug", "class_name": "mug", "shots": [{"photo": key, "steps": [stroke | {"radius": -1}]}]},
        {"name": "my mug", "class_name": "mug", "shots": [{"photo": key, "steps": [stroke | {"points": []}]}]},
        {"name": "my mug", "class_name": "mug", "shots": [{"photo": key, "steps": [{"kind": "fill"}]}]},
        {"name": "my mug", "class_name": "mug", "shots": [{"photo": key, "steps": [stroke] * 501}]},
        {"name": "my mug", "class_name": "mug", "shots": [{"photo": key, "steps": [stroke]}] * 11},
    ]


def test_requests_that_make_no_sense(page: Page) -> None:
    key = page.add(photo("red"))["photo"]
    for body in bad_learning(page, key):
        assert page.client.post(page.at("learn"), json=body).status_code in (404, 422), body
    assert page.find(key, "a,,b").status_code == 422
    assert page.find(key, "other").status_code == 422
    assert page.client.post(page.at(f"photos/{key}/find"), content=b"{").status_code == 422
    assert page.client.get(page.at("jobs/none")).status_code == 404


@pytest.mark.parametrize(
    ("steps", "name", "why"),
    [
        ([], "my mug", "nothing is marked"),
        ([outline(999)], "my mug", "no outline 999"),
        ([outline(RED)], " ", "is empty"),
        ([outline(RED)], "a\nb", "one line"),
    ],
)
def test_learning_that_fails_says_why(page: Page, steps: list[dict[str, Any]], name: str, why: str) -> None:
    job = page.learn([{"photo": page.add(photo("red"))["photo"], "steps": steps}], name=name)
    assert job["state"] == "failed" and why in job["error"]["message"]


def bomb() -> bytes:
    """A PNG whose header promises 10 000 megapixels."""
    head = struct.pack(">IIBBBBB", 100_000, 100_000, 8, 2, 0, 0, 0)
    chunk = b"IHDR" + head
    png = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", len(head)) + chunk + struct.pack(">I", zlib.crc32(chunk))
    return png + b"\0" * 100


def malformed(count: int) -> list[bytes]:
    """Uploads none of which is a photo that can be used, from one seed."""
    rng = random.Random(0)
    good = {kind: encoded(photo("red", noise=3), kind) for kind in ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF")}
    fixed = [
        b"",
        b"GIF89a",
        b"%PDF-1.7\n",
        b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>",
        b"<!doctype html><script>alert(1)</script>",
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 64 64\n",
        b"\0\0\0\x18ftypheic\0\0\0\0mif1heic",
        bomb(),
        zip_of({"a.png": good["PNG"]}),
        encoded(photo("red")[:4, :4]),
        encoded(np.zeros((16, 1000, 3), np.uint8)),
    ]
    cuts = [data[: rng.randrange(1, max(2, len(data) * 2 // 3))] for data in list(good.values()) * 12]
    noise = [rng.randbytes(rng.randrange(1, 4000)) for _ in range(count)]
    heads = [data[:16] + rng.randbytes(400) for data in list(good.values()) * 8]
    return (fixed + cuts + heads + noise)[:count]


def test_two_hundred_malformed_uploads_are_each_told_so(page: Page) -> None:
    refused = [page.upload(data, f"{number}.jpg") for number, data in enumerate(malformed(200))]
    assert len(refused) == 200
    for number, answer in enumerate(refused):
        assert 400 <= answer.status_code < 500, (number, answer.text[:200])
        assert answer.json()["error"]["message"]
    assert page.add(photo("red"))["size"] == [32, 32]


Edit = Callable[[dict[str, bytes]], bytes]


@pytest.mark.parametrize(
    "edit",
    [
        lambda files: b"",
        lambda files: b"PK\x03\x04 no zip",
        lambda files: zip_of({}),
        lambda files: zip_of({"../" + name: data for name, data in files.items()}),
        lambda files: zip_of({"/" + name: data for name, data in files.items()}),
        lambda files: zip_of(files | {"b/adapter_config.json": b"{}"}),
        lambda files: zip_of({f"{n}": b"" for n in range(60)}),
        lambda files: zip_of(files | {"adapter_model.safetensors": b"no tensors"}),
        lambda files: zip_of(files | {"adapter_config.json": files["adapter_config.json"].replace(b"ffff", b"eeee")}),
        lambda files: zip_of({name: data for name, data in files.items() if "config" in name}),
        lambda files: zip_of(files)[:-40],
    ],
)
def test_zips_that_hold_no_concept(page: Page, saved: dict[str, bytes], edit: Edit) -> None:
    answer = page.client.post(page.at("concepts"), content=edit(saved))
    assert answer.status_code == 422 and "/tmp" not in answer.text


@pytest.mark.parametrize("body", [b"[]", b"{", b'{"adapter_config.json": 1}', b"{}", b'{"adapter_config.json": "@"}'])
def test_folders_that_hold_no_concept(page: Page, body: bytes) -> None:
    assert page.client.post(page.at("concepts/files"), content=body).status_code == 422


def test_eight_tabs_at_once(client: TestClient) -> None:
    colours = ["red", "green", "blue", "red", "green", "blue", "red", "green"]

    def one_tab(colour: str) -> int:
        page = Page(client)
        shots = [
            marked(page.add(photo(colour, top=4 * i, noise=i + 1)), ["red", "green", "blue"].index(colour))
            for i in range(2)
        ]
        job = page.learn(shots, name=f"my {colour} thing", class_name="thing")
        assert job["state"] == "done", job
        test = page.add(photo(colour, top=12, left=4, noise=50))
        found = page.find(test["photo"], "tree", job["result"]["concept"]).json()
        assert found["words"][-1]["word"] == f"my {colour} thing"
        return int((painted(found)[14:26, 6:18] == 2).sum())

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(one_tab, colours)) == [144] * 8
