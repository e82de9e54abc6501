"""The thread that has the base to itself, and how work on it is told to stop."""

from __future__ import annotations

import atexit
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from contextvars import ContextVar
from queue import SimpleQueue
from typing import Any, Protocol, TypeVar

from ovss_personal.web.answers import StoppedError, TooLongError

AT_EXIT_SECONDS = 5.0
T = TypeVar("T")


class Owner(Protocol):
    """For whom work is done."""

    @property
    def gone(self) -> bool:
        """Whether nobody is there any more to look at it."""


class Turn:
    """One piece of work, from when it is asked for to its end.

    Args:
        owner: whose it is; once that is gone, the work stops.
        seconds: how long it may take, from its start.
    """

    def __init__(self, owner: Owner | None = None, seconds: float = float("inf")) -> None:
        self._owner, self._seconds = owner, seconds
        self._stopped = False
        self._end = float("inf")

    def begin(self) -> None:
        self._end = time.monotonic() + self._seconds

    def stop(self) -> None:
        """May be called from any thread. What has begun ends at its next `check`."""
        self._stopped = True

    def check(self) -> None:
        """Raises StoppedError if it shall stop, TooLongError if it took too long."""
        if self._stopped or (self._owner is not None and self._owner.gone):
            raise StoppedError
        if time.monotonic() > self._end:
            raise TooLongError(
                f"this takes longer than {self._seconds:g} seconds.", hint="Ask for less, or use smaller photos."
            )


_turn: ContextVar[Turn | None] = ContextVar("turn", default=None)


def check() -> None:
    """Raises what `Turn.check` does, of this thread's turn. Long work calls it several times a second."""
    turn = _turn.get()
    if turn is not None:
        turn.check()


class Worker:
    """One thread that does one thing after another. Unlike the threads of a pool it does not keep a program alive."""

    def __init__(self) -> None:
        self._asked: SimpleQueue[tuple[Turn, Future[Any], Callable[[], Any]] | None] = SimpleQueue()
        self._turns: set[Turn] = set()
        self._ended = False
        self._thread = threading.Thread(target=self._work, name="base", daemon=True)
        self._thread.start()
        # A thread that is inside torch when the interpreter goes would take it down with a crash.
        atexit.register(self.end, AT_EXIT_SECONDS)

    def submit(self, turn: Turn, function: Callable[..., T], *args: Any) -> Future[T]:
        """Have the function called when everything asked before is done; a future cancelled before then never is.

        Raises:
            StoppedError: `stop` was called.
        """
        if self._ended:
            raise StoppedError
        future: Future[T] = Future()
        self._turns.add(turn)
        future.add_done_callback(lambda _: self._turns.discard(turn))
        self._asked.put((turn, future, lambda: function(*args)))
        return future

    def stop(self) -> None:
        """Have all work end at its next `check`, and none begin. May be called from a signal's handler."""
        self._ended = True
        for turn in tuple(self._turns):
            turn.stop()

    def end(self, seconds: float) -> bool:
        """Stop all work; returns whether the thread has ended within that time."""
        self.stop()
        self._asked.put(None)
        self._thread.join(seconds)
        return not self._thread.is_alive()

    def _work(self) -> None:
        while (asked := self._asked.get()) is not None:
            _do(*asked)
            del asked  # while this thread waits for more, it keeps no photo in memory


def _do(turn: Turn, future: Future[Any], function: Callable[[], Any]) -> None:
    if not future.set_running_or_notify_cancel():
        return
    turn.begin()
    _turn.set(turn)
    try:
        turn.check()
        future.set_result(function())
    except BaseException as error:
        future.set_exception(error)
    finally:
        _turn.set(None)
