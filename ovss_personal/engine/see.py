"""See once: an image passes through the base, and what was seen is all that learning and finding ask for."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ovss_personal.errors import OvssWarning
from ovss_personal.io.images import as_image
from ovss_personal.personal.fit import Example
from ovss_personal.pixels.images import at_most, sha256_of
from ovss_personal.store.cache import entry_key
from ovss_personal.structures import Progress, Proposals, RGBImage, Shot

if TYPE_CHECKING:
    from ovss_personal.bases.base import Base
    from ovss_personal.store.cache import ProposalCache


@dataclass(frozen=True, eq=False)
class Seen:
    """An image that a base has looked at; as SAM's `set_image`, it can be asked any number of questions.

    Attributes:
        image: (H, W, 3) uint8; a smaller copy of what was looked at will do, and gets labels of its own size.
        proposals: what the base saw, on the base's device.
        fingerprint: of that base.
    """

    image: RGBImage
    proposals: Proposals
    fingerprint: str


@dataclass(frozen=True, eq=False)
class SeenShot:
    """A shot whose photo a base has looked at.

    Attributes:
        proposals: what it saw, on the base's device.
    """

    shot: Shot
    proposals: Proposals

    @cached_property
    def example(self) -> Example:
        """The shot as a fit needs it; made once, however many fits it takes part in."""
        return Example(self.proposals, self.shot.mask, self.shot.ignore)


def see(base: Base, image: str | Path | Any, cache: ProposalCache | None = None) -> Seen:
    """What `base` sees in one image: a path, a Pillow picture or an array (`io.images.as_image`).

    From `cache` if it has looked at the image before. Mask logits are rounded to float16, which is what a cache
    keeps, whether there is one or not: nothing depends on it. On six photos of the demo albums it changes the
    embedded base's label, among 171 words, of none of 1.6 million pixels.

    An image of more than `WORKING_PIXELS` is scaled down first, with an OvssWarning that says to what.

    Raises:
        ImageError: the image cannot be used.
    """
    whole = as_image(image)
    pixels = at_most(whole)
    if pixels is not whole:
        named = f"{image}: " if isinstance(image, (str, Path)) else ""
        sizes = [f"{one.shape[1]}x{one.shape[0]}" for one in (whole, pixels)]
        warnings.warn(
            f"{named}the photo is {sizes[0]} pixels; it is looked at, and labelled, at {sizes[1]}.",
            OvssWarning,
            stacklevel=2,
        )
    del whole
    return Seen(pixels, propose(base, pixels, cache), base.fingerprint)


def propose(base: Base, image: RGBImage, cache: ProposalCache | None = None) -> Proposals:
    """`see` of an (H, W, 3) uint8 image, without the image."""
    key = proposals_key(base, image) if cache else ""
    found = cache.get(key) if cache else None
    if found is not None:
        return found.rounded().to(base.device)  # an older version kept them as they were
    proposals = base.propose([image])[0].rounded()
    if cache:
        cache.put(key, proposals)
    return proposals


def proposals_key(base: Base, image: RGBImage) -> str:
    """Where a cache keeps what `base` sees in the image."""
    return entry_key(sha256_of(image), base.fingerprint)


def see_shots(
    base: Base,
    shots: Sequence[Shot | SeenShot],
    cache: ProposalCache | None = None,
    progress: Progress | None = None,
) -> list[SeenShot]:
    """What `base` sees in each shot; those that it has seen stay as they are.

    Args:
        progress: called with (done, total, "see") after every shot.
    """
    seen = []
    for number, shot in enumerate(shots, 1):
        seen.append(SeenShot(shot, propose(base, shot.image, cache)) if isinstance(shot, Shot) else shot)
        if progress:
            progress(number, len(shots), "see")
    return seen
