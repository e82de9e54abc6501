"""The five lines a user writes, on a base that sees colours."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from fakes import FakeBase, photo, shot

import ovss_personal as op
from ovss_personal.config import FitConfig
from ovss_personal.engine import api
from ovss_personal.errors import ConceptError, ImageError, OvssWarning, ShotsError, UsageError, VocabularyError
from ovss_personal.store.cache import ProposalCache
from ovss_personal.store.concept import AlbumReport, Concept
from ovss_personal.structures import BaseTraits, Shot


@pytest.fixture(scope="module")
def base() -> FakeBase:
    return FakeBase(extra_words=("other",))


@pytest.fixture(scope="module")
def mug(base: FakeBase) -> Concept:
    return api.personalize(base, reds(3), concept="my mug", class_name="mug")


def reds(count: int) -> list[Shot]:
    return [shot("red", i + 1, top=4 * i) for i in range(count)]


def test_a_concept_finds_its_object_and_leaves_the_words_alone(base: FakeBase, mug: Concept) -> None:
    image, words = photo("red", top=12, left=4, noise=50), ["a green thing", "a blue thing"]
    plain = api.segment(base, image, words=words)
    found = api.segment(base, image, words=words, concepts=[mug])
    assert found.words == ("a green thing", "a blue thing", "other", "my mug") and found.concepts == ("my mug",)
    truth = np.zeros((32, 32), bool)
    truth[12:28, 4:20] = True
    mask = found.mask("my mug")
    assert (mask & truth).sum() / (mask | truth).sum() > 0.8
    assert np.array_equal(found.labels[~mask], plain.labels[~mask])
    assert found.scores[:3] == plain.scores
    assert not api.segment(base, photo("blue"), words=words, concepts=[mug]).mask("my mug").any()


def test_the_report_tells_how_every_shot_fared(mug: Concept) -> None:
    assert (mug.name, mug.class_name, mug.base_name, mug.base_fingerprint) == ("my mug", "mug", "fake", "f" * 64)
    assert len(mug.words) == 171 and replace(mug.config, threshold=None) == FakeBase().fit_defaults
    assert [s.name for s in mug.report.shots] == ["images/1.png", "images/2.png", "images/3.png"]
    assert [s.sha256 for s in mug.report.shots] == [s.sha256 for s in reds(3)]
    for row in mug.report.shots:
        assert row.iou > 0.8 and row.leave_one_out is not None and row.leave_one_out > 0.8 and not row.outlier
    assert set(mug.report.losses) == {"seg", "neg_embedding", "neg_mask"}


def test_a_single_shot_is_left_in(base: FakeBase) -> None:
    (row,) = api.personalize(base, reds(1), concept="mug").report.shots
    assert row.leave_one_out is None and not row.outlier


def test_leaving_one_out_can_be_left_out(base: FakeBase) -> None:
    quick = api.personalize(base, reds(2), concept="mug", leave_one_out=False)
    assert [row.leave_one_out for row in quick.report.shots] == [None, None]


def test_a_shot_unlike_the_others_is_warned_of(base: FakeBase) -> None:
    shots = [*reds(3), shot("blue", 4)]
    with pytest.warns(OvssWarning, match=r"the shot images/4.png does not fit the others") as caught:
        odd = api.personalize(base, shots, concept="my mug")
    assert len(caught) == 1
    assert [row.outlier for row in odd.report.shots] == [False, False, False, True]


def test_names_are_stripped_and_the_class_is_the_name_by_default(base: FakeBase) -> None:
    concept = api.personalize(base, reds(1), concept=" mug ")
    assert (concept.name, concept.class_name) == ("mug", "mug")


def test_a_concept_is_not_fitted_against_its_own_name(base: FakeBase) -> None:
    person = api.personalize(base, reds(1), concept="person")
    assert "person" not in person.words and len(person.words) == 170


def test_each_picture_passes_through_the_base_once() -> None:
    base, told = FakeBase(), list[tuple[int, int, str]]()
    config = FitConfig(iterations=5, views=3)
    api.personalize(base, reds(2), concept="mug", config=config, progress=lambda *step: told.append(step))
    assert base.looks == 3  # two shots and a view, though the fit ran three times
    assert [step for step in told if step[2] == "look"] == [(i, 3, "look") for i in (1, 2, 3)]
    assert [step for step in told if step[2] == "read"][-1] == (171, 171, "read")
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
    learned = api.personalize(
        fresh, reds(1), concept="my mug", class_name="mug", album=album, progress=lambda *step: told.append(step)
    )
    assert fresh.looks == 6
    assert [step for step in told if step[2] == "album"] == [(i, 5, "album") for i in (1, 2, 3, 4, 5)]
    assert learned.report.album == AlbumReport(photos=5, used=3)
    alone = api.personalize(base, reds(1), concept="my mug", class_name="mug")
    assert alone.report.album is None and not torch.equal(alone.head.text, learned.head.text)
    again = api.personalize(base, reds(1), concept="my mug", class_name="mug", album=str(album))
    assert torch.equal(again.head.text, learned.head.text)
    found = api.segment(base, photo("red", noise=50), words=["a green thing"], concepts=[learned]).mask("my mug")
    assert found[9:23, 9:23].all()


def test_an_album_takes_part_in_the_paper_s_method(album: Path) -> None:
    base = FakeBase(traits=BaseTraits(20.0, paper_threshold=0.2))
    config = replace(FitConfig.preset("paper"), iterations=60, learning_rate=5e-3)
    learned = api.personalize(base, reds(2), concept="my mug", class_name="mug", config=config, album=album)
    assert learned.report.album == AlbumReport(photos=5, used=3)
    found = api.segment(base, photo("red", noise=50), words=["a grey thing"], concepts=[learned])
    assert found.mask("my mug")[11:21, 11:21].all() and found.area("my mug") < 0.3


def test_a_broken_photo_of_an_album_is_not_counted(base: FakeBase, album: Path) -> None:
    (album / "2.png").write_bytes(b"x")
    with pytest.warns(OvssWarning, match=r"2.png: this is not a picture .* left out of the album"):
        learned = api.personalize(base, reds(1), concept="my mug", class_name="mug", album=album)
    assert learned.report.album == AlbumReport(photos=4, used=2)


def test_a_large_album_needs_scikit_learn_before_any_work(album: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> object:
        raise ImportError(name)

    base = FakeBase()
    monkeypatch.setattr("ovss_personal.engine.groups.import_module", missing)
    api.personalize(base, reds(1), concept="mug", album=album)
    monkeypatch.setattr("ovss_personal.engine.album.MANY", 5)
    looks = base.looks
    with pytest.raises(UsageError, match="grouping needs scikit-learn"):
        api.personalize(base, reds(1), concept="mug", album=album)
    assert base.looks == looks


def test_the_cache_spares_the_base(tmp_path: Path) -> None:
    base, cache = FakeBase(), ProposalCache(tmp_path)
    first = api.segment(base, photo("red"), words=["tree"], cache=cache)
    again = api.segment(base, photo("red"), words=["tree"], cache=cache)
    assert base.looks == 1 and np.array_equal(first.labels, again.labels) and first.scores == again.scores
    # As many bytes, but another shape: another image.
    api.segment(base, photo("red").reshape(16, 64, 3), words=["tree"], cache=cache)
    assert base.looks == 2


def test_the_same_seed_gives_the_same_folder(base: FakeBase, mug: Concept, tmp_path: Path) -> None:
    again = api.personalize(base, reds(3), concept="my mug", class_name="mug")
    folders = [c.save_pretrained(tmp_path / name) for c, name in ((mug, "one"), (again, "two"))]
    one, two = ({p.name: p.read_bytes() for p in folder.iterdir()} for folder in folders)
    assert one == two


def test_the_paper_s_preset_runs_with_a_void_row() -> None:
    base = FakeBase(traits=BaseTraits(20.0, void=FakeBase().encode(["nothing"]), paper_threshold=0.2))
    config = replace(FitConfig.preset("paper"), iterations=60, learning_rate=5e-3)
    concept = api.personalize(base, reds(3), concept="my mug", class_name="mug", config=config)
    found = api.segment(base, photo("red", noise=50), words=["a grey thing"], concepts=[concept])
    assert found.mask("my mug")[11:21, 11:21].all() and found.area("my mug") < 0.3


def test_several_concepts_in_one_pass_equal_each_alone(base: FakeBase, mug: Concept) -> None:
    blues = [shot("blue", i + 1, top=4 * i) for i in range(2)]
    cup = api.personalize(base, blues, concept="my cup", class_name="cup")
    image = photo("red", noise=50)
    image[26:31, 2:30] = photo("blue")[9:14, 8:9]
    both = api.segment(base, image, words=["a green thing"], concepts=[mug, cup])
    for concept in (mug, cup):
        alone = api.segment(base, image, words=["a green thing"], concepts=[concept])
        assert alone.mask(concept.name).any()
        assert both.score(concept.name) == alone.score(concept.name)
        assert np.array_equal(both.mask(concept.name), alone.mask(concept.name))


def test_segment_many_is_segment_for_each(base: FakeBase, mug: Concept, tmp_path: Path) -> None:
    from PIL import Image

    path = tmp_path / "1.png"
    Image.fromarray(photo("red")).save(path)
    many = list(api.segment_many(base, [path, photo("blue")], words=["tree"], concepts=[mug]))
    assert np.array_equal(many[0].labels, api.segment(base, photo("red"), words=["tree"], concepts=[mug]).labels)
    assert len(many) == 2


@pytest.mark.parametrize(("name", "class_name"), [("", "mug"), (" ", "mug"), ("my\nmug", "mug"), ("mug", "m" * 400)])
def test_names_that_are_none(base: FakeBase, name: str, class_name: str) -> None:
    with pytest.raises(VocabularyError):
        api.personalize(base, reds(1), concept=name, class_name=class_name)


def test_no_shots(base: FakeBase) -> None:
    with pytest.raises(ShotsError, match="no shots"):
        api.personalize(base, [], concept="mug")


def test_what_segment_refuses(base: FakeBase, mug: Concept, tmp_path: Path) -> None:
    image = photo("red")
    with pytest.raises(VocabularyError, match="there are no words"):
        api.segment(FakeBase(), image, words=[], concepts=[mug])
    with pytest.raises(VocabularyError, match="same name as a word"):
        api.segment(base, image, words=["my mug"], concepts=[mug])
    with pytest.raises(VocabularyError, match="same name as another concept"):
        api.segment(base, image, words=["tree"], concepts=[mug, mug])
    with pytest.raises(VocabularyError, match="same name as a word"):
        api.segment(base, image, words=["tree"], concepts=[replace(mug, name="other")])
    with pytest.raises(ConceptError, match="base_fingerprint"):
        api.segment(base, image, words=["tree"], concepts=[replace(mug, base_fingerprint="0" * 64)])
    with pytest.raises(ImageError):
        api.segment(base, tmp_path / "none.jpg", words=["tree"])
    with pytest.warns(OvssWarning, match="'tree' is given twice"):
        assert api.segment(base, image, words=["tree", "tree"]).words == ("tree", "other")


def test_a_word_that_is_a_label_of_the_base_s_own_is_refused(base: FakeBase) -> None:
    with pytest.raises(VocabularyError, match="'other'"):
        api.segment(base, photo("red"), words=["tree", "other"])


def test_scored_proposals_are_what_segment_paints(base: FakeBase, mug: Concept) -> None:
    proposals = api.propose(base, photo("red"))
    scored = api.scored_proposals(base, proposals, ["tree"], [mug])
    assert (
        scored.words.shape == (6, 2)
        and scored.personal.shape == (6, 1)
        and scored.thresholds == (mug.config.threshold,)
    )
    assert scored.personal[0, 0] > 0.5  # the red proposal


def test_the_public_names_are_these() -> None:
    assert op.personalize is api.personalize and op.segment is api.segment and op.Concept is Concept


def test_it_makes_no_difference_whether_what_was_seen_comes_from_a_cache(base: FakeBase, tmp_path: Path) -> None:
    image, cache = photo("red", noise=3), ProposalCache(tmp_path)
    plain, first, again = (api.propose(base, image, kept).masks for kept in (None, cache, cache))
    assert torch.equal(plain, first) and torch.equal(plain, again) and again.dtype == torch.float32
    seen = base.propose([image])[0]
    assert not torch.equal(plain, seen.masks)
    torch.testing.assert_close(plain, seen.masks, rtol=2**-11, atol=0)  # half a unit in float16's last place
    # An entry of a version that kept masks as they were.
    cache.put(api.proposal_key(base, image), seen)
    assert torch.equal(api.propose(base, image, cache).masks, plain)


def test_logits_beyond_float16_stay_finite(base: FakeBase) -> None:
    seen = base.propose([photo("red")])[0]
    far = replace(seen, masks=seen.masks * 1e6).rounded()
    assert far.masks.isfinite().all() and torch.equal(far.masks.sign(), seen.masks.half().sign().float())
