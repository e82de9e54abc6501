"""One base, and the work that waits for it: one piece at a time, on a thread of its own."""

from __future__ import annotations

import asyncio
import logging
import secrets
import warnings
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeVar

import torch
from starlette.requests import Request

from ovss_personal.engine.plan import FIT_WORDS
from ovss_personal.errors import OvssError, OvssWarning, ResourceError
from ovss_personal.io.vocabulary import named_words
from ovss_personal.web import work
from ovss_personal.web.answers import BUG, STOPPED, BusyError, StoppedError, plain, told
from ovss_personal.web.bodies import Arriving
from ovss_personal.web.memory import give_back
from ovss_personal.web.tabs import Job, Tab, Tabs
from ovss_personal.web.worker import Turn, Worker

if TYPE_CHECKING:
    from ovss_personal.bases.base import Base

WORDS_AT_ONCE = 4
MAX_WAITING = 12  # pieces of work that one tab may ask for before the first is done
WORK_SECONDS = 300.0  # for one answer; a large base looks at a photo for a minute on a CPU
LEARN_SECONDS = 3600.0
T = TypeVar("T")


class Turns:
    """What all requests share.

    Attributes:
        base: the one in memory.
        tabs: what each browser tab has.
        arriving: the uploads that come in.
    """

    def __init__(self, base: Base) -> None:
        self.base, self.tabs, self.arriving = base, Tabs(self._tidy), Arriving()
        self._worker = Worker()
        self._read_ahead(named_words(FIT_WORDS))

    async def take(self, request: Request, tab: Tab, function: Callable[..., T], *args: Any) -> tuple[T, list[str]]:
        """What the function returns when its turn on the base's thread has come, and the warnings on the way.

        Raises:
            BusyError: the tab has asked for too much already.
            TooLongError: it took longer than WORK_SECONDS.
            StoppedError: the client of the request has left, the tab was closed or the server ends.
        """
        if tab.waiting >= MAX_WAITING:
            raise BusyError("this tab has asked for too much at once.", hint="Wait for the answers.")
        turn = Turn(tab, WORK_SECONDS)
        answer = asyncio.wrap_future(self._worker.submit(turn, _with_warnings, function, *args))
        gone: asyncio.Future[None] = asyncio.ensure_future(_gone(request))
        tab.waiting += 1
        try:
            await asyncio.wait((answer, gone), return_when=asyncio.FIRST_COMPLETED)
            if not answer.done():
                raise StoppedError
            return answer.result()
        finally:
            tab.waiting -= 1
            turn.stop()
            answer.cancel()
            gone.cancel()

    def learn(self, tab: Tab, drawn: Sequence[work.Drawn], name: str, class_name: str) -> str:
        """Have a concept learned in its turn; returns the name of the job, which tells how far it is."""
        job, key = Job(Turn(tab, LEARN_SECONDS)), secrets.token_urlsafe(9)
        tab.jobs = {key: job}
        future = self._worker.submit(job.turn, self._learn, tab, job, drawn, name, class_name)
        future.add_done_callback(lambda _: self._ended_job(job))
        return key

    def stop(self) -> None:
        """Have all work end soon, and none begin. May be called from a signal's handler."""
        self._worker.stop()

    def end(self, seconds: float) -> bool:
        """Stop all work; returns whether the base's thread has ended within that time."""
        return self._worker.end(seconds)

    def _learn(self, tab: Tab, job: Job, drawn: Sequence[work.Drawn], name: str, class_name: str) -> None:
        """Run a job to its end, whatever that is; it is told in the job."""
        job.state = "running"
        try:
            concept, notes = _with_warnings(work.learn, self.base, job, drawn, name, class_name)
            job.result = {**work.describe_concept(tab.add_concept(concept), concept), "notes": notes}
            job.state = "done"
        except OvssError as error:
            job.error, job.state = told(error)["error"], "failed"
        except StoppedError:
            job.error, job.state = STOPPED["error"], "failed"
        except Exception:
            logging.getLogger(__name__).exception("learning failed")
            job.error, job.state = BUG["error"], "failed"

    def _ended_job(self, job: Job) -> None:
        if job.state == "waiting":  # it was stopped before its turn came
            job.error, job.state = STOPPED["error"], "failed"

    def _read_ahead(self, words: Sequence[str]) -> None:
        """Encode the words of every fit before anybody waits for them; a few at a time, so nobody waits for that."""

        def some() -> None:
            self.base.encode(words[:WORDS_AT_ONCE])
            self._read_ahead(words[WORDS_AT_ONCE:])

        if words:
            self._aside(some)

    def _tidy(self) -> None:
        self._aside(give_back)  # in its turn, when what still worked for the tab has ended

    def _aside(self, function: Callable[[], None]) -> None:
        """Have something done that nobody waits for."""
        with suppress(StoppedError):  # the server is going down
            self._worker.submit(Turn(), function)


async def _gone(request: Request) -> None:
    """Returns once the client has left. All of the request's body must have been read."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _with_warnings(function: Callable[..., T], *args: Any) -> tuple[T, list[str]]:
    """What the function returns, and what it warned the user of."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("ignore")
        warnings.simplefilter("always", OvssWarning)
        try:
            value = function(*args)
        except (MemoryError, torch.OutOfMemoryError) as error:
            raise ResourceError("out of memory.", hint="Use smaller photos.") from error
    return value, [plain(str(warning.message)) for warning in caught]
