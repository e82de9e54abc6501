"""Words and concepts in what was seen, on a base that sees colours."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from fakes import FakeBase, photo, shot

import ovss_personal as op
from ovss_personal.engine.find import Finder, segment, segment_many
from ovss_personal.engine.learn import personalize
from ovss_personal.engine.see import propose, see
from ovss_personal.errors import ConceptError, ImageError, OvssWarning, UsageError, VocabularyError
from ovss_personal.store.concept import Concept


def test_a_concept_finds_its_object_and_leaves_the_words_alone(base: FakeBase, mug: Concept) -> None:
    image, words = photo("red", top=12, left=4, noise=50), ["a green thing", "a blue thing"]
    plain = segment(base, image, words=words)
    found = segment(base, image, words=words, concepts=[mug])
    assert found.words == ("a green thing", "a blue thing", "other", "my mug") and found.concepts == ("my mug",)
    truth = np.zeros((32, 32), bool)
    truth[12:28, 4:20] = True
    mask = found.mask("my mug")
    assert (mask & truth).sum() / (mask | truth).sum() > 0.8
    assert np.array_equal(found.labels[~mask], plain.labels[~mask])
    assert found.scores[:3] == plain.scores
    assert not segment(base, photo("blue"), words=words, concepts=[mug]).mask("my mug").any()


def test_several_concepts_in_one_pass_equal_each_alone(base: FakeBase, mug: Concept) -> None:
    blues = [shot("blue", i + 1, top=4 * i) for i in range(2)]
    cup = personalize(base, blues, concept="my cup", class_name="cup")
    image = photo("red", noise=50)
    image[26:31, 2:30] = photo("blue")[9:14, 8:9]
    both = segment(base, image, words=["a green thing"], concepts=[mug, cup])
    for concept in (mug, cup):
        alone = segment(base, image, words=["a green thing"], concepts=[concept])
        assert alone.mask(concept.name).any()
        assert both.score(concept.name) == alone.score(concept.name)
        assert np.array_equal(both.mask(concept.name), alone.mask(concept.name))


def test_segment_many_is_segment_for_each(base: FakeBase, mug: Concept, tmp_path: Path) -> None:
    from PIL import Image

    path = tmp_path / "1.png"
    Image.fromarray(photo("red")).save(path)
    many = list(segment_many(base, [path, photo("blue")], words=["tree"], concepts=[mug]))
    assert np.array_equal(many[0].labels, segment(base, photo("red"), words=["tree"], concepts=[mug]).labels)
    assert len(many) == 2


def test_what_segment_refuses(base: FakeBase, mug: Concept, tmp_path: Path) -> None:
    image = photo("red")
    with pytest.raises(VocabularyError, match="there are no words"):
        segment(FakeBase(), image, words=[], concepts=[mug])
    with pytest.raises(VocabularyError, match="same name as a word"):
        segment(base, image, words=["my mug"], concepts=[mug])
    with pytest.raises(VocabularyError, match="same name as another concept"):
        segment(base, image, words=["tree"], concepts=[mug, mug])
    with pytest.raises(VocabularyError, match="same name as a word"):
        segment(base, image, words=["tree"], concepts=[replace(mug, name="other")])
    with pytest.raises(ConceptError, match="base_fingerprint"):
        segment(base, image, words=["tree"], concepts=[replace(mug, base_fingerprint="0" * 64)])
    with pytest.raises(ImageError):
        segment(base, tmp_path / "none.jpg", words=["tree"])
    with pytest.warns(OvssWarning, match="'tree' is given twice"):
        assert segment(base, image, words=["tree", "tree"]).words == ("tree", "other")


def test_a_word_that_is_a_label_of_the_base_s_own_is_refused(base: FakeBase) -> None:
    with pytest.raises(VocabularyError, match="'other'"):
        segment(base, photo("red"), words=["tree", "other"])


def test_scored_proposals_are_what_segment_paints(base: FakeBase, mug: Concept) -> None:
    scored = Finder(base, ["tree"], [mug]).score(propose(base, photo("red")))
    assert (
        scored.words.shape == (6, 2)
        and scored.personal.shape == (6, 1)
        and scored.thresholds == (mug.config.threshold,)
    )
    assert scored.personal[0, 0] > 0.5  # the red proposal


def test_the_public_names_are_these() -> None:
    assert op.personalize is personalize and op.segment is segment and op.see is see and op.Concept is Concept


def test_what_was_seen_can_be_asked_again_and_in_another_size(base: FakeBase, mug: Concept) -> None:
    fresh = FakeBase(extra_words=("other",))
    seen = see(fresh, photo("red"))
    found = segment(fresh, seen, words=["tree"], concepts=[mug])
    assert fresh.looks == 1
    assert np.array_equal(found.labels, segment(base, photo("red"), words=["tree"], concepts=[mug]).labels)
    small = Finder(fresh, ["tree"], [mug]).find(replace(seen, image=seen.image[::2, ::2]))
    assert small.labels.shape == (16, 16) and small.mask("my mug")[5:11, 5:11].all()
    assert fresh.looks == 1


def test_what_another_base_saw_is_refused(base: FakeBase) -> None:
    seen = replace(see(base, photo("red")), fingerprint="0" * 64)
    with pytest.raises(UsageError, match="seen by another base than 'fake'"):
        segment(base, seen, words=["tree"])
