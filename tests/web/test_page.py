"""The page in a real browser, from three photos to a reload, on a base that sees colours."""

from __future__ import annotations

import io
import shutil
import threading
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fakes import FakeBase, photo
from PIL import Image

pytest.importorskip("fastapi", reason="the page's extra [web] is not installed")
pytest.importorskip("playwright.sync_api", reason="Playwright, which drives the browser, is not installed")

import uvicorn
from playwright.sync_api import Browser, Page, sync_playwright

from ovss_personal.web import work
from ovss_personal.web.server import serve
from ovss_personal.web.tabs import Tabs

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium here (apt-get install chromium)")
SIDE = 192


servers: list[uvicorn.Server] = []


@pytest.fixture(scope="module")
def tabs(address: str) -> Tabs:
    """Those of the server."""
    app: Any = servers[0].config.app
    found: Tabs = app.state.turns.tabs
    return found


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
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


def marks_of(page: Page) -> str:
    return page.inner_text("#editor-status")


def nested(path: Path) -> Path:
    """A photo with several outlines at its middle: the red square, the left half that the base always sees."""
    return square(path, "red", top=8, left=0)


def test_the_next_outline_by_a_second_click_by_tab_and_by_the_button(page: Page, tmp_path: Path) -> None:
    add(page, "shot", [nested(tmp_path / "1.png")], 1)
    click(page, 0.25, 0.5)
    first = marks_of(page)
    assert first.startswith("1 mark on this photo. This is outline 1 of 2")
    click(page, 0.25, 0.5)
    assert marks_of(page).startswith("1 mark on this photo. This is outline 2 of 2")
    page.mouse.move(2, 2)  # away from the photo, to the button
    page.click("#other")
    assert marks_of(page) == first
    page.focus("#shot-canvas")
    page.keyboard.press("Tab")
    assert marks_of(page).startswith("1 mark on this photo. This is outline 2 of 2")
    page.keyboard.press("Tab")  # all were shown: it goes on in the page
    assert page.evaluate("document.activeElement.id") != "shot-canvas"
    click(page, 0.9, 0.9)
    assert marks_of(page).startswith("2 marks")


def test_keys_work_without_a_click_first(page: Page, tmp_path: Path) -> None:
    add(page, "shot", [square(tmp_path / "1.png", "red", top=8)], 1)
    page.wait_for_selector("#shot-canvas:focus")
    page.keyboard.press("Enter")
    assert marks_of(page).startswith("1 mark on this photo.")
    page.keyboard.press("z")
    assert marks_of(page).startswith("Nothing is marked")


def test_a_box_takes_the_outline_that_fills_it(page: Page, tmp_path: Path) -> None:
    add(page, "shot", [square(tmp_path / "1.png", "red", top=8)], 1)
    drag(page, (0.2, 0.2), (0.8, 0.8))
    assert marks_of(page).startswith("1 mark on this photo.")
    with zipfile.ZipFile(io.BytesIO(save(page, "#save-shots"))) as archive:
        mask = np.asarray(Image.open(io.BytesIO(archive.read("masks/1.png"))))
    assert mask[60:130, 60:130].all() and not mask[:, :30].any()
    drag(page, (0.92, 0.9), (0.97, 0.97))
    assert marks_of(page).startswith("No outline here")


def drag(page: Page, start: tuple[float, float], end: tuple[float, float], button: str = "left") -> None:
    canvas = page.locator("#shot-canvas")
    canvas.scroll_into_view_if_needed()
    box = canvas.bounding_box()
    assert box is not None
    (x, y), (to_x, to_y) = [(box["x"] + a * box["width"], box["y"] + b * box["height"]) for a, b in (start, end)]
    page.mouse.move(x, y)
    page.mouse.down(button=button)
    page.mouse.move((x + to_x) / 2, (y + to_y) / 2)
    page.mouse.move(to_x, to_y)
    page.mouse.up(button=button)


def test_the_wheel_enlarges_and_what_is_clicked_is_what_is_seen(page: Page, tmp_path: Path) -> None:
    add(page, "shot", [square(tmp_path / "1.png", "red", top=0, left=0)], 1)
    canvas = page.locator("#shot-canvas")
    canvas.scroll_into_view_if_needed()
    box = canvas.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + 2, box["y"] + 2)  # what is there stays there
    for _ in range(10):
        page.mouse.wheel(0, -300)
    page.wait_for_selector("#shot-canvas.enlarged")
    page.wait_for_timeout(200)
    click(page, 0.9, 0.9)  # still the square, which takes a quarter of the photo
    with zipfile.ZipFile(io.BytesIO(save(page, "#save-shots"))) as archive:
        mask = np.asarray(Image.open(io.BytesIO(archive.read("masks/1.png"))))
    assert mask[20:70, 20:70].all() and not mask[120:, 120:].any()
    drag(page, (0.9, 0.9), (0.1, 0.1), button="middle")
    page.focus("#shot-canvas")
    page.keyboard.press("0")
    page.wait_for_selector("#shot-canvas:not(.enlarged)")
    assert marks_of(page).startswith("1 mark ")


def test_the_next_photo_opens_by_itself_unless_more_is_done(page: Page, tmp_path: Path) -> None:
    add(page, "shot", [square(tmp_path / f"{i}.png", "red", top=8, noise=i) for i in range(2)], 2)
    chosen = page.locator("#shot-thumbs [aria-current=true]")
    click(page, 0.5, 0.5)
    assert "The next photo opens in a moment." in marks_of(page)
    page.check("[name=tool][value=brush]", force=True)
    page.wait_for_timeout(2000)
    assert chosen.get_attribute("title") == "0.png"
    page.click("#clear")
    page.check("[name=tool][value=take]", force=True)
    click(page, 0.5, 0.5)
    page.wait_for_selector("#shot-thumbs [title='1.png'][aria-current=true]")
    click(page, 0.5, 0.5)
    assert "next photo" not in marks_of(page)  # none is left


def test_files_keep_their_order_and_the_first_ten_are_taken(page: Page, tmp_path: Path) -> None:
    files = [square(tmp_path / f"{i:02}.png", "red", top=8, noise=i + 1) for i in range(12)]
    Image.open(files[0]).resize((2000, 2000)).save(files[0])  # which takes longer than the next ones
    add(page, "shot", files, 10)
    assert "At most 10 photos fit here: the first 10 of 12 are taken." in page.inner_text("#alert")
    titles = page.locator("#shot-thumbs button").evaluate_all("buttons => buttons.map((button) => button.title)")
    assert titles == [f"{i:02}.png" for i in range(10)]


def test_the_verdict_shows_the_photo_that_does_not_fit(page: Page, tmp_path: Path) -> None:
    shots = [square(tmp_path / f"{i}.png", "red", top=4 * i, noise=i + 1) for i in range(3)]
    add(page, "shot", [*shots, square(tmp_path / "blue.png", "blue", top=8, noise=9)], 4)
    for number in range(4):
        page.locator("#shot-thumbs button").nth(number).click()
        click(page, 0.5, 0.45)
    page.fill("#concept-name", "my mug")
    page.click("#learn")
    page.wait_for_selector("#verdict-learned >> text=is learned")
    assert page.inner_text("#verdict-learned") == "“my mug” is learned. Found again in 3 of 4 photos."
    assert page.locator("#look-at button").all_inner_texts() == ["Photo 4 does not fit the others: look at it."]
    assert page.locator("#verdict-learned").evaluate(
        "(node) => node.getBoundingClientRect().top < innerHeight && node.getBoundingClientRect().bottom > 0"
    )
    page.click("#look-at button")
    assert page.locator("#shot-thumbs [aria-current=true]").get_attribute("title") == "blue.png"
    add(page, "test", [square(tmp_path / "test.png", "red", top=12, left=4, noise=50)], 1)
    page.wait_for_selector("text=my mug is here")
    assert page.locator("#legend td:first-child").all_inner_texts() == ["my mug", "background"]


def test_leaving_is_asked_about_and_a_closed_page_s_photos_are_forgotten(
    browser: Browser, address: str, tmp_path: Path, tabs: Tabs
) -> None:
    page = browser.new_page()
    asked: list[str] = []
    page.on("dialog", lambda dialog: (asked.append(dialog.type), dialog.accept()))
    page.goto(address)
    page.wait_for_selector("html[data-ready]")
    page.reload()  # nothing is lost
    page.wait_for_selector("html[data-ready]")
    assert asked == []
    add(page, "shot", [square(tmp_path / "1.png", "red", top=8)], 1)
    click(page, 0.5, 0.5)
    page.reload()
    page.wait_for_selector("html[data-ready]")
    assert asked == ["beforeunload"]
    before = len(tabs._tabs)
    page.goto("about:blank")
    deadline = time.monotonic() + 10
    while len(tabs._tabs) >= before and time.monotonic() < deadline:
        time.sleep(0.05)
    assert len(tabs._tabs) == before - 1
    page.close()


def test_two_fingers_enlarge(browser: Browser, address: str, tmp_path: Path) -> None:
    context = browser.new_context(has_touch=True, is_mobile=True, viewport={"width": 400, "height": 800})
    page = context.new_page()
    page.goto(address)
    page.wait_for_selector("html[data-ready]")
    add(page, "shot", [square(tmp_path / "1.png", "red", top=8)], 1)
    canvas = page.locator("#shot-canvas")
    canvas.scroll_into_view_if_needed()
    box = canvas.bounding_box()
    assert box is not None
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    fingers = context.new_cdp_session(page)
    for kind, apart in [("touchStart", 20), ("touchMove", 40), ("touchMove", 80)]:
        points = [{"x": x - apart, "y": y, "id": 0}, {"x": x + apart, "y": y, "id": 1}]
        fingers.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
    fingers.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    page.wait_for_selector("#shot-canvas.enlarged")
    assert page.evaluate("visualViewport.scale") == 1  # the photo, not the page
    canvas.tap()
    assert marks_of(page).startswith("1 mark ")
    context.close()


def test_learning_can_be_stopped(page: Page, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tabs: Tabs) -> None:
    released = threading.Event()
    monkeypatch.setattr(work, "_shot", lambda *_: released.wait(20))
    add(page, "shot", [square(tmp_path / "1.png", "red", top=8)], 1)
    click(page, 0.5, 0.5)
    page.fill("#concept-name", "my mug")
    page.click("#learn")
    with page.expect_response(lambda answer: answer.request.method == "DELETE"):
        page.click("#stop")
    monkeypatch.undo()
    released.set()
    page.wait_for_selector("#alert >> text=this was stopped.")
    assert not page.is_visible("#progress") and page.is_visible("#no-concept") and page.is_enabled("#learn")
