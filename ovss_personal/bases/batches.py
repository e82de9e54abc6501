"""Which images pass through a network together."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence


def batches(sizes: Sequence[tuple[int, int]], most: int) -> Iterator[list[int]]:
    """Indices of images of one size, at most `most` at once.

    >>> list(batches([(1, 2), (3, 4), (1, 2), (1, 2)], 2))
    [[0, 2], [3], [1]]
    """
    groups: dict[tuple[int, int], list[int]] = defaultdict(list)
    for index, size in enumerate(sizes):
        groups[size].append(index)
    for group in groups.values():
        yield from (group[start : start + most] for start in range(0, len(group), most))
