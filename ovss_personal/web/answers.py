"""What is answered where something is wrong: one sentence, a hint, and the HTTP status that says whose fault it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ovss_personal.errors import InputError, OvssError, ResourceError

if TYPE_CHECKING:
    from pydantic import ValidationError

LONGEST = 600  # characters of a message, which may repeat what was sent


class RequestError(InputError):
    """What was asked makes no sense."""


class UnknownError(InputError):
    """There is no such tab, photo or concept (any more)."""


class TooLargeError(InputError):
    """More bytes than are accepted."""


class SlowError(InputError):
    """A request that does not arrive."""


class TooLongError(InputError):
    """Work that took longer than it may."""


class BusyError(OvssError):
    """Too much is asked at once; the same request may do in a while."""


class StoppedError(Exception):
    """Nobody wants this work any more: the client or the tab is gone, or the server is going down."""


STATUS: dict[type[OvssError], int] = {
    UnknownError: 404,
    SlowError: 408,
    TooLargeError: 413,
    BusyError: 503,
    ResourceError: 507,
    OvssError: 500,
}


def status(error: OvssError) -> int:
    """The HTTP status of an error; 422 if it is the user's."""
    return STATUS.get(type(error), 422)


def plain(message: str) -> str:
    """A message that any answer can carry: not too long, and without the halves of characters that JSON can name."""
    text = message if len(message) <= LONGEST else message[:LONGEST] + "…"
    return text.encode("utf-8", "backslashreplace").decode()


def failure(message: str, hint: str | None = None, path: str | None = None) -> dict[str, dict[str, str | None]]:
    """The body of an answer that says what is wrong and what to do."""
    return {"error": {"message": plain(message if path is None else f"{path}: {message}"), "hint": hint}}


def told(error: OvssError) -> dict[str, dict[str, str | None]]:
    return failure(error.message, error.hint, error.path)


BUG = failure("something went wrong that should not.")
STOPPED = failure("this was stopped.")


def invalid(error: ValidationError) -> RequestError:
    """The first of what is wrong with the JSON of a request, in one sentence."""
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    where = ".".join(str(part) for part in first["loc"])
    return RequestError(f"the request makes no sense ({where + ': ' if where else ''}{first['msg']}).")
