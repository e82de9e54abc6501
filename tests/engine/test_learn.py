"""From shots to a concept, on a base that sees colours."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from fakes import OURS, FakeBase, photo, shot
from fakes.base import reds

from ovss_personal.config import Competitors, FitConfig
from ovss_personal.engine.find import segment
from ovss_personal.engine.learn import personalize
from ovss_personal.engine.see import see_shots
from ovss_personal.errors import OvssWarning, ShotsError, UsageError, VocabularyError
from ovss_personal.store.concept import AlbumReport, Concept
from ovss_personal.structures import BaseTraits, Shot


def test_the_report_tells_how_every_shot_fared(mug: Concept) -> None:
    assert (mug.name, mug.class_name, mug.base_name, mug.base_fingerprint) == ("my mug", "mug", "fake", "f" * 64)
    assert len(mug.words) == 171 and replace(mug.config, threshold=None, unique=None) == FakeBase().fit_defaults
    assert [s.name for s in mug.report.shots] == ["images/1.png", "images/2.png", "images/3.png"]
    assert [s.sha256 for s in mug.report.shots] == [s.sha256 for s in reds(3)]
    for row in mug.report.shots:
        assert row.iou > 0.8 and row.leave_one_out is not None and row.leave_one_out > 0.8 and not row.outlier
    assert set(mug.report.losses) == {"seg", "neg_embedding"}


def test_a_single_shot_is_left_in(base: FakeBase) -> None:
    (row,) = personalize(base, reds(1), concept="mug").report.shots
    assert row.leave_one_out is None and not row.outlier


def test_leaving_one_out_can_be_left_out(base: FakeBase) -> None:
    quick = personalize(base, reds(2), concept="mug", leave_one_out=False)
    assert [row.leave_one_out for row in quick.report.shots] == [None, None]


def test_a_shot_unlike_the_others_is_warned_of(base: FakeBase) -> None:
    shots = [*reds(3), shot("blue", 4)]
    with pytest.warns(OvssWarning, match=r"the shot images/4.png does not fit the others") as caught:
        odd = personalize(base, shots, concept="my mug")
    assert len(caught) == 1
    assert [row.outlier for row in odd.report.shots] == [False, False, False, True]


def test_names_are_stripped_and_the_class_is_the_name_by_default(base: FakeBase) -> None:
    concept = personalize(base, reds(1), concept=" mug ")
    assert (concept.name, concept.class_name) == ("mug", "mug")


def test_a_concept_is_not_fitted_against_its_own_name(base: FakeBase) -> None:
    person = personalize(base, reds(1), concept="person")
    assert "person" not in person.words and len(person.words) == 170


def test_each_picture_passes_through_the_base_once() -> None:
    base, told = FakeBase(), list[tuple[int, int, str]]()
    config = replace(OURS, iterations=5, views=3)
    personalize(base, reds(2), concept="mug", config=config, progress=lambda *step: told.append(step))
    assert base.looks == 3  # two shots and a view, though the fit ran three times
    assert [step for step in told if step[2] == "see"] == [(i, 3, "see") for i in (1, 2, 3)]
    assert [step for step in told if step[2] == "words"][-1] == (171, 171, "words")
    assert [step for step in told if step[2] == "fit"] == [(i, 5, "fit") for i in (1, 2, 3, 4, 5)]


@pytest.fixture
def album(tmp_path: Path) -> Path:
    """Three photos of the red thing, two of others."""
    from PIL import Image

    for number, colour in enumerate(("red", "blue", "red", "green", "red")):
        Image.fromarray(photo(colour, top=3 * number, noise=60 + number)).save(tmp_path / f"{number}.png")
    return tmp_path


def test_an_album_is_looked_at_once_and_told_of(base: FakeBase, album: Path) -> None:
    fresh, told = FakeBase(), list[tuple[int, int, str]]()
    learned = personalize(
        fresh, reds(1), concept="my mug", class_name="mug", album=album, progress=lambda *step: told.append(step)
    )
    assert fresh.looks == 6
    assert [step for step in told if step[2] == "album"] == [(i, 5, "album") for i in (1, 2, 3, 4, 5)]
    assert learned.report.album == AlbumReport(photos=5, used=3)
    alone = personalize(base, reds(1), concept="my mug", class_name="mug")
    assert alone.report.album is None and not torch.equal(alone.head.text, learned.head.text)
    again = personalize(base, reds(1), concept="my mug", class_name="mug", album=str(album))
    assert torch.equal(again.head.text, learned.head.text)
    found = segment(base, photo("red", noise=50), words=["a green thing"], concepts=[learned]).mask("my mug")
    assert found[9:23, 9:23].all()


def test_an_album_takes_part_in_the_paper_s_method(album: Path) -> None:
    base = FakeBase(traits=BaseTraits(20.0, paper_threshold=0.2))
    config = replace(FitConfig(), iterations=60, learning_rate=5e-3)
    learned = personalize(base, reds(2), concept="my mug", class_name="mug", config=config, album=album)
    assert learned.report.album == AlbumReport(photos=5, used=3)
    found = segment(base, photo("red", noise=50), words=["a grey thing"], concepts=[learned])
    assert found.mask("my mug")[11:21, 11:21].all() and found.area("my mug") < 0.3


def test_a_broken_photo_of_an_album_is_not_counted(base: FakeBase, album: Path) -> None:
    (album / "2.png").write_bytes(b"x")
    with pytest.warns(OvssWarning, match=r"2.png: this is not a picture .* left out of the album"):
        learned = personalize(base, reds(1), concept="my mug", class_name="mug", album=album)
    assert learned.report.album == AlbumReport(photos=4, used=2)


def test_a_large_album_needs_scikit_learn_before_any_work(album: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> object:
        raise ImportError(name)

    base = FakeBase()
    monkeypatch.setattr("ovss_personal.engine.groups.import_module", missing)
    personalize(base, reds(1), concept="mug", album=album)
    monkeypatch.setattr("ovss_personal.engine.learn.MANY", 5)
    looks = base.looks
    with pytest.raises(UsageError, match="grouping needs scikit-learn"):
        personalize(base, reds(1), concept="mug", album=album)
    assert base.looks == looks


def test_the_same_seed_gives_the_same_folder(base: FakeBase, mug: Concept, tmp_path: Path) -> None:
    again = personalize(base, reds(3), concept="my mug", class_name="mug")
    folders = [c.save_pretrained(tmp_path / name) for c, name in ((mug, "one"), (again, "two"))]
    one, two = ({p.name: p.read_bytes() for p in folder.iterdir()} for folder in folders)
    assert one == two


def test_the_paper_s_preset_runs_with_a_void_row() -> None:
    base = FakeBase(traits=BaseTraits(20.0, void=FakeBase().encode(["nothing"]), paper_threshold=0.2))
    config = replace(FitConfig(), iterations=60, learning_rate=5e-3)
    concept = personalize(base, reds(3), concept="my mug", class_name="mug", config=config)
    found = segment(base, photo("red", noise=50), words=["a grey thing"], concepts=[concept])
    assert found.mask("my mug")[11:21, 11:21].all() and found.area("my mug") < 0.3


@pytest.mark.parametrize(("name", "class_name"), [("", "mug"), (" ", "mug"), ("my\nmug", "mug"), ("mug", "m" * 400)])
def test_names_that_are_none(base: FakeBase, name: str, class_name: str) -> None:
    with pytest.raises(VocabularyError):
        personalize(base, reds(1), concept=name, class_name=class_name)


def test_no_shots(base: FakeBase) -> None:
    with pytest.raises(ShotsError, match="no shots"):
        personalize(base, [], concept="mug")


def test_what_the_base_has_seen_it_is_not_shown_again() -> None:
    base = FakeBase()
    config = replace(base.fit_defaults, views=4)
    alone = personalize(FakeBase(), reds(3), concept="my mug", class_name="mug", config=config)
    seen = see_shots(base, reds(3))
    learned = personalize(base, seen, concept="my mug", class_name="mug", config=config)
    assert base.looks == 4  # three shots, and a view of the first
    assert torch.equal(learned.head.text, alone.head.text) and learned.report == alone.report


def test_the_negative_mask_is_learned_where_it_is_read_or_shown(base: FakeBase, mug: Concept) -> None:
    assert not mug.head.mask_weights.any() and not mug.head.mask_bias
    shown = personalize(base, reds(3), concept="my mug", class_name="mug", negative_mask=True)
    assert shown.head.mask_weights.any() and set(shown.report.losses) == {"seg", "neg_embedding", "neg_mask"}
    assert torch.equal(shown.head.text, mug.head.text)
    config = replace(base.fit_defaults, competitors="none", negative=True)
    assert personalize(base, reds(3), concept="mug", config=config).head.mask_weights.any()


def test_competitors_that_a_base_has_not_are_refused_before_any_work() -> None:
    class Without(FakeBase):
        asked = 0

        def encode(self, words: Sequence[str]) -> torch.Tensor:
            self.asked += len(words)
            return super().encode(words)

        def competitors(self, class_name: str, kind: Competitors) -> torch.Tensor:
            raise UsageError("no bank.")

    base = Without()
    with pytest.raises(UsageError, match="no bank"):
        personalize(base, reds(2), concept="my mug", class_name="mug")
    assert base.asked == base.looks == 0


def test_the_order_of_shots_and_their_names_change_nothing_that_is_learned(base: FakeBase) -> None:
    shots = [shot("red", number, top=4 * number) for number in (1, 2, 3)]
    config = replace(base.fit_defaults, negative=True, competitors="none", iterations=20)
    one = personalize(base, shots, concept="my red", config=config)
    for order in ((2, 0, 1), (1, 2, 0)):
        renamed = [replace_name(shots[number], f"images/{place}.png") for place, number in enumerate(order)]
        other = personalize(base, renamed, concept="my red", config=config)
        assert all(torch.equal(a, other.head.tensors()[name]) for name, a in one.head.tensors().items())
        assert [row.sha256 for row in other.report.shots] == [row.sha256 for row in renamed]
        assert [row.name for row in other.report.shots] == [f"images/{place}.png" for place in range(3)]


def replace_name(one: Shot, name: str) -> Shot:
    return Shot(one.image, one.mask, name, one.sha256)
