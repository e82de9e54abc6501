"""Words that contain a concept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from fakes import FakeBase, photo, shot
from torch import Tensor

from ovss_personal.engine.compose import compose, take_apart
from ovss_personal.engine.find import Finder, segment, way_of
from ovss_personal.engine.learn import personalize
from ovss_personal.engine.see import see
from ovss_personal.store.concept import Concept


@pytest.fixture(scope="module")
def dog() -> Concept:
    shots = [shot("red", i + 1, top=4 * i) for i in range(2)]
    return personalize(FakeBase(extra_words=("other",)), shots, concept="my dog", class_name="dog")


@pytest.mark.parametrize(
    ("phrase", "plain"),
    [
        ("hat on my dog", "hat on a dog"),
        ("My Dog's bowl", "a dog's bowl"),
        ("my dog and my old dog", "a dog and an old hound"),
        ("red red thing of Rex", "red red thing of a dog"),
        ("hot dog", None),
        ("my dogs", None),
        ("my dog", None),
        ("tree", None),
    ],
)
def test_a_phrase_is_taken_apart_at_the_names_in_it(dog: Concept, phrase: str, plain: str | None) -> None:
    concepts = [dog, replace(dog, name="my old dog", class_name="old hound"), replace(dog, name="Rex")]
    found = take_apart(phrase, concepts)
    assert (found and found.plain) == plain
    assert found is None or (found.phrase == phrase and len(found.texts) == len(found.concepts) + 1)


def test_a_concept_that_is_called_what_it_is_gets_no_article(dog: Concept) -> None:
    found = take_apart("bowl of a dog", [replace(dog, name="dog")])
    assert found is not None and found.plain == "bowl of a dog"
    assert take_apart("tree", []) is None


def test_in_the_joint_space_the_class_makes_way_for_the_concept(dog: Concept) -> None:
    base, found = FakeBase(), take_apart("hat on my dog", [dog])
    assert found is not None
    phrase, kind = base.encode(["hat on a dog", "dog"])
    expected = F.normalize(phrase + F.normalize(dog.head.text, dim=0) - kind, dim=0)
    assert torch.allclose(compose(found, base.encode, None), expected, atol=1e-6)
    # A concept that learned nothing changes nothing.
    blank = replace(dog, head=replace(dog.head, text=3 * kind))
    unmoved = take_apart("hat on my dog", [blank])
    assert unmoved is not None and torch.allclose(compose(unmoved, base.encode, None), phrase, atol=1e-6)


class Reader(FakeBase):
    """A base that reads phrases, all of them as "a red thing"."""

    def read_phrase(self, texts: Sequence[str], vectors: Sequence[Tensor]) -> Tensor:
        self.asked = (tuple(texts), len(vectors))
        return self.encode(["a red thing"])[0]


def test_a_base_that_reads_phrases_is_asked(dog: Concept) -> None:
    base = Reader(extra_words=("other",))
    image = photo("red", noise=9)
    red = segment(base, image, words=["a red thing", "tree"])
    found = segment(base, image, words=["hat on my dog", "tree"], concepts=[replace(dog, name="my DOG")])
    assert base.asked == (("hat on a ", ""), 1)
    assert (way_of(base), way_of(FakeBase())) == ("token", "joint")
    assert found.words == ("hat on my dog", "tree", "other", "my DOG")
    assert found.score("hat on my dog") == red.score("a red thing")


def test_a_composed_word_leaves_its_concept_as_it_was(dog: Concept) -> None:
    base, image = FakeBase(extra_words=("other",)), photo("red", noise=9)
    without = segment(base, image, words=["tree"], concepts=[dog])
    beside = segment(base, image, words=["tree", "hat on my dog"], concepts=[dog])
    assert beside.mask("my dog").any() and beside.score("my dog") == without.score("my dog")


def test_what_was_seen_is_painted_at_any_size(dog: Concept) -> None:
    base, image = FakeBase(extra_words=("other",)), photo("red", noise=9)
    words = ["tree", "hat on my dog"]
    whole = segment(base, image, words=words, concepts=[dog])
    again = Finder(base, words, [dog]).find(see(base, image))
    assert (again.labels == whole.labels).all() and again.scores == whole.scores
    half = Finder(base, words, [dog]).find(replace(see(base, image), image=image[::2, ::2]))
    assert half.labels.shape == (16, 16) and (half.labels == whole.labels[::2, ::2]).mean() > 0.9
