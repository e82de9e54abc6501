"""Siblings by name: which of them compete, with words whose vectors are laid out by hand."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from ovss_personal.bases import competitors
from ovss_personal.bases.competitors import competitors_of, siblings
from ovss_personal.errors import UsageError

CENTRE = torch.tensor([10.0, 0, 0])  # where all words lie, as CLIP's do
PLACES = {"mug": (0, 1.0, 0), "coffee mug": (0, 1.0, 0.1), "cup": (0, 1.0, 1.1), "tree": (0, -0.1, 1.0)}


@pytest.fixture(autouse=True)
def kinds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(competitors, "sibling_names", lambda name, count: ("coffee mug", "cup", "tree"))


def encode(words: Sequence[str]) -> Tensor:
    """Words of one narrow cone; those of no place of their own lie in pairs around its axis."""
    rows = [CENTRE + torch.tensor(PLACES.get(word, (0, (-1.0) ** i, (-1.0) ** i))) for i, word in enumerate(words)]
    return F.normalize(torch.stack(rows), dim=1) if rows else torch.zeros(0, 3)


def test_a_synonym_is_no_competitor_though_all_words_are_near() -> None:
    assert (encode(list(PLACES)) @ encode(["mug"])[0]).min() > 0.98
    assert torch.equal(siblings("mug", encode), encode(["cup", "tree"]))


def test_every_kind_of_competitors() -> None:
    bank = torch.eye(3)[:2]
    near = encode(["cup", "tree"])
    expected = {"none": near[:0], "siblings": near, "bank": bank, "both": torch.cat((near, bank))}
    for kind, rows in expected.items():
        assert torch.equal(competitors_of("b", encode, bank, "mug", kind), rows)
    for kind in ("bank", "both"):
        with pytest.raises(UsageError, match="b has no bank") as caught:
            competitors_of("b", encode, None, "mug", kind)
        assert caught.value.exit_code == 2 and "competitors build PHOTOS --base b" in str(caught.value.hint)
