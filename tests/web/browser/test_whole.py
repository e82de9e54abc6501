"""The page in a real browser, from photos to a verdict, a reload and the end."""

from __future__ import annotations

import io
import threading
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("fastapi", reason="the page's extra [web] is not installed")
pytest.importorskip("playwright.sync_api", reason="Playwright, which drives the browser, is not installed")

from playwright.sync_api import Browser, Page
from web.browser.screen import SIDE, add, click, colour_at, save, square

from ovss_personal.web import work
from ovss_personal.web.tabs import Tabs


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


def test_learning_can_be_stopped(page: Page, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tabs: Tabs) -> None:
    released = threading.Event()
    taken = work._shot
    monkeypatch.setattr(work, "_shot", lambda *arguments: (released.wait(20), taken(*arguments))[1])
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
