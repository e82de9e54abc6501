"""Words as vectors, each encoded once: from a table that ships with a base, from disk, or by its encoder."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

from ovss_personal.store.words import WordCache


class Words:
    """Words -> vectors of one encoder.

    Args:
        encode: one word -> (dim,), float32. It gets one word at a time: in a batch, the others would change its last
            bits. What it raises for a word that it cannot read passes through.
        dim: of the vectors.
        cache: where the vectors are kept from one run to the next; None keeps them for this one.
        table: reads the vectors that ship with a base; called when first a word is asked for.
    """

    def __init__(
        self,
        encode: Callable[[str], Tensor],
        dim: int,
        cache: WordCache | None = None,
        table: Callable[[], Mapping[str, Tensor]] | None = None,
    ) -> None:
        self.dim = dim
        self._encode = encode
        self._known: dict[str, Tensor] = {}
        self._sources = [source for source in (table, cache.load if cache else None) if source]
        self._cache = cache

    @torch.no_grad()
    def __call__(self, words: Sequence[str]) -> Tensor:
        """(V, dim) on the CPU, in the order given."""
        while self._sources and not all(word in self._known for word in words):
            found = {word: vector for word, vector in self._sources.pop(0)().items() if vector.shape == (self.dim,)}
            self._known = {**found, **self._known}
        new = {}
        for word in dict.fromkeys(words):
            if word not in self._known:
                new[word] = self._encode(word).cpu()
        if new:
            self._known |= new
            if self._cache:
                self._cache.add(new)
        return torch.stack([self._known[word] for word in words]) if words else torch.zeros(0, self.dim)
