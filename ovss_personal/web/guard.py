"""Who may make a request: by which name, from which page, and with which token."""

from __future__ import annotations

import hashlib
import ipaddress
import logging
import re
import secrets
from collections.abc import Collection
from dataclasses import dataclass
from http.cookies import CookieError, SimpleCookie
from urllib.parse import parse_qs

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ovss_personal.web.answers import BUG, failure

LOCAL_HOSTS = ("127.0.0.1", "localhost", "[::1]")
HEADERS = {
    "Content-Security-Policy": "default-src 'self'; img-src 'self' blob: data:; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    # Not no-referrer: with it a browser would not say that the page itself closes its tab.
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
HOST = re.compile(r"(?P<name>\[[0-9a-fA-F:.]+\]|[A-Za-z0-9._-]+)(:\d{1,5})?")


@dataclass(frozen=True)
class Door:
    """What a request must show.

    Attributes:
        hosts: the names under which a browser may ask for the page. Of those that are not this computer's own, the
            origin may also be https: a proxy that speaks it may stand before the server.
        any_address: whether a numeric address will do too; no other page can make a browser send one, as it can a name.
        token: what is asked of everybody; None asks nobody.
    """

    hosts: Collection[str] = LOCAL_HOSTS
    any_address: bool = False
    token: str | None = None

    def knows_host(self, host: str) -> bool:
        found = HOST.fullmatch(host)
        if found is None:
            return False
        name = found["name"].lower()
        return name in self.hosts or host.lower() in self.hosts or (self.any_address and _is_address(name))

    def knows_page(self, scope: Scope, headers: Headers) -> bool:
        """Whether a request comes from this page, or from no page at all."""
        origin, host = headers.get("origin"), headers["host"].lower()
        own = {f"{scope['scheme']}://{host}"} | {f"https://{name}" for name in self.hosts if name not in LOCAL_HOSTS}
        if origin is not None and origin.lower() not in own:
            return False
        # Another page may have a link to this one, and no more.
        followed = scope["path"] == "/" and scope["method"] == "GET" and headers.get("sec-fetch-mode") == "navigate"
        return followed or headers.get("sec-fetch-site", "none") in ("same-origin", "none")

    @property
    def cookie(self) -> str:
        """The name of the cookie that keeps the token; another server on this computer has another."""
        return "ovss_personal_" + hashlib.sha256((self.token or "").encode()).hexdigest()[:8]

    def shown(self, scope: Scope, headers: Headers) -> str:
        """The token that a request shows: in the page's address, a cookie, or a header `Authorization: Bearer …`."""
        if scope["path"] == "/":
            asked: list[str] = parse_qs(scope["query_string"].decode("latin-1")).get("token", [])
            if asked:
                return asked[0]
        kind, _, value = headers.get("authorization", "").partition(" ")
        if kind.lower() == "bearer":
            return value.strip()
        try:
            kept = SimpleCookie(headers.get("cookie", "")).get(self.cookie)
        except CookieError:
            return ""
        return kept.value if kept else ""


class Guard:
    """The outermost part of the application: turns away who may not ask, and answers whatever fails inside."""

    def __init__(self, app: ASGIApp, door: Door) -> None:
        self.app, self.door = app, door

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        began = False

        async def with_headers(message: Message) -> None:
            nonlocal began
            if message["type"] == "http.response.start":
                began = True
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
                if self.door.token is not None and scope["path"] == "/" and message["status"] == 200:
                    headers.append("Set-Cookie", self._cookie(scope["scheme"]))
            await send(message)

        refusal = self._refusal(scope)
        try:
            await (refusal or self.app)(scope, receive, with_headers)
        except Exception:
            logging.getLogger(__name__).exception("a request failed")
            if began:
                raise
            await JSONResponse(BUG, 500)(scope, receive, with_headers)

    def _refusal(self, scope: Scope) -> Response | None:
        headers = Headers(scope=scope)
        if not self.door.knows_host(headers.get("host", "")):
            hint = "Start it with --allow-host and the name in the address."
            return JSONResponse(failure("this page is not served under that name.", hint), 400)
        if not self.door.knows_page(scope, headers):
            hint = "Behind a proxy, have it pass on Host and X-Forwarded-Proto."
            return JSONResponse(failure("this request comes from another page.", hint), 403)
        if self.door.token is not None:
            shown = self.door.shown(scope, headers).encode("utf-8", "surrogatepass")
            if not secrets.compare_digest(shown, self.door.token.encode()):
                hint = "Open the address that was printed when it was started, with its token."
                return JSONResponse(failure("this page asks for a token.", hint), 401)
        return None

    def _cookie(self, scheme: str) -> str:
        secure = "; Secure" if scheme == "https" else ""
        return f"{self.door.cookie}={self.door.token}; Path=/; HttpOnly; SameSite=Strict{secure}"


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name.strip("[]"))
    except ValueError:
        return False
    return True
