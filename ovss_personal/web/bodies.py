"""What comes in from a browser: never more than a cap, never slower than a pace, and never before it is known whose."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TypeVar

from pydantic import BaseModel, ValidationError
from starlette.requests import Request

from ovss_personal.web.answers import BusyError, SlowError, StoppedError, TooLargeError, invalid

MAX_JSON_BYTES = 2 * 2**20  # some 100 000 points of brush strokes
MAX_ARRIVING_BYTES = 400 * 2**20  # of all requests that are on their way or wait to be looked at
SILENCE_SECONDS = 10.0  # between two pieces of a body
GRACE_SECONDS = 15.0  # in which a body may come at any pace
LEAST_PACE = 16 * 2**10  # bytes a second, from then on
M = TypeVar("M", bound=BaseModel)


class Arriving:
    """The bodies of requests. A stalled one takes up no more than what has come of it, and nobody waits for it."""

    def __init__(self) -> None:
        self._held = 0

    @asynccontextmanager
    async def body(self, request: Request, limit: int) -> AsyncIterator[bytes]:
        """The body of a request, counted until the block is left.

        Raises:
            TooLargeError: as soon as it is known to be larger than `limit` bytes.
            SlowError: it stops, or comes in too slowly.
            BusyError: too many bodies are in memory.
            StoppedError: the client has left.
        """
        body, began = bytearray(), time.monotonic()
        declared = request.headers.get("content-length", "0")
        if declared.isdecimal() and int(declared[:20]) > limit:
            raise _too_large(limit)
        try:
            more = True
            while more:
                chunk, more = await _chunk(request)
                body += chunk
                self._held += len(chunk)
                if len(body) > limit:
                    raise _too_large(limit)
                if self._held > MAX_ARRIVING_BYTES:
                    raise BusyError("too many photos are being sent at once.", hint="Try again in a while.")
                if more and time.monotonic() - began > GRACE_SECONDS + len(body) / LEAST_PACE:
                    raise SlowError("the request comes in too slowly.", hint="Try again.")
            yield bytes(body)
        finally:
            self._held -= len(body)

    async def json(self, request: Request, kind: type[M]) -> M:
        """The JSON of a request. Raises RequestError if it is none or not of this kind, else as `body`."""
        async with self.body(request, MAX_JSON_BYTES) as data:
            try:
                return kind.model_validate_json(data)
            except ValidationError as error:
                raise invalid(error) from None


async def _chunk(request: Request) -> tuple[bytes, bool]:
    """The next piece of a body, and whether there is more."""
    try:
        async with asyncio.timeout(SILENCE_SECONDS):
            message = await request.receive()
    except TimeoutError:
        raise SlowError(f"nothing came for {SILENCE_SECONDS:g} seconds.", hint="Try again.") from None
    if message["type"] == "http.disconnect":
        raise StoppedError
    return message.get("body", b""), message.get("more_body", False)


def _too_large(limit: int) -> TooLargeError:
    return TooLargeError(f"more than {limit // 2**20} MB are not accepted.", hint="Send a smaller file.")
