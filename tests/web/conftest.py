"""A page on a base that sees colours."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
from fakes import FakeBase
from web.page import Page

if TYPE_CHECKING:
    from fastapi import FastAPI
    from fastapi.testclient import TestClient


@pytest.fixture(scope="module")
def base() -> FakeBase:
    return FakeBase(extra_words=("other",))


@pytest.fixture(scope="module")
def app(base: FakeBase) -> FastAPI:
    from ovss_personal.web.app import create_app
    from ovss_personal.web.guard import Door

    return create_app(base, Door(hosts=("testserver",)))


@pytest.fixture(scope="module")
def client(app: FastAPI) -> Iterator[TestClient]:
    from fastapi.testclient import TestClient

    with TestClient(app) as client:
        yield client


@pytest.fixture
def page(client: TestClient) -> Page:
    return Page(client)


@pytest.fixture(scope="module")
def saved(client: TestClient) -> dict[str, bytes]:
    """The files of a concept."""
    page = Page(client)
    data = client.get(page.at(f"concepts/{page.teach()['concept']}.zip")).content
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return {name.rpartition("/")[2]: archive.read(name) for name in archive.namelist()}
