"""A real browser, and a page for it on a base that sees colours."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest
from fakes import FakeBase

if TYPE_CHECKING:
    import uvicorn
    from playwright.sync_api import Browser, Page

    from ovss_personal.web.tabs import Tabs

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
servers: list[uvicorn.Server] = []


@pytest.fixture(scope="module")
def tabs(address: str) -> Tabs:
    """Those of the server."""
    app: Any = servers[-1].config.app
    found: Tabs = app.state.turns.tabs
    return found


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    import uvicorn

    from ovss_personal.web.server import serve

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
        servers[-1].should_exit = True
        thread.join(10)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    from playwright.sync_api import sync_playwright

    if CHROMIUM is None:
        pytest.skip("there is no Chromium here (apt-get install chromium)")
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
