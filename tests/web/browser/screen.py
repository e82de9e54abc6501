"""What a user does with the page in a browser."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from fakes import photo
from PIL import Image

if TYPE_CHECKING:
    from playwright.sync_api import Page

SIDE = 192


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


def marks_of(page: Page) -> str:
    return page.inner_text("#editor-status")


def nested(path: Path) -> Path:
    """A photo with several outlines at its middle: the red square, the left half that the base always sees."""
    return square(path, "red", top=8, left=0)


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
