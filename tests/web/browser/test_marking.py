"""Marking a photo in a real browser: clicks, boxes, brush, keys, fingers, zoom."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("fastapi", reason="the page's extra [web] is not installed")
pytest.importorskip("playwright.sync_api", reason="Playwright, which drives the browser, is not installed")

from playwright.sync_api import Browser, Page
from web.browser.screen import add, click, drag, marks_of, nested, save, square


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
    page.clock.install()
    page.reload()
    page.wait_for_selector("html[data-ready]")
    add(page, "shot", [square(tmp_path / f"{i}.png", "red", top=8, noise=i) for i in range(2)], 2)
    chosen = page.locator("#shot-thumbs [aria-current=true]")
    page.clock.pause_at(page.evaluate("Date.now()") / 1000 + 1)  # a slow machine is not to open it either
    click(page, 0.5, 0.5)
    assert "The next photo opens in a moment." in marks_of(page)
    page.check("[name=tool][value=brush]", force=True)
    page.clock.run_for(2000)
    assert chosen.get_attribute("title") == "0.png"
    page.click("#clear")
    page.check("[name=tool][value=take]", force=True)
    click(page, 0.5, 0.5)
    assert chosen.get_attribute("title") == "0.png"
    page.clock.run_for(2000)
    page.wait_for_selector("#shot-thumbs [title='1.png'][aria-current=true]")
    click(page, 0.5, 0.5)
    assert "next photo" not in marks_of(page)  # none is left


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
