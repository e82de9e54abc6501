"""Competitors of a concept on a base with a text encoder of its own.

Siblings are the names of kinds of things near to the concept's class, read by the base's own encoder. A bank holds
what the base saw in ordinary photos; none comes with these bases, so it is one that the user made (`bank`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from ovss_personal.bases.siblings import sibling_names
from ovss_personal.config import Competitors
from ovss_personal.errors import UsageError
from ovss_personal.io.vocabulary import named_words

SIBLINGS = 40
# A sibling that is nearer to the class word than this means the thing itself or a kind of it. It is the cosine that
# is left once the mean of ordinary words is taken away, as in CLIP's space all words lie in one narrow cone. Chosen,
# not measured: a synonym keeps most of its cosine, and two kinds of animal about half of it.
NEAR = 0.7
ORDINARY = "coco-stuff"  # the words of every fit, which the base encodes anyway

Encode = Callable[[Sequence[str]], Tensor]


def competitors_of(name: str, encode: Encode, bank: Tensor | None, class_name: str, kind: Competitors) -> Tensor:
    """(C, D) unit norm, what `Base.competitors` gives.

    Args:
        name, encode: of the base.
        bank: (B, D), or None if the base has none.

    Raises:
        UsageError: the bank is asked for, and there is none.
    """
    if kind in ("bank", "both") and bank is None:
        raise UsageError(
            f"{name} has no bank of competitors ('{kind}').",
            hint=f"Make one with 'ovss-personal competitors build PHOTOS --base {name} --out bank.safetensors' and "
            "pass --bank bank.safetensors; or choose 'siblings'.",
        )
    parts = [encode([])]
    if kind in ("siblings", "both"):
        parts.append(siblings(class_name, encode))
    if bank is not None and kind in ("bank", "both"):
        parts.append(bank)
    return torch.cat(parts)


def siblings(class_name: str, encode: Encode) -> Tensor:
    """(≤ 40, D): the names of kinds near to the class, without those that mean the same to the base."""
    rows = encode(sibling_names(class_name, SIBLINGS))
    centre = encode(named_words(ORDINARY)).mean(0)
    own = F.normalize(encode([class_name]) - centre, dim=1)
    return rows[(F.normalize(rows - centre, dim=1) @ own[0]) <= NEAR]
