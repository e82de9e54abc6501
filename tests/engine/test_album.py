"""What is made of unlabelled photos: on 4 x 4 grids whose left and right half are a proposal each."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F

from ovss_personal.engine import album
from ovss_personal.engine.album import gather
from ovss_personal.painting.scores import ScoredProposals
from ovss_personal.structures import Canvas, Proposals

LEFT = torch.tensor([9.0, 9.0, -9.0, -9.0]).expand(4, 4)
MASKS = torch.stack((LEFT, -LEFT))


def photo(left: float, right: float, angle: float = 0.0, padded: int = 4) -> tuple[Proposals, ScoredProposals]:
    """A photo in which the two proposals are the concept with these probabilities; `angle` turns it as a whole."""
    embeddings = torch.tensor([[left, 1.0], [right, 1.0]])
    features = torch.tensor([math.cos(angle), math.sin(angle)])[:, None, None].expand(2, 2, 2)
    proposals = Proposals(MASKS, embeddings, features, Canvas((8, 8), (4, 4), (padded, padded)))
    personal = torch.tensor([[left], [right]])
    return proposals, ScoredProposals(MASKS, 1 - personal, personal, (0.4,))


def test_a_photo_with_the_concept_is_a_shot_and_its_mask_is_what_was_found() -> None:
    own, _ = photo(0.9, 0.0)
    taken = gather([own], [photo(0.7, 0.1), photo(0.1, 0.6)])
    assert taken.photos == 2 and len(taken.competitors) == 0 and taken.competitors.shape == (0, 2)
    first, second = (shot.on_grid[0].tolist() for shot in taken.examples)
    assert first == [[True, True, False, False]] * 4
    assert second == [[False, False, True, True]] * 4
    assert [shot.overlapping.tolist() for shot in taken.examples] == [[True, False], [False, True]]


def test_where_it_is_not_the_nearest_proposals_are_competitors() -> None:
    own, _ = photo(0.9, 0.0)
    taken = gather([own], [photo(0.1, 0.2), photo(0.9, 0.0), photo(0.3, 0.05)])
    assert [shot.proposals.embeddings[0, 0].item() for shot in taken.examples] == pytest.approx([0.9])
    assert taken.competitors[:, 0].tolist() == pytest.approx([0.3, 0.2, 0.1, 0.05])  # the nearest first


def test_found_nowhere_it_is_taken_to_be_where_it_comes_nearest() -> None:
    own, _ = photo(0.9, 0.0)
    taken = gather([own], [photo(0.1, 0.2), photo(0.3, 0.05)])
    (shot,) = taken.examples
    assert taken.photos == 2 and shot.mask.tolist() == [[True, True, False, False]] * 4
    assert taken.competitors[:, 0].tolist() == pytest.approx([0.2, 0.1])  # none of that photo


def test_what_is_found_in_the_padding_does_not_count() -> None:
    own, _ = photo(0.9, 0.0)
    (shot,) = gather([own], [photo(0.9, 0.0, padded=8)]).examples  # the photo takes the upper left quarter
    assert shot.mask.tolist() == [[True, True, False, False]] * 2 + [[False] * 4] * 2
    (other,) = gather([own], [photo(0.1, 0.9, padded=8)]).examples  # found in the padding alone
    assert other.mask.tolist() == shot.mask.tolist()


def test_the_surest_are_kept_in_the_album_s_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(album, "MOST_SHOTS", 2)
    own, _ = photo(0.9, 0.0)
    taken = gather([own], [photo(0.8, 0.0), photo(0.5, 0.0), photo(0.0, 0.9)])
    assert taken.photos == 3
    assert [shot.proposals.embeddings.max().item() for shot in taken.examples] == [1.0, 1.0]
    rows = [shot.mask[0].tolist() for shot in taken.examples]
    assert rows == [
        [True, True, False, False],
        [False, False, True, True],
    ]


def test_of_many_photos_only_those_count_that_look_like_a_shot(monkeypatch: pytest.MonkeyPatch) -> None:
    own, _ = photo(0.9, 0.0)
    near = [photo(0.8, 0.0, 0.01 * n) for n in range(4)] + [photo(0.1, 0.2, 0.02)]
    far = [photo(0.8, 0.0, 1.5 + 0.01 * n) for n in range(4)] + [photo(0.3, 0.35, 1.51)]
    monkeypatch.setattr(album, "MOST_SHOTS", 20)
    few = gather([own], [*far, *near])
    assert (few.photos, len(few.examples), len(few.competitors)) == (10, 8, 4)
    monkeypatch.setattr(album, "MANY", 10)
    many = gather([own], [*far, *near])
    assert (many.photos, len(many.examples)) == (10, 4)
    assert many.competitors[:, 0].tolist() == pytest.approx([0.2, 0.1])
    whole = torch.stack([F.normalize(shot.proposals.features.mean((1, 2)), dim=0) for shot in many.examples])
    assert (whole[:, 0] > 0.99).all()
