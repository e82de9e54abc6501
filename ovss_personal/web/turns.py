"""One base, and the work that waits for it: one piece at a time, on a thread of its own."""

from __future__ import annotations

import asyncio
import logging
import secrets
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeVar

from ovss_personal.engine.plan import FIT_WORDS
from ovss_personal.errors import OvssError, OvssWarning, ResourceError
from ovss_personal.io.vocabulary import named_words
from ovss_personal.web import work
from ovss_personal.web.tabs import Job, Tab, TabClosedError, Tabs

if TYPE_CHECKING:
    from ovss_personal.bases.base import Base

WORDS_AT_ONCE = 4
UPLOADS_AT_ONCE = 4  # held in memory before it is known what they are
T = TypeVar("T")


class Turns:
    """What all requests share.

    Attributes:
        base: the one in memory.
        tabs: what each browser tab has.
        receiving: held while an upload comes in.
    """

    def __init__(self, base: Base) -> None:
        self.base, self.tabs = base, Tabs()
        self.receiving = asyncio.Semaphore(UPLOADS_AT_ONCE)
        self._worker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="base")
        self._read_ahead(named_words(FIT_WORDS))

    async def take(self, function: Callable[..., T], *args: Any) -> tuple[T, list[str]]:
        """What the function returns when its turn on the base's thread has come, and the warnings on the way."""
        return await asyncio.wrap_future(self._worker.submit(_with_warnings, function, *args))

    def learn(self, tab: Tab, drawn: Sequence[work.Drawn], name: str, class_name: str) -> str:
        """Have a concept learned in its turn; returns the name of the job, which tells how far it is."""
        job, key = Job(), secrets.token_urlsafe(9)
        tab.jobs = {key: job}
        self._worker.submit(self._learn, tab, job, drawn, name, class_name)
        return key

    def _learn(self, tab: Tab, job: Job, drawn: Sequence[work.Drawn], name: str, class_name: str) -> None:
        """Run a job to its end, whatever that is; it is told in the job."""
        if tab.closed:
            return
        job.state = "running"
        try:
            concept, notes = _with_warnings(work.learn, self.base, tab, job, drawn, name, class_name)
            job.result = {**work.describe_concept(tab.add_concept(concept), concept), "notes": notes}
            job.state = "done"
        except OvssError as error:
            job.error, job.state = failure(error.message, error.hint, error.path)["error"], "failed"
        except TabClosedError:
            job.state = "failed"
        except Exception:
            logging.getLogger(__name__).exception("learning failed")
            job.error, job.state = failure("something went wrong that should not.")["error"], "failed"

    def _read_ahead(self, words: Sequence[str]) -> None:
        """Encode the words of every fit before anybody waits for them; a few at a time, so nobody waits for that."""

        def some() -> None:
            self.base.encode(words[:WORDS_AT_ONCE])
            self._read_ahead(words[WORDS_AT_ONCE:])

        with suppress(RuntimeError):  # the server is going down
            if words:
                self._worker.submit(some)


def failure(message: str, hint: str | None = None, path: str | None = None) -> dict[str, dict[str, str | None]]:
    """The body of an answer that says what is wrong and what to do."""
    return {"error": {"message": message if path is None else f"{path}: {message}", "hint": hint}}


def _with_warnings(function: Callable[..., T], *args: Any) -> tuple[T, list[str]]:
    """What the function returns, and what it warned the user of."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("ignore")
        warnings.simplefilter("always", OvssWarning)
        try:
            value = function(*args)
        except MemoryError as error:
            raise ResourceError("out of memory.", hint="Use smaller photos.") from error
    return value, [str(warning.message) for warning in caught]
