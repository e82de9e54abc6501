"""The verb that serves the page, without serving it."""

from __future__ import annotations

import importlib.util
import json
import socket
from collections.abc import Callable, Sequence

import pytest
from end_to_end.commands import attempt
from fakes import FakeBase

from ovss_personal import bases


def test_without_the_extra_it_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    real = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "fastapi" else real(name))
    found = attempt("web")
    assert found.code == 2 and "pip install 'ovss-personal[web]'" in found.stderr


def test_a_port_in_use_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("fastapi", reason="the page's extra [web] is not installed")
    monkeypatch.setattr(bases, "load_base", lambda *_, **__: FakeBase())
    with socket.create_server(("127.0.0.1", 0)) as taken:
        found = attempt("web", "--port", str(taken.getsockname()[1]))
    assert found.code == 2 and "Choose another --port" in found.stderr


@pytest.mark.parametrize(("host", "warned"), [("127.0.0.1", False), ("0.0.0.0", True)])
def test_the_address_is_told_and_other_hosts_warned_of(
    monkeypatch: pytest.MonkeyPatch, host: str, warned: bool
) -> None:
    pytest.importorskip("fastapi", reason="the page's extra [web] is not installed")
    from ovss_personal.web import server

    def serve(base: FakeBase, host: str, port: int, ready: Callable[[str], None], allow_hosts: Sequence[str]) -> None:
        assert not allow_hosts
        ready(f"http://{host}:{port}/")

    monkeypatch.setattr(bases, "load_base", lambda *_, **__: FakeBase())
    monkeypatch.setattr(server, "serve", serve)
    found = attempt("web", "--host", host, "--port", "81", "--json")
    assert json.loads(found.stdout) == {"address": f"http://{host}:81/", "base": "fake"}
    assert ("anybody who can reach" in found.stderr) == warned


@pytest.mark.parametrize("name", ["*", "https://photos.example.org", "a b", ""])
def test_an_allowed_host_that_is_none_is_told(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    pytest.importorskip("fastapi", reason="the page's extra [web] is not installed")
    monkeypatch.setattr(bases, "load_base", lambda *_, **__: FakeBase())
    found = attempt("web", "--port", "0", "--allow-host", name)
    assert found.code == 2 and f"'{name}' is no host's name" in found.stderr


def test_a_host_that_is_none_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("fastapi", reason="the page's extra [web] is not installed")
    monkeypatch.setattr(bases, "load_base", lambda *_, **__: FakeBase())
    found = attempt("web", "--host", "a" * 70 + ".b", "--port", "0")
    assert found.code == 2 and "cannot be served" in found.stderr
