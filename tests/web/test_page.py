"""The page in a real browser, from three photos to a reload, on a base that sees colours."""

from __future__ import annotations

import io
import shutil
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from fakes import FakeBase, photo
from PIL import Image

pytest.importorskip("fastapi", reason="the page's extra [web] is not installed")
pytest.importorskip("playwright.sync_api", reason="Playwright, which drives the browser, is not installed")

import uvicorn
from playwright.sync_api import Browser, Page, sync_playwright

from ovss_personal.web.server import serve

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium here (apt-get install chromium)")
SIDE = 192


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    servers: list[uvicorn.Server] = []
    found: list[str] = []
    ready = threading.Event()

    class Server(uvicorn.Server):
        def run(self, *args: object, **options: object) -> None:
            servers.append(self)
            super().run(*args, **options)

    def told(where: str) -> None:
        found.append(where)
        ready.set()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(uvicorn, "Server", Server)
        thread = threading.Thread(target=serve, args=(FakeBase(extra_words=("other",)), "127.0.0.1", 0, told))
        thread.start()
        assert ready.wait(10)
        yield found[0]
        servers[0].should_exit = True
        thread.join(10)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def page(browser: Browser, address: str) -> Iterator[Page]:
    context = browser.new_context(accept_downloads=True, viewport={"width": 1000, "height": 1000})
    page = context.new_page()
    wrong: list[str] = []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("console", lambda message: wrong.append(message.text) if message.type == "error" else None)
    page.goto(address)
    page.wait_for_selector("html[data-ready]")
    yield page
    assert wrong == []
    context.close()


def square(path: Path, colour: str, top: int, left: int = 8, noise: int = 0) -> Path:
    """A photo of a coloured square; `top` and `left` in 32nds of it."""
    Image.fromarray(photo(colour, top, left, noise=noise).repeat(SIDE // 32, 0).repeat(SIDE // 32, 1)).save(path)
    return path


def add(page: Page, kind: str, paths: list[Path], count: int) -> None:
    page.set_input_files(f"#{kind}-files", paths)
    page.locator(f"#{kind}-thumbs button").nth(count - 1).wait_for()


def click(page: Page, x: float, y: float, **options: object) -> None:
    """Click a place of the photo that is being marked, in shares of it."""
    canvas = page.locator("#shot-canvas")
    canvas.scroll_into_view_if_needed()
    box = canvas.bounding_box()
    assert box is not None
    canvas.click(position={"x": x * box["width"], "y": y * box["height"]}, **options)


def colour_at(page: Page, x: float, y: float) -> list[int]:
    """RGB of the result's overlay at a place."""
    return list(
        page.locator("#test-canvas").evaluate(
            """(canvas, [x, y]) => [...canvas.getContext("2d").getImageData(
                Math.floor(x * canvas.width), Math.floor(y * canvas.height), 1, 1).data].slice(0, 3)""",
            [x, y],
        )
    )


def save(page: Page, button: str) -> bytes:
    with page.expect_download() as download:
        page.click(button)
    return Path(download.value.path()).read_bytes()


def test_from_three_photos_to_a_reload(page: Page, tmp_path: Path) -> None:
    shots = [square(tmp_path / f"{i}.png", "red", top=4 * i, noise=i + 1) for i in range(3)]
    add(page, "shot", shots, 3)
    for number in range(3):
        page.locator("#shot-thumbs button").nth(number).click()
        click(page, 0.5, 0.45)
    assert page.inner_text("#editor-status").startswith("1 mark on this photo.")
    page.fill("#concept-name", "my mug")
    assert page.input_value("#class-name") == "mug"
    page.click("#learn")
    page.wait_for_selector("#verdict-learned >> text=Found again in all 3 photos.")
    assert page.locator("#look-at li").count() == 0 and not page.is_visible("#scores")
    page.click("#learn-details summary")
    scores = page.locator("#scores td:nth-child(3)").all_inner_texts()
    assert len(scores) == 3 and all(float(score) > 0.7 for score in scores)

    add(page, "test", [square(tmp_path / "test.png", "red", top=12, left=4, noise=50)], 1)
    page.wait_for_selector("text=my mug is here")
    page.fill("#opacity", "100")
    assert colour_at(page, 0.3, 0.6) == [255, 0, 110]
    page.fill("#words", "a green thing, hat on my mug")
    page.wait_for_selector("#legend >> text=as: hat on a mug")
    page.fill("#opacity", "0")
    red, green, blue = colour_at(page, 0.3, 0.6)
    assert red > 200 > 50 > green and blue < 50
    page.click("#find-details summary")
    page.select_option("#negative", label="of my mug")
    page.fill("#opacity", "100")
    page.wait_for_timeout(300)
    assert max(colour_at(page, 0.3, 0.6)) < 60 < min(colour_at(page, 0.9, 0.1))

    with zipfile.ZipFile(io.BytesIO(save(page, "#save-masks"))) as archive:
        mask = np.asarray(Image.open(io.BytesIO(archive.read("mask_1_my_mug.png"))))
    assert mask.shape == (SIDE, SIDE) and mask[90:150, 40:110].all()
    concept = tmp_path / "concept.zip"
    concept.write_bytes(save(page, "#save-concepts button"))

    page.reload()
    page.wait_for_selector("html[data-ready]")
    assert page.locator("#shot-thumbs button").count() == 0 and page.is_visible("#no-concept")
    page.set_input_files("#concept-zip", concept)
    page.wait_for_selector("#concepts >> text=my mug")
    add(page, "test", [square(tmp_path / "test.png", "red", top=12, left=4, noise=50)], 1)
    page.wait_for_selector("text=my mug is here")


def test_a_mask_is_mended_and_undone_with_keys_and_brush(page: Page, tmp_path: Path) -> None:
    add(page, "shot", [square(tmp_path / "1.png", "red", top=8)], 1)
    status = page.locator("#editor-status")
    click(page, 0.5, 0.5)
    click(page, 0.5, 0.5, modifiers=["Shift"])
    assert status.inner_text().startswith("2 marks")
    page.keyboard.press("z")
    assert status.inner_text().startswith("1 mark ")
    page.check("[name=tool][value=brush]", force=True)
    click(page, 0.9, 0.9)
    assert status.inner_text().startswith("2 marks")
    page.click("#clear")
    assert status.inner_text().startswith("Nothing is marked")
    assert page.is_disabled("#save-shots")
    page.check("[name=tool][value=take]", force=True)
    page.focus("#shot-canvas")
    page.mouse.move(2, 2)
    for key in ("ArrowRight", "ArrowLeft", "]", "[", "Enter"):
        page.keyboard.press(key)
    assert status.inner_text().startswith("1 mark ")
    with zipfile.ZipFile(io.BytesIO(save(page, "#save-shots"))) as archive:
        mask = np.asarray(Image.open(io.BytesIO(archive.read("masks/1.png"))))
    assert mask[60:130, 60:130].all() and not mask[:, :30].any()


def test_a_finger_takes_an_outline_and_paints(browser: Browser, address: str, tmp_path: Path) -> None:
    context = browser.new_context(has_touch=True, is_mobile=True, viewport={"width": 400, "height": 800})
    page = context.new_page()
    page.goto(address)
    page.wait_for_selector("html[data-ready]")
    assert page.evaluate("document.documentElement.scrollWidth") <= 400
    add(page, "shot", [square(tmp_path / "1.png", "red", top=8)], 1)
    page.locator("#shot-canvas").tap()
    assert page.inner_text("#editor-status").startswith("1 mark ")
    page.locator(".choice label").nth(2).tap()
    page.locator("#shot-canvas").tap(position={"x": 5, "y": 5})
    assert page.inner_text("#editor-status").startswith("2 marks")
    context.close()


def test_what_is_wrong_is_told_and_names_are_only_text(browser: Browser, address: str, tmp_path: Path) -> None:
    page = browser.new_page()  # here the console does show errors: the server's answers
    page.goto(address)
    page.wait_for_selector("html[data-ready]")
    page.set_input_files("#shot-files", {"name": "note.jpg", "mimeType": "image/jpeg", "buffer": b"no photo"})
    page.wait_for_selector("#alert >> text=note.jpg: this is not a picture that can be read.")
    evil = "<img src=x onerror=document.title='hacked'>.png"
    data = square(tmp_path / "1.png", "red", top=8).read_bytes()
    page.set_input_files("#shot-files", {"name": evil, "mimeType": "image/png", "buffer": data})
    page.locator("#shot-thumbs button").wait_for()
    assert page.inner_text("#shot-thumbs").startswith("<img")
    click(page, 0.5, 0.5)
    page.fill("#concept-name", "<b>my</b> mug")
    page.fill("#class-name", "mug")
    page.click("#learn")
    page.wait_for_selector("#concepts li strong")
    assert page.inner_text("#concepts li strong") == "<b>my</b> mug"
    assert page.title() == "Teach it your own thing" and page.locator("#shot-thumbs img[src=x]").count() == 0
    page.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_and_everything_has_a_name(browser: Browser, address: str, scheme: str) -> None:
    page = browser.new_page(color_scheme=scheme)
    page.goto(address)
    page.wait_for_selector("html[data-ready]")
    colours = page.evaluate(
        """() => { const style = getComputedStyle(document.documentElement);
        return Object.fromEntries(["paper", "card", "wash", "ink", "soft", "accent", "on-accent", "bad", "warn"].map(
            (name) => [name, style.getPropertyValue("--" + name).trim()])); }"""
    )
    for ink, paper in [("ink", "paper"), ("ink", "wash"), ("soft", "card"), ("on-accent", "accent"), ("bad", "card")]:
        assert contrast(colours[ink], colours[paper]) >= 4.5, (ink, paper)
    assert contrast(colours["warn"], colours["card"]) >= 4.5
    nameless = page.evaluate(
        """() => [...document.querySelectorAll("input, select, button, canvas, progress")].filter((node) =>
            !(node.labels?.length || node.getAttribute("aria-label") || node.textContent.trim())).map((n) => n.id)"""
    )
    assert nameless == []
    page.close()


def contrast(one: str, other: str) -> float:
    """The contrast ratio of WCAG of two colours, #rgb or #rrggbb."""

    def luminance(colour: str) -> float:
        digits = colour.lstrip("#")
        digits = "".join(2 * digit for digit in digits) if len(digits) == 3 else digits
        shares = np.array([int(digits[i : i + 2], 16) / 255 for i in (0, 2, 4)])
        linear = np.where(shares <= 0.04045, shares / 12.92, ((shares + 0.055) / 1.055) ** 2.4)
        return float(linear @ [0.2126, 0.7152, 0.0722])

    bright, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (bright + 0.05) / (dark + 0.05)
