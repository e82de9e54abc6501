"""Who may ask for the page."""

from __future__ import annotations

import pytest
from fakes import FakeBase

pytest.importorskip("fastapi", reason="the page's extra [web] is not installed")

from fastapi.testclient import TestClient

from ovss_personal.web.app import create_app
from ovss_personal.web.guard import Door

TOKEN = "a-token-that-nobody-guesses"


def client_of(door: Door, address: str = "http://127.0.0.1:8000") -> TestClient:
    return TestClient(create_app(FakeBase(), door), base_url=address)


@pytest.fixture(scope="module")
def local() -> TestClient:
    return client_of(Door())


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1", 200),
        ("127.0.0.1:8000", 200),
        ("LOCALHOST:9", 200),
        ("[::1]:8000", 200),
        ("192.168.1.5:8000", 400),
        ("evil.example", 400),
        ("127.0.0.1.evil.example", 400),
        ("evil.example@127.0.0.1", 400),
        ("127.0.0.1:8000:1", 400),
        ("[::1", 400),
        ("", 400),
    ],
)
def test_a_server_for_this_computer_has_its_names_only(local: TestClient, host: str, status: int) -> None:
    answer = local.post("/api/tabs", headers={"host": host})
    assert answer.status_code == status
    assert status == 200 or "not served under that name" in answer.json()["error"]["message"]


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"origin": "http://127.0.0.1:8000"}, 200),
        ({"origin": "https://127.0.0.1:8000"}, 403),
        ({"origin": "ftp://127.0.0.1:8000"}, 403),
        ({"origin": "http://127.0.0.1:8001"}, 403),
        ({"origin": "http://127.0.0.1"}, 403),
        ({"origin": "null"}, 403),
        ({"origin": ""}, 403),
        ({"sec-fetch-site": "same-origin"}, 200),
        ({"sec-fetch-site": "none"}, 200),
        ({"sec-fetch-site": "same-site"}, 403),
        ({"sec-fetch-site": "cross-site"}, 403),
        ({"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"}, 403),
        ({"sec-fetch-site": "cross-site", "origin": "http://127.0.0.1:8000"}, 403),
    ],
)
def test_another_page_asks_for_nothing(local: TestClient, headers: dict[str, str], status: int) -> None:
    assert local.post("/api/tabs", headers=headers).status_code == status


def test_another_page_may_have_a_link_but_show_nothing(local: TestClient) -> None:
    followed = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"}
    shown = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors"}
    assert local.get("/", headers=followed).status_code == 200
    assert local.get("/static/main.js", headers=shown).status_code == local.get("/", headers=shown).status_code == 403


@pytest.fixture(scope="module")
def public() -> TestClient:
    door = Door(hosts=("127.0.0.1", "photos.example.org", "with.port:8080"), any_address=True, token=TOKEN)
    return client_of(door)


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("192.168.1.5:8000", 200),
        ("[fe80::1]:8000", 200),
        ("photos.example.org", 200),
        ("photos.example.org:8000", 200),
        ("with.port:8080", 200),
        ("with.port", 400),
        ("evil.example", 400),
        ("1.2.3.4.evil.example", 400),
    ],
)
def test_a_server_for_others_has_the_names_it_is_given_and_addresses(
    public: TestClient, host: str, status: int
) -> None:
    answer = public.post("/api/tabs", headers={"host": host, "authorization": f"Bearer {TOKEN}"})
    assert answer.status_code == status


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        ("https://photos.example.org", 200),  # a proxy speaks it for us
        ("http://photos.example.org", 200),
        ("https://evil.example", 403),
        ("https://192.168.1.5", 403),
    ],
)
def test_the_origin_may_be_the_proxy_s(public: TestClient, origin: str, status: int) -> None:
    headers = {"host": "photos.example.org", "origin": origin, "authorization": f"Bearer {TOKEN}"}
    assert public.post("/api/tabs", headers=headers).status_code == status


@pytest.mark.parametrize("shown", ["", TOKEN[:-1], TOKEN + "x", "ü", "%ff"])
def test_nothing_is_given_without_the_token(shown: str) -> None:
    client = client_of(Door(token=TOKEN))
    for answer in (
        client.get("/", params={"token": shown}),
        client.get("/static/main.js", params={"token": TOKEN}),  # only the page's own address carries it
        client.post("/api/tabs", headers={"authorization": f"Bearer {shown}".encode()}),
        client.post("/api/tabs", headers={"cookie": f"{Door(token=TOKEN).cookie}={shown}".encode()}),
        client.post("/api/tabs", headers={"cookie": "=;;==\x01"}),
    ):
        assert answer.status_code == 401 and "asks for a token" in answer.json()["error"]["message"]
        assert "set-cookie" not in answer.headers


def test_the_token_in_the_address_becomes_a_cookie() -> None:
    client = client_of(Door(token=TOKEN))
    answer = client.get("/", params={"token": TOKEN})
    cookie = answer.headers["set-cookie"]
    assert answer.status_code == 200 and "HttpOnly" in cookie and "SameSite=Strict" in cookie and "Secure" not in cookie
    assert client.post("/api/tabs").status_code == client.get("/static/main.js").status_code == 200
    assert client.get("/").status_code == 200
    behind = client_of(Door(hosts=("photos.example.org",), token=TOKEN), "https://photos.example.org")
    assert "Secure" in behind.get("/", params={"token": TOKEN}).headers["set-cookie"]


def test_two_servers_on_one_computer_keep_their_cookies_apart() -> None:
    assert Door(token="a").cookie != Door(token="b").cookie
