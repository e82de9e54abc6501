"""What each browser tab has, for as long as it is open; no tab can name what another one has."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from ovss_personal.errors import InputError, ResourceError
from ovss_personal.web.answers import UnknownError
from ovss_personal.web.worker import Turn

if TYPE_CHECKING:
    from ovss_personal.store.concept import Concept
    from ovss_personal.structures import Proposals

MAX_TABS = 64
MAX_PHOTOS = 40  # of one tab
MAX_CONCEPTS = 20
MAX_BYTES = 3 * 2**30  # of all tabs together
IDLE_SECONDS = 15 * 60  # an open page speaks up every minute
LEFT_SECONDS = 4 * 60  # of silence, after which nothing is worked at for a tab


@dataclass(frozen=True)
class Photo:
    """One photo of a tab.

    Attributes:
        name: what the user calls it; shown, and no more than that.
        data: the file as it was sent.
        sha256: of `data`.
        preview: a JPEG of it, upright and small.
        proposals: what the base saw in it.
    """

    name: str
    data: bytes
    sha256: str
    preview: bytes
    preview_size: tuple[int, int]
    proposals: Proposals

    @property
    def nbytes(self) -> int:
        seen = self.proposals
        tensors = (seen.masks, seen.embeddings, seen.features, *seen.extras.values())
        return len(self.data) + len(self.preview) + sum(t.numel() * t.element_size() for t in tensors)


@dataclass
class Job:
    """How far the learning of a concept is; `result` once it is done, `error` if it failed or was stopped."""

    turn: Turn
    state: Literal["waiting", "running", "done", "failed"] = "waiting"
    done: int = 0
    total: int = 1
    stage: str = "wait"
    losses: list[float] = field(default_factory=list)
    result: dict[str, Any] | None = None
    error: dict[str, Any] | None = None


@dataclass
class Tab:
    """One browser tab; `waiting` is how many pieces of work it has asked for."""

    photos: dict[str, Photo] = field(default_factory=dict)
    concepts: dict[str, Concept] = field(default_factory=dict)
    jobs: dict[str, Job] = field(default_factory=dict)
    heard: float = field(default_factory=time.monotonic)
    closed: bool = False
    waiting: int = 0

    @property
    def gone(self) -> bool:
        """Whether it was closed, or was not heard of for long."""
        return self.closed or time.monotonic() - self.heard > LEFT_SECONDS

    @property
    def nbytes(self) -> int:
        return sum(photo.nbytes for photo in list(self.photos.values()))

    def photo(self, name: str) -> Photo:
        try:
            return self.photos[name]
        except KeyError:
            raise UnknownError("this photo is no longer here.", hint="Add it again.") from None

    def concept(self, name: str) -> Concept:
        try:
            return self.concepts[name]
        except KeyError:
            raise UnknownError("this concept is no longer here.", hint="Load or learn it again.") from None

    def add_concept(self, concept: Concept) -> str:
        """Keep a concept in place of one of the same name; returns what it is called in requests."""
        self.concepts = {key: old for key, old in self.concepts.items() if old.name != concept.name}
        if len(self.concepts) >= MAX_CONCEPTS:
            raise InputError(f"there are {MAX_CONCEPTS} concepts already.", hint="Forget one first.")
        key = secrets.token_urlsafe(9)
        self.concepts[key] = concept
        return key


class Tabs:
    """All open tabs; `closed` is called whenever one is closed."""

    def __init__(self, closed: Callable[[], None] = lambda: None) -> None:
        self._tabs: dict[str, Tab] = {}
        self._closed = closed

    def open(self) -> str:
        """A new tab; returns its name, which nobody can guess."""
        self._drop_idle()
        if len(self._tabs) >= MAX_TABS:
            raise ResourceError(f"{MAX_TABS} tabs are open already.", hint="Close some, or come back later.")
        name = secrets.token_urlsafe(18)
        self._tabs[name] = Tab()
        return name

    def get(self, name: str) -> Tab:
        """Raises UnknownError if it is closed, or was idle for long."""
        tab = self._tabs.get(name)
        if tab is None:
            raise UnknownError("this tab's photos are gone.", hint="Reload the page and start again.")
        tab.heard = time.monotonic()
        return tab

    def close(self, name: str) -> None:
        tab = self._tabs.pop(name, None)
        if tab is not None:
            tab.closed = True
            self._closed()

    def check_room(self, tab: Tab, size: int) -> None:
        """Raises InputError or ResourceError unless the tab may have one more photo, of so many bytes."""
        if len(tab.photos) >= MAX_PHOTOS:
            raise InputError(f"there are {MAX_PHOTOS} photos already.", hint="Remove some first.")
        self._drop_idle()
        if size + sum(other.nbytes for other in list(self._tabs.values())) > MAX_BYTES:
            raise ResourceError("the server has no more room for photos.", hint="Remove some, or come back later.")

    def add_photo(self, tab: Tab, photo: Photo) -> str:
        """Keep a photo; returns what it is called in requests. Raises what `check_room` does, and UnknownError."""
        if tab.closed:
            raise UnknownError("this tab was closed.")
        self.check_room(tab, photo.nbytes)
        key = secrets.token_urlsafe(9)
        tab.photos[key] = photo
        return key

    def _drop_idle(self) -> None:
        now = time.monotonic()
        for name, tab in list(self._tabs.items()):
            if now - tab.heard > IDLE_SECONDS:
                self.close(name)
