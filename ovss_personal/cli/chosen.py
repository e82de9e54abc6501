"""What is to be found in photos: the concepts and words that a command line names."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from ovss_personal.errors import UsageError

if TYPE_CHECKING:
    from ovss_personal.store.concept import Concept


def load_concepts(sources: Sequence[str], names: Sequence[str], offline: bool) -> list[Concept]:
    """The concepts under the names that the user chose for them.

    Args:
        sources: folders, or names on the hub.
    """
    from ovss_personal.store.concept import Concept

    if names and len(names) != len(sources):
        raise UsageError(
            f"--as is given {len(names)} times and --concept {len(sources)} times.",
            hint="Give --as once for each --concept, in the same order, or not at all.",
        )
    concepts = [Concept.from_pretrained(source, offline=offline) for source in sources]
    return [replace(item, name=name) for item, name in zip(concepts, names, strict=True)] if names else concepts


def vocabulary_of(words: str | None, concepts: Sequence[Concept]) -> tuple[str, ...]:
    """The words that the user chose, or else the class names of the concepts."""
    from ovss_personal.io.vocabulary import resolve_words

    if words is not None:
        vocabulary = resolve_words(words)
    else:
        names = {item.name for item in concepts}
        vocabulary = tuple(dict.fromkeys(item.class_name for item in concepts if item.class_name not in names))
    if not vocabulary and not concepts:
        raise UsageError("there is nothing to look for.", hint="Pass --words, --concept or both.")
    return vocabulary
